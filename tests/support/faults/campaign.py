"""Runs with one fault each, at random moments, compared with one that nothing happened to."""

import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.session.classifying import CLASSIFICATIONS_IN_FLIGHT
from tests.support.faults.kinds import FAULTS, Scene, small_disk
from tests.support.faults.observed import Observed, differences, observed
from tests.support.faults.stage import MAX_SECONDS, Stage
from tests.support.postgres import Cluster
from tests.support.tcp_proxy import Way

MAX_SESSIONS = 4  # until an evaluation that was disturbed once must be complete
ON_ITS_OWN_DISK, IN_A_DATABASE = "disk full", "database restarted"


@dataclass(frozen=True)
class Reference:
    """An evaluation that nothing happened to."""

    observed: Observed
    asked: Counter[str]  # images, by digest
    seconds: float
    bytes_passed: dict[tuple[str, Way], int]


@dataclass(frozen=True)
class Trial:
    """What became of one evaluation with one fault."""

    fault: str
    moment: float  # 0..1 of an undisturbed evaluation
    struck: bool  # else the evaluation had ended before
    sessions: int  # 1: it went on by itself
    twice: int  # questions that the invader was asked more often than undisturbed
    wrong: Sequence[str]  # what is not as undisturbed; what must be empty
    said: str = field(compare=False)  # by the sessions that did not end well


def reference(stage: Stage, folder: Path) -> Reference:
    """Evaluates once to warm up, and once to measure."""
    for name in ("warm", "undisturbed"):
        passed = dict(_bytes_passed(stage))
        since, begun = stage.audited(), time.monotonic()
        process = stage.begin(folder / name)
        said, _ = process.communicate(timeout=MAX_SECONDS)
        assert process.returncode == 0, said
        seconds = time.monotonic() - begun
    now = _bytes_passed(stage)
    return Reference(
        observed(folder / name),
        stage.asked(since=since),
        seconds,
        {key: now[key] - passed[key] for key in now},
    )


def _bytes_passed(stage: Stage) -> dict[tuple[str, Way], int]:
    actors = {"protector": stage.protector, "invader": stage.invader}
    return {(name, way): actor.proxy.bytes[way] for name, actor in actors.items() for way in Way}


def trial(stage: Stage, expected: Reference, fault: str, *, folder: Path, cluster: Cluster | None, seed: int) -> Trial:
    """One evaluation, disturbed once, and gone on with until it is complete."""
    chance = random.Random(seed)
    moment = chance.random()
    if fault == ON_ITS_OWN_DISK:
        with small_disk(folder) as disk:
            return _disturbed(stage, expected, fault, disk / "run", None, moment, chance)
    store = cluster.new_database() if fault == IN_A_DATABASE and cluster is not None else None
    made = _disturbed(stage, expected, fault, folder, cluster, moment, chance, store=store)
    shutil.rmtree(folder)
    return made


def _disturbed(
    stage: Stage,
    expected: Reference,
    fault: str,
    run: Path,
    cluster: Cluster | None,
    moment: float,
    chance: random.Random,
    *,
    store: str | None = None,
) -> Trial:
    extra = [] if store is None else ["--store", store]
    since = stage.audited()
    process = stage.begin(run, *extra)
    said = _collected(process)
    scene = Scene(stage, process, run, cluster, moment, expected.seconds, expected.bytes_passed, chance)
    FAULTS[fault](scene)
    sessions, words = 1, said()
    while process.returncode != 0 and sessions < MAX_SESSIONS:
        process = stage.begin(run, *extra)
        sessions, words = sessions + 1, words + _collected(process)()
    for actor in (stage.protector, stage.invader):
        actor.settle()
    wrong = [f"not complete after {sessions} sessions"] if process.returncode != 0 else []
    if not wrong:
        found = observed(run, store=store)
        wrong += differences(found, expected.observed)
        wrong += _unanswered(stage, found, since=since)
    asked = stage.asked(since=since)
    twice = sum(max(0, count - expected.asked[image]) for image, count in asked.items())
    if twice > CLASSIFICATIONS_IN_FLIGHT:
        wrong.append(f"{twice} questions asked twice, more than the {CLASSIFICATIONS_IN_FLIGHT} that are in flight")
    return Trial(fault, moment, scene.struck, sessions, twice, tuple(wrong), words)


def _collected(process: subprocess.Popen[str]) -> Callable[[], str]:
    """What a process says until it ends; read when it is asked for, which waits."""

    def said() -> str:
        try:
            words, _ = process.communicate(timeout=MAX_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            words, _ = process.communicate()
            words += "\nKILLED: it hung"
        return words

    return said


def _unanswered(stage: Stage, found: Observed, *, since: int) -> list[str]:
    """Observations of which the invader's own log knows no answer."""
    answered = {
        (line["image_sha256"], target)
        for line in stage.questions(since=since)
        if line["outcome"] in ("answered", "no face")
        for target in line["target_models"]
    }
    missing = [cell for (_, cell), image in found.shown.items() if (image, cell.target_model) not in answered]
    return [f"{len(missing)} observations of questions that were not answered"] if missing else []
