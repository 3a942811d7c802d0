"""What a page says of a run whose cloaks are whole photos: what of them changed, and what that means for its figures."""

import math
from collections.abc import Iterator, Sequence
from statistics import median

from orchestrator.experiment.cloak import PhotoBox
from orchestrator.experiment.placement import Placement
from orchestrator.report.facts import Fact
from orchestrator.report.run import Run

IN_PHOTOS = (
    "the whole photograph at its own size, of which only the box of the face changes; the source model saw the box resampled"
)


def photo_notices(run: Run) -> Iterator[Fact]:
    """Why the figures are not to be compared with the paper's crops; nothing for a run of crops."""
    if run.placement is Placement.PHOTO:
        yield Fact(
            "Cloaks in whole photos.",
            "The paper’s are crops at the source model’s input size. Here the budget is of the photo’s own pixels, and what "
            "an invader resizes is the photo: the claims are read of another experiment than the paper’s.",
        )


def photo_facts(run: Run, boxes: Sequence[PhotoBox]) -> Iterator[Fact]:
    """What a cloak is, and how much of a photo its box takes, of the run's controls; nothing for a run of crops."""
    if run.placement is not Placement.PHOTO:
        return
    yield Fact("Cloaks", IN_PHOTOS)
    if boxes:
        shares = sorted(box.share for box in boxes)
        middle = median(shares)
        yield Fact(
            "Boxes of faces",
            f"{_percent(middle)} of the photograph’s pixels in the median, {_percent(shares[0])} to {_percent(shares[-1])}. "
            f"Pictures and image quality are of the box alone; over a whole photograph, where nothing else differs, PSNR is "
            f"{10 * math.log10(1 / middle):.1f} dB higher in the median",
        )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
