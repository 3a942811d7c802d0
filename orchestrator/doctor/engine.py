"""Asks a Docker engine, by its SDK, what it runs of this project."""

from collections.abc import Iterator

import docker
from docker.errors import DockerException
from docker.models.containers import Container as EngineContainer
from requests import RequestException

from orchestrator.doctor.containers import INVADER, ORCHESTRATOR, PROTECTOR, container_of, examine_containers, leads_outside
from orchestrator.doctor.finding import Finding, Verdict
from orchestrator.errors import InputError

_PROJECT, _SERVICE, _ONE_OFF = (f"com.docker.compose.{name}" for name in ("project", "service", "oneoff"))
_SECONDS = 20
_ASK_VERSION = ("python", "-c", "from importlib.metadata import version; print(version('face-deid-bench'))")


def examine_engine(project: str | None, *, version: str) -> Iterator[Finding]:
    """Findings on the containers of a compose project; the only one with a protector where none is named.

    Raises:
        InputError: the project is not there, or there are several to choose from.
    """
    try:
        client = docker.from_env(timeout=_SECONDS)
        client.ping()
    except DockerException as error:
        if project is not None:
            raise InputError(f"--project: expected a Docker engine to ask, got: {error}") from error
        why = "no Docker engine can be asked from here; run `orchestrator doctor` where it runs"
        yield Finding("containers", "are isolated", Verdict.UNKNOWN, why)
        return
    try:
        containers = _containers(client, project)
        facts = [container_of(container.attrs, version=_version(container)) for container in containers]
        networks = client.networks.list(names=sorted({name for each in facts for name in each.networks}))
        leading_outside = frozenset(str(each.name) for each in networks if leads_outside(each.attrs))
    except (DockerException, RequestException) as error:
        raise InputError(f"--project: the Docker engine says: {error}") from error
    finally:
        client.close()
    yield from examine_containers(facts, leading_outside=leading_outside, version=version)


def _containers(client: docker.DockerClient, project: str | None) -> list[EngineContainer]:
    found = client.containers.list(all=True, filters={"label": _SERVICE})
    ours = [each for each in found if each.labels[_SERVICE] in (PROTECTOR, INVADER, ORCHESTRATOR)]
    projects = sorted({each.labels[_PROJECT] for each in ours if each.labels[_SERVICE] == PROTECTOR})
    chosen = projects[0] if not project and len(projects) == 1 else project
    if chosen not in projects:
        raise InputError(f"--project: expected one of {', '.join(projects) or 'none that runs'}, got {chosen or 'nothing'}")
    # An orchestrator is run once and gone; one that is there just now is looked at too.
    return [each for each in ours if each.labels[_PROJECT] == chosen and (each.status == "running" or not _is_one_off(each))]


def _is_one_off(container: EngineContainer) -> bool:
    return container.labels.get(_ONE_OFF) == "True"


def _version(container: EngineContainer) -> str:
    """The version of the project in a running container; empty where it cannot be asked."""
    if container.status != "running":
        return ""
    status, output = container.exec_run(list(_ASK_VERSION))
    return output.decode(errors="replace").strip() if status == 0 and isinstance(output, bytes) else ""
