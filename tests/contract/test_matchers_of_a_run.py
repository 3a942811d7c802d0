"""Runs with a classifier and a matcher: the split, the ranks at thresholds, and the people who are not enrolled."""

import asyncio
import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from deid.invader.v1 import invader_pb2
from PIL import Image

from orchestrator.commands.report import report
from orchestrator.errors import InputError, UnusableServiceError
from orchestrator.experiment.condition import LOSSLESS, parse_conditions
from orchestrator.faces.data_set import Photo, drawn_photos
from orchestrator.faces.folder import read_face_folder
from orchestrator.faces.split import Split, SplitSizes, split
from orchestrator.metrics.non_mated import NonMatedSearch
from orchestrator.report.run import Run, read_run
from orchestrator.session.planning import GalleryRequest
from rpc.images.png_chunks import SIGNATURE
from tests.support.bench import CLOAKS, IDENTITIES, Bench, Evaluated, manifest, write_photo
from tests.support.fakes import PHOTO, FakeInvader, FakeMatcher, FakeProtector, Fault, Shown

SCHEMA = Path(__file__).parents[2] / "docs" / "manifest.schema.json"
LEVELS = {identity: 20 * place for place, identity in enumerate(IDENTITIES)}
SIZES = SplitSizes(photos=1, non_mated=2, impostors=1)
AT = {"fpir:0.1": (1, 0), "given": (0, 0)}  # comparisons and false positives
BOTH = ("facenet", "dlib")


def rank(shown: Shown, target_model: str) -> int | None:
    """Cloaks of 8 levels are third with the matcher; all else is recognised."""
    return 3 if (shown.method, shown.epsilon, target_model) == ("bim", 8, "dlib") else 1


def face_found(shown: Shown) -> bool:
    """Noise of 8 levels hides the faces of one subject in two."""
    return (shown.method, shown.epsilon) != ("noise", 8) or IDENTITIES.index(shown.identity) % 2 == 0


def photo_of(image: bytes) -> str | None:
    """Whom a photo shows, by its colour; None for a fake cloak."""
    if image.startswith(SIGNATURE + b"{"):
        return None
    with Image.open(io.BytesIO(image)) as picture:
        red = picture.convert("RGB").getpixel((0, 0))[0]  # type: ignore[index]
    return min(LEVELS, key=lambda identity: abs(LEVELS[identity] - red))


@dataclass
class Setting:
    """A bench with three photos of each of eight people, whose invader has a classifier and a matcher of the split."""

    root: Path

    def __post_init__(self) -> None:
        self.bench = Bench(self.root)
        for identity, photo in product(IDENTITIES, range(3)):
            write_photo(self.bench.faces / identity / f"{photo}.jpg", level=LEVELS[identity])
        self.split: Split = split(read_face_folder(self.bench.faces), SIZES, seed=0)
        self.matcher = FakeMatcher(self.split.gallery_sha256(), AT, self.reached)
        self.bench.protector = FakeProtector({"facenet": IDENTITIES})
        label_sets = {"facenet": IDENTITIES, "dlib": sorted(self.split.enrolled)}
        self.bench.invader = FakeInvader(
            label_sets, rank, face_found, max_candidates=5, matchers={"dlib": self.matcher}, photo_of=photo_of
        )

    def probes_of_strangers(self) -> list[Photo]:
        faces = read_face_folder(self.bench.faces)
        return [next(drawn_photos(faces, identity, seed=0)) for identity in self.split.non_mated]

    def reached(self, shown: Shown) -> Mapping[str, int]:
        """Of the people who are not enrolled, the first of the draw is a false positive at the calibrated threshold."""
        if shown.method == PHOTO:
            return {"fpir:0.1": int(shown.identity == self.split.non_mated[0]), "given": 1}
        return {"fpir:0.1": 2, "given": 5}

    async def evaluate(self, **changes: Any) -> Evaluated:
        fields: dict[str, Any] = {"gallery": GalleryRequest(self.split), "target_models": BOTH} | changes
        return await self.bench.evaluate(**fields)

    async def refuses(self, kind: type[Exception], **changes: Any) -> str:
        with pytest.raises(kind) as failure:
            await self.evaluate(**changes)
        return str(failure.value)

    @property
    def run(self) -> Run:
        return read_run(self.bench.folder)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def content(run: Run) -> tuple[Any, ...]:
    """All that was observed, at every threshold."""
    matrices = (run.matrix, *run.at.values())
    return [(each.cells, each.probes, each.ranks.tolist()) for each in matrices], run.non_mated


