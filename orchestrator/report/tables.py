"""Metrics as tables of a page: what is printed, and what it sorts by."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.experiment.grid import CONTROL, NOISE, Cell, Grid
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.intervals import Interval
from orchestrator.metrics.methods import PairedMethods
from orchestrator.metrics.psr import (
    CellResult,
    Difference,
    Rate,
    interval_kind,
)
from orchestrator.metrics.threshold import HIGH, smallest_epsilon
from orchestrator.metrics.transfer import transfer_matrix
from orchestrator.report.claims import Claim
from orchestrator.report.titles import title as title_of

INTERVALS = {
    IntervalKind.WILSON: "Wilson intervals",
    IntervalKind.CONFIDENCE_SEQUENCE: "confidence sequences, each of which holds at all looks at once, for its own cell",
}
FIXED_N = {
    IntervalKind.WILSON: "",
    IntervalKind.CONFIDENCE_SEQUENCE: "Intervals and tests in this table are for a fixed N, and not corrected for looking.",
}
ByCell = Mapping[tuple[Cell, int], CellResult]


@dataclass(frozen=True)
class Column:
    """A column; a number sorts as one."""

    title: str
    number: bool = False


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
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...] = field(repr=False)
    stacks: bool = False  # of much prose: on a narrow screen a row becomes a paragraph of its own

    @property
    def tall(self) -> bool:
        """So long that it scrolls within itself."""
        return len(self.rows) > 18


def psr_table(results: Sequence[CellResult], grid: Grid, *, subjects: int) -> Table:
    """A row for every cell of the grid: N, PSR at every k, faces found. What was not observed shows a dash, never a zero."""
    found = _by_cell(results)
    return Table(
        name="psr",
        title="PSR of every cell",
        note=f"PSR@k in %, with 95 % {INTERVALS[interval_kind(results)]}; no face counts as protected. "
        f"N = {subjects} were asked for; a smaller N is marked *.",
        columns=(*_CELL, _number("N"), *(_number(f"PSR@{k}") for k in grid.ks), _number("faces found, %")),
        rows=tuple(tuple(_psr_row(found, cell, grid, subjects)) for cell in grid.cells()),
    )


def _psr_row(found: ByCell, cell: Cell, grid: Grid, subjects: int) -> Iterator[Value]:
    yield from _cell(cell)
    any_k = found.get((cell, grid.ks[0]))
    n = 0 if any_k is None else any_k.psr.n
    yield Value(f"{n}*" if n < subjects else str(n), sort=n, classes="number")
    for k in grid.ks:
        result = found.get((cell, k))
        yield _rate(None if result is None else result.psr)
    yield ABSENT if any_k is None else decimal(any_k.detected.percent)


def added_table(results: Sequence[CellResult], grid: Grid, *, k: int) -> Table:
    """What a cloak adds over the probe itself, and over noise of its size."""
    found = _by_cell(results)
    rows = []
    for cell in grid.cells():
        result = found.get((cell, k))
        if cell.method in (CONTROL, NOISE):
            continue
        control = found.get((Cell(cell.source_model, CONTROL, 0, cell.target_model), k))
        noise = found.get((Cell(cell.source_model, NOISE, cell.epsilon, cell.target_model), k))
        rows.append(
            (
                *_cell(cell),
                *(ABSENT if each is None else decimal(each.psr.percent) for each in (result, control, noise)),
                _difference(None if result is None else result.minus_control),
                _difference(None if result is None else result.minus_noise),
            )
        )
    return Table(
        name="added",
        title="What the cloak adds",
        note=f"PSR@{k} in %, and paired differences in points with 95 % Newcombe intervals. "
        f"{FIXED_N[interval_kind(results)]}".strip(),
        columns=(*_CELL, *map(_number, (f"PSR@{k}", "control", "noise", "PSR − control", "PSR − noise"))),
        rows=tuple(rows),
    )


def transfer_table(results: Sequence[CellResult], grid: Grid, *, k: int) -> Table:
    """The transfer matrices one under the other: a row for each method, epsilon and source model."""
    rows = []
    for method in grid.methods:
        for epsilon in grid.epsilons:
            matrix = transfer_matrix(results, grid, method=method, epsilon=epsilon, k=k)
            for source_model, of_source in zip(grid.source_models, matrix, strict=True):
                names = (Value(title_of(method)), integer(epsilon), Value(title_of(source_model)))
                rows.append((*names, *(_rate(None if each is None else each.psr, heat=True) for each in of_source)))
    return Table(
        name="transfer",
        title="Transfer: source model by target model",
        note=f"PSR@{k} in %; the deeper the colour, the better protected.",
        columns=(
            *(Column("method"), _number("ε"), Column("source model")),
            *(_number(f"read by {title_of(name)}") for name in grid.target_models),
        ),
        rows=tuple(rows),
    )


def threshold_table(results: Sequence[CellResult], grid: Grid, *, ks: Iterable[int]) -> Table:
    """The smallest epsilon from which on PSR stays high."""
    by_k = {k: [result for result in results if result.k == k] for k in ks}
    seen = {(result.cell.source_model, result.cell.method, result.cell.target_model) for result in results}
    rows = []
    for source_model in grid.source_models:
        for method in grid.methods:
            for k, of_k in by_k.items():
                values = [Value(title_of(source_model)), Value(title_of(method)), integer(k)]
                for target_model in grid.target_models:
                    epsilon = smallest_epsilon(
                        of_k, grid, source_model=source_model, method=method, target_model=target_model, k=k
                    )
                    values.append(_epsilon(epsilon) if (source_model, method, target_model) in seen else ABSENT)
                rows.append(tuple(values))
    return Table(
        name="smallest-epsilon",
        title=f"The smallest ε that reaches PSR {HIGH:.0f} %",
        note="In levels: PSR is that high there and at every larger ε of the run.",
        columns=(
            *(Column("source model"), Column("method"), _number("k")),
            *(_number(f"read by {title_of(name)}") for name in grid.target_models),
        ),
        rows=tuple(rows),
    )


def methods_table(pairs: Sequence[PairedMethods], *, k: int, first: str, second: str, kind: IntervalKind) -> Table:
    """One method against another on the same probes; `kind` is that of the run's rates."""
    first_title, second_title = title_of(first), title_of(second)
    rows = []
    for pair in pairs:
        counts = pair.difference.counts
        clear = pair.adjusted_p <= 0.05
        rows.append(
            (
                Value(title_of(pair.cell.source_model)),
                integer(pair.cell.epsilon),
                Value(title_of(pair.cell.target_model)),
                *map(integer, (counts.n, counts.first_only, counts.second_only)),
                _difference(pair.difference),
                _p(pair.p),
                Value(f"{_p_text(pair.adjusted_p)}{' *' if clear else ''}", sort=pair.adjusted_p, classes="number"),
            )
        )
    return Table(
        name="methods",
        title=f"{first_title} against {second_title}, on the same probes",
        note=f"PSR@{k}. Exact McNemar test of the discordant pairs, two-sided; Holm-corrected over the {len(pairs)} "
        f"cells; * at 5 %. {FIXED_N[kind]}".strip(),
        columns=(
            *(Column("source model"), _number("ε"), Column("target model"), _number("N")),
            *map(
                _number, (f"{first_title} only", f"{second_title} only", f"{first_title} − {second_title}", "p", "p, Holm")
            ),
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
    columns = tuple(map(Column, ("claim", "verdict", "estimate", "cells", "basis")))
    return Table("claims-table", "The paper’s claims", FIXED_N[kind], columns, tuple(rows), stacks=True)


def _number(name: str) -> Column:
    return Column(name, number=True)


_CELL = (Column("source model"), Column("method"), _number("ε"), Column("target model"))
ABSENT = Value("–", sort="", classes="number")  # nothing was observed


def _by_cell(results: Iterable[CellResult]) -> ByCell:
    return {(result.cell, result.k): result for result in results}


def _cell(cell: Cell) -> tuple[Value, ...]:
    return (
        Value(title_of(cell.source_model)),
        Value(method_title(cell.method)),
        integer(cell.epsilon),
        Value(title_of(cell.target_model)),
    )


def method_title(method: str) -> str:
    """How a method, or a control, is called on the page."""
    return {CONTROL: "control", NOISE: "noise control"}.get(method) or title_of(method)


def integer(number: int) -> Value:
    """A whole number."""
    return Value(str(number), sort=number, classes="number")


def decimal(number: float) -> Value:
    """A number with one decimal place."""
    return Value(f"{number:.1f}", sort=round(number, 4), classes="number")


def _rate(rate: Rate | None, *, heat: bool = False) -> Value:
    if rate is None:
        return ABSENT
    return Value(
        f"{rate.percent:.1f}",
        beside=f"[{rate.interval.low:.0f}–{rate.interval.high:.0f}]",
        sort=round(rate.percent, 4),
        share=rate.percent / 100 if heat else None,
        classes="number heat" if heat else "number",
    )


def _difference(difference: Difference | None) -> Value:
    if difference is None:
        return ABSENT
    points, interval = difference.points, difference.interval
    return Value(signed(points), beside=_limits(interval), sort=round(points, 4), classes="number")


def _limits(interval: Interval) -> str:
    return f"[{signed(interval.low, places=0)}, {signed(interval.high, places=0)}]"


def signed(points: float, *, places: int = 1) -> str:
    """With its sign; zero has none."""
    text = f"{points:+.{places}f}".replace("-", "−")
    return text[1:] if not text.strip("+−0.") else text


def _epsilon(epsilon: int | None) -> Value:
    return Value("not reached", sort=float(10**6), classes="number") if epsilon is None else integer(epsilon)


def _p(p: float) -> Value:
    return Value(_p_text(p), sort=p, classes="number")


def _p_text(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"
