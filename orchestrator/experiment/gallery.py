"""How the people of a data set are divided for a run with a gallery."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SplitSizes:
    """The sizes of the parts; with the data set and the seed of the draw they say who is in which."""

    photos: int  # of each enrolled identity, beside the probe
    non_mated: int = 0  # identities that are searched and not enrolled
    impostors: int = 0  # identities that thresholds are calibrated on; neither enrolled nor searched
