"""Crafting engines for tests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from protector_service.engine import Engine
from protector_service.gradients import BatchedGradients
from protector_service.methods.method import Control, GradientMethod
from protector_service.methods.registry import find_methods
from protector_service.order import Cloak, Order, control_cloaks
from recognizers.networks.recognizer import Recognizer

MODEL = "small"
METHODS = find_methods().usable


@contextmanager
def engine_of(gradients: BatchedGradients, *, workers: int = 1) -> Iterator[Engine]:
    """An engine with one source model, "small"."""
    engine = Engine({MODEL: gradients}, workers=workers)
    try:
        yield engine
    finally:
        engine.close()


def order_of(
    probe: NDArray[np.uint8], methods: Sequence[str], epsilons: Sequence[int], *, y_true: int = 1, client: str = ""
) -> Order:
    """An order for the source model "small"."""
    chosen = [METHODS[name] for name in methods]
    return Order(
        source_model=MODEL,
        probe=probe,
        y_true=y_true,
        methods=tuple(method for method in chosen if isinstance(method, GradientMethod)),
        epsilons=tuple(epsilons),
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
) -> list[Cloak]:
    """Crafts cloaks of any method with an engine made for them; the controls first."""
    chosen = [METHODS[name] for name in methods]
    controls = [method for method in chosen if isinstance(method, Control)]
    cloaks = [cloak for control in controls for cloak in control_cloaks(control, probe, epsilons=epsilons, seed=3)]
    order = order_of(probe, methods, epsilons, y_true=y_true)
    if order.methods:
        with engine_of(BatchedGradients(recognizer, batch_rows=batch_rows, dtype=dtype)) as engine:
            cloaks += engine.craft(order)
    return cloaks