def missing(evaluated: Evaluated) -> list[str]:
    return [sentence for sentence in evaluated.outcome["missing_models"] if not sentence.startswith("PSR@")]


async def test_ranks_are_read_at_each_threshold_of_the_matcher_and_of_it_alone(setting: Setting) -> None:
    assert (await setting.evaluate()).finished.complete
    run = setting.run
    assert run.thresholds == ("fpir:0.1", "given")
    cells = {cell.target_model for at in run.at.values() for cell in at.cells}
    assert cells == {"dlib"}
    (cloaked,) = (cell for cell in run.at["given"].cells if (cell.method, cell.epsilon) == ("bim", 8))
    (noisy,) = (cell for cell in run.at["given"].cells if (cell.method, cell.epsilon) == ("noise", 8))
    assert run.matrix.row(cloaked).tolist() == [3, 3, 3, 3]
    assert run.at["given"].row(cloaked).tolist() == [3, 3, 3, 3]
    assert run.at["fpir:0.1"].row(cloaked).tolist() == [0, 0, 0, 0]
    hidden = [-1 if IDENTITIES.index(probe[0]) % 2 else 1 for probe in run.matrix.probes]
    assert run.at["fpir:0.1"].row(noisy).tolist() == run.matrix.row(noisy).tolist() == hidden


@pytest.mark.usefixtures("blank_figures")
async def test_the_folder_of_a_run_has_the_tables_that_its_report_has_at_thresholds_too(setting: Setting) -> None:
    printed = (await setting.evaluate()).printed
    folder = setting.bench.folder
    written = await asyncio.to_thread(report, folder)
    for name in ("psr.csv", "fpir.csv"):
        assert (folder / name).read_bytes() == (written.parent / name).read_bytes()
    with (folder / "psr.csv").open(newline="") as file:
        rows = [(row["target_model"], row["threshold"]) for row in csv.DictReader(file)]
    assert set(rows) == {("facenet", ""), ("dlib", ""), ("dlib", "fpir:0.1"), ("dlib", "given")}
    with (folder / "fpir.csv").open(newline="") as file:
        fpir = {row["threshold"]: (row["gallery"], row["searches"], row["fpir"]) for row in csv.DictReader(file)}
    assert fpir == {"fpir:0.1": ("5", "2", "50.0000"), "given": ("5", "2", "100.0000")}
    assert "Recognition by a gallery, in %" in printed


async def test_subjects_are_enrolled_people_and_their_probes_are_not_enrolled(setting: Setting) -> None:
    evaluated = await setting.evaluate(subjects=5)
    enrolled = {photo.key for photos in setting.split.enrolled.values() for photo in photos}
    assert {probe.partition("/")[0] for probe in setting.run.matrix.probes} == set(setting.split.enrolled)
    assert not enrolled.intersection(setting.run.matrix.probes)
    faces = read_face_folder(setting.bench.faces)
    first = {next(drawn_photos(faces, identity, seed=0)).key for identity in setting.split.enrolled}
    assert set(setting.run.matrix.probes) == first
    assert (evaluated.outcome["excluded"], missing(evaluated)) == ([], [])
    stated = manifest(setting.bench.folder)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(stated)
    assert stated["protocol"]["gallery"] == {"photos": 1, "non_mated": 2, "impostors": 1, "clean": 0}
    assert stated["target_models"]["dlib"]["kind"] == "matcher"
    assert stated["target_models"]["dlib"]["gallery_sha256"] == setting.split.gallery_sha256()


