"""What no compose file can say of the containers of a deployment: pure functions of what a Docker engine says of them.

That docker-compose.yml itself confines them is its own test's to say. A container may run by another file, an older one, or
the rest of one: networks and volumes stay from before, and `docker network connect` asks no file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from orchestrator.doctor.finding import Finding, judged

PROTECTOR, INVADER, ORCHESTRATOR = "protector", "invader", "orchestrator"
SERVICES = (PROTECTOR, INVADER)
_INHIBIT, _GATEWAY_MODE = (f"com.docker.network.bridge.{name}" for name in ("inhibit_ipv4", "gateway_mode_ipv4"))
_COMPOSE = "compare it with this project's docker-compose.yml"


@dataclass(frozen=True)
class Container:
    """What matters of a container."""

    service: str
    running: bool
    health: str  # "" where it has no health check
    killed_for_memory: bool
    privileges: tuple[str, ...]  # what it may do that no program of ours needs
    mounts: frozenset[str]  # names of volumes, and paths of the host
    networks: frozenset[str]
    version: str  # of the project; "" where it could not be asked


def leads_outside(network: Mapping[str, Any]) -> bool:
    """Whether something beyond a network can be reached from it, by what `docker network inspect` says."""
    options = network.get("Options") or {}
    hostless = options.get(_INHIBIT) == "true" or options.get(_GATEWAY_MODE) == "isolated"
    return not (network.get("Internal") and hostless)


def container_of(attributes: Mapping[str, Any], *, version: str) -> Container:
    """From what `docker inspect` says."""
    config, state = attributes["Config"], attributes["State"]
    mounts = frozenset(mount.get("Name") or mount.get("Source", "") for mount in attributes.get("Mounts") or ())
    return Container(
        service=config["Labels"]["com.docker.compose.service"],
        running=bool(state.get("Running")),
        health=(state.get("Health") or {}).get("Status", ""),
        killed_for_memory=bool(state.get("OOMKilled")),
        privileges=(
            *_privileges(attributes["HostConfig"], user=config.get("User") or "root"),
            *(source for source in mounts if source.endswith("docker.sock")),
        ),
        mounts=mounts,
        networks=frozenset(attributes["NetworkSettings"].get("Networks") or ()),
        version=version,
    )


def _privileges(host: Mapping[str, Any], *, user: str) -> Iterator[str]:
    security = host.get("SecurityOpt") or ()
    if user.partition(":")[0] in ("root", "0"):
        yield "root"
    if host.get("Privileged"):
        yield "privileged"
    if "ALL" not in (host.get("CapDrop") or ()):
        yield "the engine's capabilities"
    yield from host.get("CapAdd") or ()
    if not {"no-new-privileges", "no-new-privileges:true"} & set(security):
        yield "new privileges"
    yield from (option for option in security if option.endswith("unconfined"))
    for name in ("NetworkMode", "PidMode", "IpcMode", "UTSMode", "UsernsMode"):
        mode = str(host.get(name) or "")
        if mode == "host" or mode.startswith("container:"):
            yield f"{name} {mode}"
    for device in host.get("Devices") or ():
        yield f"device {device.get('PathOnHost', '')}"


def examine_containers(
    containers: Sequence[Container], *, leading_outside: frozenset[str], version: str
) -> Iterator[Finding]:
    """Findings on all containers of a deployment.

    Args:
        containers: those of the two services, and of an orchestrator where one is there.
        leading_outside: networks, by name, from which something beyond them can be reached.
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
        yield from _examine(container, leading_outside)
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


def _examine(container: Container, leading_outside: frozenset[str]) -> Iterator[Finding]:
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
    ways_out = sorted(container.networks & leading_outside) if container.networks else ["the host's"]
    yield judged(
        name,
        "reaches nothing beyond its networks",
        good=not ways_out,
        seen=", ".join(ways_out or sorted(container.networks)),
        mend=f"internal: true and driver_opts: {_INHIBIT}: true for these networks, made anew; {_COMPOSE}",
    )
    yield judged(
        name,
        "has no privileges",
        good=not container.privileges,
        seen=", ".join(container.privileges) or "none",
        mend=f'user: "10001:10001", cap_drop: [ALL], no-new-privileges:true, and nothing of the host\'s; {_COMPOSE}',
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
            one if _within(one, other) else other
            for one in protector.mounts
            for other in invader.mounts
            if _within(one, other) or _within(other, one)
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
