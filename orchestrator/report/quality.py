"""How much of its probe a cloak keeps as it is stored: SSIM and PSNR against the probe, by scikit-image.

Against the probe before storage, which is the control as the protector sends it, so that the control shows what storage
alone takes.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np

from orchestrator.experiment.cloak import CloakRecord, Quality
from orchestrator.experiment.condition import Storage
from orchestrator.experiment.grid import CONTROL
from orchestrator.report.kept import Image, as_stored, decoded
from orchestrator.run_folder.folder import RunFolder
from orchestrator.store.changes import record_quality
from orchestrator.store.store import Store

LEVELS = 255  # the range that both measures are relative to


def ssim(control: Image, cloak: Image) -> float:
    """Structural similarity, -1..1, and 1 for equal images (Wang et al. 2004), the mean over the channels of RGB.

    scikit-image's own window: 7 x 7, uniform, so that either side must have 7 pixels.
    """
    from skimage.metrics import structural_similarity  # only now: it takes a second

    return float(structural_similarity(control, cloak, data_range=LEVELS, channel_axis=2))  # type: ignore[no-untyped-call]


def psnr(control: Image, cloak: Image) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels; infinite for equal images."""
    from skimage.metrics import peak_signal_noise_ratio

    with np.errstate(divide="ignore"):
        return float(peak_signal_noise_ratio(control, cloak, data_range=LEVELS))  # type: ignore[no-untyped-call]


def cloak_quality(folder: RunFolder, store: Store, *, storage: Storage) -> Iterator[tuple[CloakRecord, Quality]]:
    """SSIM and PSNR of the cloaks of a run's subjects as they are stored, the controls among them, probe by probe.

    What was measured once is in the store, and outlives the pictures; it is measured each time where the store may only be
    read. There is nothing of a cloak that was not kept, whose control was not, or whose control has other pixels than the
    probe it was made of.

    Raises:
        StoreError: the store cannot be read or written.
    """
    for _, cloaks in groupby(store.cloaks(), key=lambda cloak: (cloak.probe, cloak.key.source_model)):
        new, control = [], None
        for cloak in cloaks:
            if cloak.key.method == CONTROL:
                control = cloak
            if cloak.quality is not None:
                yield cloak, cloak.quality
            else:
                new.append(cloak)
        if new and control is not None:
            measured = _measured(new, control, folder, storage=storage)
            if not store.read_only:
                store.write(*(record_quality(*each) for each in measured))
            yield from measured


def _measured(
    cloaks: Iterable[CloakRecord], control: CloakRecord, folder: RunFolder, *, storage: Storage
) -> list[tuple[CloakRecord, Quality]]:
    probe = decoded(folder.kept_cloak(control.sha256))
    if probe is None:
        return []
    measured = []
    for cloak in cloaks:
        pixels = as_stored(folder.kept_cloak(cloak.sha256), storage)
        if pixels is not None and pixels.shape == probe.shape and cloak.probe_sha256 == control.probe_sha256:
            measured.append((cloak, Quality(ssim(probe, pixels), psnr(probe, pixels))))
    return measured
