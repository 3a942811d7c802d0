"""What the 95 % intervals of a run hold for."""

from enum import StrEnum


class IntervalKind(StrEnum):
    """What the 95 % interval of a rate holds for."""

    WILSON = "wilson"  # an N that was fixed beforehand
    CONFIDENCE_SEQUENCE = "confidence sequence"  # every N at which it was looked at, all at once


def interval_kind_of(until_halfwidth: float | None) -> IntervalKind:
    """What the intervals of a run's rates are: they must hold at all looks where it stops by looking at them."""
    return IntervalKind.WILSON if until_halfwidth is None else IntervalKind.CONFIDENCE_SEQUENCE
