"""What a service states of a model, checked: an unknown service may send anything."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2

from orchestrator.errors import UnusableServiceError
from orchestrator.experiment.model import NOT_STATED, Model, ModelKind, Threshold
from orchestrator.experiment.region import Region
from rpc.errors import quoted, shorten

MAX_STATED = 500  # characters of what a service says in words
MAX_THRESHOLDS = 50  # a choice: the protocol sets no bound
REGIONS = {Region.DETECTED: invader_pb2.REGION_DETECTED, Region.FULL: invader_pb2.REGION_FULL}

_OF_SOURCE = ("input_size", "checkpoint_sha256", "batch_rows", "precision", "threads")  # that a card holds beside the rest
_OF_TARGET = ("max_candidates",)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_THRESHOLD = re.compile(r"given(:[a-z0-9._-]{1,40})?|(fpir|fmr):[0-9.]{1,40}")


def listed_source_model(model: protector_pb2.SourceModel, *, service: str) -> Model:
    """A source model.

    Raises:
        UnusableServiceError: it is neither classifier nor matcher, or a matcher without the digest of its gallery.
    """
    kind = _kind(model, service)
    card = _card(model, kind, _OF_SOURCE, service)
    return Model(model.name, model.identities, model.label_set_sha256, None, card, kind, card.get("gallery_sha256"))


def listed_target_model(model: invader_pb2.TargetModel, *, service: str) -> Model:
    """A target model.

    Raises:
        UnusableServiceError: see `listed_source_model`; or its thresholds are not those of a matcher.
    """
    kind = _kind(model, service)
    card = _card(model, kind, _OF_TARGET, service)
    regions = {region for region, on_the_wire in REGIONS.items() if on_the_wire in model.regions} or {Region.DETECTED}
    card["regions"] = sorted(region.value for region in regions)
    thresholds = tuple(Threshold(each.name, each.comparisons, each.false_positives) for each in model.thresholds)
    if problem := _problem(thresholds, kind):
        raise _unusable(model, service, problem)
    if kind is ModelKind.MATCHER:
        card["thresholds"] = [asdict(each) for each in thresholds]
    return Model(
        name=model.name,
        identities=model.identities,
        label_set_sha256=model.label_set_sha256,
        max_candidates=model.max_candidates,
        card=card,
        kind=kind,
        gallery_sha256=card.get("gallery_sha256"),
        regions=frozenset(regions),
        thresholds=thresholds,
    )


def one_line(text: str) -> str:
    """A service's own words without line breaks."""
    return " ".join(text.split())


def _kind(model: protector_pb2.SourceModel | invader_pb2.TargetModel, service: str) -> ModelKind:
    kinds = {
        invader_pb2.MODEL_KIND_UNSPECIFIED: ModelKind.CLASSIFIER,
        invader_pb2.MODEL_KIND_CLASSIFIER: ModelKind.CLASSIFIER,
        invader_pb2.MODEL_KIND_MATCHER: ModelKind.MATCHER,
    }
    number = int(model.kind)  # both schemas count alike
    for on_the_wire, kind in kinds.items():
        if number == on_the_wire:
            return kind
    raise _unusable(model, service, f"expected the kind classifier or matcher, got {number}")


def _card(
    model: protector_pb2.SourceModel | invader_pb2.TargetModel, kind: ModelKind, disclosed: Sequence[str], service: str
) -> dict[str, Any]:
    card: dict[str, Any] = {field: getattr(model, field) for field in ("identities", "label_set_sha256", *disclosed)}
    card |= {"extraction": _stated(model.extraction), "kind": kind.value}
    if kind is ModelKind.MATCHER:
        if _SHA256.fullmatch(model.gallery_sha256) is None:
            expected = "expected a matcher's digest of its gallery, 64 hexadecimal digits in lower case"
            raise _unusable(model, service, f"{expected}, got {quoted(model.gallery_sha256)}")
        card |= {"matching": _stated(model.matching), "gallery_sha256": model.gallery_sha256}
    return card


def _stated(words: str) -> str:
    return shorten(one_line(words), most=MAX_STATED) or NOT_STATED


def _problem(thresholds: Sequence[Threshold], kind: ModelKind) -> str:
    """What was expected of thresholds, and what came instead; empty where all is as expected."""
    if thresholds and kind is not ModelKind.MATCHER:
        return f"expected thresholds of matchers alone, got {len(thresholds)} of a classifier"
    if len(thresholds) > MAX_THRESHOLDS:
        return f"expected at most {MAX_THRESHOLDS} thresholds, got {len(thresholds)}"
    names = [threshold.name for threshold in thresholds]
    for each in thresholds:
        if _THRESHOLD.fullmatch(each.name) is None:
            return f"expected thresholds named fpir:RATE, fmr:RATE, given or given:LABEL, got {quoted(each.name)}"
        if not 0 <= each.false_positives <= each.comparisons:
            return f"{each.name}: expected 0..{each.comparisons} false positives, got {each.false_positives}"
    if names != sorted(set(names)):
        return f"expected thresholds by name in ascending order, none twice, got {', '.join(names)}"
    return ""


def _unusable(
    model: protector_pb2.SourceModel | invader_pb2.TargetModel, service: str, problem: str
) -> UnusableServiceError:
    return UnusableServiceError(f"{service}: the model {quoted(model.name)}: {problem}")
