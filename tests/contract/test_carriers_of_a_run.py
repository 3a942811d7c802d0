"""Runs in which cloaks are enrolled: which picture comes in place of which, what is searched, and what is recorded."""

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest
from deid.invader.v1 import invader_pb2

from orchestrator.experiment.condition import Condition, parse_conditions
from orchestrator.experiment.grid import CloakKey
from orchestrator.faces.data_set import Photo
from orchestrator.faces.split import SplitSizes
from orchestrator.metrics.observation import Outcome
from orchestrator.pictures.conditions import under_condition
from orchestrator.report.run import read_run
from tests.support.bench import IDENTITIES, manifest
from tests.support.enrolling import (
    CLASSIFIER,
    GREY,
    KINDS,
    MATCHER,
    OWN,
    WHITE_BOX,
    EnrollingBench,
    FakeGallery,
    digest,
)

SCHEMA = Path(__file__).parents[2] / "docs" / "manifest.schema.json"
DETECTED, FULL = invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL
MATCHERS = (WHITE_BOX, MATCHER)
BIM = KINDS[-1]


@pytest.fixture
def setting(tmp_path: Path) -> EnrollingBench:
    return EnrollingBench(tmp_path)


def under(chain: str, picture: bytes) -> str:
    """The digest of what becomes of a picture."""
    return digest(under_condition(picture, Condition.parse(chain)))


def cloaks(setting: EnrollingBench, identity: str, key: CloakKey, chain: str) -> tuple[str, ...]:
    """The digests of the cloaks of a subject's enrolled photos, as the run kept them, as they come to the invader."""
    return tuple(under(chain, setting.kept(photo, key)) for photo in setting.enrolled(identity))


def clean(setting: EnrollingBench, photos: tuple[Photo, ...]) -> tuple[str, ...]:
    return tuple(digest(photo.read()) for photo in photos)


def content(setting: EnrollingBench, changed: Mapping[str, tuple[str, ...]]) -> str:
    """The digest of the invader's own gallery with the pictures of some identities changed."""
    return FakeGallery("", OWN, photos=dict(setting.galleries.own) | dict(changed)).sha256


@pytest.mark.parametrize("chain", ["png", "jpeg:75", "jpeg:95+resize:16+blur:1"])
async def test_each_photo_of_the_subject_is_replaced_by_its_cloak_and_the_clean_probe_is_searched(
    setting: EnrollingBench, chain: str
) -> None:
    assert (await setting.evaluate(f"{chain}/gallery")).finished.complete
    expected = Counter(
        (
            digest(setting.probe(identity).read()),
            DETECTED,
            content(setting, {identity: cloaks(setting, identity, key, chain)}),
        )
        for identity in setting.draw[:3]
        for key in KINDS
    )
    assert Counter((search.picture, search.region, search.gallery) for search, _ in setting.invader.answers) == expected
    assert {tuple(gallery.enrolled) for gallery in setting.galleries.created} == {(each,) for each in setting.draw[:3]}
    assert {gallery.base for gallery in setting.galleries.created} == {OWN}


async def test_carriers_decide_what_is_searched_and_where_and_who_reads_it(setting: EnrollingBench) -> None:
    assert (await setting.evaluate("png,png/gallery,png/both")).finished.complete
    everybody = (CLASSIFIER, WHITE_BOX, MATCHER)
    expected: Counter[tuple[str, tuple[str, ...], str]] = Counter()
    for identity in setting.draw[:3]:
        for key in KINDS:
            probe = setting.probe(identity)
            cloak, gallery = under("png", setting.kept(probe, key)), {identity: cloaks(setting, identity, key, "png")}
            expected[cloak, everybody, ""] += 1
            expected[cloak, MATCHERS, content(setting, gallery)] += 1
            expected[digest(probe.read()), MATCHERS, content(setting, gallery)] += 1
    assert (
        Counter((search.picture, search.target_models, search.gallery) for search, _ in setting.invader.answers) == expected
    )


