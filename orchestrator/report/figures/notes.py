"""Sentences that stand under figures."""

from collections.abc import Iterator, Sequence

from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.psr import Rate

CONTROL = "Control: no cloak."
BOTH_CONTROLS = f"{CONTROL} Noise control: random ±ε in its place."
INTERVALS = {
    IntervalKind.WILSON: "95\u00a0% Wilson intervals.",
    IntervalKind.CONFIDENCE_SEQUENCE: ("95\u00a0% confidence sequences: each holds at all looks at once, for its own cell."),
}


def lines_sentences(
    rates: Sequence[Rate | None], kind: IntervalKind, *, controls: str = BOTH_CONTROLS, drawn: str = "Bands and bars"
) -> Iterator[str]:
    """What the lines of a figure are.

    Args:
        rates: all that it draws.
        kind: that of their intervals.
        controls: what its controls are.
        drawn: what shows the intervals.
    """
    yield controls
    yield f"{drawn} are {INTERVALS[kind]}"
    yield n_sentence([rate.n for rate in rates if rate is not None])
    if None in rates:
        yield "Where a line is broken or missing, nothing was observed."


def n_sentence(ns: Sequence[int]) -> str:
    """Of how many photographs the rates are."""
    if not ns:
        return "Nothing was observed."
    return f"N\u00a0=\u00a0{photographs(ns)} in {'every' if min(ns) == max(ns) else 'a'} cell."


def photographs(ns: Sequence[int]) -> str:
    """The fewest and the most, as in 2 to 4 photographs."""
    if min(ns) == max(ns):
        return f"{ns[0]} photograph{'' if ns[0] == 1 else 's'}"
    return f"{min(ns)} to {max(ns)} photographs"


def paragraph(*sentences: str, caveat: str = "") -> tuple[str, ...]:
    """The notes of a figure: one paragraph of sentences, and the caveat as one of its own."""
    text = " ".join(filter(None, sentences))
    return tuple(filter(None, (text, caveat and f"{caveat[0].upper()}{caveat[1:]}.")))
