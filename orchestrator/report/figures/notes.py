"""Sentences that stand under figures."""

from collections.abc import Sequence

from orchestrator.experiment.intervals import IntervalKind

BANDS = {
    IntervalKind.WILSON: "Bands and bars are 95\u00a0% Wilson intervals.",
    IntervalKind.CONFIDENCE_SEQUENCE: (
        "Bands and bars are 95\u00a0% confidence sequences: each holds at all looks at once, for its own cell."
    ),
}
GAP = "Where a line is broken or missing, nothing was observed."


def n_sentence(ns: Sequence[int]) -> str:
    """Of how many photographs the rates are."""
    if not ns:
        return "Nothing was observed."
    if min(ns) == max(ns):
        return f"N\u00a0=\u00a0{ns[0]} photograph{'s' if ns[0] > 1 else ''} in every cell."
    return f"N\u00a0=\u00a0{min(ns)} to {max(ns)} photographs in a cell."


def paragraph(*sentences: str, caveat: str = "") -> tuple[str, ...]:
    """The notes of a figure: one paragraph of sentences, and the caveat as one of its own."""
    text = " ".join(filter(None, sentences))
    return tuple(filter(None, (text, caveat and f"{caveat[0].upper()}{caveat[1:]}.")))