async def test_conditions_that_do_the_same_with_pictures_share_a_gallery(setting: EnrollingBench) -> None:
    await setting.evaluate("png,png/gallery,png/both,jpeg:75/gallery,jpeg:75/both")
    assert len(setting.galleries.created) == 3 * len(KINDS) * 2
    searches = Counter(search.gallery for search, gallery in setting.invader.answers if gallery is not None)
    assert set(searches.values()) == {2}
    assert len(searches) == len(setting.galleries.created)


async def test_a_region_is_of_what_is_searched_and_shares_the_gallery(setting: EnrollingBench) -> None:
    setting.invader.matchers = {
        name: type(each)(each.gallery_sha256, each.thresholds) for name, each in setting.invader.matchers.items()
    }
    assert (await setting.evaluate("png/both,png@full/both", subjects=1)).finished.complete
    assert len(setting.galleries.created) == len(KINDS)
    assert Counter(search.region for search, _ in setting.invader.answers) == {DETECTED: 3, FULL: 3}


async def test_every_gallery_is_sealed_before_its_searches_and_deleted_once_after_them(setting: EnrollingBench) -> None:
    await setting.evaluate()
    assert setting.galleries.held == {}
    assert {(gallery.sealed, gallery.deletions) for gallery in setting.galleries.created} == {(True, 1)}


async def test_some_photos_may_stay_clean_beside_the_cloaks(tmp_path: Path) -> None:
    setting = EnrollingBench(tmp_path, SplitSizes(photos=3, clean=1))
    await setting.evaluate("jpeg:75/gallery")
    first = setting.draw[0]
    *cloaked, left = setting.enrolled(first)
    enrolled = {gallery.enrolled[first] for gallery in setting.galleries.created if first in gallery.enrolled}
    kept = {(*(under("jpeg:75", setting.kept(photo, key)) for photo in cloaked), digest(left.read())) for key in KINDS}
    assert enrolled == kept
    assert left.read() not in {request.photo for request in setting.protector.requests}
    assert manifest(setting.folder)["protocol"]["gallery"] == {"photos": 3, "clean": 1, "impostors": 0, "non_mated": 0}


async def test_every_photo_is_crafted_in_one_call_whatever_the_number_of_conditions(setting: EnrollingBench) -> None:
    assert (await setting.evaluate("png,png/gallery,jpeg:75/both,jpeg:50/adaptive,jpeg:50+blur:1/gallery")).finished.complete
    photos = [photo for each in setting.draw[:3] for photo in (setting.probe(each), *setting.enrolled(each))]
    asked = Counter(request.photo for request in setting.protector.requests)
    assert asked == Counter(photo.read() for photo in photos)


async def test_every_source_model_crafts_every_photo_once_and_its_cloaks_are_enrolled_apart(setting: EnrollingBench) -> None:
    names = ("facenet", "resnet50")
    setting.protector.label_sets = dict.fromkeys(names, IDENTITIES)
    assert (await setting.evaluate("png,png/both", source_models=names, subjects=2)).finished.complete
    photos = [photo for each in setting.draw[:2] for photo in (setting.probe(each), *setting.enrolled(each))]
    asked = Counter((request.photo, request.source_model) for request in setting.protector.requests)
    assert asked == Counter((photo.read(), name) for photo in photos for name in names)
    enrolled = {
        gallery.enrolled[setting.draw[0]] for gallery in setting.galleries.created if setting.draw[0] in gallery.enrolled
    }
    keys = [CloakKey(name, key.method, key.epsilon) for name in names for key in KINDS]
    assert enrolled == {cloaks(setting, setting.draw[0], key, "png") for key in keys}


@pytest.mark.parametrize("conditions", ["png/adaptive", "png,png/adaptive"])
async def test_photos_for_an_adaptive_invader_alone_are_crafted_in_one_call_too(
    setting: EnrollingBench, conditions: str
) -> None:
    assert (await setting.evaluate(conditions)).finished.complete
    asked = Counter(request.photo for request in setting.protector.requests)
    assert set(asked.values()) == {1}
    assert {photo.read() for each in setting.draw[:3] for photo in setting.enrolled(each)} <= set(asked)


