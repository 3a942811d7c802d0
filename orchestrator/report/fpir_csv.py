"""`fpir.csv`: a row per condition, matcher and threshold: how often people who are not enrolled are taken for somebody."""

import csv
import io
from collections.abc import Iterable, Mapping

from orchestrator.metrics.non_mated import FalsePositives
from orchestrator.report.psr_csv import with_interval

COLUMNS = (
    "condition",
    "target_model",
    "threshold",
    "gallery",  # identities enrolled
    "searches",  # of people who are not
    "faces_found",
    "false_positives",  # searches in which a candidate reaches the threshold; none without a face
    "fpir",  # percent of all searches, with its 95 % interval: Wilson's, because their number is fixed beforehand
    "fpir_low",
    "fpir_high",
    "caveat",  # as of `psr.csv`
)


def fpir_csv(found: Iterable[FalsePositives], *, galleries: Mapping[str, int], caveat: str = "") -> str:
    """The table as CSV text; `galleries` has the number of identities that each matcher has enrolled."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in found:
        rate = each.rate
        writer.writerow(
            [
                *(each.condition, each.target_model, each.threshold, galleries[each.target_model]),
                *(rate.n, each.faces_found, rate.successes),
                *with_interval(rate.percent, rate.interval),
                caveat,
            ]
        )
    return text.getvalue()
