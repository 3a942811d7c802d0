"""What is found on containers, from what an engine would say of them."""

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.doctor.containers import Container, Mount, Network, container_of, examine_containers, network_of
from orchestrator.doctor.finding import Finding, Verdict

GOOD = Container(
    service="protector",
    running=True,
    health="healthy",
    killed_for_memory=False,
    user="10001:10001",
    read_only=True,
    privileged=False,
    dropped=frozenset({"ALL"}),
    added=frozenset(),
    security=frozenset({"no-new-privileges:true"}),
    memory=2**30,
    processes=256,
    mounts=(Mount("protector_certificate", "/certificates/protector", False),),
    networks=frozenset({"protector_net"}),
    published=(),
    version="1.2.3",
    resolvers=("127.0.0.1",),
)
INVADER = replace(
    GOOD,
    service="invader",
    mounts=(Mount("invader_ledger", "/ledger", True),),
    networks=frozenset({"invader_net"}),
)
CONFINED = Network(internal=True, has_host=False)
NETWORKS = {"protector_net": CONFINED, "invader_net": CONFINED}


def wrong(*containers: Container, networks: dict[str, Network] = NETWORKS) -> list[Finding]:
    findings = list(examine_containers(containers, networks=networks, version="1.2.3"))
    assert len(findings) > 10
    return [finding for finding in findings if finding.verdict is not Verdict.GOOD]


def test_nothing_is_wrong_with_a_good_deployment() -> None:
    assert wrong(GOOD, INVADER) == []


@pytest.mark.parametrize(
    ("change", "demand", "seen"),
    [
        ({"health": "unhealthy"}, "is healthy", "unhealthy"),
        ({"health": ""}, "is healthy", "no health check"),
        ({"killed_for_memory": True}, "was not killed for its memory", "killed"),
        ({"user": "root"}, "is not root", "root"),
        ({"user": "0:0"}, "is not root", "0:0"),
        ({"read_only": False}, "cannot write its root", "writable"),
        ({"privileged": True}, "has no capabilities", "privileged, ALL dropped"),
        ({"added": frozenset({"NET_ADMIN"})}, "has no capabilities", "NET_ADMIN, ALL dropped"),
        ({"dropped": frozenset()}, "has no capabilities", "none added, none dropped"),
        ({"security": frozenset()}, "gains no privileges", "no security_opt"),
        ({"security": frozenset({"no-new-privileges:false"})}, "gains no privileges", "no-new-privileges:false"),
        ({"memory": 0}, "has limits on memory and processes", "0 MiB, 256 processes; 0 is no limit"),
        ({"processes": 0}, "has limits on memory and processes", "1024 MiB, 0 processes; 0 is no limit"),
        ({"published": ("50051/tcp",)}, "publishes no port", "50051/tcp"),
        ({"mounts": (Mount("weights", "/checkpoints", True),)}, "writes only its ledger or its runs", "/checkpoints"),
        ({"networks": frozenset()}, "reaches no network but internal ones", "the host's"),
        ({"resolvers": ()}, "asks nobody for names outside", "the engine's name servers"),
        ({"resolvers": ("192.0.2.1",)}, "asks nobody for names outside", "192.0.2.1"),
        ({"shares": ("PidMode host",)}, "lives in nothing of the host's", "PidMode host"),
        (
            {"mounts": (Mount("/var/run/docker.sock", "/docker.sock", False),)},
            "lives in nothing of the host's",
            "/var/run/docker.sock",
        ),
        ({"version": "1.2.2"}, "is of this program's version", "1.2.2, this program 1.2.3"),
    ],
)
def test_what_is_wrong_with_a_container_is_said(change: dict[str, Any], demand: str, seen: str) -> None:
    (finding,) = wrong(replace(GOOD, **change), INVADER)
    assert (finding.subject, finding.demand, finding.seen) == ("protector", demand, seen)
    assert finding.mend


def test_a_network_that_leads_outside_is_seen() -> None:
    networks = NETWORKS | {"protector_net": Network(internal=False, has_host=False)}
    (finding,) = wrong(GOOD, INVADER, networks=networks)
    assert (finding.demand, finding.seen) == ("reaches no network but internal ones", "protector_net")


def test_a_network_that_the_host_is_on_is_seen() -> None:
    networks = NETWORKS | {"protector_net": Network(internal=True, has_host=True)}
    (finding,) = wrong(GOOD, INVADER, networks=networks)
    assert (finding.demand, finding.seen) == ("cannot reach this machine", "protector_net")


