"""The same cells of several runs side by side, by probe."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from orchestrator.errors import InputError
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.differences import differences
from orchestrator.experiment.grid import Cell
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.experiment.plan import BINDING
from orchestrator.metrics.intervals import PairedCounts
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.psr import Difference, Rate, difference_of
from orchestrator.report.matchers import matcher_cards
from orchestrator.report.run import Run

Named = TypeVar("Named")  # a method, or a condition


@dataclass(frozen=True)
class ComparedCell:
    """One cell of the first run, and what became of the same in every run."""

    cell: Cell
    threshold: str | None  # of a matcher, at which PSR is read
    rates: tuple[Rate | None, ...]  # a run each; None where nothing was observed
    differences: tuple[Difference | None, ...]  # of every run after the first from the first, over the probes of both


@dataclass(frozen=True)
class ComparedFalsePositives:
    """FPIR of one matcher under one condition, at one threshold, in every run."""

    condition: Condition
    target_model: str
    threshold: str
    rates: tuple[Rate | None, ...]  # a run each; None where nobody was searched
    differences: tuple[Difference | None, ...]  # of every run after the first from the first, over the photos of both


def labels(runs: Sequence[Run]) -> list[str]:
    """A name for each run: its folder's, or its path where two folders have the same."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.root) for run in runs]


def differing(runs: Sequence[Run]) -> dict[str, list[str]]:
    """By field, what differs between the first run and any other.

    `ks` do not count: they are read off the same answers. Nor does whether a run's cloaks were crafted for it or kept by
    another, nor do conditions where a run has one of the first's: each is asked about by itself.

    A field is one of the protocol, the data set, the source models or the target models. The gallery is one, with all of a
    matcher's card that comes of it.
    """
    found: dict[str, dict[str, None]] = {}
    shared = frozenset.intersection(*(frozenset(run.grid.epsilons) for run in runs))
    names, (first, *others) = labels(runs), (_binding(run, epsilons=shared) for run in runs)
    for run, other, name in zip(runs[1:], others, names[1:], strict=True):
        harmless = {"protocol.grid.ks", "protocol.replay_of"}
        if not set(run.grid.conditions).isdisjoint(runs[0].grid.conditions):
            harmless.add("protocol.grid.conditions")
        for path, here, there in differences(first, other):
            field = _field(path)
            if field not in harmless:
                found.setdefault(field, {})[f"{path}: {here!r} in {names[0]}, {there!r} in {name}"] = None
    return {field: list(details) for field, details in sorted(found.items())}


def _binding(run: Run, *, epsilons: Collection[int]) -> dict[str, Any]:
    """The binding part of a manifest, with what methods cost at these budgets alone."""
    protocol = run.manifest["protocol"]
    crafting = {
        method: said | {"costs": {budget: cost for budget, cost in said["costs"].items() if int(budget) in epsilons}}
        for method, said in protocol["crafting"].items()
    }
    binding = {key: run.manifest[key] for key in BINDING}
    gallery: dict[str, Any] = {"split": protocol["gallery"]}
    for role in ("source_models", "target_models"):
        matchers = matcher_cards(binding[role])
        gallery[role] = {name: {field: card.get(field) for field in OF_GALLERY} for name, card in matchers.items()}
        binding[role] = {name: _without_gallery(card) for name, card in binding[role].items()}
    return binding | {"protocol": protocol | {"crafting": crafting, "gallery": gallery}}


def _without_gallery(card: Mapping[str, Any]) -> dict[str, Any]:
    """The card of a model, or of an ensemble, without what comes of a gallery."""
    if not matcher_cards({"": card}):
        return dict(card)
    left = {field: value for field, value in card.items() if field not in OF_GALLERY}
    members = {name: _without_gallery(member) for name, member in card.get("members", {}).items()}
    return left | ({"members": members} if members else {})


OF_GALLERY = ("identities", "label_set_sha256", "gallery_sha256", "thresholds")  # of a matcher's card


def _field(path: str) -> str:
    """`protocol.grid.methods`, `protocol.storage`, or else the part of the manifest: one checkpoint is a card of fields.

    How many subjects are drawn is one field, whatever decides it; so are the methods, with what they say of themselves.
    """
    if path in ("protocol.until_halfwidth", "protocol.look_every"):
        return "protocol.subjects"
    if path.startswith("protocol.crafting."):
        return "protocol.grid.methods"
    parts = path.split(".")
    if parts[0] != "protocol":
        return parts[0]
    return ".".join(parts[: 3 if parts[1:2] == ["grid"] else 2])


