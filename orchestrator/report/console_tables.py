"""What is printed of a run: its answers with one table, and the tables of all its cells."""

from collections.abc import Iterator, Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import NOISE, Cell, Grid, is_control, noise_of
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.mcnemar import signs
from orchestrator.metrics.psr import CellResult, Difference, Rate, difference_of, interval_kind
from orchestrator.report.claims import Claim, Verdict, claims
from orchestrator.report.conditions import effect_of_condition, own_and_other, searched
from orchestrator.report.measured import Measured
from orchestrator.report.recognition import fpir_of, rates_of
from orchestrator.report.sentences import headline_budget, headline_epsilon, headlines, limits, signed
from orchestrator.report.tables import method_title
from orchestrator.report.threat_sentences import threat_sentences
from orchestrator.report.threats import CLEAN, COLUMNS, carried, chains, protects, threats
from orchestrator.report.titles import title
from orchestrator.report.verification import Verified, verification_sentences, verification_summary

INTERVALS = {
    IntervalKind.WILSON: ("95 % interval", ""),
    IntervalKind.CONFIDENCE_SEQUENCE: (
        "95 % confidence sequence",
        "; intervals hold at all looks at once, each for its own cell",
    ),
}
ABSENT = "–"  # nothing was observed
VERDICT_STYLES = {Verdict.SUPPORTED: "green", Verdict.REFUTED: "red"}

ByCell = Mapping[tuple[Cell, int], CellResult]


def answers(measured: Measured, matrix: RankMatrix, *, subjects: int, caveat: str) -> list[RenderableType]:
    """The headlines, the verdicts on the paper's claims, one table; and of thresholds, threats and several conditions one.

    `subjects` is the N that was asked for, or wanted in the end; `caveat` says why these are not the paper's figures.
    """
    headline = measured.headline
    table = summary_table(headline.results, headline.grid, subjects=subjects, caveat=caveat)
    if measured.k is None or not measured.results:
        return [table]
    further = []
    if any(headline.at.values()):
        further += [recognition_summary(headline), ""]
    if any(condition.carrier.enrols for condition in measured.grid.conditions):
        further += [threats_summary(measured, matrix), ""]
    if (compared := searched(measured.grid)) is not None:
        further += [conditions_summary(matrix, compared), ""]
    verdicts = claim_lines(claims(matrix, measured.grid, k=measured.k, matchers=measured.matchers))
    sentences = [*headlines(measured), *threat_sentences(measured)]
    return [*map(Text, sentences), "", *verdicts, "", table, "", *further]


def verification_answers(verified: Verified, *, caveat: str) -> list[RenderableType]:
    """Of a run of pairs, the sentences and tables."""
    shown: list[RenderableType] = [*map(Text, verification_sentences(verified)), ""]
    for each in verification_summary(verified):
        table = _plain_table(title="; ".join([each.title, *([caveat] if caveat else [])]), caption=each.note)
        for number, column in enumerate(each.columns):
            table.add_column(column, justify="right" if each.is_number(number) else "left")
        for row in each.rows:
            table.add_row(*(escape(f"{value.text} {value.beside}".strip()) for value in row))
        shown += [table, ""]
    return shown


def claim_lines(found: Sequence[Claim]) -> Iterator[Text]:
    """The verdict on each of the paper's claims, in a line; one line for all where the run says nothing of any."""
    if not any(claim.estimate for claim in found):
        yield Text("The paper's claims: nothing in this run says anything of them.")
        return
    for claim in found:
        figures = f"{claim.estimate} [{claim.interval}]" if claim.estimate else "not in this run"
        verdict = (f"{claim.verdict.value:<11}", VERDICT_STYLES.get(claim.verdict, ""))
        yield Text.assemble(verdict, f"  {claim.sentence.partition(':')[0].removesuffix('.')}: {figures}")


def summary_table(results: Sequence[CellResult], grid: Grid, *, subjects: int, caveat: str) -> RenderableType:
    """PSR at the smallest k: a row for each source model, target model and method, a column for each budget."""
    k, columns = min(grid.ks), grid.all_budgets
    cells = {result.cell: result for result in results if result.k == k}
    interval, holds = INTERVALS[interval_kind(results)]
    table = _plain_table(
        title="; ".join([f"PSR@{k} in % [{interval}]", "no face found counts as protected", *([caveat] if caveat else [])]),
        caption=f"N = {subjects} in every cell, unless it says otherwise{holds}. * more than noise of the same size "
        "(exact McNemar, Holm over a method's cells).\n"
        f"{_largest(grid)}, in %: PSR of noise, faces found, PSR of those.",
    )
    for column in ("crafted with", "read by", "by"):
        table.add_column(column)
    for column in ("control", *map(_column, columns), "noise", "found", "of found"):
        table.add_column(column, justify="right")
    more = {cell for method in grid.methods for cell in _more_than_noise(cells, method)}
    for source_model in grid.source_models:
        for target_model in grid.target_models:
            for method in grid.methods:
                of_method = [grid.cell(source_model, method, epsilon, target_model) for epsilon in columns]
                at_largest = grid.cell(source_model, method, max(grid.budgets(method)), target_model)
                last, control, noise = (cells.get(each) for each in (at_largest, at_largest.control, at_largest.noise))
                table.add_row(
                    *map(escape, map(title, (source_model, target_model, method))),
                    _percent(None if control is None else control.psr),
                    *(
                        f"{_psr(cells.get(cell), subjects)}{'*' if cell in more else ' '}"
                        if cell.epsilon in grid.budgets(method)
                        else ""
                        for cell in of_method
                    ),
                    _percent(None if noise is None else noise.psr),
                    _percent(None if last is None else last.detected),
                    _percent(None if last is None else last.psr_of_detected),
                )
    return table