async def test_people_who_are_not_enrolled_are_shown_once_under_each_condition_to_matchers_only(setting: Setting) -> None:
    conditions = parse_conditions("png,png@full")
    setting.bench.invader.face_found = lambda shown: shown.identity != setting.split.non_mated[1]
    await setting.evaluate(conditions=conditions)
    first, second = setting.split.non_mated
    assert {request.identity for request in setting.bench.protector.requests}.isdisjoint((first, second))
    shown = [Shown(identity, "", PHOTO, 0) for identity in (first, second)]
    assert {each: setting.bench.invader.asked[each] for each in shown} == dict.fromkeys(shown, 1), "no crop, so no region"
    assert {target for each, target in setting.bench.invader.answered if each in shown} == {"dlib"}
    names = [photo.name for photo in setting.probes_of_strangers()]
    expected = [
        NonMatedSearch(names[0], LOSSLESS, "dlib", "fpir:0.1", face_found=True, reached=1),
        NonMatedSearch(names[0], LOSSLESS, "dlib", "given", face_found=True, reached=1),
        NonMatedSearch(names[1], LOSSLESS, "dlib", "fpir:0.1", face_found=False, reached=0),
        NonMatedSearch(names[1], LOSSLESS, "dlib", "given", face_found=False, reached=0),
    ]
    assert setting.run.non_mated == sorted(expected, key=lambda each: (each.photo, each.threshold))


@pytest.mark.parametrize("cut_at", [1, 3, 8, 20])
async def test_a_run_that_is_cut_resumes_to_the_same_figures_and_asks_nothing_twice(setting: Setting, cut_at: int) -> None:
    whole = Setting(setting.root / "whole")
    await whole.evaluate()
    invader = setting.bench.invader
    invader.hold = lambda shown: invader.asked.total() >= cut_at
    running = asyncio.create_task(setting.evaluate())
    await invader.held.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    answered = Counter(invader.answered)
    invader.hold = lambda shown: False
    assert (await setting.evaluate()).finished.complete
    assert content(setting.run) == content(whole.run)
    again = Counter({each: times for each, times in invader.answered.items() if times > 1})
    assert again.total() <= 2 * 8, "at most those of the calls in flight"
    assert answered.total() < whole.bench.invader.answered.total()


async def test_a_failed_search_is_told_and_made_again_by_the_same_command(setting: Setting) -> None:
    setting.bench.invader.fault = lambda shown, time: Fault() if shown.method == PHOTO else None
    evaluated = await setting.evaluate()
    assert evaluated.finished.complete, "no cell of the grid is short"
    assert setting.run.non_mated == []
    (photo, _) = (photo.name for photo in setting.probes_of_strangers())
    assert f"failed: {photo}: search, under png: invader at " in evaluated.printed
    setting.bench.invader.fault = lambda shown, time: None
    await setting.evaluate()
    assert len(setting.run.non_mated) == 4


async def test_a_matcher_that_leaves_out_a_threshold_ends_the_run(setting: Setting) -> None:
    setting.bench.invader.matchers = {"dlib": replace(setting.matcher, reached=lambda shown: {"given": 1})}
    said = await setting.refuses(UnusableServiceError)
    assert said.endswith("expected of dlib how many candidates reach 'fpir:0.1', 'given', got 'given'")


async def test_a_matcher_that_says_more_than_it_was_asked_for_ends_the_run(setting: Setting) -> None:
    def alter(response: invader_pb2.ClassifyResponse) -> None:
        for each in response.classifications:
            for reached in each.reached:
                reached.candidates = 6

    setting.bench.invader.alter = alter
    assert "dlib: expected 0.." in await setting.refuses(UnusableServiceError)


async def test_matchers_are_target_models_by_default_beside_the_paper_s(setting: Setting) -> None:
    setting.bench.invader.label_sets = dict(setting.bench.invader.label_sets) | {"other": IDENTITIES}
    await setting.evaluate(target_models=None)
    assert setting.run.grid.target_models == BOTH


async def test_a_gallery_that_is_not_the_split_s_may_hold_probes_and_that_is_said(setting: Setting) -> None:
    setting.bench.invader.matchers = {"dlib": replace(setting.matcher, gallery_sha256="0" * 64)}
    (said,) = missing(await setting.evaluate())
    assert said == (
        "gallery of dlib: it is not the one that this run divides --faces into: that a photo is both enrolled and searched "
        "cannot be excluded"
    )


async def test_without_a_split_the_same_is_said_and_nobody_else_is_searched(setting: Setting) -> None:
    (said,) = missing(await setting.evaluate(gallery=None))
    assert said.startswith("gallery of dlib: this run divides no data set: ")
    assert manifest(setting.bench.folder)["protocol"]["gallery"] is None
    assert setting.run.non_mated == []
    assert set(setting.bench.invader.asked) == {
        Shown(probe[0], "facenet", *cloak) for probe in setting.run.matrix.probes for cloak in CLOAKS
    }


