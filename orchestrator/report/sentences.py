"""The headline answers, as sentences made from the figures.

Each sentence either gives figures with their 95 % intervals, or counts cells: those in which PSR reaches 95 %, and those in
which exact McNemar tests tell two kinds of cloak apart at 5 %, Holm-corrected over all that the sentence counts. The lowest
and highest of several cells are figures of those cells, picked after the fact, and each interval is its cell's own.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.experiment.grid import CONTROL, ELSEWHERE, NOISE, PAPERS_EPSILON, Cell, Grid, noise_of
from orchestrator.metrics.intervals import Interval, PairedCounts
from orchestrator.metrics.mcnemar import signs
from orchestrator.metrics.psr import CellResult, Rate
from orchestrator.metrics.threshold import HIGH, smallest_epsilon
from orchestrator.report.measured import Measured
from orchestrator.report.titles import CARRIERS, title

ByCell = Mapping[Cell, CellResult]


def headlines(measured: Measured) -> list[str]:
    """The sentences that head a report; none where nothing was observed."""
    measured = measured.headline
    grid, k = measured.grid, measured.k
    if k is None:
        return []
    cells = {result.cell: result for result in measured.results if result.k == k}
    paired = [each.difference.counts for each in measured.paired]
    return [
        *_carrier(grid),
        *_controls(cells, grid, k),
        *(sentence for method in grid.methods for sentence in _read(cells, grid, method, k, measured.target_matchers)),
        *_at_thresholds(measured, k),
        *(sentence for method in grid.methods for sentence in _against_noise(cells, grid, method, k)),
        *_compared(f"{title(measured.first)} against {title(measured.second)}", paired, k),
        *_detection(cells, grid),
    ]


def listed(names: Sequence[str]) -> str:
    """Words in a row: a; a and b; a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def limits(interval: Interval, *, places: int = 1) -> str:
    """The ends of an interval, as in 4.3–31.0; with signs they are told apart by a word."""
    if interval.low < 0:
        return f"{signed(interval.low, places=places)} to {signed(interval.high, places=places)}"
    return f"{interval.low:.{places}f}–{interval.high:.{places}f}"


def signed(points: float, *, places: int = 1) -> str:
    """Points with their sign, as in +12.5, −3.0 and 0.0."""
    text = f"{points:+.{places}f}".replace("-", "−")
    return text if text.strip("+−0.") else text[1:]


def counted(number: int, noun: str) -> str:
    """A number of things, as in 1 cell and 2 cells."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def span(rates: Sequence[Rate]) -> str:
    """The lowest and the highest of some rates with their intervals, or the one that they all are; at least one."""
    low = min(rates, key=lambda rate: (rate.percent, rate.n))
    high = max(rates, key=lambda rate: (rate.percent, rate.n))
    return " to ".join(
        f"{rate.percent:.1f} % [{rate.interval.low:.0f}–{rate.interval.high:.0f}]" for rate in dict.fromkeys((low, high))
    )


def _carrier(grid: Grid) -> Iterator[str]:
    """That headlines are not of the paper's threat, where they are not."""
    if grid.condition.carrier.enrols:
        yield f"Headlines are of {grid.condition}: the cloak is worn {CARRIERS[grid.condition.carrier]}."


def _controls(cells: ByCell, grid: Grid, k: int) -> Iterator[str]:
    if rates := [result.psr for cell, result in cells.items() if cell.method == CONTROL]:
        fewest, most = min(rate.n for rate in rates), max(rate.n for rate in rates)
        n = f"{most}" if fewest == most else f"{fewest} to {most}"
        pairs = counted(len(rates), "pair")
        yield f"Without a cloak, PSR@{k} is {span(rates)} ({pairs} of source and target model, N = {n})."
    spans = [
        f"{span(rates)} {where}"
        for method, epsilon, where in _noises(grid)
        if (rates := [result.psr for cell, result in cells.items() if (cell.method, cell.epsilon) == (method, epsilon)])
    ]
    if spans:
        yield f"With random noise in place of a cloak, PSR@{k} is {listed(spans)}."


def _noises(grid: Grid) -> Iterator[tuple[str, int, str]]:
    """The noise controls that headlines speak of, and of what size each is."""
    if grid.budgeted:
        for epsilon in sorted({headline_epsilon(grid), max(grid.epsilons)}):
            yield NOISE, epsilon, f"at epsilon {epsilon}"
    for method in grid.unbudgeted:
        yield noise_of(method), 0, f"of the SSIM of {title(method)}"


