"""The headline answers, as sentences made from the figures.

Each sentence either gives figures with their 95 % intervals, or counts what is shown: PSR whose whole interval lies at or
above 95 %, and differences that exact McNemar tests show at 5 %, Holm-corrected over all that the sentence counts. What is
not shown is called just that; it is not called absent. The lowest and highest of several cells are figures of those cells,
picked after the fact, and each interval is its cell's own.
"""

from collections.abc import Iterator, Sequence

from orchestrator.experiment.grid import CONTROL, NOISE, PAPERS_EPSILON, Cell, Grid, headline_k
from orchestrator.metrics.intervals import Interval
from orchestrator.metrics.mcnemar import Tally, tally
from orchestrator.metrics.methods import PairedMethods
from orchestrator.metrics.psr import CellResult, Rate
from orchestrator.metrics.threshold import HIGH, smallest_epsilon
from orchestrator.report.titles import title

ByCell = dict[Cell, CellResult]


def headlines(
    results: Sequence[CellResult],
    grid: Grid,
    *,
    paired: Sequence[PairedMethods] = (),
    first: str = "bim",
    second: str = "illc",
    k: int | None = None,
) -> list[str]:
    """The sentences that head a report; none where nothing was observed.

    Args:
        results: of the run's cells.
        grid: the run's.
        paired: two methods compared in the same cells and at the same k; without it no sentence compares methods.
        first: the method whose PSR `paired` has first.
        second: the other.
        k: of PSR@k; `headline_k` of the results by default.
    """
    k = headline_k({result.k for result in results}) if k is None else k
    cells = {result.cell: result for result in results if result.k == k}
    if k is None or not cells:
        return []
    return [
        *_control(cells, grid, k),
        *_own_model(results, grid, k),
        *_other_models(cells, grid, k),
        *_noise(cells, grid, k),
        *_beyond_noise(cells, grid, k),
        *_methods([each for each in paired if each.k == k], first, second, k),
        *_detection(cells, grid),
    ]


def listed(names: Sequence[str]) -> str:
    """Words in a row: a; a and b; a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def percent(rate: Rate) -> str:
    """A rate with its interval, as in 12.5 % [4.3–31.0]."""
    return f"{rate.percent:.1f} % [{limits(rate.interval)}]"


def limits(interval: Interval) -> str:
    """The ends of an interval, as in 4.3–31.0; with signs they are told apart by a word."""
    if interval.low < 0:
        return f"{signed(interval.low)} to {signed(interval.high)}"
    return f"{interval.low:.1f}–{interval.high:.1f}"


def signed(points: float) -> str:
    """Points with their sign, as in +12.5, −3.0 and 0.0."""
    return f"{points:+.1f}".replace("-", "−") if round(points, 1) else "0.0"


def counted(number: int, noun: str) -> str:
    """A number of things, as in 1 cell and 2 cells."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def span(rates: Sequence[Rate]) -> str:
    """The lowest and the highest of some rates, or the one that they all are; at least one."""
    low = min(rates, key=lambda rate: (rate.percent, rate.n))
    high = max(rates, key=lambda rate: (rate.percent, rate.n))
    return percent(low) if low == high else f"{percent(low)} to {percent(high)}"


def _control(cells: ByCell, grid: Grid, k: int) -> Iterator[str]:
    rates = _rates(cells, grid, CONTROL, 0)
    if rates:
        yield (
            f"Without a cloak, through the same path, PSR@{k} is {span(rates)} ({counted(len(rates), 'pair')} of source and "
            f"target model, N = {_n(rates)}): what storage, detection and resizing lose by themselves."
        )


def _own_model(results: Sequence[CellResult], grid: Grid, k: int) -> Iterator[str]:
    models = [model for model in grid.source_models if model in grid.target_models]
    cells = {result.cell: result for result in results if result.k == k}
    for method in grid.methods:
        shown, not_shown = [], []
        for model in models:
            epsilon = smallest_epsilon(
                results, grid, source_model=model, method=method, target_model=model, k=k, use_lower_bound=True
            )
            if epsilon is not None:
                rate = cells[Cell(model, method, epsilon, model)].psr
                shown.append(f"from epsilon {epsilon} on for {title(model)} ({percent(rate)})")
            elif any(Cell(model, method, epsilon, model) in cells for epsilon in grid.epsilons):
                not_shown.append(title(model))
        beginning = f"{title(method)}, read by the model it was crafted with: PSR@{k} of {HIGH:.0f} % or more is shown"
        if shown:
            yield f"{beginning} {listed(shown)}" + (f"; not shown for {listed(not_shown)}." if not_shown else ".")
        elif not_shown:
            yield f"{beginning} at no epsilon, for none of {listed(not_shown)}, at this N."


