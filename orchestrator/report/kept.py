"""The pictures that a run's folder keeps, as its report shows and measures them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from orchestrator.experiment.condition import Condition, Storage
from orchestrator.experiment.grid import CloakKey, is_noise
from orchestrator.pictures.conditions import under_condition
from orchestrator.report.run import Run
from orchestrator.run_folder.folder import RunFolder
from orchestrator.run_folder.pictures import kept_pictures
from orchestrator.store.store import Store
from rpc.images.bare_image import BadImageError
from rpc.images.decoding import decoded_image
from rpc.images.limits import ImageLimits

Image = NDArray[np.uint8]  # (H, W, 3) RGB


def kept_cloaks(run: Run, store: Store) -> Iterator[tuple[str, dict[CloakKey, bytes]]]:
    """The subjects of whom the folder keeps cloaks, and the files of these, but for noise."""
    folder = RunFolder(run.root)
    for probe in run.matrix.probes if kept_pictures(folder) else ():
        found = {cloak.key: folder.kept_cloak(cloak.sha256) for cloak in store.cloaks(probe=probe)}
        kept = {key: encoded for key, encoded in found.items() if encoded is not None and not is_noise(key.method)}
        if kept:
            yield probe, kept


def as_stored(cloak: bytes | None, storage: Storage) -> Image | None:
    """The pixels of a cloak as it is stored, before any transform; None for what is no picture."""
    try:
        return None if cloak is None else decoded(under_condition(cloak, Condition(storage)))
    except BadImageError:
        return None


def decoded(encoded: bytes | None) -> Image | None:
    """None for what is no picture: any service that speaks the schema may have sent it."""
    if encoded is None:
        return None
    try:
        return decoded_image(encoded, limits=ImageLimits())
    except BadImageError:
        return None