def _read(cells: ByCell, grid: Grid, method: str, k: int, matchers: Container[str]) -> Iterator[str]:
    """A method's cloaks read by the model that they were crafted with, by others, and by those of these with a gallery."""
    epsilon = headline_budget(grid, method)
    others = "the target models" if grid.source_models == (ELSEWHERE,) else "another model"
    read = [cell for cell in cells if (cell.method, cell.epsilon) == (method, epsilon)]
    by_others = [cell for cell in read if not cell.is_white_box]
    readers = {
        "its own model": [cell for cell in read if cell.is_white_box],
        others: by_others,
        "a matcher": [cell for cell in by_others if cell.target_model in matchers],
    }
    if readers["a matcher"] == by_others:
        del readers[others]
    for reader, pairs in readers.items():
        if pairs and not epsilon:
            yield f"{title(method)}, read by {reader}: PSR@{k} is {span([cells[cell].psr for cell in pairs])}."
        elif pairs:
            figures = f"PSR@{k} is {span([cells[cell].psr for cell in pairs])} at epsilon {epsilon}"
            smallest = [_smallest_epsilon(cells, grid, cell) for cell in pairs]
            reached = sorted({each for each in smallest if each is not None})
            many = f"{sum(each is not None for each in smallest) or 'none'} of {counted(len(pairs), 'pair')}"
            since = f", from epsilon {' to '.join(map(str, sorted({reached[0], reached[-1]})))} on" if reached else ""
            yield f"{title(method)}, read by {reader}: {figures}; {HIGH:.0f} % is reached in {many}{since}."


def _at_thresholds(measured: Measured, k: int) -> Iterator[str]:
    """Searches of people who are enrolled, and of people who are not, at each threshold of the matchers."""
    grid = measured.grid
    for threshold, results in measured.at.items():
        psr = {result.cell: result.psr for result in results if result.k == k}
        controls = [rate for cell, rate in psr.items() if cell.method == CONTROL]
        if not controls:
            continue
        missed = [f"{span(controls)} without a cloak"]
        for method in grid.methods:
            epsilon = headline_budget(grid, method)
            cells = [cell for cell in psr if (cell.method, cell.epsilon) == (method, epsilon) and not cell.is_white_box]
            if cells:
                missed.append(f"{span([psr[cell] for cell in cells])} with {title(method)}")
        size = f" of epsilon {headline_epsilon(grid)}" if grid.budgeted else ""
        sentence = f"At the threshold {threshold}, matchers miss {listed(missed)} (PSR@{k}, cloaks{size} of another model)"
        if fpir := [each.rate for each in measured.false_positives if each.threshold == threshold]:
            people = max(rate.n for rate in fpir)
            sentence += f", and take {span(fpir)} of {people} people who are not enrolled for somebody who is (FPIR)"
        yield f"{sentence}."


def _smallest_epsilon(cells: ByCell, grid: Grid, cell: Cell) -> int | None:
    found = {epsilon: cells.get(replace(cell, epsilon=epsilon)) for epsilon in grid.epsilons}
    return smallest_epsilon({epsilon: result.psr for epsilon, result in found.items() if result is not None})


def _against_noise(cells: ByCell, grid: Grid, method: str, k: int) -> Iterator[str]:
    differences = [result.minus_noise for cell, result in cells.items() if cell.method == method]
    tables = [each.counts for each in differences if each is not None]
    size = "SSIM" if method in grid.unbudgeted else "size"
    yield from _compared(f"{title(method)} against noise of the same {size}", tables, k)


def _compared(what: str, tables: Sequence[PairedCounts], k: int) -> Iterator[str]:
    if tables:
        shown = signs(tables)
        yield (
            f"{what}, at top-{k}: PSR is higher in {shown.count(1)} of {counted(len(shown), 'cell')}, lower in "
            f"{shown.count(-1)}, and cannot be told apart in {shown.count(0)} (exact McNemar, Holm)."
        )


def _detection(cells: ByCell, grid: Grid) -> Iterator[str]:
    target_model = grid.target_models[0]  # all target models are shown the same picture
    spans: dict[int, list[str]] = {}
    for method in (*grid.methods, *grid.noises):
        largest = max(grid.budgets(method))
        found = [grid.cell(source_model, method, largest, target_model) for source_model in grid.source_models]
        if rates := [cells[cell].detected for cell in found if cell in cells]:
            spans.setdefault(largest, []).append(f"{span(rates)} ({title(method)})")
    for largest, of_methods in spans.items():
        yield f"Faces found{f' at epsilon {largest}' if largest else ''}: {', '.join(of_methods)}."


def headline_epsilon(grid: Grid) -> int:
    """The largest up to the paper's 32, or else the smallest there is; 0 where there is none."""
    smallest = min(grid.epsilons, default=0)
    return max((epsilon for epsilon in grid.epsilons if epsilon <= PAPERS_EPSILON), default=smallest)


def headline_budget(grid: Grid, method: str) -> int:
    """The epsilon of a method's or a control's cells that headlines are of."""
    return headline_epsilon(grid) if grid.budgets(method) == grid.epsilons else 0
