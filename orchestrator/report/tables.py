"""Metrics as tables of a page: what is printed, and what it sorts by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from orchestrator.experiment.grid import CONTROL, OF_METHOD, Cell, Grid, is_control, is_noise
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.averages import Average
from orchestrator.metrics.mcnemar import SIGNIFICANCE
from orchestrator.metrics.paired_methods import PairedMethods
from orchestrator.metrics.psr import CellResult, Difference, Rate, interval_kind
from orchestrator.metrics.threshold import HIGH, smallest_epsilon
from orchestrator.report.claims import Claim
from orchestrator.report.sentences import signed
from orchestrator.report.titles import title as title_of

INTERVALS = {
    IntervalKind.WILSON: "Wilson intervals",
    IntervalKind.CONFIDENCE_SEQUENCE: "confidence sequences, each of which holds at all looks at once, for its own cell",
}
FIXED_N = {
    IntervalKind.WILSON: "",
    IntervalKind.CONFIDENCE_SEQUENCE: "Intervals and tests in this table are for a fixed N, and not corrected for looking.",
}


@dataclass(frozen=True)
class Value:
    """One cell of a table."""

    text: str
    beside: str = ""  # smaller, after it
    sort: float | str | None = None  # None: its text; the empty string: it has no value
    share: float | None = None  # 0..1, of the colour behind it
    classes: str = ""


@dataclass(frozen=True)
class Table:
    """A table that sorts by any column."""

    name: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...] = field(repr=False)
    stacks: bool = False  # of much prose: on a narrow screen a row becomes a paragraph of its own

    @property
    def tall(self) -> bool:
        """So long that it scrolls within itself."""
        return len(self.rows) > 18

    def is_number(self, column: int) -> bool:
        """Whether a column holds numbers."""
        return bool(self.rows) and "number" in self.rows[0][column].classes


def psr_table(results: Sequence[CellResult], grid: Grid, *, subjects: int) -> Table:
    """A row for every cell of the grid: N, PSR at every k, faces found. What was not observed shows a dash, never a zero."""
    found = _by_cell(results)
    rows = []
    for cell in grid.cells():
        of_ks = [found.get((cell, k)) for k in grid.ks]
        any_k = of_ks[0]
        n = 0 if any_k is None else any_k.psr.n
        detected = ABSENT if any_k is None else decimal(any_k.detected.percent)
        rows.append((*_cell(cell), number(f"{n}*" if n < subjects else str(n), sort=n), *map(_psr, of_ks), detected))
    return Table(
        name="psr",
        title="PSR of every cell",
        note=f"PSR@k in %, with 95 % {INTERVALS[interval_kind(results)]}; no face counts as protected. "
        f"N = {subjects} were asked for; a smaller N is marked *.",
        columns=(*CELL, "N", *(f"PSR@{k}" for k in grid.ks), "faces found, %"),
        rows=tuple(rows),
    )


def added_table(results: Sequence[CellResult], grid: Grid, *, k: int) -> Table:
    """What a cloak adds over the probe itself, and over noise of its size."""
    found = _by_cell(results)
    rows = []
    for cell in grid.cells():
        if is_control(cell.method):
            continue
        result, control, noise = (found.get((each, k)) for each in (cell, cell.control, cell.noise))
        rows.append(
            (
                *_cell(cell),
                *(ABSENT if each is None else decimal(each.psr.percent) for each in (result, control, noise)),
                difference(None if result is None else result.minus_control),
                difference(None if result is None else result.minus_noise),
            )
        )
    return Table(
        name="added",
        title="What the cloak adds",
        note=f"PSR@{k} in %, and paired differences in points with 95 % Newcombe intervals. "
        f"{FIXED_N[interval_kind(results)]}".strip(),
        columns=(*CELL, f"PSR@{k}", "control", "noise", "PSR − control", "PSR − noise"),
        rows=tuple(rows),
    )


def transfer_table(results: Sequence[CellResult], grid: Grid, *, k: int) -> Table:
    """The transfer matrices one under the other: a row for each method, epsilon and source model."""
    found = _by_cell(results)
    rows = []
    kinds = ((method, epsilon) for method in grid.methods for epsilon in grid.budgets(method))
    for (method, epsilon), source_model in product(kinds, grid.source_models):
        cells = [grid.cell(source_model, method, epsilon, target_model) for target_model in grid.target_models]
        names = (Value(title_of(method)), budget(method, epsilon), Value(title_of(source_model)))
        rows.append((*names, *(_psr(found.get((cell, k)), heat=True) for cell in cells)))
    return Table(
        name="transfer",
        title="Transfer: source model by target model",
        note=f"PSR@{k} in %; the deeper the colour, the better protected.",
        columns=("method", "ε", "source model", *_readers(grid)),
        rows=tuple(rows),
    )


def threshold_table(results: Sequence[CellResult], grid: Grid, *, ks: Iterable[int]) -> Table:
    """The smallest epsilon from which on PSR stays high."""
    found = _by_cell(results)

    def smallest(source_model: str, method: str, target_model: str, k: int) -> Value:
        cells = {epsilon: grid.cell(source_model, method, epsilon, target_model) for epsilon in grid.epsilons}
        rates = {epsilon: found[cell, k].psr for epsilon, cell in cells.items() if (cell, k) in found}
        if not rates:
            return ABSENT
        epsilon = smallest_epsilon(rates)
        return number("not reached", sort=10.0**6) if epsilon is None else integer(epsilon)

    return Table(
        name="smallest-epsilon",
        title=f"The smallest ε that reaches PSR {HIGH:.0f} %",
        note="In levels: PSR is that high there and at every larger ε of the run.",
        columns=("source model", "method", "k", *_readers(grid)),
        rows=tuple(
            (
                *(Value(title_of(source_model)), Value(title_of(method)), integer(k)),
                *(smallest(source_model, method, target_model, k) for target_model in grid.target_models),
            )
            for source_model in grid.source_models
            for method in grid.budgeted
            for k in ks
        ),
    )


def methods_table(pairs: Sequence[PairedMethods], *, k: int, first: str, second: str, kind: IntervalKind) -> Table:
    """One method against another on the same probes; `kind` is that of the run's rates."""
    first_title, second_title = title_of(first), title_of(second)
    rows = []
    for pair in pairs:
        counts, cell = pair.difference.counts, pair.cell
        rows.append(
            (
                *(Value(title_of(cell.source_model)), budget(first, cell.epsilon), Value(title_of(cell.target_model))),
                *map(integer, (counts.n, counts.first_only, counts.second_only)),
                difference(pair.difference),
                number(_p(pair.p), sort=pair.p),
                adjusted_p(pair.adjusted_p),
            )
        )
    return Table(
        name="methods",
        title=f"{first_title} against {second_title}, on the same probes",
        note=f"PSR@{k}. Exact McNemar test of the discordant pairs, two-sided; Holm-corrected over the {len(pairs)} "
        f"cells; * at 5 %. {FIXED_N[kind]}".strip(),
        columns=(
            *("source model", "ε", "target model", "N"),
            *(f"{first_title} only", f"{second_title} only", f"{first_title} − {second_title}", "p", "p, Holm"),
        ),
        rows=tuple(rows),
    )


