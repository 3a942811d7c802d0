"""What can happen to an evaluation, each at a moment that is handed in."""

import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.faults.stage import MAX_SECONDS, Actor, Stage
from tests.support.postgres import Cluster
from tests.support.tcp_proxy import Way

FROZEN_SECONDS = 14.0  # longer than the keepalive needs to notice: 5 s to ask, 5 s to wait
AFTER_SECONDS = 0.05  # from the last byte of an answer to the cut
FULL_DISK_MB = 48


@dataclass
class Scene:
    """One evaluation that is under way, and what can be done to it."""

    stage: Stage
    orchestrator: subprocess.Popen[str]
    run: Path
    cluster: Cluster | None
    moment: float  # 0..1 of an undisturbed evaluation
    seconds: float  # that one takes
    bytes_passed: dict[tuple[str, Way], int]  # in one, by service
    random: random.Random
    struck: bool = False  # else the evaluation had ended before

    def wait(self) -> None:
        """Until the moment, or until the evaluation has ended before it."""
        try:
            self.orchestrator.wait(self.moment * self.seconds)
        except subprocess.TimeoutExpired:
            self.struck = True


Fault = Callable[[Scene], None]


def kill_orchestrator(scene: Scene) -> None:
    scene.wait()
    scene.orchestrator.kill()


def _kill(actor: Actor, scene: Scene) -> None:
    scene.wait()
    actor.kill()
    actor.restart()


def kill_protector(scene: Scene) -> None:
    _kill(scene.stage.protector, scene)


def kill_invader(scene: Scene) -> None:
    _kill(scene.stage.invader, scene)


def stop_protector(scene: Scene) -> None:
    scene.wait()
    scene.stage.protector.freeze(FROZEN_SECONDS)


def stop_invader(scene: Scene) -> None:
    scene.wait()
    scene.stage.invader.freeze(FROZEN_SECONDS)


def _cut(scene: Scene, way: Way, act: Callable[[Actor], None]) -> None:
    name = scene.random.choice(("protector", "invader"))
    actor: Actor = getattr(scene.stage, name)
    count = max(1, round(scene.moment * scene.bytes_passed[name, way]))

    def strike() -> None:
        scene.struck = True
        act(actor)

    actor.proxy.when(way, count, strike)


def cut_before_the_answer(scene: Scene) -> None:
    """While a question is on its way."""
    _cut(scene, Way.ASKED, lambda actor: _done(actor.proxy.cut()))


def cut_during_the_answer(scene: Scene) -> None:
    """While an answer is."""
    _cut(scene, Way.ANSWERED, lambda actor: _done(actor.proxy.cut()))


def cut_after_the_answer(scene: Scene) -> None:
    """When it has come."""
    _cut(scene, Way.ANSWERED, lambda actor: threading.Timer(AFTER_SECONDS, actor.proxy.cut).start())


def _done(_count: int) -> None: ...


def fill_disk(scene: Scene) -> None:
    """Until the orchestrator ends; the run folder lies on a small file system of its own."""
    scene.wait()
    ballast = scene.run.parent / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    scene.orchestrator.wait(MAX_SECONDS)
    ballast.unlink()


def restart_database(scene: Scene) -> None:
    """Without letting it finish anything: it recovers from its log."""
    assert scene.cluster is not None
    scene.wait()
    scene.cluster.stop()
    time.sleep(scene.random.uniform(0, 2))
    scene.cluster.start()


FAULTS: dict[str, Fault] = {
    "orchestrator killed": kill_orchestrator,
    "protector killed": kill_protector,
    "invader killed": kill_invader,
    "protector stopped": stop_protector,
    "invader stopped": stop_invader,
    "cut before the answer": cut_before_the_answer,
    "cut during the answer": cut_during_the_answer,
    "cut after the answer": cut_after_the_answer,
    "disk full": fill_disk,
    "database restarted": restart_database,
}


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own that is soon full.

    Raises:
        OSError: this process may not mount one.
    """
    folder.mkdir(parents=True)
    size = f"size={FULL_DISK_MB}m,mode=0700"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True, text=True)
    if mounted.returncode != 0:
        raise OSError(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
