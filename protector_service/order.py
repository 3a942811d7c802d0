"""What the engine is asked for, and what it delivers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protector_service.methods.method import Control, GradientMethod, Method
from protector_service.methods.row import Row


@dataclass(frozen=True)
class Cloak:
    """A finished cloak, before storage."""

    method: str
    epsilon: int  # levels
    n_iter: int
    pixels: NDArray[np.uint8]  # (S, S, 3) RGB
    largest_change: int  # levels
    zero_gradient_share: float  # 0..1


@dataclass(frozen=True)
class Order:
    """The cloaks of one probe that need gradients of one source model."""

    source_model: str
    probe: NDArray[np.uint8]  # (S, S, 3) RGB, S being the recognizer's input size
    y_true: int  # class index of the probe's identity
    methods: tuple[GradientMethod, ...]
    epsilons: tuple[int, ...]  # levels, 0..255, distinct
    seed: int = 0
    client: str = ""  # clients take turns


class Customer(ABC):
    """Who gave an order. The engine calls it from its own threads, never two at a time for one order."""

    @abstractmethod
    def wants(self) -> bool:
        """Whether the order is still wanted; asked before every step, and once it is not the rows are dropped."""

    @abstractmethod
    def deliver(self, cloak: Cloak) -> None:
        """A budget is finished; smaller ones come first."""

    @abstractmethod
    def end(self, error: Exception | None) -> None:
        """Nothing more will come: all is delivered, or it is no longer wanted, or this error ended it."""


def image_of(probe: NDArray[np.uint8], *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A probe (S, S, 3) as the image (3, S, S) that methods work on, in levels."""
    return torch.tensor(probe, device=device).permute(2, 0, 1).to(dtype).contiguous()


def control_cloaks(control: Control, probe: NDArray[np.uint8], *, epsilons: Sequence[int], seed: int) -> list[Cloak]:
    """The cloaks of a method that asks no network.

    Raises:
        BrokenMethodError: see `finished_cloak`.
    """
    x_0 = image_of(probe, device=torch.device("cpu"), dtype=torch.float32)
    return [
        _cloak(control, probe, control.cloak(x_0.clone(), epsilon=epsilon, seed=seed), epsilon, n_iter=0, zeros=0.0)
        for epsilon in control.budgets(epsilons)
    ]


def finished_cloak(row: Row, probe: NDArray[np.uint8]) -> Cloak:
    """The cloak of a row that has taken all its steps, held against the probe (S, S, 3) that came with the order.

    Raises:
        BrokenMethodError: it is not whole levels 0..255, or leaves its budget.
    """
    return _cloak(row.method, probe, row.x, row.epsilon, n_iter=row.steps_taken, zeros=row.zero_gradient_share)


def _cloak(method: Method, probe: NDArray[np.uint8], x: Tensor, epsilon: int, *, n_iter: int, zeros: float) -> Cloak:
    """The one way out for whatever a method has made. It trusts nothing that the method could have touched."""
    height, width, channels = probe.shape
    if not isinstance(x, Tensor) or tuple(x.shape) != (channels, height, width):
        came = f"a tensor {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise method.broken(expected=f"a tensor {(channels, height, width)}", actual=came)
    # Every iterate is a whole number of levels, so this conversion is exact; truncating a fraction would break the budget.
    levels = x.round().to(torch.uint8)
    if not torch.equal(levels.to(x.dtype), x):
        raise method.broken(expected="whole levels 0..255", actual="others")
    pixels = levels.permute(1, 2, 0).contiguous().cpu().numpy()
    largest_change = int(np.abs(pixels.astype(np.int16) - probe).max())
    if largest_change > epsilon:
        raise method.broken(expected=f"changes of at most {epsilon} levels", actual=str(largest_change))
    return Cloak(
        method=method.name,
        epsilon=epsilon,
        n_iter=n_iter,
        pixels=pixels,
        largest_change=largest_change,
        zero_gradient_share=zeros,
    )