def claims_table(claims: Sequence[Claim], *, kind: IntervalKind) -> Table:
    """The paper's claims, and what this run says of them; `kind` is that of its rates' intervals."""
    rows = [
        (
            Value(claim.sentence, classes="prose"),
            Value(claim.verdict.value, classes=f"verdict {claim.verdict.name.lower()}"),
            Value(claim.estimate, beside=f"[{claim.interval}]" if claim.interval else ""),
            Value(claim.cells, classes="prose"),
            Value(claim.basis, classes="prose"),
        )
        for claim in claims
    ]
    columns = ("claim", "verdict", "estimate", "cells", "basis")
    return Table("claims-table", "The paper’s claims", FIXED_N[kind], columns, tuple(rows), stacks=True)


CELL = ("source model", "method", "ε", "target model")
ABSENT = Value("–", sort="", classes="number")  # nothing was observed


def _by_cell(results: Iterable[CellResult]) -> dict[tuple[Cell, int], CellResult]:
    return {(result.cell, result.k): result for result in results}


def _cell(cell: Cell) -> tuple[Value, ...]:
    return (
        *(Value(title_of(cell.source_model)), Value(method_title(cell.method))),
        *(budget(cell.method, cell.epsilon), Value(title_of(cell.target_model))),
    )


def _readers(grid: Grid) -> tuple[str, ...]:
    return tuple(f"read by {title_of(name)}" for name in grid.target_models)


def method_title(method: str) -> str:
    """How a method, or a control, is called on the page."""
    if is_noise(method):
        matched_to = method.partition(OF_METHOD)[2]
        return f"noise control of {title_of(matched_to)}" if matched_to else "noise control"
    return "control" if method == CONTROL else title_of(method)


OWN_BUDGET = "own"  # in place of epsilon, of a method with a budget of its own


def budget(method: str, epsilon: int) -> Value:
    """The epsilon of a method's cell, as a table shows it."""
    return integer(epsilon) if epsilon or method == CONTROL else number(OWN_BUDGET, sort=0)


def number(text: str, *, sort: float, beside: str = "") -> Value:
    """A number as it is printed, and as it sorts."""
    return Value(text, beside=beside, sort=sort, classes="number")


def integer(value: int) -> Value:
    """A whole number."""
    return number(str(value), sort=value)


def decimal(value: float) -> Value:
    """A number with one decimal place."""
    return number(f"{value:.1f}", sort=round(value, 4))


def share(rate: Rate | None) -> Value:
    """A share in percent with its interval; a dash where there is none."""
    if rate is None:
        return ABSENT
    interval = rate.interval
    return replace(decimal(rate.percent), beside=f"[{interval.low:.0f}–{interval.high:.0f}]")


def _psr(result: CellResult | None, *, heat: bool = False) -> Value:
    if result is None:
        return ABSENT
    shown = share(result.psr)
    return replace(shown, share=result.psr.percent / 100, classes="number heat") if heat else shown


def difference(found: Difference | Average | None) -> Value:
    """A difference in points with its interval; a dash where there is none."""
    if found is None:
        return ABSENT
    points, interval = found.points, found.interval
    limits = f"[{signed(interval.low, places=0)}, {signed(interval.high, places=0)}]"
    return number(signed(points), sort=round(points, 4), beside=limits)


def adjusted_p(p: float) -> Value:
    """A p value that is corrected for others; * at 5 %."""
    return number(f"{_p(p)}{' *' if p <= SIGNIFICANCE else ''}", sort=p)


def _p(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"
