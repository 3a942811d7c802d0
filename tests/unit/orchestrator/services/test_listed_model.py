"""What services state of models is in their cards; what cannot be is refused by the service's and the model's name."""

from typing import Any

import pytest
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2

from orchestrator.errors import UnusableServiceError
from orchestrator.experiment.model import ModelKind, Threshold
from orchestrator.experiment.region import Region
from orchestrator.services.listed_model import listed_source_model, listed_target_model

TARGET = {"name": "dlib", "identities": 7, "label_set_sha256": "a" * 64, "max_candidates": 5}
MATCHER = TARGET | {
    "kind": invader_pb2.MODEL_KIND_MATCHER,
    "matching": "one template\na photo",
    "gallery_sha256": "b" * 64,
}


def target(**fields: Any) -> invader_pb2.TargetModel:
    return invader_pb2.TargetModel(**fields)


def thresholds(*named: tuple[str, int, int]) -> list[invader_pb2.Threshold]:
    return [invader_pb2.Threshold(name=name, comparisons=of, false_positives=false) for name, of, false in named]


def test_a_classifier_s_card_says_its_kind_and_regions_and_nothing_of_galleries() -> None:
    model = listed_target_model(target(**TARGET), service="invader")
    assert (model.kind, model.gallery_sha256, model.thresholds) == (ModelKind.CLASSIFIER, None, ())
    assert model.regions == {Region.DETECTED}
    assert model.card == {
        "identities": 7,
        "label_set_sha256": "a" * 64,
        "max_candidates": 5,
        "extraction": "not stated",
        "kind": "classifier",
        "regions": ["detected"],
    }


def test_a_matcher_s_card_says_how_it_matches_with_what_and_its_thresholds() -> None:
    stated = thresholds(("fpir:0.01", 300, 3), ("given:strict", 0, 0))
    regions = [invader_pb2.REGION_FULL, invader_pb2.REGION_DETECTED]
    model = listed_target_model(target(**MATCHER, thresholds=stated, regions=regions), service="invader")
    assert model.kind is ModelKind.MATCHER
    assert model.regions == {Region.DETECTED, Region.FULL}
    assert model.thresholds == (Threshold("fpir:0.01", 300, 3), Threshold("given:strict"))
    assert {name: model.card[name] for name in ("kind", "matching", "gallery_sha256", "regions", "thresholds")} == {
        "kind": "matcher",
        "matching": "one template a photo",
        "gallery_sha256": "b" * 64,
        "regions": ["detected", "full"],
        "thresholds": [
            {"name": "fpir:0.01", "comparisons": 300, "false_positives": 3},
            {"name": "given:strict", "comparisons": 0, "false_positives": 0},
        ],
    }


def test_a_model_that_sees_whole_pictures_only_has_no_other_region() -> None:
    model = listed_target_model(target(**TARGET, regions=[invader_pb2.REGION_FULL]), service="invader")
    assert model.regions == {Region.FULL}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (MATCHER | {"gallery_sha256": ""}, "expected a matcher's digest of its gallery, 64 hexadecimal digits"),
        (MATCHER | {"gallery_sha256": "B" * 64}, "expected a matcher's digest of its gallery, 64 hexadecimal digits"),
        (TARGET | {"kind": 7}, "expected the kind classifier or matcher, got 7"),
        (
            TARGET | {"thresholds": thresholds(("given", 0, 0))},
            "expected thresholds of matchers alone, got 1 of a",
        ),
        (
            MATCHER | {"thresholds": thresholds(("eer", 0, 0))},
            "expected thresholds named fpir:RATE, fmr:RATE, given or given:LABEL, got",
        ),
        (
            MATCHER | {"thresholds": thresholds(("given:", 0, 0))},
            "expected thresholds named fpir:RATE, fmr:RATE, given or given:LABEL, got",
        ),
        (MATCHER | {"thresholds": thresholds(("given", 1, 2))}, "given: expected 0..1 false positives, got 2"),
        (MATCHER | {"thresholds": thresholds(("given", 1, -1))}, "given: expected 0..1 false positives, got -1"),
        (
            MATCHER | {"thresholds": thresholds(("given", 0, 0), ("fpir:0.1", 9, 0))},
            "expected thresholds by name in ascending order, none twice, got given, fpir:0.1",
        ),
        (
            MATCHER | {"thresholds": thresholds(("given", 0, 0), ("given", 0, 0))},
            "expected thresholds by name in ascending order, none twice, got given, given",
        ),
        (MATCHER | {"thresholds": thresholds(*[("given", 0, 0)] * 51)}, "expected at most 50 thresholds, got 51"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(UnusableServiceError) as refused:
        listed_target_model(target(**fields), service="invader at x")
    assert str(refused.value).startswith(f"invader at x: the model 'dlib': {expected}")


def test_a_source_model_may_be_a_matcher_too() -> None:
    fields: dict[str, Any] = {"name": "dlib", "identities": 7, "label_set_sha256": "a" * 64, "input_size": 150}
    kind, gallery = protector_pb2.MODEL_KIND_MATCHER, "b" * 64
    model = listed_source_model(protector_pb2.SourceModel(**fields, kind=kind, gallery_sha256=gallery), service="protector")
    assert (model.kind, model.gallery_sha256, model.max_candidates) == (ModelKind.MATCHER, gallery, None)
    stated = {"kind": "matcher", "matching": "not stated", "gallery_sha256": gallery, "input_size": 150}
    assert stated.items() <= model.card.items()
    with pytest.raises(UnusableServiceError, match="protector: the model 'dlib': expected a matcher's digest"):
        listed_source_model(protector_pb2.SourceModel(**fields, kind=kind), service="protector")
