"""Containers that are paused, killed and cut off while an evaluation runs: the answer is the same."""

import io
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker.errors import APIError
from docker.models.containers import Container

from tests.support.deployment import CALL_SECONDS, Deployment
from tests.support.faults.kinds import FROZEN_SECONDS
from tests.support.faults.observed import Observed, differences, observed
from tests.support.faults.stage import SMALL_GRID

FETCH = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "tar", "orchestrator", "-C", "/runs", "-c")
AUDITED = "print(sum(1 for _ in open('/ledger/audit.jsonl')))"
QUESTIONS_BEFORE = 5  # of the thirty that the grid asks
CUT_OFF_SECONDS = 5.0
MAX_PAUSES = 5  # tried until the engine succeeds

pytestmark = pytest.mark.deployment


def later(seconds: float, act: Callable[[], object]) -> None:
    """After so many seconds, and before this returns."""
    timer = threading.Timer(seconds, act)
    timer.start()
    timer.join()


def pause(deployment: Deployment, container: Container) -> None:
    for left in reversed(range(MAX_PAUSES)):
        try:
            container.pause()
            break
        except APIError as error:  # a container in which a process is just starting
            if "unable to freeze" not in str(error) or not left:
                raise
    later(FROZEN_SECONDS, container.unpause)


def kill(deployment: Deployment, container: Container) -> None:
    container.kill()
    container.wait()
    container.start()


def disconnect(deployment: Deployment, container: Container) -> None:
    service = container.labels["com.docker.compose.service"]
    networks = [deployment.client.networks.get(name) for name in container.attrs["NetworkSettings"]["Networks"]]
    for network in networks:
        network.disconnect(container)

    def reconnect() -> None:
        for network in networks:
            network.connect(container, aliases=[service])

    later(CUT_OFF_SECONDS, reconnect)


@contextmanager
def evaluating(deployment: Deployment, run: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """An evaluation under way in a container, with that container's name."""
    name = f"{deployment.project}_{run}"
    command = deployment.command("run", "--no-deps", "--name", name, "orchestrator", *evaluation(run))
    with subprocess.Popen(command, cwd=deployment.context, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        yield process, name


def evaluation(run: str) -> list[str]:
    return ["evaluate", "--no-report", "--run", f"/runs/{run}", *SMALL_GRID]


def fetched(deployment: Deployment, run: str, folder: Path) -> Observed:
    with tarfile.open(fileobj=io.BytesIO(deployment.piped(*FETCH, run))) as archive:
        archive.extractall(folder, filter="data")
    return observed(folder / run)


@pytest.fixture(scope="module")
def undisturbed(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    deployment.compose("run", "--rm", "orchestrator", *evaluation("undisturbed"))
    yield fetched(deployment, "undisturbed", tmp_path_factory.mktemp("undisturbed"))
    deployment.container("invader").restart()  # the engine calls one unhealthy that was paused
    deployment.up()


# Every harm and every victim once; tests/end_to_end/test_faults.py does to processes what each can suffer.
@pytest.mark.parametrize(("harm", "victim"), [(pause, "invader"), (kill, "protector"), (disconnect, "orchestrator")])
def test_whatever_happens_to_a_container_the_answer_is_the_same(
    deployment: Deployment,
    undisturbed: Observed,
    harm: Callable[[Deployment, Container], None],
    victim: str,
    tmp_path: Path,
) -> None:
    run = f"harmed-{victim}"
    asked = int(deployment.python("invader", AUDITED))
    with evaluating(deployment, run) as (process, name):
        while int(deployment.python("invader", AUDITED)) < asked + QUESTIONS_BEFORE:
            assert process.poll() is None, process.communicate()[0].decode()
        container = deployment.client.containers.get(name) if victim == "orchestrator" else deployment.container(victim)
        harm(deployment, container)
        said = process.communicate(timeout=CALL_SECONDS)[0].decode()
    deployment.client.containers.get(name).remove(force=True)
    assert process.returncode == 0, said
    assert differences(fetched(deployment, run, tmp_path), undisturbed) == [], said