@pytest.mark.parametrize(
    ("inspected", "network"),
    [
        ({"Internal": True, "Options": {"com.docker.network.bridge.inhibit_ipv4": "true"}}, CONFINED),
        ({"Internal": True, "Options": {"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}}, CONFINED),
        ({"Internal": True, "Options": None}, Network(internal=True, has_host=True)),
        ({"Internal": False, "Options": {}}, Network(internal=False, has_host=True)),
    ],
)
def test_an_inspection_becomes_a_network(inspected: dict[str, Any], network: Network) -> None:
    assert network_of(inspected) == network


def test_a_version_that_could_not_be_asked_is_no_finding() -> None:
    assert wrong(replace(GOOD, version=""), INVADER) == []


def test_a_service_that_is_not_there_is_said() -> None:
    (finding,) = wrong(GOOD)
    assert (finding.subject, finding.demand, finding.seen) == ("invader", "runs", "no container")


def test_a_service_that_has_stopped_is_not_asked_for_its_health() -> None:
    (finding,) = wrong(replace(GOOD, running=False, health="unhealthy"), INVADER)
    assert (finding.demand, finding.seen) == ("runs", "stopped")


def test_a_network_that_both_are_on_is_seen() -> None:
    both = frozenset({"protector_net", "invader_net"})
    (finding,) = wrong(replace(GOOD, networks=both), INVADER)
    assert (finding.subject, finding.demand, finding.seen) == ("protector and invader", "share no network", "invader_net")


def test_weights_that_both_can_read_are_seen() -> None:
    weights = Mount("/srv/weights", "/checkpoints", False)
    (finding,) = wrong(replace(GOOD, mounts=(weights,)), replace(INVADER, mounts=(weights,)))
    assert (finding.demand, finding.seen) == ("share no volume or folder", "/srv/weights")


def test_a_folder_within_a_folder_is_shared() -> None:
    whole, part = Mount("/srv/weights", "/checkpoints", False), Mount("/srv/weights/invader", "/checkpoints", False)
    beside = Mount("/srv/weights-of-others", "/checkpoints", False)
    (finding,) = wrong(replace(GOOD, mounts=(whole,)), replace(INVADER, mounts=(part,)))
    assert (finding.demand, finding.seen) == ("share no volume or folder", "/srv/weights/invader")
    assert wrong(replace(GOOD, mounts=(whole,)), replace(INVADER, mounts=(beside,))) == []


def test_what_a_container_lives_in_is_read() -> None:
    inspected: dict[str, Any] = {
        "Config": {"Labels": {"com.docker.compose.service": "protector"}},
        "State": {},
        "HostConfig": {
            "NetworkMode": "host",
            "PidMode": "container:abc",
            "IpcMode": "private",
            "Devices": [{"PathOnHost": "/dev/kvm"}],
            "SecurityOpt": ["seccomp=unconfined"],
        },
        "Mounts": [],
        "NetworkSettings": {},
    }
    expected = ("NetworkMode host", "PidMode container:abc", "device /dev/kvm", "seccomp=unconfined")
    assert container_of(inspected, version="").shares == expected


def test_an_inspection_becomes_a_container() -> None:
    inspected = {
        "Config": {"Labels": {"com.docker.compose.service": "protector"}, "User": "10001:10001"},
        "State": {"Running": True, "OOMKilled": False, "Health": {"Status": "healthy"}},
        "HostConfig": {
            "ReadonlyRootfs": True,
            "Privileged": False,
            "CapDrop": ["ALL"],
            "CapAdd": None,
            "SecurityOpt": ["no-new-privileges:true"],
            "Memory": 2**30,
            "PidsLimit": 256,
            "NetworkMode": "protector_net",
            "PidMode": "",
            "IpcMode": "private",
            "Dns": ["127.0.0.1"],
        },
        "Mounts": [
            {"Type": "volume", "Name": "protector_certificate", "Destination": "/certificates/protector", "RW": False},
        ],
        "NetworkSettings": {"Networks": {"protector_net": {}}, "Ports": {"50051/tcp": None}},
    }
    assert container_of(inspected, version="1.2.3") == GOOD


def test_a_bare_container_has_none_of_it() -> None:
    inspected: dict[str, Any] = {
        "Config": {"Labels": {"com.docker.compose.service": "protector"}, "User": ""},
        "State": {"Running": True},
        "HostConfig": {},
        "Mounts": [{"Type": "bind", "Source": "/srv/weights", "Destination": "/checkpoints", "RW": True}],
        "NetworkSettings": {"Networks": {"bridge": {}}, "Ports": {"50051/tcp": [{"HostPort": "50051"}]}},
    }
    bare = container_of(inspected, version="")
    assert {
        finding.demand
        for finding in wrong(bare, INVADER, networks=NETWORKS | {"bridge": Network(internal=False, has_host=True)})
    } == {
        "is healthy",
        "reaches no network but internal ones",
        "cannot reach this machine",
        "publishes no port",
        "asks nobody for names outside",
        "is not root",
        "cannot write its root",
        "has no capabilities",
        "gains no privileges",
        "has limits on memory and processes",
        "writes only its ledger or its runs",
    }