def compared(runs: Sequence[Run], *, k: int) -> Iterator[ComparedCell]:
    """Every cell of the first run that another run has too, and after these matchers' at each threshold of both.

    Where runs have different methods, and equally many, these stand for each other in their order: `bim` of one beside
    another's only other method. So do conditions where two runs have none in common.

    Raises:
        InputError: a run was asked for fewer than k candidates.
    """
    for run in runs:
        if k > run.matrix.candidates:
            raise InputError(
                f"--k: expected at most {run.matrix.candidates}, the candidates that {run.name} asked for, got {k}"
            )
    counterparts = [_counterparts(runs[0], run) for run in runs]
    yield from _compared([run.matrix for run in runs], runs, counterparts, k, None)
    for threshold in runs[0].thresholds:
        at = [run.at.get(threshold, _nothing(run.matrix)) for run in runs]
        known = [
            {cell: there for cell, there in of_run.items() if there in matrix.cells}
            for of_run, matrix in zip(counterparts, at, strict=True)
        ]
        yield from _compared(at, runs, known, k, threshold)


def _nothing(matrix: RankMatrix) -> RankMatrix:
    return RankMatrix((), (), np.empty((0, 0), dtype=np.int16), matrix.candidates)


def _compared(
    matrices: Sequence[RankMatrix],
    runs: Sequence[Run],
    counterparts: Sequence[Mapping[Cell, Cell]],
    k: int,
    threshold: str | None,
) -> Iterator[ComparedCell]:
    """Of the matrices of runs, a run each; `counterparts`: what the first run's cells are in each."""
    shared = [matrices[0].shared_with(matrix) for matrix in matrices[1:]]
    for cell in runs[0].grid.cells():
        cells = [of_run.get(cell) for of_run in counterparts]
        if sum(each is not None for each in cells) < 2:
            continue
        yield ComparedCell(
            cell=cell,
            threshold=threshold,
            rates=tuple(
                _rate(matrix, each, k, run.interval_kind) for matrix, run, each in zip(matrices, runs, cells, strict=True)
            ),
            differences=tuple(
                None if there is None else difference_of(theirs, there, cell, k=k, of_second=ours)
                for (ours, theirs), there in zip(shared, cells[1:], strict=True)
            ),
        )


def compared_false_positives(runs: Sequence[Run]) -> Iterator[ComparedFalsePositives]:
    """FPIR of each matcher, condition and threshold that the first run and another have."""
    searches = [_searches(run) for run in runs]
    for key, first in searches[0].items():
        found = [of_run.get(key) for of_run in searches]
        if sum(each is not None for each in found) < 2:
            continue
        yield ComparedFalsePositives(
            *key,
            rates=tuple(None if each is None else Rate(sum(each.values()), len(each)) for each in found),
            differences=tuple(None if each is None else _of_photos(each, first) for each in found[1:]),
        )


def _searches(run: Run) -> dict[tuple[Condition, str, str], dict[str, bool]]:
    """By condition, target model and threshold, whether somebody reached it in the search of each photo."""
    found: dict[tuple[Condition, str, str], dict[str, bool]] = {}
    for each in run.non_mated:
        found.setdefault((each.condition, each.target_model, each.threshold), {})[each.photo] = each.reached > 0
    return dict(sorted(found.items()))


def _of_photos(first: Mapping[str, bool], second: Mapping[str, bool]) -> Difference | None:
    pairs = Counter((first[photo], second[photo]) for photo in first if photo in second)
    if not pairs:
        return None
    return Difference(PairedCounts(pairs[True, True], pairs[True, False], pairs[False, True], pairs[False, False]))


def _counterparts(first: Run, other: Run) -> dict[Cell, Cell]:
    """The cells of the first run that the other has too, and what they are there."""
    methods = _matched(first.grid.all_methods, other.grid.all_methods)
    ours, theirs = first.grid.conditions, other.grid.conditions
    conditions = {each: each for each in ours if each in theirs} or _matched(ours, theirs)
    cells = frozenset(other.grid.cells())
    known = (cell for cell in first.grid.cells() if cell.method in methods and cell.condition in conditions)
    found = {cell: replace(cell, method=methods[cell.method], condition=conditions[cell.condition]) for cell in known}
    return {cell: there for cell, there in found.items() if there in cells}


def _matched(ours: Sequence[Named], theirs: Sequence[Named]) -> dict[Named, Named]:
    """What both have, and what only one has beside what only the other has, where that is equally many."""
    only_ours, only_theirs = ([each for each in ours if each not in theirs], [each for each in theirs if each not in ours])
    matched = dict(zip(only_ours, only_theirs, strict=True)) if len(only_ours) == len(only_theirs) else {}
    return {each: each for each in ours if each in theirs} | matched


def _rate(matrix: RankMatrix, cell: Cell | None, k: int, kind: IntervalKind) -> Rate | None:
    if cell is None or not (n := int(matrix.observed(cell).sum())):
        return None
    return Rate(int(matrix.protected(cell, k).sum()), n, kind)
