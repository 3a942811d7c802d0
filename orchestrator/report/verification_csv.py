"""`verification.csv`: a row per cell and threshold of a run of pairs."""

import csv
import io
from collections.abc import Iterable

from orchestrator.metrics.mcnemar import mcnemar_exact
from orchestrator.metrics.psr import Difference, Rate
from orchestrator.metrics.verification import Verification
from orchestrator.report.psr_csv import decimals, with_interval

COLUMNS = (
    "claim",  # obfuscation: a success is not accepted as its own person; impersonation: as whom it is to pass for
    "source_model",
    "method",
    "epsilon",
    "condition",
    "target_model",
    "threshold",
    "pairs",  # asked for
    "n",  # compared
    "not_enrolled",  # beside these, not compared: the reference, or the target's picture, shows no face
    "successes",
    "success",  # percent of n, with its 95 % Wilson interval
    "success_low",
    "success_high",
    "detected",  # of n, probes in which a face was found; one without is accepted as nobody
    "clean",  # percent: the same of probes without a cloak, FNMR or FMR
    "minus_clean",  # points, paired, with its 95 % Newcombe interval
    "minus_clean_low",
    "minus_clean_high",
    "minus_clean_p",  # exact McNemar, two-sided, not corrected
    "minus_noise",
    "minus_noise_low",
    "minus_noise_high",
    "caveat",  # as of `psr.csv`
)


def verification_csv(results: Iterable[Verification], *, pairs: int, caveat: str = "") -> str:
    """The table as CSV text; what is not defined stays empty. `pairs` is how many were asked for."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in results:
        cell, success = each.cell, each.success
        writer.writerow(
            [
                *(each.claim.value, cell.source_model, cell.method, cell.epsilon, cell.condition, cell.target_model),
                *(each.threshold, pairs, 0 if success is None else success.n, each.not_enrolled),
                *_rate(success),
                "" if each.detected is None else each.detected.successes,
                "" if each.control is None else decimals(each.control.percent),
                *_difference(each.minus_control),
                "" if each.minus_control is None else f"{mcnemar_exact(each.minus_control.counts):.4g}",
                *_difference(each.minus_noise),
                caveat,
            ]
        )
    return text.getvalue()


def _rate(found: Rate | None) -> list[object]:
    return ["", "", "", ""] if found is None else [found.successes, *with_interval(found.percent, found.interval)]


def _difference(found: Difference | None) -> list[str]:
    return ["", "", ""] if found is None else with_interval(found.points, found.interval)
