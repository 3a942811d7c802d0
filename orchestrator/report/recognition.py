"""Recognition by a gallery: how often people are missed at thresholds, and how often strangers are taken for somebody."""

from collections.abc import Iterable, Iterator

from orchestrator.experiment.grid import CONTROL, Cell
from orchestrator.metrics.non_mated import FalsePositives
from orchestrator.metrics.psr import CellResult, Rate, interval_kind
from orchestrator.report.measured import Measured
from orchestrator.report.tables import INTERVALS, Table, Value, budget, integer, method_title, share
from orchestrator.report.titles import title


def recognition_table(measured: Measured, *, k: int) -> Table | None:
    """A row for each matcher, source model, method and epsilon under the headline condition; None without matchers.

    PSR@k stands beside the control's, without a threshold and at each; a matcher that has no such threshold shows a dash.
    """
    headline = measured.headline
    if not headline.target_matchers:
        return None
    psr = rates_of(headline.results, k=k)
    at = {threshold: rates_of(results, k=k) for threshold, results in headline.at.items()}
    fpir = fpir_of(headline.false_positives)
    rows = []
    for cell in _cells(headline):
        row = [Value(title(cell.target_model)), Value(title(cell.source_model)), Value(method_title(cell.method))]
        row += [budget(cell.method, cell.epsilon), share(psr.get(cell)), share(psr.get(cell.control))]
        for threshold, rates in at.items():
            row += [share(rates.get(cell)), share(rates.get(cell.control)), share(fpir.get((cell.target_model, threshold)))]
        rows.append(tuple(row))
    return Table(
        name="recognition",
        title="Recognition by a gallery: FNIR and FPIR",
        note=f"In %, with 95 % {INTERVALS[interval_kind(headline.results)]}; terms of ISO/IEC 19795-1, where N is the size "
        f"of the gallery. PSR@{k} is 100 FNIR(N, {k}, T) of searches of people who are enrolled: at a threshold T a true "
        "identity whose score does not reach it is missed, too; T = 0 is none. FPIR(N, T) is the share of people who are "
        "not enrolled for whom somebody reaches T: their photos, without a cloak, under the same condition; Wilson "
        "intervals.",
        columns=(
            *("target model", "source model", "method", "ε", f"PSR@{k}: FNIR(N, {k}, 0)", "control: the same"),
            *(
                column
                for threshold in at
                for column in (f"PSR@{k}: FNIR(N, {k}, {threshold})", "control: the same", f"FPIR(N, {threshold})")
            ),
        ),
        rows=tuple(rows),
    )


def false_positives_table(measured: Measured) -> Table | None:
    """A row for each matcher, threshold and condition; None where nobody was searched who is not enrolled."""
    rows = [
        (
            *(Value(title(each.target_model)), Value(each.threshold), Value(str(each.condition))),
            *map(integer, (measured.matchers.galleries[each.target_model], each.rate.n, each.faces_found)),
            *(integer(each.rate.successes), share(each.rate)),
        )
        for each in sorted(measured.false_positives, key=lambda each: (each.target_model, each.threshold, each.condition))
    ]
    if not rows:
        return None
    return Table(
        name="false-positives",
        title="Searches of people who are not enrolled: FPIR",
        note="A false positive is a search in which somebody reaches the threshold. FPIR(N, T) in % of all searches, those "
        "without a face among them, with 95 % Wilson intervals.",
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
