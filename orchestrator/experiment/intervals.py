"""What the 95 % intervals of a run hold for."""

from enum import StrEnum


class IntervalKind(StrEnum):
    """What the 95 % interval of a rate holds for."""

    WILSON = "wilson"  # an N that was fixed beforehand
    CONFIDENCE_SEQUENCE = "confidence sequence"  # every N at which it was looked at, all at once