def _column(epsilon: int) -> str:
    return f"ε {epsilon}" if epsilon else "own budget"


def _largest(grid: Grid) -> str:
    """Which of a method's cloaks the last columns are of."""
    if not grid.budgeted:
        return "The last columns"
    return f"At ε {max(grid.epsilons)}{' or the own budget' if grid.unbudgeted else ''}"


def recognition_summary(headline: Measured) -> RenderableType:
    """A row for each matcher, source model and method: PSR at the smallest k at each threshold, FPIR beside it."""
    grid, k = headline.grid, min(headline.grid.ks)
    of_epsilon = f"Cloaks of ε {headline_epsilon(grid)}. " if grid.budgeted else ""
    at = {threshold: rates_of(results, k=k) for threshold, results in headline.at.items()}
    fpir = fpir_of(headline.false_positives)
    table = _plain_table(
        title=f"Recognition by a gallery, in % [{INTERVALS[interval_kind(headline.results)][0]}]: "
        f"PSR@{k} = FNIR(N, {k}, T) at thresholds T, and FPIR(N, T)",
        caption=f"{of_epsilon}FPIR: somebody reaches T for people who are not enrolled, without a cloak (Wilson intervals).",
    )
    for column in ("read by", "crafted with", "by"):
        table.add_column(column)
    for threshold in at:
        for column in (f"{threshold}: control", "PSR", "FPIR"):
            table.add_column(escape(column), justify="right")
    for target_model in headline.target_matchers:
        for source_model in grid.source_models:
            for method in grid.methods:
                cell = grid.cell(source_model, method, headline_budget(grid, method), target_model)
                shown = [
                    _rate(rate)
                    for threshold, rates in at.items()
                    for rate in (rates.get(cell.control), rates.get(cell), fpir.get((target_model, threshold)))
                ]
                table.add_row(*map(escape, map(title, (target_model, source_model, method))), *shown)
    return table


def threats_summary(measured: Measured, matrix: RankMatrix) -> RenderableType:
    """A row for each matcher, source model and method: PSR at the smallest k by which pictures wear the cloak."""
    grid, k = measured.grid, min(measured.grid.ks)
    chain = chains(grid)[0]
    carriers = [carrier for carrier in Carrier if grid.carried_by(carrier)]
    has_clean, is_compared = Carrier.PROBE in carriers, {Carrier.PROBE, Carrier.GALLERY} <= set(carriers)
    of_epsilon = f"Cloaks of ε {headline_epsilon(grid)}. " if grid.budgeted else ""
    table = _plain_table(
        title=f"PSR@{k} in % by which pictures wear the cloak [{INTERVALS[interval_kind(measured.results)][0]}]; {chain}",
        caption=f"{of_epsilon}* shown to protect: the paired intervals of PSR − control and PSR − noise are above zero.\n"
        f"{'Gallery − probe: paired, in points. ' if is_compared else ''}"
        "Not enrolled: no face in any photo to enrol; counts as missed.",
    )
    for column in ("read by", "crafted with", "by"):
        table.add_column(column)
    columns = (*([CLEAN] if has_clean else []), *(COLUMNS[carrier] for carrier in carriers))
    for column in (*columns, *(["gallery − probe"] if is_compared else []), "not enrolled"):
        table.add_column(column, justify="right")
    for each in threats(measured, chain, k=k):
        cell = each.cell
        if is_control(cell.method) or cell.epsilon != headline_budget(grid, cell.method):
            continue
        minus = difference_of(matrix, carried(cell, Carrier.GALLERY), cell, k=k)
        table.add_row(
            *map(escape, map(title, (cell.target_model, cell.source_model, cell.method))),
            *([_rate(None if each.clean is None else each.clean.psr)] if has_clean else []),
            *(_threat(each.cloaked.get(carrier)) for carrier in carriers),
            *([_points(minus)] if is_compared else []),
            _percent(each.not_enrolled),
        )
    return table


def _points(found: Difference | None) -> str:
    return ABSENT if found is None else f"{signed(found.points, places=0)} [{limits(found.interval, places=0)}]"


def _threat(result: CellResult | None) -> str:
    return ABSENT if result is None else f"{_rate(result.psr)}{'*' if protects(result) else ' '}"


