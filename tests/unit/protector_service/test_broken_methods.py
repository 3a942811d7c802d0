"""A method that breaks its promises fails its own order and no other, and nothing that it made leaves as a cloak."""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from protector_service.engine import Engine
from protector_service.gradients import BatchedGradients
from protector_service.methods.bim import BasicIterativeMethod
from protector_service.methods.method import BrokenMethodError, Control
from protector_service.order import Cloak, control_cloaks
from tests.support.engines import engine_of, order_of
from tests.support.networks import SmallRecognizer, probe

RECOGNIZER = SmallRecognizer()
CLASSES = len(RECOGNIZER.label_set)


class Altered(BasicIterativeMethod):
    """BIM but for what a test alters."""

    name = "altered"

    def __init__(
        self,
        *,
        step: Callable[[Tensor], Tensor] | None = None,
        start: Callable[[Tensor], Tensor] | None = None,
        n_iter: object = None,
        label: object = None,
        shares: bool = False,
    ) -> None:
        self._step, self._start, self._n_iter, self._label = step, start, n_iter, label
        self.shares_trajectory = shares  # type: ignore[misc]

    def label(self, clean_logits: Tensor, y_true: int) -> int:
        return y_true if self._label is None else self._label  # type: ignore[return-value]

    def n_iter(self, epsilon: int) -> int:
        return super().n_iter(epsilon) if self._n_iter is None else self._n_iter  # type: ignore[return-value]

    def start(self, probe: Tensor, *, epsilon: int, seed: int) -> Tensor:
        return probe if self._start is None else self._start(probe)

    def step(self, x: Tensor, gradient: Tensor, *, alpha: int) -> Tensor:
        return super().step(x, gradient, alpha=alpha) if self._step is None else self._step(x)


def crafted_beside(method: Altered, engine: Engine) -> Exception | None:
    """What became of an order by the method, while one by BIM was crafted in the same batches and came out as ever."""
    photo = probe(side=8)
    good = engine.craft(order_of(photo, ["bim"], (4, 8), client="good"))
    bad = engine.craft(replace(order_of(photo, [], (4, 8), client="bad"), methods=(method,)))
    failure: Exception | None = None
    try:
        list(bad)
    except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
        failure = error
    expected = BasicIterativeMethod()
    with engine_of(BatchedGradients(RECOGNIZER, batch_rows=2, dtype=torch.float64)) as undisturbed:
        alone = list(undisturbed.craft(replace(order_of(photo, [], (4, 8)), methods=(expected,))))
    for ours, theirs in zip(good, alone, strict=True):
        assert np.array_equal(ours.pixels, theirs.pixels)
    return failure


def listed(probe: Tensor) -> Tensor:
    return probe.tolist()  # type: ignore[return-value]


def raising(x: Tensor) -> Tensor:
    raise ZeroDivisionError("as plug-ins do")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        pytest.param(Altered(step=lambda x: x + 0.5), "whole levels 0..255, got others", id="halves"),
        pytest.param(Altered(start=lambda probe: probe + 20, n_iter=0), "changes of at most 4 levels, got 20", id="far"),
        pytest.param(Altered(start=lambda probe: probe - 300, n_iter=0), "whole levels 0..255, got others", id="black"),
        pytest.param(
            Altered(start=lambda probe: probe[:, :4], n_iter=0), "a tensor (3, 8, 8), got a tensor (3, 4, 8)", id="cut"
        ),
        pytest.param(Altered(start=listed, n_iter=0), "a tensor (3, 8, 8), got list", id="list"),
        pytest.param(Altered(n_iter=-1), "at least 0 steps for a budget of 4 levels, got -1", id="negative steps"),
        pytest.param(Altered(n_iter=1.5), "at least 0 steps for a budget of 4 levels, got 1.5", id="half a step"),
        pytest.param(Altered(n_iter=2, shares=True), "at least 8 steps for a budget of 8 levels, got 2", id="too few"),
        pytest.param(Altered(label=CLASSES), f"a class of 0..{CLASSES - 1}, got {CLASSES}", id="no class"),
    ],
)
def test_what_breaks_a_promise_fails_its_own_order_and_the_log_says_why(
    method: Altered, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    gradients = BatchedGradients(RECOGNIZER, batch_rows=2, dtype=torch.float64)
    with engine_of(gradients) as engine, caplog.at_level(logging.ERROR):
        failure = crafted_beside(method, engine)
    assert isinstance(failure, BrokenMethodError)
    assert str(failure) == f"altered: expected {message}"
    assert [(each.getMessage(), each.__dict__["reason"]) for each in caplog.records] == [("method broken", str(failure))]


@pytest.mark.parametrize(
    "method",
    [
        Altered(step=raising),
        Altered(start=raising),
        Altered(step=lambda x: x * torch.nan),
        Altered(step=lambda x: torch.zeros(5)),
    ],
    ids=["raising step", "raising start", "no number", "wrong shape"],
)
def test_what_raises_fails_its_own_order(method: Altered) -> None:
    with engine_of(BatchedGradients(RECOGNIZER, batch_rows=2, dtype=torch.float64)) as engine:
        assert crafted_beside(method, engine) is not None


def test_a_method_that_changes_the_probe_in_place_gets_no_cloak_out_and_spoils_no_other_s() -> None:
    """It moves its own copy of the probe under the clip; the cloak is held against the probe of the order."""
    photo = probe(side=8)
    walking = Altered(start=lambda probe: probe.add_(40).clamp_(0, 255))
    with engine_of(BatchedGradients(RECOGNIZER, batch_rows=4, dtype=torch.float64)) as engine:
        order = replace(order_of(photo, ["bim"], (8,)), methods=(walking, BasicIterativeMethod()))
        delivered: list[Cloak] = []
        with pytest.raises(BrokenMethodError, match="expected changes of at most 8 levels, got "):
            delivered.extend(engine.craft(order))
        (undisturbed,) = engine.craft(order_of(photo, ["bim"], (8,)))
    assert {cloak.method for cloak in delivered} <= {"bim"}
    assert all(np.array_equal(cloak.pixels, undisturbed.pixels) for cloak in delivered)


class LoudNoise(Control):
    """A control that leaves its budget by one level."""

    name = "loud"
    description = "Too loud."

    def cloak(self, probe: Tensor, *, epsilon: int, seed: int) -> Tensor:
        return (probe + epsilon + 1).clamp(0, 255)


def test_a_control_is_held_to_its_budget_too() -> None:
    with pytest.raises(BrokenMethodError, match="loud: expected changes of at most 4 levels, got 5"):
        control_cloaks(LoudNoise(), np.full((8, 8, 3), 100, dtype=np.uint8), epsilons=(4,), seed=0)
