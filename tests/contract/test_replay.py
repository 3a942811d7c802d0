"""Kept cloaks shown once more: to another invader, under other conditions, without a protector."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.experiment.condition import parse_conditions
from orchestrator.run_folder.folder import RunFolder
from orchestrator.run_folder.pictures import kept_pictures
from tests.support.bench import CLOAKS, TARGETS, Bench, manifest
from tests.support.fakes import FakeInvader, Shown

ALL = Counter(Shown(identity, "facenet", *cloak) for identity in "abcd" for cloak in CLOAKS)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def lose(bench: Bench, lost: Shown) -> Path:
    """Removes a kept cloak."""
    (path,) = (each for each in kept_pictures(RunFolder(bench.folder)) if each.read_bytes() == lost.encoded())
    path.unlink()
    return path


async def test_a_replay_gives_the_figures_of_the_run_and_asks_no_protector(bench: Bench) -> None:
    first = await bench.evaluate()
    bench.protector.requests.clear()
    bench.invader.asked.clear()
    again = await bench.replay()
    assert again.finished.complete
    assert (again.csv, bench.invader.asked, bench.protector.requests) == (first.csv, ALL, [])
    stated, before = (manifest(folder) for folder in (bench.root / "replay", bench.folder))
    assert stated["protocol"]["replay_of"] == before["digest"]
    assert (stated["data_set"], stated["source_models"]) == (before["data_set"], before["source_models"])
    assert stated["outcome"]["photos"] == before["outcome"]["photos"]
    assert stated["digest"] != before["digest"]


async def test_the_photos_need_not_be_there_any_more(bench: Bench) -> None:
    first = await bench.evaluate()
    shutil.rmtree(bench.faces)
    assert (await bench.replay()).csv == first.csv


async def test_a_replay_may_be_under_other_conditions(bench: Bench) -> None:
    await bench.evaluate()
    bench.invader.regions_asked.clear()
    assert (await bench.replay(conditions=parse_conditions("png@full"))).finished.complete
    assert list(bench.invader.regions_asked.values()) == [20]
    assert manifest(bench.root / "replay")["protocol"]["grid"]["conditions"] == ["png@full"]


async def test_a_replay_can_be_replayed(bench: Bench) -> None:
    first = await bench.evaluate()
    await bench.replay()
    again = await bench.replay(of=bench.root / "replay", folder=bench.root / "third")
    assert again.csv == first.csv
    assert manifest(bench.root / "third")["protocol"]["replay_of"] == manifest(bench.root / "replay")["digest"]


async def test_subjects_whom_the_new_invader_does_not_know_are_named(bench: Bench) -> None:
    await bench.evaluate()
    bench.invader = FakeInvader(dict.fromkeys(TARGETS, "acdefghx"), bench.invader.rank, bench.invader.face_found)
    again = await bench.replay()
    assert again.finished.complete
    assert "excluded       1 identities unknown to some model: b" in again.printed
    assert again.outcome["subjects"] == ["a/0.jpg", "c/0.jpg", "d/0.jpg"]


async def test_an_invader_that_knows_none_of_them_is_refused(bench: Bench) -> None:
    await bench.evaluate()
    bench.invader = FakeInvader(dict.fromkeys(TARGETS, "stuvwxyz"), bench.invader.rank, bench.invader.face_found)
    with pytest.raises(InputError, match=r"^RUN: expected identities that every model knows, got 4 "):
        await bench.replay()


@pytest.mark.parametrize("spoilt", [False, True], ids=["missing", "spoilt"])
async def test_a_cloak_that_is_missing_or_spoilt_is_named_and_the_cell_is_short(bench: Bench, *, spoilt: bool) -> None:
    first = await bench.evaluate()
    lost = Shown("b", "facenet", "bim", 8)
    path = lose(bench, lost)
    if spoilt:
        path.write_bytes(b"spoilt")
    again = await bench.replay()
    assert not again.finished.complete
    assert (
        "failed: b/0.jpg: craft with facenet: run run: b/0.jpg: expected the cloaks that facenet crafted, got none, or not "
        "as they were, of bim at 8 (1 in all)"
    ) in again.printed
    assert again.outcome["failed_calls"] == 1, "asking again would not help"
    path.write_bytes(lost.encoded())
    bench.invader.asked.clear()
    assert (await bench.replay()).csv == first.csv, "the same command goes on"
    assert bench.invader.asked == {lost: 1}


async def test_a_run_without_cloaks_is_refused(bench: Bench) -> None:
    await bench.evaluate(keep_cloaks=False)
    with pytest.raises(InputError, match="expected a run that kept its cloaks, got one whose folder holds none"):
        await bench.replay()