async def test_an_adaptive_invader_has_cloaks_beside_the_photos_of_the_other_subjects_and_clean_photos_of_the_rest(
    setting: EnrollingBench,
) -> None:
    assert (await setting.evaluate("jpeg:75,jpeg:75/adaptive")).finished.complete
    subjects = setting.draw[:3]
    expected: Counter[tuple[str, str]] = Counter()
    for key in KINDS:
        worn = {each: cloaks(setting, each, key, "jpeg:75") for each in subjects}
        beside = {each: (*clean(setting, setting.enrolled(each)), *worn[each]) for each in subjects}
        for each in subjects:
            expected[digest(setting.probe(each).read()), content(setting, beside | {each: worn[each]})] += 1
    found = Counter((search.picture, search.gallery) for search, gallery in setting.invader.answers if gallery is not None)
    assert found == expected
    of_base = Counter(gallery.base == OWN for gallery in setting.galleries.created)
    assert of_base == {True: len(KINDS), False: 3 * len(KINDS)}, "everybody is enrolled once for each kind of cloak"


async def test_an_adaptive_invader_is_asked_only_when_all_subjects_are_done(setting: EnrollingBench) -> None:
    await setting.evaluate(in_flight=3)
    adaptive = [gallery is not None and gallery.base != OWN for _, gallery in setting.invader.answers]
    first = adaptive.index(True)
    assert all(adaptive[first:])
    assert first == 3 * len(KINDS) * 3