async def test_who_is_enrolled_after_all_is_not_searched_as_if_not(setting: Setting) -> None:
    first, second = setting.split.non_mated
    setting.bench.invader.label_sets = {"facenet": IDENTITIES, "dlib": sorted({*setting.split.enrolled, first})}
    assert missing(await setting.evaluate()) == [f"FPIR: 1 of 2 people are enrolled after all: {first}"]
    assert {search.photo.partition("/")[0] for search in setting.run.non_mated} == {second}
    assert first not in {probe.partition("/")[0] for probe in setting.run.matrix.probes}


async def test_without_a_threshold_nobody_is_searched_for_nothing(setting: Setting) -> None:
    setting.bench.invader.matchers = {"dlib": FakeMatcher(setting.split.gallery_sha256())}
    assert missing(await setting.evaluate()) == ["FPIR: no target model has a threshold"]
    assert (setting.run.non_mated, setting.run.thresholds) == ([], ())


async def test_a_default_gallery_is_dropped_where_no_model_has_one_and_a_wanted_one_is_refused(setting: Setting) -> None:
    only = partial(setting.evaluate, target_models=("facenet",))
    said = await setting.refuses(InputError, target_models=("facenet",))
    assert said.startswith("--gallery-photos: expected a model with a gallery, got classifiers alone: facenet; ")
    await only(gallery=GalleryRequest(setting.split, is_default=True))
    with_default = setting.run
    await only(gallery=None, folder=setting.root / "without")
    assert with_default.digest == read_run(setting.root / "without").digest


async def test_a_condition_is_possible_where_all_target_models_have_its_region(setting: Setting) -> None:
    setting.bench.invader.matchers = {"dlib": replace(setting.matcher, regions=(invader_pb2.REGION_DETECTED,))}
    said = await setting.refuses(InputError, conditions=parse_conditions("png,png@full"))
    assert said.startswith("--conditions: png@full: expected a region that dlib of the invader at ")
    assert said.endswith(" has (detected), got full")
    assert await setting.evaluate(conditions=parse_conditions("png@full"), target_models=("facenet",), gallery=None)


async def test_a_photo_that_the_protector_refuses_is_replaced_by_one_that_is_not_enrolled(setting: Setting) -> None:
    identity = next(iter(setting.split.enrolled))
    photos = list(drawn_photos(read_face_folder(setting.bench.faces), identity, seed=0))
    (setting.bench.faces / photos[0].key).write_bytes(b"no photo")
    await setting.evaluate()
    (probe,) = (probe for probe in setting.run.matrix.probes if probe.startswith(f"{identity}/"))
    assert probe == photos[2].key


async def test_people_whose_photos_cannot_be_used_are_not_searched_and_that_is_said(setting: Setting) -> None:
    first, second = setting.split.non_mated
    faces = read_face_folder(setting.bench.faces)
    for photo in faces.photos(first):
        (setting.bench.faces / photo.key).write_bytes(b"no photo")
    unusable, used, _ = drawn_photos(faces, second, seed=0)
    (setting.bench.faces / unusable.key).write_bytes(b"no photo")
    evaluated = await setting.evaluate()
    assert evaluated.finished.complete
    assert {search.photo for search in setting.run.non_mated} == {used.name}
    assert f"{first}: none of its photos can be used; it is not searched" in evaluated.printed


async def test_the_searches_are_part_of_what_a_run_announces_and_of_the_budget(setting: Setting) -> None:
    setting.bench.invader.queries_left = 4 * len(CLOAKS) + 2
    evaluated = await setting.evaluate()
    assert evaluated.finished.complete
    assert "gallery        a photo of each of 5 identities; 1 others are for calibrating thresholds" in evaluated.printed
    assert "not enrolled   2 identities are searched by dlib: 2" in evaluated.printed
    assert "about 22 are needed: enough" in evaluated.printed
    assert evaluated.outcome["invader_queries_left"] == 0
    assert "42 of 42 observations" in evaluated.printed


async def test_a_replay_divides_the_data_set_alike_and_searches_for_the_same_people(setting: Setting) -> None:
    await setting.evaluate()
    before = setting.run
    again = await setting.bench.replay(gallery=GalleryRequest(setting.split, is_default=True))
    assert again.finished.complete
    replayed = read_run(again.finished.folder)
    assert content(replayed) == content(before)
    assert replayed.manifest["protocol"]["gallery"] == before.manifest["protocol"]["gallery"]
