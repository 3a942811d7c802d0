"""Crafting engines for tests."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from protector_service.batched_model import BatchedModel
from protector_service.engine import Engine
from protector_service.job import CloakSink, CraftJob, FinishedCloak
from protector_service.methods.asks import Cost, Crafting
from protector_service.methods.method import Method, MethodJob
from protector_service.methods.one_pixel import OnePixelAttack
from protector_service.registry import find_methods
from recognizers.networks.recognizer import Recognizer

MODEL = "small"
METHODS = find_methods().usable


class QuickOnePixel(OnePixelAttack):
    """The one-pixel attack with 24 forward passes a budget instead of 2,100."""

    population = 8
    generations = 2


OWN_BUDGETS = {name: method for name, method in METHODS.items() if method.own_budget is not None}
QUICK = (
    dict(METHODS) | {name: method.having(n_iter=4) for name, method in OWN_BUDGETS.items()} | {"one-pixel": QuickOnePixel()}
)


class RecordingSink(CloakSink):
    """Keeps what it is given; `on_delivery` is called after each cloak, `wanted` before each step."""

    def __init__(
        self,
        on_delivery: Callable[[FinishedCloak], None] = lambda cloak: None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self.cloaks: list[FinishedCloak] = []
        self.ends: list[Exception | None] = []
        self.ended = threading.Event()
        self._on_delivery = on_delivery
        self._wanted = wanted

    def wants(self) -> bool:
        return self._wanted()

    def deliver(self, cloak: FinishedCloak) -> None:
        self.cloaks.append(cloak)
        self._on_delivery(cloak)

    def end(self, error: Exception | None) -> None:
        self.ends.append(error)
        self.ended.set()

    @property
    def pixels(self) -> dict[tuple[str, int], NDArray[np.uint8]]:
        return {(cloak.method, cloak.epsilon): cloak.pixels for cloak in self.cloaks}


class ScriptedMethod(Method):
    """A method whose functions a test gives it."""

    name = "scripted"
    description = "As a test has it."

    def __init__(
        self,
        craft: Callable[[MethodJob], Crafting],
        *,
        cost: Callable[[int], Cost] = lambda epsilon: Cost(gradients=1, forward_passes=1),
        budgets: Callable[[Sequence[int]], tuple[int, ...]] | None = None,
        name: str = "scripted",
    ) -> None:
        self.name = name  # type: ignore[misc]  # a class's own
        self._craft, self._cost, self._budgets = craft, cost, budgets

    def craft(self, job: MethodJob) -> Crafting:
        return self._craft(job)

    def cost(self, epsilon: int) -> Cost:
        return self._cost(epsilon)

    def budgets(self, epsilons: Sequence[int]) -> tuple[int, ...]:
        return super().budgets(epsilons) if self._budgets is None else self._budgets(epsilons)


def bound(method: Method, epsilon: int) -> int:
    """The levels that no channel of a method's cloak may differ from the probe by more than."""
    return epsilon if method.own_budget is None else method.own_budget.largest_change


@contextmanager
def held(engine: Engine) -> Iterator[None]:
    """Keeps an engine of one worker busy within, so that what is submitted meanwhile begins together."""
    began, go = threading.Event(), threading.Event()

    def wait(cloak: FinishedCloak) -> None:
        began.set()
        assert go.wait(60)

    sink = RecordingSink(on_delivery=wait)
    engine.submit(job_of(np.zeros((8, 8, 3), np.uint8), ["none"], (), client="holding"), sink)
    assert began.wait(60)
    try:
        yield
    finally:
        go.set()
    assert sink.ended.wait(60)


@contextmanager
def engine_of(
    model: BatchedModel, *, workers: int = 1, on_batch: Callable[[str, int], None] = lambda *_: None
) -> Iterator[Engine]:
    """An engine with one source model, "small"."""
    engine = Engine({MODEL: model}, workers=workers, on_batch=on_batch)
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
