"""`psr.csv`: a row per cell and k."""

import csv
import io
from collections.abc import Iterable

from orchestrator.metrics.intervals import Interval
from orchestrator.metrics.psr import CellResult, Difference, Rate

COLUMNS = (
    "source_model",
    "method",
    "epsilon",
    "target_model",
    "k",
    "subjects",  # asked for
    "n",  # observed
    "protected",
    "psr",  # percent, with its 95 % Wilson interval
    "psr_low",
    "psr_high",
    "detected",
    "detection_rate",  # percent
    "psr_of_detected",
    "minus_control",  # points, paired, with its 95 % Newcombe interval
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
    for result in results:
        cell = result.cell
        writer.writerow(
            [
                *(cell.source_model, cell.method, cell.epsilon, cell.target_model, result.k, subjects),
                *(result.psr.n, result.psr.successes, *_rate(result.psr)),
                *(result.detected.successes, _number(result.detected.percent)),
                _number(result.psr_of_detected.percent) if result.psr_of_detected else "",
                *_difference(result.minus_control),
                *_difference(result.minus_noise),
                caveat,
            ]
        )
    return text.getvalue()


def _rate(rate: Rate) -> list[str]:
    return [_number(rate.percent), *_limits(rate.interval)]


def _difference(difference: Difference | None) -> list[str]:
    return ["", "", ""] if difference is None else [_number(difference.points), *_limits(difference.interval)]


def _limits(interval: Interval) -> list[str]:
    return [_number(interval.low), _number(interval.high)]


def _number(value: float) -> str:
    return f"{value:.4f}"
