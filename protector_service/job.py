"""What the engine is asked for, and what it delivers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protector_service.methods.asks import Effort
from protector_service.methods.method import Method
from recognizers.networks.head import Head


@dataclass(frozen=True)
class FinishedCloak:
    """A cloak that was held against its budget, before storage."""

    method: str
    epsilon: int  # levels
    pixels: NDArray[np.uint8]  # (H, W, 3) RGB, as the probe
    largest_change: int  # levels
    effort: Effort


@dataclass(frozen=True)
class CraftJob:
    """The cloaks of one probe."""

    source_models: tuple[str, ...]  # several are an ensemble
    probe: NDArray[np.uint8]  # (H, W, 3) RGB: a crop of the largest input size of the source models, or a photo's own box
    y_true: int  # class of the probe's identity
    methods: tuple[Method, ...]
    epsilons: tuple[int, ...]  # levels, 0..255, distinct
    seed: int = 0
    client: str = ""  # clients take turns
    heads: Mapping[str, Head] = field(default_factory=dict)  # by source model, in place of its own


class CloakSink(ABC):
    """Where a job's cloaks go. The engine calls it in its own threads, `deliver` and `end` never two at a time for a job."""

    @abstractmethod
    def wants(self) -> bool:
        """Whether the job is still wanted, at once; asked before every step, and once it is not, the job is dropped."""

    @abstractmethod
    def deliver(self, cloak: FinishedCloak) -> None:
        """A budget is finished; within a method the smaller ones come first."""

    @abstractmethod
    def end(self, error: Exception | None) -> None:
        """Nothing more will come: all is delivered, or it is no longer wanted, or this error ended it."""


def image_of(probe: NDArray[np.uint8], *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A probe (H, W, 3) as the image (3, H, W) that methods work on, in levels."""
    return torch.tensor(probe, device=device).permute(2, 0, 1).to(dtype).contiguous()


def finished_cloak(
    method: Method, probe: NDArray[np.uint8], image: Tensor, *, epsilon: int, effort: Effort
) -> FinishedCloak:
    """The one way out for whatever a method has made. It trusts nothing that the method could have touched.

    Args:
        method: whose cloak it is.
        probe: (H, W, 3), as it came with the job.
        image: (3, H, W), in levels, rounded here to the nearest.
        epsilon: the budget, in levels: of a whole number of levels, so that rounding cannot leave it. A method with a budget
            of its own is held against the largest change that this states.
        effort: what was spent on it.

    Raises:
        BrokenMethodError: it is not levels 0..255, or leaves its budget.
    """
    height, width, channels = probe.shape
    if not isinstance(image, Tensor) or tuple(image.shape) != (channels, height, width):
        came = f"a tensor {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise method.broken(expected=f"a tensor {(channels, height, width)}", actual=came)
    levels = image.detach().round()
    low, high = (float(end) for end in levels.aminmax())
    if not 0 <= low <= high <= 255:  # nor where one is not a number
        raise method.broken(expected="levels 0..255", actual=f"{low:g}..{high:g}")
    pixels = levels.to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
    largest_change = int(np.abs(pixels.astype(np.int16) - probe).max())
    bound = epsilon if method.own_budget is None else method.own_budget.largest_change
    if largest_change > bound:
        raise method.broken(expected=f"changes of at most {bound} levels", actual=str(largest_change))
    return FinishedCloak(method.name, epsilon, pixels, largest_change, effort)
