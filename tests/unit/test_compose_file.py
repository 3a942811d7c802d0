"""docker-compose.yml confines what it starts. tests/deployment tries it on running containers, where there is an engine."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from invader_service.config import InvaderSettings
from protector_service.config import ProtectorSettings
from rpc.settings import ServiceSettings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WRITABLE = {"protector": set(), "invader": {"/ledger"}, "orchestrator": {"/runs"}}


@pytest.mark.parametrize("service", SERVICES)
def test_every_program_is_a_user_without_rights_in_limits(service: str) -> None:
    stated = SERVICES[service]
    assert stated["user"] == "10001:10001"
    assert stated["read_only"] is True
    assert stated["cap_drop"] == ["ALL"]
    assert stated["security_opt"] == ["no-new-privileges:true"]
    assert stated["mem_limit"] == stated["memswap_limit"]
    assert stated["pids_limit"] > 0
    assert not {"ports", "privileged", "cap_add", "devices", "pid", "ipc", "userns_mode", "extra_hosts"} & stated.keys()


@pytest.mark.parametrize("service", ["protector", "invader"])
def test_a_service_has_no_name_server(service: str) -> None:
    assert SERVICES[service]["dns"] == "127.0.0.1"


@pytest.mark.parametrize("service", WRITABLE)
def test_a_program_may_write_its_ledger_or_its_runs_alone(service: str) -> None:
    mounts = [volume.split(":") for volume in SERVICES[service]["volumes"]]
    assert {destination for _, destination, *options in mounts if "ro" not in options} == WRITABLE[service]


def test_networks_lead_nowhere() -> None:
    for network in COMPOSE["networks"].values():
        assert network["internal"] is True
        assert network["driver_opts"] == {"com.docker.network.bridge.inhibit_ipv4": "true"}


def test_protector_and_invader_share_neither_network_nor_volume() -> None:
    for shared in ("networks", "volumes"):
        protector, invader = ({each.split(":")[0] for each in SERVICES[name][shared]} for name in ("protector", "invader"))
        assert protector & invader == set()


@pytest.mark.parametrize("service", ["protector", "invader"])
def test_a_service_keeps_no_embeddings(service: str) -> None:
    assert SERVICES[service]["environment"][f"DEID_{service.upper()}_EMBEDDING_CACHE"] == "off"


def test_folders_of_faces_are_read_only_and_no_service_has_another_s() -> None:
    for example in ("own", "gallery"):
        services = yaml.safe_load((ROOT / f"docker-compose.{example}.example.yml").read_text(encoding="utf-8"))["services"]
        mounts = {name: [volume.split(":") for volume in stated["volumes"]] for name, stated in services.items()}
        sources = [source for each in mounts.values() for source, *_ in each]
        assert all(options == ["ro"] for each in mounts.values() for _, _, *options in each)
        assert len(set(sources)) == len(sources)
        for name, stated in services.items():
            folders = {text for text in stated.get("environment", {}).values() if text.startswith("/")}
            assert folders <= {destination for _, destination, _ in mounts[name]}


@pytest.mark.parametrize(("service", "settings"), [("protector", ProtectorSettings), ("invader", InvaderSettings)])
def test_the_variables_of_the_files_are_the_services_settings(service: str, settings: type[ServiceSettings]) -> None:
    known = {f"DEID_{service.upper()}_{name.upper()}" for name in settings.model_fields}
    for file in ROOT.glob("docker-compose*.yml"):
        services = yaml.safe_load(file.read_text(encoding="utf-8"))["services"]
        assert services.get(service, {}).get("environment", {}).keys() <= known, file.name
