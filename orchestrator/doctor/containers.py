"""What the containers of a deployment must be like: pure functions of what a Docker engine says of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from orchestrator.doctor.finding import Finding, judged
from rpc.addresses import LOOPBACK

PROTECTOR, INVADER, ORCHESTRATOR = "protector", "invader", "orchestrator"
SERVICES = (PROTECTOR, INVADER)
WRITABLE = frozenset({"/ledger", "/runs", "/tmp"})  # noqa: S108 - where the programs may write
_INHIBIT, _GATEWAY_MODE = (f"com.docker.network.bridge.{name}" for name in ("inhibit_ipv4", "gateway_mode_ipv4"))
_COMPOSE = "compare it with this project's docker-compose.yml"


@dataclass(frozen=True)
class Mount:
    """Something mounted into a container."""

    source: str  # a volume's name, or a path of the host
    destination: str
    writable: bool


@dataclass(frozen=True)
class Container:
    """What matters of a container."""

    service: str
    running: bool
    health: str  # "" where it has no health check
    killed_for_memory: bool
    user: str
    read_only: bool
    privileged: bool
    dropped: frozenset[str]
    added: frozenset[str]
    security: frozenset[str]
    memory: int  # bytes, 0 is no limit
    processes: int  # 0 or less is no limit
    mounts: tuple[Mount, ...]
    networks: frozenset[str]
    published: tuple[str, ...]  # ports of the host
    version: str  # of the project; "" where it could not be asked
    shares: tuple[str, ...] = ()  # what of the host's, or of other containers, it lives in
    resolvers: tuple[str, ...] = ()  # name servers of its own


@dataclass(frozen=True)
class Network:
    """What matters of a network."""

    internal: bool  # nothing beyond it can be reached from it
    has_host: bool  # but for the machine that the engine runs on


_UNKNOWN = Network(internal=False, has_host=True)


def network_of(attributes: Mapping[str, Any]) -> Network:
    """From what `docker network inspect` says."""
    options = attributes.get("Options") or {}
    hostless = options.get(_INHIBIT) == "true" or options.get(_GATEWAY_MODE) == "isolated"
    return Network(internal=bool(attributes.get("Internal")), has_host=not hostless)


def container_of(attributes: Mapping[str, Any], *, version: str) -> Container:
    """From what `docker inspect` says."""
    host, config, state = attributes["HostConfig"], attributes["Config"], attributes["State"]
    ports = attributes["NetworkSettings"].get("Ports") or {}
    return Container(
        service=config["Labels"]["com.docker.compose.service"],
        running=bool(state.get("Running")),
        health=(state.get("Health") or {}).get("Status", ""),
        killed_for_memory=bool(state.get("OOMKilled")),
        user=config.get("User") or "root",
        read_only=bool(host.get("ReadonlyRootfs")),
        privileged=bool(host.get("Privileged")),
        dropped=frozenset(host.get("CapDrop") or ()),
        added=frozenset(host.get("CapAdd") or ()),
        security=frozenset(host.get("SecurityOpt") or ()),
        memory=host.get("Memory") or 0,
        processes=host.get("PidsLimit") or 0,
        mounts=tuple(
            Mount(mount.get("Name") or mount.get("Source", ""), mount["Destination"], bool(mount.get("RW")))
            for mount in attributes.get("Mounts") or ()
        ),
        networks=frozenset(attributes["NetworkSettings"].get("Networks") or ()),
        published=tuple(port for port, bindings in ports.items() if bindings),
        version=version,
        shares=tuple(_shares(host)),
        resolvers=tuple(host.get("Dns") or ()),
    )


def _shares(host: Mapping[str, Any]) -> Iterator[str]:
    for name in ("NetworkMode", "PidMode", "IpcMode", "UTSMode", "UsernsMode"):
        mode = str(host.get(name) or "")
        if mode == "host" or mode.startswith("container:"):
            yield f"{name} {mode}"
    for device in host.get("Devices") or ():
        yield f"device {device.get('PathOnHost', '')}"
    for option in host.get("SecurityOpt") or ():
        if option.endswith("unconfined"):
            yield str(option)


def examine_containers(
    containers: Sequence[Container], *, networks: Mapping[str, Network], version: str
) -> Iterator[Finding]:
    """Findings on all containers of a deployment.

    Args:
        containers: those of the two services, and of an orchestrator where one is there.
        networks: theirs, by name.
        version: this program's.
    """
    by_service = {container.service: container for container in containers}
    for service in SERVICES:
        container = by_service.get(service)
        yield judged(
            service,
            "runs",
            good=container is not None and container.running,
            seen="no container" if container is None else "running" if container.running else "stopped",
            mend="docker compose up -d",
        )
    for container in containers:
        yield from _examine(container, networks)
        if container.version:
            yield judged(
                container.service,
                "is of this program's version",
                good=container.version == version,
                seen=f"{container.version}, this program {version}",
                mend="docker compose build, then up -d",
            )
    if all(service in by_service for service in SERVICES):
        yield from _apart(by_service[PROTECTOR], by_service[INVADER])


def _examine(container: Container, networks: Mapping[str, Network]) -> Iterator[Finding]:
    name = container.service
    if container.running and name in SERVICES:
        yield judged(
            name,
            "is healthy",
            good=container.health == "healthy",
            seen=container.health or "no health check",
            mend=f"docker compose logs {name}",
        )
    yield judged(
        name,
        "was not killed for its memory",
        good=not container.killed_for_memory,
        seen="killed" if container.killed_for_memory else "never",
        mend="raise its mem_limit",
    )
    open_networks = sorted(network for network in container.networks if not networks.get(network, _UNKNOWN).internal)
    yield judged(
        name,
        "reaches no network but internal ones",
        good=bool(container.networks) and not open_networks,
        seen=", ".join(open_networks or sorted(container.networks)) or "the host's",
        mend=f"mark these networks internal: true; {_COMPOSE}",
    )
    with_host = sorted(network for network in container.networks if networks.get(network, _UNKNOWN).has_host)
    yield judged(
        name,
        "cannot reach this machine",
        good=not with_host,
        seen=", ".join(with_host) or "it is on none of its networks",
        mend=f"driver_opts: {_INHIBIT}: true for these networks, made anew",
    )
    yield judged(
        name,
        "publishes no port",
        good=not container.published,
        seen=", ".join(container.published) or "none",
        mend="remove its ports:",
    )
    user = container.user.partition(":")[0]
    yield judged(name, "is not root", good=user not in ("root", "0"), seen=container.user, mend='user: "10001:10001"')
    yield judged(
        name,
        "cannot write its root",
        good=container.read_only,
        seen="read-only" if container.read_only else "writable",
        mend="read_only: true",
    )
    capabilities = "privileged" if container.privileged else ", ".join(sorted(container.added)) or "none added"
    yield judged(
        name,
        "has no capabilities",
        good="ALL" in container.dropped and not container.added and not container.privileged,
        seen=f"{capabilities}, {', '.join(sorted(container.dropped)) or 'none'} dropped",
        mend="cap_drop: [ALL], and neither cap_add nor privileged",
    )
    yield judged(
        name,
        "gains no privileges",
        good=any(option.startswith("no-new-privileges") and not option.endswith("false") for option in container.security),
        seen=", ".join(sorted(container.security)) or "no security_opt",
        mend="security_opt: [no-new-privileges:true]",
    )
    yield judged(
        name,
        "has limits on memory and processes",
        good=container.memory > 0 and container.processes > 0,
        seen=f"{container.memory / 2**20:.0f} MiB, {container.processes} processes; 0 is no limit",
        mend="mem_limit and pids_limit",
    )
    engine = [mount.source for mount in container.mounts if mount.source.endswith("docker.sock")]
    shares = [*container.shares, *engine]
    yield judged(
        name,
        "lives in nothing of the host's",
        good=not shares,
        seen=", ".join(shares) or "nothing",
        mend="remove the engine's socket, devices, unconfined profiles and host modes",
    )
    if name in SERVICES:
        yield judged(
            name,
            "asks nobody for names outside",
            good=container.resolvers == (LOOPBACK,),
            seen=", ".join(container.resolvers) or "the engine's name servers",
            mend=f"dns: {LOOPBACK}",
        )
    writable = sorted({mount.destination for mount in container.mounts if mount.writable} - WRITABLE)
    yield judged(
        name,
        "writes only its ledger or its runs",
        good=not writable,
        seen=", ".join(writable) or "nothing else is writable",
        mend="mount weights, faces and certificates with :ro",
    )


def _apart(protector: Container, invader: Container) -> Iterator[Finding]:
    between = f"{PROTECTOR} and {INVADER}"
    networks = sorted(protector.networks & invader.networks)
    yield judged(
        between,
        "share no network",
        good=not networks,
        seen=", ".join(networks) or "none",
        mend=f"a network for each; {_COMPOSE}",
    )
    sources = sorted(
        {
            one.source if _within(one.source, other.source) else other.source
            for one in protector.mounts
            for other in invader.mounts
            if _within(one.source, other.source) or _within(other.source, one.source)
        }
    )
    yield judged(
        between,
        "share no volume or folder",
        good=not sources,
        seen=", ".join(sources) or "none",
        mend="separate mounts: an invader that reads the protector's weights is no black box",
    )


def _within(one: str, other: str) -> bool:
    """Whether a volume is another, or a folder is another or lies in it."""
    return PurePosixPath(one).is_relative_to(other)
