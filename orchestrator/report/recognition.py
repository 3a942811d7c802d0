"""Recognition by a gallery: how often people are missed at thresholds, and how often strangers are taken for somebody."""

from collections.abc import Iterable, Iterator

from orchestrator.experiment.grid import CONTROL, Cell
from orchestrator.metrics.non_mated import FalsePositives
from orchestrator.metrics.psr import CellResult, Rate, interval_kind
from orchestrator.report.measured import Measured
from orchestrator.report.tables import INTERVALS, Table, Value, budget, difference, integer, method_title, number, share
from orchestrator.report.titles import title


def recognition_table(measured: Measured, *, k: int) -> Table | None:
    """A row for each matcher, source model, method, epsilon and threshold under the headline condition.

    The first row of each has no threshold. One that the matcher does not have has no row. None for a run without matchers.
    """
    headline = measured.headline
    if not headline.target_matchers:
        return None
    fpir = fpir_of(headline.false_positives)
    at = {threshold: {result.cell: result for result in results if result.k == k} for threshold, results in _at(headline)}
    rows = [
        (
            *(Value(title(cell.target_model)), Value(title(cell.source_model)), Value(method_title(cell.method))),
            *(budget(cell.method, cell.epsilon), Value(threshold or "none")),
            *(share(None if each is None else each.psr) for each in (results.get(cell), results.get(cell.control))),
            difference(results[cell].minus_control if cell in results else None),
            share(fpir.get((cell.target_model, threshold))),
        )
        for cell in _cells(headline)
        for threshold, results in at.items()
        if not threshold or cell in results or cell.control in results
    ]
    return Table(
        name="recognition",
        title="Recognition by a gallery: FNIR and FPIR",
        note=f"In %, with 95 % {INTERVALS[interval_kind(headline.results)]}; terms of ISO/IEC 19795-1, where N is the size "
        f"of the gallery. PSR@{k} is 100 FNIR(N, {k}, T), of searches of people who are enrolled: at a threshold T a true "
        "identity whose score does not reach it is missed, too; without one T is 0. The control is at the same threshold; "
        "the difference from it is paired, in points, with Newcombe’s interval for a fixed N. FPIR(N, T) is the share of "
        "people who are not enrolled for whom somebody reaches T: their photos, without a cloak, under "
        f"{headline.grid.condition}; Wilson intervals.",
        columns=(
            *("target model", "source model", "method", "ε", "threshold T", f"PSR@{k}: FNIR(N, {k}, T)", "control"),
            *("PSR − control", "FPIR(N, T)"),
        ),
        rows=tuple(rows),
    )


def _at(headline: Measured) -> Iterator[tuple[str, list[CellResult]]]:
    """The results by threshold, those without one first."""
    yield "", headline.results
    yield from headline.at.items()


def false_positives_table(measured: Measured, *, asked: int) -> Table | None:
    """A row for each matcher, threshold and condition; None where nobody was searched who is not enrolled.

    `asked` is how many people were to be searched.
    """
    rows = []
    for each in sorted(measured.false_positives, key=lambda each: (each.target_model, each.threshold, each.condition)):
        names = (title(each.target_model), each.threshold, str(each.condition))
        n = number(f"{each.rate.n}*" if each.rate.n < asked else str(each.rate.n), sort=each.rate.n)
        gallery = integer(measured.matchers.galleries[each.target_model])
        counts = (integer(each.faces_found), integer(each.rate.successes))
        rows.append((*map(Value, names), gallery, n, *counts, share(each.rate)))
    if not rows:
        return None
    return Table(
        name="false-positives",
        title="Searches of people who are not enrolled: FPIR",
        note="A false positive is a search in which somebody reaches the threshold. FPIR(N, T) in % of all searches, those "
        f"without a face among them, with 95 % Wilson intervals. {asked} people were to be searched; fewer are marked *.",
        columns=(
            *("target model", "threshold T", "condition", "gallery, N", "searches", "faces found", "false positives"),
            "FPIR(N, T)",
        ),
        rows=tuple(rows),
    )


def _cells(headline: Measured) -> Iterator[Cell]:
    grid = headline.grid
    for target_model in headline.target_matchers:
        for source_model in grid.source_models:
            for method in grid.all_methods:
                if method != CONTROL:
                    for epsilon in grid.budgets(method):
                        yield grid.cell(source_model, method, epsilon, target_model)


def rates_of(results: Iterable[CellResult], *, k: int) -> dict[Cell, Rate]:
    """PSR@k by cell."""
    return {result.cell: result.psr for result in results if result.k == k}


def fpir_of(found: Iterable[FalsePositives]) -> dict[tuple[str, str], Rate]:
    """FPIR under one condition, by target model and threshold."""
    return {(each.target_model, each.threshold): each.rate for each in found}
