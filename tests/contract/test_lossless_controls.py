"""The probe without loss is asked for once and kept beside the cloaks; it is shown to nobody and is no observation."""

import shutil
import sqlite3
from collections import Counter
from hashlib import sha256
from pathlib import Path

import grpc
import pytest

from orchestrator.experiment.storage import Storage
from orchestrator.services.retries import ATTEMPTS
from tests.support.bench import (
    CLOAKS,
    IDENTITIES,
    Bench,
    draw,
    observed,
)
from tests.support.fakes import Fault, Shown

ONCE = {(identity, "facenet"): 1 for identity in "abcd"}
CONTROLS = {Shown(identity, "facenet", "none", 0).encoded() for identity in "abcd"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def kept(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in (folder / "probes").rglob("*.png")}


def recorded(folder: Path) -> set[tuple[str, str, str, str]]:
    with sqlite3.connect(folder / "observations.sqlite") as connection:
        return set(connection.execute("SELECT probe, source_model, probe_sha256, cloak_sha256 FROM lossless_controls"))


async def test_each_is_asked_for_once_kept_and_recorded(bench: Bench) -> None:
    evaluated = await bench.evaluate()
    assert bench.protector.controls_asked == ONCE
    assert kept(bench.folder) == CONTROLS
    assert recorded(bench.folder) == {
        (
            f"{identity}/0.jpg",
            "facenet",
            sha256((bench.faces / identity / "0.jpg").read_bytes()).hexdigest(),
            sha256(Shown(identity, "facenet", "none", 0).encoded()).hexdigest(),
        )
        for identity in "abcd"
    }
    assert evaluated.outcome["last_session"]["lossless_control_calls"] == 4


async def test_it_is_no_observation_and_no_query(bench: Bench) -> None:
    bench.invader.queries_left = 4 * len(CLOAKS)
    evaluated = await bench.evaluate()
    assert evaluated.finished.complete
    assert bench.invader.queries_left == 0
    bench.invader.queries_left = None
    assert set(bench.invader.asked.values()) == {1}
    discarding = await bench.evaluate(folder=bench.root / "discarding", keep_cloaks=False)
    assert evaluated.csv == discarding.csv


async def test_each_source_model_has_its_own(bench: Bench) -> None:
    bench.protector.label_sets = {"facenet": IDENTITIES, "senet50": IDENTITIES}
    await bench.evaluate(source_models=("facenet", "senet50"), in_flight=2)
    models = ("facenet", "senet50")
    assert bench.protector.controls_asked == {(identity, model): 1 for identity in "abcd" for model in models}


async def test_it_is_not_asked_for_again_on_going_on(bench: Bench) -> None:
    await bench.evaluate()
    await bench.evaluate()
    assert bench.protector.controls_asked == ONCE


async def test_those_of_a_run_whose_pictures_were_removed_are_not_asked_for_again(bench: Bench) -> None:
    await bench.evaluate()
    shutil.rmtree(bench.folder / "probes")
    bench.protector.controls_asked.clear()
    await bench.evaluate()
    assert bench.protector.controls_asked == {}


async def test_an_interrupted_run_asks_for_those_that_are_missing(bench: Bench) -> None:
    second = draw("abcd")[1]
    bench.protector.broken = {(second, "facenet"): Fault(grpc.StatusCode.UNAVAILABLE, "gone")}
    assert not (await bench.evaluate()).finished.complete
    before = dict(bench.protector.controls_asked)
    assert second not in {identity for identity, _ in before}
    bench.protector.broken = {}
    await bench.evaluate()
    assert bench.protector.controls_asked == ONCE
    assert kept(bench.folder) == CONTROLS


async def test_with_discarded_cloaks_it_is_neither_asked_for_nor_kept(bench: Bench) -> None:
    await bench.evaluate(keep_cloaks=False)
    assert bench.protector.controls_asked == Counter()
    assert kept(bench.folder) == set()
    assert recorded(bench.folder) == set()


async def test_where_cloaks_are_stored_without_loss_the_control_among_them_is_taken(bench: Bench) -> None:
    await bench.evaluate(storage=Storage(None))
    assert bench.protector.controls_asked == Counter()
    assert kept(bench.folder) == CONTROLS
    assert len(recorded(bench.folder)) == 4


async def test_one_that_cannot_be_had_is_recorded_and_the_run_is_complete_without_it(bench: Bench) -> None:
    bench.protector.control_fault = Fault(message="out of memory")
    evaluated = await bench.evaluate()
    assert evaluated.finished.complete
    assert set(bench.protector.controls_asked.values()) == {ATTEMPTS}
    assert evaluated.outcome["failed_calls"] == 4
    assert "failed: b/0.jpg: lossless control of facenet: protector at " in evaluated.printed
    assert len(observed(bench.folder)) == 40
    assert kept(bench.folder) == set()
    bench.protector.control_fault = None
    bench.protector.requests.clear()
    assert (await bench.evaluate()).finished.complete
    assert kept(bench.folder) == CONTROLS
    assert bench.protector.requests == []


async def test_a_protector_that_finds_no_face_any_more_makes_no_subject_unseen(bench: Bench) -> None:
    bench.protector.control_fault = Fault(grpc.StatusCode.INVALID_ARGUMENT, "photo: expected a face, got none", "NO_FACE")
    evaluated = await bench.evaluate()
    assert evaluated.finished.complete
    assert evaluated.outcome["replaced"] == {}
    assert bench.protector.controls_asked == ONCE, "asking again would not help"
    assert evaluated.outcome["failed_calls"] == 4


async def test_a_run_that_discarded_its_cloaks_goes_on_and_gets_them(bench: Bench) -> None:
    first = await bench.evaluate(keep_cloaks=False)
    bench.protector.requests.clear()
    bench.invader.asked.clear()
    again = await bench.evaluate()
    assert again.csv == first.csv
    assert bench.protector.requests == []
    assert bench.invader.asked == Counter()
    assert bench.protector.controls_asked == ONCE
    assert kept(bench.folder) == CONTROLS
