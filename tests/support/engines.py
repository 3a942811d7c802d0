"""Crafting engines for tests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from protector_service.batched_model import BatchedModel
from protector_service.engine import Engine
from protector_service.job import CraftJob, FinishedCloak
from protector_service.registry import find_methods
from recognizers.networks.recognizer import Recognizer

MODEL = "small"
METHODS = find_methods().usable


@contextmanager
def engine_of(model: BatchedModel, *, workers: int = 1) -> Iterator[Engine]:
    """An engine with one source model, "small"."""
    engine = Engine({MODEL: model}, workers=workers)
    try:
        yield engine
    finally:
        engine.close()


def job_of(
    probe: NDArray[np.uint8], methods: Sequence[str], epsilons: Sequence[int], *, y_true: int = 1, client: str = ""
) -> CraftJob:
    """A job for the source model "small"."""
    return CraftJob(
        source_models=(MODEL,),
        probe=probe,
        y_true=y_true,
        methods=tuple(METHODS[name] for name in methods),
        epsilons=tuple(epsilons),
        seed=3,
        client=client,
    )


def craft(
    recognizer: Recognizer,
    probe: NDArray[np.uint8],
    methods: Sequence[str],
    epsilons: Sequence[int],
    *,
    y_true: int = 1,
    batch_rows: int = 2,
    dtype: torch.dtype = torch.float64,
) -> list[FinishedCloak]:
    """Crafts cloaks of any method with an engine made for them."""
    with engine_of(BatchedModel(recognizer, batch_rows=batch_rows, dtype=dtype)) as engine:
        return list(engine.craft(job_of(probe, methods, epsilons, y_true=y_true)))
