"""Cloaks, as they are recorded and as they travel."""

from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.experiment.grid import CloakKey


class Quality(NamedTuple):
    """How much of its probe a cloak keeps as it is stored, before any transform."""

    ssim: float  # -1..1; 1 where both are equal
    psnr: float  # dB; infinite where both are equal


class PhotoBox(NamedTuple):
    """Where in its upright photo a cloak lies, in pixels. It is the only part of the photo that changes."""

    left: int
    top: int
    width: int  # of the box, and of the cloak
    height: int
    photo_width: int
    photo_height: int

    @property
    def share(self) -> float:
        """0..1: of the photo's pixels, those in the box."""
        return self.width * self.height / (self.photo_width * self.photo_height)


@dataclass(frozen=True)
class CloakRecord:
    """All that is recorded of a cloak."""

    probe: str  # the photo, as IDENTITY/FILE
    key: CloakKey
    n_iter: int
    gradients: int  # that it took, summed over the source models of an ensemble, as if it had been crafted alone
    forward_passes: int  # beside those of the gradients, likewise
    largest_change: int  # levels, before storage
    zero_gradient_share: float  # 0..1: of the samples, the mean over the steps
    probe_sha256: str  # of the RGB bytes that the protector extracted from the photo: the crop, or the box
    sha256: str  # of the file: a PNG, or what another tool made
    quality: Quality | None = None  # None until it was measured
    box: PhotoBox | None = None  # None: the cloak is a picture of its own


class Cloak(NamedTuple):
    """A cloak, and its file: the PNG that the protector sent, or the PNG or JPEG that another tool made."""

    record: CloakRecord
    encoded: bytes
