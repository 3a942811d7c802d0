"""`psr.csv`: a row per cell and k, and after these one per cell of a matcher, k and threshold."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping

from orchestrator.metrics.intervals import Interval
from orchestrator.metrics.psr import CellResult, Difference

COLUMNS = (
    "source_model",
    "method",
    "epsilon",
    "condition",
    "target_model",
    "k",
    "threshold",  # of a matcher: PSR@k is 100 FNIR(N, k, T) there; empty: none, 100 FNIR(N, k, 0)
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
    "not_enrolled",  # of n, those of whom nothing could be enrolled; empty where no cloaks are enrolled
    "failure_to_enrol_rate",  # percent
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


def psr_csv(
    results: Iterable[CellResult], *, subjects: int, caveat: str = "", at: Mapping[str, Iterable[CellResult]] | None = None
) -> str:
    """The table as CSV text; what is not defined stays empty. `at` has the results at thresholds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for threshold, of_threshold in {"": results, **(at or {})}.items():
        for row in _rows(list(of_threshold), threshold, subjects):
            writer.writerow([*row, caveat])
    return text.getvalue()


def _rows(results: list[CellResult], threshold: str, subjects: int) -> Iterator[list[object]]:
    psr = {(row.cell, row.k): decimals(row.psr.percent) for row in results}
    for result in results:
        cell = result.cell
        yield [
            *(cell.source_model, cell.method, cell.epsilon, cell.condition, cell.target_model, result.k, threshold),
            *(subjects, result.psr.n, result.psr.successes),
            *(*with_interval(result.psr.percent, result.psr.interval), result.psr.kind.value),
            *(result.detected.successes, decimals(result.detected.percent)),
            decimals(result.psr_of_detected.percent) if result.psr_of_detected else "",
            *(
                ("", "")
                if result.not_enrolled is None
                else (result.not_enrolled.successes, decimals(result.not_enrolled.percent))
            ),
            *(psr.get((each, result.k), "") for each in (cell.control, cell.noise)),
            *_difference(result.minus_control),
            *_difference(result.minus_noise),
        ]


def _difference(difference: Difference | None) -> list[str]:
    return ["", "", ""] if difference is None else with_interval(difference.points, difference.interval)


def with_interval(value: float, interval: Interval) -> list[str]:
    """A value and the ends of its interval, as they are written."""
    return [decimals(value), decimals(interval.low), decimals(interval.high)]


def decimals(value: float) -> str:
    """A percentage, as it is written."""
    return f"{value:.4f}"