def conditions_summary(matrix: RankMatrix, grid: Grid) -> RenderableType:
    """A row for each condition: PSR at the smallest k of the control, and of each method's cloaks read by another model."""
    k = min(grid.ks)
    of_epsilon = f"Cloaks of ε {headline_epsilon(grid)}. " if grid.budgeted else ""
    table = _plain_table(
        title=f"PSR@{k} in % by condition [95 % interval]: means over pairs of a source and another target model",
        caption=f"{of_epsilon}* differs from {grid.condition}: the paired interval excludes zero.",
    )
    table.add_column("condition")
    for method in grid.all_methods:
        table.add_column(method_title(method), justify="right")
    for condition in grid.conditions:
        cells = [
            _under_condition(matrix, grid, method, headline_budget(grid, method), condition, k)
            for method in grid.all_methods
        ]
        table.add_row(escape(str(condition)), *cells)
    return table


def _under_condition(matrix: RankMatrix, grid: Grid, method: str, epsilon: int, condition: Condition, k: int) -> str:
    _, others = own_and_other(grid, method, epsilon, condition)
    found = effect_of_condition(matrix, others, grid.condition, k=k)
    if found.psr is None:
        return ABSENT
    interval, change = found.psr.interval, found.change
    mark = "*" if change is not None and (change.interval.low > 0 or change.interval.high < 0) else " "
    return f"{found.psr.points:.0f} [{interval.low:.0f}–{interval.high:.0f}]{mark}"


def _plain_table(*, title: str, caption: str) -> Table:
    """With a line under its headings alone."""
    return Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def _rate(rate: Rate | None) -> str:
    return ABSENT if rate is None else f"{rate.percent:.0f} [{rate.interval.low:.0f}–{rate.interval.high:.0f}]"


def _percent(rate: Rate | None) -> str:
    return ABSENT if rate is None else f"{rate.percent:.0f}"


def _more_than_noise(cells: Mapping[Cell, CellResult], method: str) -> Iterator[Cell]:
    """The method's cells in which it is shown to protect more than noise of the same size."""
    differences = {cell: each.minus_noise for cell, each in cells.items() if cell.method == method}
    counts = {cell: difference.counts for cell, difference in differences.items() if difference is not None}
    return (cell for cell, sign in zip(counts, signs(list(counts.values())), strict=True) if sign > 0)


def psr_tables(results: Sequence[CellResult], grid: Grid, *, subjects: int, caveat: str = "") -> list[RenderableType]:
    """The tables of a run, the caveat under each; a cell that no probe was observed in shows a dash."""
    grid = grid.under(grid.condition)
    by_cell = {(result.cell, result.k): result for result in results}
    kind = interval_kind(results)
    below = Text(caveat + "\n" if caveat else "", style="italic")
    return [
        Group(_table(by_cell, grid, source_model, method, subjects, kind), below)
        for source_model in grid.source_models
        for method in grid.methods
    ]


def _table(by_cell: ByCell, grid: Grid, source_model: str, method: str, subjects: int, kind: IntervalKind) -> Table:
    interval, holds = INTERVALS[kind]
    table = Table(
        title=f"PSR in %, crafted with {escape(title(source_model))} by {escape(title(method))} [{interval}]",
        caption=f"N = {subjects} in every cell, unless it says otherwise{holds}",
        title_justify="left",
        caption_justify="left",
    )
    for column in ("k", "target model", ""):
        table.add_column(column)
    for column in ("control", *map(_column, grid.budgets(method))):
        table.add_column(column, justify="right")
    noise = noise_of(method) if method in grid.unbudgeted else NOISE
    for k in grid.ks:
        for place, target_model in enumerate(grid.target_models):
            shown = [
                [_psr(by_cell.get((cell, k)), subjects, places=1) for cell in _row(grid, source_model, name, target_model)]
                for name in (method, noise)
            ]
            table.add_row(str(k) if place == 0 else "", escape(title(target_model)), escape(title(method)), *shown[0])
            table.add_row("", "", "noise", "", *shown[1][1:], style="dim")
        table.add_section()
    # One image is searched for a face once, whatever the target model and k.
    target_model, k = grid.target_models[0], grid.ks[0]
    for name in (method, noise):
        found = [_detected(by_cell.get((cell, k))) for cell in _row(grid, source_model, name, target_model)]
        table.add_row("", "faces found, %", escape(title(name)), *found)
    return table


def _row(grid: Grid, source_model: str, method: str, target_model: str) -> list[Cell]:
    """The control and then the method at each of its budgets."""
    cells = [grid.cell(source_model, method, epsilon, target_model) for epsilon in grid.budgets(method)]
    return [cells[0].control, *cells]


def _detected(result: CellResult | None) -> str:
    return ABSENT if result is None else f"{result.detected.percent:.1f}"


def _psr(result: CellResult | None, subjects: int, *, places: int = 0) -> str:
    if result is None:
        return ABSENT
    n, interval = result.psr.n, result.psr.interval
    short = "" if n == subjects else f" (N={n})"
    return f"{result.psr.percent:.{places}f} [{interval.low:.0f}–{interval.high:.0f}]{short}"
