"""`orchestrator compare`: the same cells of several runs side by side."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from command_line.options import PathOption
from orchestrator.commands.console import console
from orchestrator.commands.store_option import store_option
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.experiment.grid import headline_k
from orchestrator.metrics.psr import Difference, Rate
from orchestrator.report.comparison import (
    ComparedCell,
    ComparedFalsePositives,
    compared,
    compared_false_positives,
    differing,
    labels,
)
from orchestrator.report.psr_csv import decimals, with_interval
from orchestrator.report.run import Run, read_run
from orchestrator.report.sentences import signed
from orchestrator.report.tables import budget
from orchestrator.report.titles import title

DETAILS_SHOWN = 4  # of one field that differs


@click.command(name="compare")
@click.argument("runs", nargs=-1, type=PathOption(), metavar="RUN RUN...")
@click.option("--k", type=click.IntRange(1), help="Compare PSR@k.  [default: 25, or the largest that all runs have]")
@store_option
@click.option("--force", is_flag=True, help="Compare runs that differ in more than one field, too.")
@click.option("--csv", "to", type=PathOption(), help="Write the comparison as CSV, too.")
def compare_command(*, runs: tuple[Path, ...], k: int | None, store: str | None, force: bool, to: Path | None) -> None:
    """Show the same cells of several runs side by side.

    Differences are of every other run from the first, over the probes that both observed, with 95 % intervals.
    """
    if len(runs) < 2:
        raise InputError(f"compare: expected two runs or more, got {len(runs)}")
    read = [read_run(root, offered=store) for root in runs]
    for run in read:
        if run.has_pairs:
            raise InputError(f"compare: expected runs with PSR, got {run.root}, one of pairs: see its verification.csv")
    fields = differing(read)
    if len(fields) > 1 and not force:
        raise InputError(
            f"compare: expected runs that differ in one field, got {len(fields)}: {_named(fields)}. A "
            f"difference in PSR could come from any of these; --force compares the runs all the same"
        )
    k = k or _k(read)
    cells, false_positives = list(compared(read, k=k)), list(compared_false_positives(read))
    if not cells:
        raise InputError("compare: expected runs with cells in common, got none")
    if all(difference is None for cell in cells for difference in cell.differences):
        raise InputError(f"compare: expected runs with subjects in common, got none in {', '.join(labels(read))}")
    out = console()
    out.print(f"what differs: {_named(fields) or 'nothing'}", markup=False, highlight=False)
    for name, run in zip(labels(read), read, strict=True):
        if run.caveat:
            out.print(f"{name}: {run.caveat}", style="italic", markup=False, highlight=False)
    out.print(_table(read, cells, k))
    if false_positives:
        out.print(_false_positives_table(read, false_positives))
    if to is not None:
        try:
            to.write_text(_csv(read, cells, false_positives, k), encoding="utf-8")
        except OSError as error:
            raise OrchestratorError(f"--csv: {to}: cannot be written: {error.strerror or error}") from error


def _k(runs: Sequence[Run]) -> int:
    shared = set(runs[0].grid.ks).intersection(*(run.grid.ks for run in runs))
    if (k := headline_k(shared)) is None:
        raise InputError("--k: the runs have no k in common; name one that all asked for enough candidates for")
    return k


def _named(fields: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(
        ", ".join(details[:DETAILS_SHOWN]) + (", ..." if len(details) > DETAILS_SHOWN else "") for details in fields.values()
    )


def _table(runs: Sequence[Run], cells: Sequence[ComparedCell], k: int) -> Table:
    at_thresholds = any(each.threshold is not None for each in cells)
    headings = ("source model", "method", "ε", "condition", "target model", *(["threshold"] if at_thresholds else []))
    table = _empty_table(runs, f"PSR@{k}", headings)
    for each in cells:
        cell = each.cell
        names = (
            title(cell.source_model),
            title(cell.method),
            budget(cell.method, cell.epsilon).text,
            str(cell.condition),
            title(cell.target_model),
            *([each.threshold or ""] if at_thresholds else []),
        )
        table.add_row(*map(escape, names), *map(_percent, each.rates), *map(_points, each.differences))
    return table


def _false_positives_table(runs: Sequence[Run], found: Sequence[ComparedFalsePositives]) -> Table:
    table = _empty_table(runs, "FPIR of people who are not enrolled", ("condition", "target model", "threshold"))
    for each in found:
        names = (str(each.condition), title(each.target_model), each.threshold)
        table.add_row(*map(escape, names), *map(_percent, each.rates), *map(_points, each.differences))
    return table


def _empty_table(runs: Sequence[Run], what: str, headings: Sequence[str]) -> Table:
    runs_shown = list(map(escape, labels(runs)))
    table = Table(
        title=f"{what} in %, and differences from {runs_shown[0]} in points [95 % interval]",
        caption="* the interval of the difference excludes zero",
        title_justify="left",
        caption_justify="left",
    )
    for heading in headings:
        table.add_column(heading)
    for heading in (*runs_shown, *(f"{name} −" for name in runs_shown[1:])):
        table.add_column(heading, justify="right", overflow="fold")
    return table


def _percent(rate: Rate | None) -> str:
    return "–" if rate is None else f"{rate.percent:.1f} (N={rate.n})"


def _points(difference: Difference | None) -> str:
    if difference is None:
        return "–"
    interval = difference.interval
    mark = "*" if interval.low > 0 or interval.high < 0 else ""
    return f"{signed(difference.points)} \\[{signed(interval.low, places=0)}, {signed(interval.high, places=0)}]{mark}"


def _csv(
    runs: Sequence[Run], cells: Sequence[ComparedCell], false_positives: Sequence[ComparedFalsePositives], k: int
) -> str:
    """A row for each run of each compared PSR, and after these of each compared FPIR."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("source_model", "method", "epsilon", "condition", "target_model", "k", "threshold")
    writer.writerow((*names, "run", "n", "psr", "fpir", "pairs", "difference", "difference_low", "difference_high"))
    for each in cells:
        cell = each.cell
        of_cell = (cell.source_model, cell.method, cell.epsilon, cell.condition, cell.target_model, k, each.threshold or "")
        for name, n, percent, paired in _of_runs(runs, each):
            writer.writerow([*of_cell, name, n, percent, "", *paired])
    for found in false_positives:
        of_search = ("", "", "", found.condition, found.target_model, "", found.threshold)
        for name, n, percent, paired in _of_runs(runs, found):
            writer.writerow([*of_search, name, n, "", percent, *paired])
    return text.getvalue()


def _of_runs(
    runs: Sequence[Run], each: ComparedCell | ComparedFalsePositives
) -> Iterator[tuple[str, int, str, list[int | str]]]:
    """By run its name, N, the percentage, and the difference from the first run with its pairs and interval."""
    for name, rate, difference in zip(labels(runs), each.rates, (None, *each.differences), strict=True):
        paired: list[int | str] = ["", "", "", ""]
        if difference is not None:
            paired = [difference.counts.n, *with_interval(difference.points, difference.interval)]
        yield name, 0 if rate is None else rate.n, "" if rate is None else decimals(rate.percent), paired
