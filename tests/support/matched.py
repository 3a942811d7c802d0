"""A small run with a matcher beside a classifier, as `evaluate` leaves it, for tests of what is made of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.experiment.condition import LOSSLESS, PAPERS
from orchestrator.experiment.grid import Cell, is_control
from orchestrator.faces.split import SplitSizes
from orchestrator.metrics.non_mated import NonMatedSearch
from tests.support.observed import BEYOND, Seen
from tests.support.reported import GRID, MODELS, changed, make_run, model

STRICT, LOOSE = "fpir:0.01", "given"
CLASSIFIER, MATCHER = MODELS[0], "dlib"
THRESHOLDS = (
    {"name": STRICT, "comparisons": 200, "false_positives": 2},
    {"name": LOOSE, "comparisons": 0, "false_positives": 0},
)
MATCHING = "one template a photo; Euclidean distance"


def matcher(name: str, **card: Any) -> Any:
    """A matcher as a service lists it."""
    facts: dict[str, Any] = {
        "kind": "matcher",
        "identities": 6,
        "matching": MATCHING,
        "gallery_sha256": "d" * 64,
        "thresholds": list(THRESHOLDS),
    }
    return model(name, **facts | card)


PLAN = changed(
    grid=replace(GRID, target_models=(CLASSIFIER, MATCHER), conditions=(PAPERS, LOSSLESS)),
    target_models={CLASSIFIER: model(CLASSIFIER, kind="classifier"), MATCHER: matcher(MATCHER)},
    gallery=SplitSizes(photos=2, non_mated=4, impostors=200),
)


def answered(subject: int, cell: Cell) -> Seen:
    """Controls are recognised; the last subject's cloaks protect from dlib, and all do from the classifier."""
    if is_control(cell.method):
        return 1
    return BEYOND if cell.target_model == CLASSIFIER or subject == 2 else 1 + subject


def reached(subject: int, cell: Cell) -> dict[str, int]:
    """The first subject reaches the strict threshold, the first two the loose one; nobody's noise does the strict one."""
    if cell.target_model != MATCHER:
        return {}
    strict = subject == 0 and not cell.method.startswith("noise")
    return {STRICT: 1 if strict else 0, LOOSE: 2 if subject < 2 else 0}


def strangers() -> Sequence[NonMatedSearch]:
    """Under the paper's condition the second of four reaches the loose threshold, and as PNG the third one, too."""
    return [
        NonMatedSearch(
            f"stranger{number}/1.jpg",
            condition,
            MATCHER,
            threshold,
            face_found=number != 3,
            reached=int(threshold == LOOSE and (number == 1 or (number == 2 and condition == LOSSLESS))),
        )
        for number in range(4)
        for condition in (PAPERS, LOSSLESS)
        for threshold in (STRICT, LOOSE)
    ]


def matched_run(root: Path, **options: Any) -> Path:
    """The run's folder, with its observations."""
    usual: dict[str, Any] = {"plan": PLAN, "answered": answered, "reached": reached, "non_mated": strangers()}
    return make_run(root, **usual | {"pictures": False} | options)
