"""The same cells of several runs side by side, by probe."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from orchestrator.errors import InputError
from orchestrator.experiment.differences import differences
from orchestrator.experiment.grid import Cell
from orchestrator.experiment.plan import BINDING
from orchestrator.metrics.psr import Difference, Rate, difference_of
from orchestrator.report.run import Run

Named = TypeVar("Named")  # a method, or a condition


@dataclass(frozen=True)
class ComparedCell:
    """One cell of the first run, and what became of the same in every run."""

    cell: Cell
    rates: tuple[Rate | None, ...]  # a run each; None where nothing was observed
    differences: tuple[Difference | None, ...]  # of every run after the first from the first, over the probes of both


def labels(runs: Sequence[Run]) -> list[str]:
    """A name for each run: its folder's, or its path where two folders have the same."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.root) for run in runs]


def differing(runs: Sequence[Run]) -> dict[str, list[str]]:
    """By field, what differs between the first run and any other.

    `ks` do not count: they are read off the same answers. Nor does whether a run's cloaks were crafted for it or kept by
    another, nor do conditions where a run has one of the first's: each is asked about by itself.

    A field is one of the protocol, the data set, the source models or the target models.
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
    return {key: run.manifest[key] for key in BINDING} | {"protocol": protocol | {"crafting": crafting}}


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
    """Every cell of the first run that another run has too.

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
    shared = [runs[0].matrix.shared_with(run.matrix) for run in runs[1:]]
    counterparts = [_counterparts(runs[0], run) for run in runs]
    for cell in runs[0].grid.cells():
        cells = [of_run.get(cell) for of_run in counterparts]
        if sum(each is not None for each in cells) < 2:
            continue
        yield ComparedCell(
            cell=cell,
            rates=tuple(_rate(run, each, k) for run, each in zip(runs, cells, strict=True)),
            differences=tuple(
                None if there is None else difference_of(theirs, there, cell, k=k, of_second=ours)
                for (ours, theirs), there in zip(shared, cells[1:], strict=True)
            ),
        )


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


def _rate(run: Run, cell: Cell | None, k: int) -> Rate | None:
    if cell is None or not (n := int(run.matrix.observed(cell).sum())):
        return None
    return Rate(int(run.matrix.protected(cell, k).sum()), n, run.interval_kind)