def _other_models(cells: ByCell, grid: Grid, k: int) -> Iterator[str]:
    for method in grid.methods:
        spans = []
        for epsilon in _two_epsilons(grid):
            rates = _rates(cells, grid, method, epsilon, elsewhere=True)
            if rates:
                spans.append(f"{span(rates)} at epsilon {epsilon} ({counted(len(rates), 'pair')} of models)")
        if spans:
            yield f"{title(method)}, read by another model: PSR@{k} is {listed(spans)}."


def _noise(cells: ByCell, grid: Grid, k: int) -> Iterator[str]:
    spans = [
        f"{span(rates)} at epsilon {epsilon}"
        for epsilon in _two_epsilons(grid)
        if (rates := _rates(cells, grid, NOISE, epsilon))
    ]
    if spans:
        yield f"Random noise in place of a cloak: PSR@{k} is {listed(spans)}. What a cloak does is what it adds to that."


def _beyond_noise(cells: ByCell, grid: Grid, k: int) -> Iterator[str]:
    for method in grid.methods:
        tables = [
            result.minus_noise.counts
            for cell, result in cells.items()
            if cell.method == method and result.minus_noise is not None
        ]
        if tables:
            yield f"{title(method)} against noise of the same size, at top-{k}: {_told(tally(tables))}."


def _methods(paired: Sequence[PairedMethods], first: str, second: str, k: int) -> Iterator[str]:
    if paired:
        told = _told(tally([each.difference.counts for each in paired]))
        yield f"{title(first)} against {title(second)} on the same probes, at top-{k}: {told}."


def _told(counts: Tally) -> str:
    return (
        f"it protects more in {counts.above} of {counts.n} cells, less in {counts.below}, and in {counts.neither} they "
        f"cannot be told apart at this N (exact McNemar, Holm over the {counted(counts.n, 'cell')})"
    )


def _detection(cells: ByCell, grid: Grid) -> Iterator[str]:
    largest = max(grid.epsilons, default=0)
    target_model = grid.target_models[0]  # one picture is searched for a face once, whatever the target model
    spans = []
    for method in (*grid.methods, NOISE):
        found = [Cell(source_model, method, largest, target_model) for source_model in grid.source_models]
        rates = [cells[cell].detected for cell in found if cell in cells]
        if rates:
            of_what = "pictures with noise" if method == NOISE else f"{title(method)}'s cloaks"
            spans.append(f"{span(rates)} of {of_what}")
    if spans:
        yield f"At epsilon {largest} the invader finds a face in {listed(spans)}. No face found counts as protected."


def _rates(cells: ByCell, grid: Grid, method: str, epsilon: int, *, elsewhere: bool = False) -> list[Rate]:
    """PSR of a method's cells at one epsilon; `elsewhere`: only those that another model than the source model reads."""
    pairs = [
        Cell(source_model, method, epsilon, target_model)
        for source_model in grid.source_models
        for target_model in grid.target_models
        if not (elsewhere and source_model == target_model)
    ]
    return [cells[cell].psr for cell in pairs if cell in cells]


def _two_epsilons(grid: Grid) -> list[int]:
    """The largest up to the paper's 32, and the largest."""
    low = max((epsilon for epsilon in grid.epsilons if epsilon <= PAPERS_EPSILON), default=None)
    high = max(grid.epsilons, default=None)
    return sorted({epsilon for epsilon in (low, high) if epsilon is not None})


def _n(rates: Sequence[Rate]) -> str:
    low, high = min(rate.n for rate in rates), max(rate.n for rate in rates)
    return f"{low}" if low == high else f"{low} to {high}"
