"""Which pictures wear the cloak: the axis on which the paper's threat is told from that of Fawkes and LowKey."""

from enum import StrEnum


class Carrier(StrEnum):
    """Which pictures wear the cloak."""

    PROBE = "probe"  # the one that is searched: the paper's threat
    GALLERY = "gallery"  # those that the invader enrols (Fawkes, LowKey); what is searched is a photo as it is
    BOTH = "both"
    ADAPTIVE = "adaptive"  # as GALLERY, and the invader enrols cloaked copies of the other subjects' photos beside these

    @property
    def enrols(self) -> bool:
        """Whether the invader enrols pictures that wear it."""
        return self is not Carrier.PROBE

    @property
    def is_searched(self) -> bool:
        """Whether a picture that wears it is searched."""
        return self in (Carrier.PROBE, Carrier.BOTH)
