"""`psr.csv`: a row per cell and k."""

import csv
import io
from collections.abc import Iterable

from orchestrator.metrics.intervals import Interval
from orchestrator.metrics.psr import CellResult, Difference

COLUMNS = (
    "source_model",
    "method",
    "epsilon",
    "condition",
    "target_model",
    "k",
    "subjects",  # asked for, or wanted in the end where N was not fixed
    "n",  # observed
    "protected",
    "psr",  # percent, with its 95 % interval
    "psr_low",
    "psr_high",
    "interval",  # which: Wilson's, for a fixed N, or a confidence sequence, which holds at all looks of a run at once
    "detected",
    "detection_rate",  # percent
    "psr_of_detected",
    "control",  # PSR of the control, and of noise of the same epsilon, in percent
    "noise",
    "minus_control",  # points, paired, with its 95 % Newcombe interval: for a fixed N, not corrected for looking
    "minus_control_low",
    "minus_control_high",
    "minus_noise",
    "minus_noise_low",
    "minus_noise_high",
    "caveat",  # why these are not the paper's figures; empty where they can be compared with them
)


def psr_csv(results: Iterable[CellResult], *, subjects: int, caveat: str = "") -> str:
    """The table as CSV text; what is not defined stays empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = list(results)
    psr = {(row.cell, row.k): _number(row.psr.percent) for row in rows}
    for result in rows:
        cell = result.cell
        writer.writerow(
            [
                *(cell.source_model, cell.method, cell.epsilon, cell.condition, cell.target_model, result.k, subjects),
                *(result.psr.n, result.psr.successes),
                *(*_with_interval(result.psr.percent, result.psr.interval), result.psr.kind.value),
                *(result.detected.successes, _number(result.detected.percent)),
                _number(result.psr_of_detected.percent) if result.psr_of_detected else "",
                *(psr.get((each, result.k), "") for each in (cell.control, cell.noise)),
                *_difference(result.minus_control),
                *_difference(result.minus_noise),
                caveat,
            ]
        )
    return text.getvalue()


def _difference(difference: Difference | None) -> list[str]:
    return ["", "", ""] if difference is None else _with_interval(difference.points, difference.interval)


def _with_interval(value: float, interval: Interval) -> list[str]:
    return [_number(value), _number(interval.low), _number(interval.high)]


def _number(value: float) -> str:
    return f"{value:.4f}"
