"""How much of its probe a cloak keeps as it is stored: SSIM and PSNR against the probe.

Against the probe before storage, which is the control as the protector sends it, so that the control shows what storage
alone takes.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import groupby

from orchestrator.experiment.cloak import CloakRecord, Quality
from orchestrator.experiment.condition import Storage
from orchestrator.experiment.grid import CONTROL
from orchestrator.pictures.similarity import psnr, ssim
from orchestrator.report.kept import as_stored, decoded
from orchestrator.run_folder.folder import RunFolder
from orchestrator.store.changes import record_quality
from orchestrator.store.store import Store


def cloak_quality(folder: RunFolder, store: Store, *, storage: Storage) -> Iterator[tuple[CloakRecord, Quality]]:
    """SSIM and PSNR of the cloaks of a run's subjects as they are stored, the controls among them, probe by probe.

    What was measured once is in the store, and outlives the pictures; it is measured each time where the store may only be
    read. There is nothing of a cloak that was not kept, whose control was not, or whose control has other pixels than the
    probe it was made of.

    Raises:
        StoreError: the store cannot be read or written.
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:  # most of SSIM is outside of the interpreter's lock
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
                measured = _measured(new, control, folder, storage=storage, threads=threads)
                if not store.read_only:
                    store.write(*(record_quality(*each) for each in measured))
                yield from measured


def _measured(
    cloaks: Sequence[CloakRecord], control: CloakRecord, folder: RunFolder, *, storage: Storage, threads: Executor
) -> list[tuple[CloakRecord, Quality]]:
    probe = decoded(folder.kept_cloak(control.sha256))
    if probe is None:
        return []

    def quality(cloak: CloakRecord) -> Quality | None:
        pixels = as_stored(folder.kept_cloak(cloak.sha256), storage)
        if pixels is None or pixels.shape != probe.shape or cloak.probe_sha256 != control.probe_sha256:
            return None
        return Quality(ssim(probe, pixels), psnr(probe, pixels))

    found = zip(cloaks, threads.map(quality, cloaks), strict=True)
    return [(cloak, each) for cloak, each in found if each is not None]