async def test_who_is_not_enrolled_is_an_outcome_without_a_question_and_protected(setting: EnrollingBench) -> None:
    hidden = {photo.read() for photo in setting.enrolled(setting.draw[1])}
    setting.protector.hides = lambda photo, shown: photo in hidden and shown.method == "bim"
    assert (await setting.evaluate("png,png/gallery,png/both,png/adaptive")).finished.complete
    assert len(setting.invader.answers) == 3 * len(KINDS) * 4 - 3
    found = setting.observed("probe, method, condition, rank, answer", folder=setting.folder)
    outcomes = Counter(outcome for (outcome,) in setting.observed("outcome"))
    assert outcomes[Outcome.NOT_ENROLLED.value] == 3 * len(MATCHERS)
    of_hidden = [row for row in found if row[0] == setting.probe(setting.draw[1]).name and row[1] == "bim"]
    assert {row[3:] for row in of_hidden if "/" in row[2]} == {(None, None)}
    with (setting.folder / "psr.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "bim" and row["condition"] == "png/gallery"]
    assert {(row["n"], row["not_enrolled"], row["failure_to_enrol_rate"]) for row in rows} == {("3", "1", "33.3333")}
    assert all(float(row["psr"]) >= 33 for row in rows)


async def test_of_a_gallery_that_would_hold_nobody_the_subject_is_not_enrolled(setting: EnrollingBench) -> None:
    (only,) = setting.draw[:1]
    setting.galleries.own = {only: setting.galleries.own[only]}
    setting.invader.label_sets = dict(setting.invader.label_sets) | {name: [only] for name in MATCHERS}
    setting.invader.max_candidates = 1
    hidden = {photo.read() for photo in setting.enrolled(only)}
    setting.protector.hides = lambda photo, shown: photo in hidden and shown.method == "bim"
    evaluated = await setting.evaluate("png/gallery", subjects=1, ks=(1,), target_models=MATCHERS)
    assert evaluated.finished.complete, evaluated.printed
    outcomes = setting.observed("method, outcome")
    assert {outcome for method, outcome in outcomes if method == "bim"} == {"not_enrolled"}


async def test_one_picture_with_a_face_is_enough_to_be_enrolled(setting: EnrollingBench) -> None:
    hidden = setting.enrolled(setting.draw[0])[0].read()
    setting.protector.hides = lambda photo, shown: photo == hidden
    assert (await setting.evaluate("png/gallery")).finished.complete
    assert {outcome for (outcome,) in setting.observed("outcome")} <= {"ranked", "beyond"}
    first = [gallery for gallery in setting.galleries.created if setting.draw[0] in gallery.enrolled]
    assert {gallery.enrolled[setting.draw[0]][0] for gallery in first} == {digest(GREY)}
    assert {len(gallery.photos[setting.draw[0]]) for gallery in first} == {1}


async def test_a_searched_picture_without_a_face_is_an_outcome_of_the_search(setting: EnrollingBench) -> None:
    hidden = setting.probe(setting.draw[0]).read()
    setting.protector.hides = lambda photo, shown: photo == hidden and shown.method == "bim"
    assert (await setting.evaluate("png/gallery,png/both")).finished.complete
    found = Counter(row for row in setting.observed("condition, outcome") if row[1] == "no_face")
    assert found == {("png/both", "no_face"): len(MATCHERS)}


async def test_how_many_candidates_reach_a_threshold_of_the_derived_gallery_is_recorded(setting: EnrollingBench) -> None:
    await setting.evaluate("png,png/gallery")
    at = read_run(setting.folder).at["given"]
    enrolling = [cell for cell in at.cells if cell.condition.carrier.enrols]
    assert {cell.target_model for cell in enrolling} == set(MATCHERS)
    ranks = read_run(setting.folder).matrix
    lost = [(at.row(cell) != ranks.row(cell)).any() for cell in enrolling]
    assert any(lost), "the fake's thresholds are not reached by all"


async def test_the_manifest_says_who_reads_enrolled_cloaks_and_is_of_the_schema(setting: EnrollingBench) -> None:
    evaluated = await setting.evaluate()
    stated = manifest(setting.folder)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(stated)
    grid = stated["protocol"]["grid"]
    assert grid["conditions"] == ["png", "png/adaptive", "png/both", "png/gallery"]
    assert (grid["enrolling"], grid["target_models"]) == ([WHITE_BOX, MATCHER], [CLASSIFIER, WHITE_BOX, MATCHER])
    assert evaluated.outcome["missing_models"] == []
    assert evaluated.outcome["failed_calls"] == 0


async def test_the_gallery_of_a_search_is_recorded(setting: EnrollingBench) -> None:
    await setting.evaluate("png,png/gallery")
    recorded = Counter(gallery or "" for (gallery,) in setting.observed("gallery_sha256"))
    searched = Counter(search.gallery for search, _ in setting.invader.answers for _ in search.target_models)
    assert recorded == searched


async def test_a_run_announces_what_is_enrolled_and_counts_all_its_questions(setting: EnrollingBench) -> None:
    setting.invader.queries_left = 3 * len(KINDS) * 4
    evaluated = await setting.evaluate()
    assert evaluated.finished.complete
    said = evaluated.printed
    assert "enrolled       cloaks of all 2 photos of each subject, read by facenet-features, dlib" in said
    assert "conditions     png, png/adaptive, png/both, png/gallery" in said
    assert "read by facenet, facenet-features, dlib: 27 observations a probe" in said
    assert "36 queries are left with the invader, and about 36 are needed: enough" in said
    assert evaluated.outcome["invader_queries_left"] == 0
    assert "subject 3 of 3: 63 of 81 observations" in said, "the adaptive invader is asked afterwards"
    assert "81 observations in " in said


async def test_photos_that_stay_clean_are_announced(tmp_path: Path) -> None:
    setting = EnrollingBench(tmp_path, SplitSizes(photos=3, clean=2))
    said = (await setting.evaluate("png/gallery")).printed
    assert "enrolled       cloaks of 1 of 3 photos of each subject, read by facenet-features, dlib" in said


async def test_cells_of_classifiers_are_of_the_conditions_that_enrol_nothing(setting: EnrollingBench) -> None:
    await setting.evaluate("png,png/gallery,png/both")
    found = set(setting.observed("condition, target_model"))
    assert found == {("png", CLASSIFIER)} | {
        (str(condition), name) for condition in parse_conditions("png,png/gallery,png/both") for name in MATCHERS
    }
