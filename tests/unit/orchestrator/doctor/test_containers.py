"""What is found on containers, from what an engine would say of them."""

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.doctor.containers import Container, container_of, examine_containers, leads_outside
from orchestrator.doctor.finding import Finding, Verdict

GOOD = Container(
    service="protector",
    running=True,
    health="healthy",
    killed_for_memory=False,
    privileges=(),
    mounts=frozenset({"protector_certificate"}),
    networks=frozenset({"protector_net"}),
    version="1.2.3",
)
INVADER = replace(GOOD, service="invader", mounts=frozenset({"invader_ledger"}), networks=frozenset({"invader_net"}))


def wrong(*containers: Container, leading_outside: frozenset[str] = frozenset()) -> list[Finding]:
    findings = list(examine_containers(containers, leading_outside=leading_outside, version="1.2.3"))
    assert len(findings) > 5
    return [finding for finding in findings if finding.verdict is not Verdict.GOOD]


def test_nothing_is_wrong_with_a_good_deployment() -> None:
    assert wrong(GOOD, INVADER) == []


@pytest.mark.parametrize(
    ("change", "demand", "seen"),
    [
        ({"health": "unhealthy"}, "is healthy", "unhealthy"),
        ({"health": ""}, "is healthy", "no health check"),
        ({"killed_for_memory": True}, "was not killed for its memory", "killed"),
        ({"privileges": ("root", "NET_ADMIN")}, "has no privileges", "root, NET_ADMIN"),
        ({"networks": frozenset()}, "reaches nothing beyond its networks", "the host's"),
        ({"networks": frozenset({"bridge", "protector_net"})}, "reaches nothing beyond its networks", "bridge"),
        ({"version": "1.2.2"}, "is of this program's version", "1.2.2, this program 1.2.3"),
    ],
)
def test_what_is_wrong_with_a_container_is_said(change: dict[str, Any], demand: str, seen: str) -> None:
    (finding,) = wrong(replace(GOOD, **change), INVADER, leading_outside=frozenset({"bridge"}))
    assert (finding.subject, finding.demand, finding.seen) == ("protector", demand, seen)
    assert finding.mend


@pytest.mark.parametrize(
    ("inspected", "outside"),
    [
        ({"Internal": True, "Options": {"com.docker.network.bridge.inhibit_ipv4": "true"}}, False),
        ({"Internal": True, "Options": {"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}}, False),
        ({"Internal": True, "Options": None}, True),  # to this machine
        ({"Internal": False, "Options": {"com.docker.network.bridge.inhibit_ipv4": "true"}}, True),
    ],
)
def test_a_network_that_is_not_internal_or_has_the_machine_in_it_leads_outside(
    inspected: dict[str, Any], outside: bool
) -> None:
    assert leads_outside(inspected) is outside


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


@pytest.mark.parametrize(
    ("protector", "invader", "shared"),
    [
        ("weights", "weights", "weights"),
        ("/srv/weights", "/srv/weights", "/srv/weights"),
        ("/srv/weights", "/srv/weights/invader", "/srv/weights/invader"),
    ],
)
def test_weights_that_both_can_read_are_seen(protector: str, invader: str, shared: str) -> None:
    (finding,) = wrong(replace(GOOD, mounts=frozenset({protector})), replace(INVADER, mounts=frozenset({invader})))
    assert (finding.demand, finding.seen) == ("share no volume or folder", shared)


def test_a_folder_beside_a_folder_is_not_shared() -> None:
    beside = frozenset({"/srv/weights-of-others"})
    assert wrong(replace(GOOD, mounts=frozenset({"/srv/weights"})), replace(INVADER, mounts=beside)) == []


CONFINED = {
    "Config": {"Labels": {"com.docker.compose.service": "protector"}, "User": "10001:10001"},
    "State": {"Running": True, "OOMKilled": False, "Health": {"Status": "healthy"}},
    "HostConfig": {
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": None,
        "SecurityOpt": ["no-new-privileges:true"],
        "NetworkMode": "protector_net",
        "PidMode": "",
        "IpcMode": "private",
    },
    "Mounts": [{"Type": "volume", "Name": "protector_certificate", "Destination": "/certificates/protector", "RW": False}],
    "NetworkSettings": {"Networks": {"protector_net": {}}},
}


def test_an_inspection_becomes_a_container() -> None:
    assert container_of(CONFINED, version="1.2.3") == GOOD


@pytest.mark.parametrize(
    ("part", "change", "privilege"),
    [
        ("Config", {"User": ""}, "root"),
        ("Config", {"User": "0:0"}, "root"),
        ("HostConfig", {"Privileged": True}, "privileged"),
        ("HostConfig", {"CapDrop": None}, "the engine's capabilities"),
        ("HostConfig", {"CapAdd": ["NET_ADMIN"]}, "NET_ADMIN"),
        ("HostConfig", {"SecurityOpt": None}, "new privileges"),
        ("HostConfig", {"SecurityOpt": ["no-new-privileges:false"]}, "new privileges"),
        ("HostConfig", {"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}, "seccomp=unconfined"),
        ("HostConfig", {"NetworkMode": "host"}, "NetworkMode host"),
        ("HostConfig", {"PidMode": "container:abc"}, "PidMode container:abc"),
        ("HostConfig", {"Devices": [{"PathOnHost": "/dev/kvm"}]}, "device /dev/kvm"),
    ],
)
def test_a_privilege_is_read_wherever_it_comes_from(part: str, change: dict[str, Any], privilege: str) -> None:
    inspected: dict[str, Any] = {**CONFINED, part: {**CONFINED[part], **change}}  # type: ignore[dict-item]
    assert container_of(inspected, version="").privileges == (privilege,)


def test_the_engine_s_socket_is_a_privilege() -> None:
    socket = {"Type": "bind", "Source": "/var/run/docker.sock", "Destination": "/docker.sock", "RW": False}
    assert container_of(CONFINED | {"Mounts": [socket]}, version="").privileges == ("/var/run/docker.sock",)
