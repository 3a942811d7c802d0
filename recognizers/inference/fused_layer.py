"""What a prepared backbone is made of."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class FusedLayer(nn.Module, ABC):
    """y = f(x), plus another tensor of its shape where one is given, rectified or not; and dx from dy.

    Autograd knows nothing of it: `recognizers.inference.tape` does.
    """

    def __init__(self, *, rectified: bool) -> None:
        super().__init__()
        self.rectified = rectified

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Y (N, C', H', W') of x (N, C, H, W)."""
        return self.recorded(x, other)[0]

    @abstractmethod
    def recorded(self, x: Tensor, other: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """y, and what `input_gradient` needs of this pass."""

    @abstractmethod
    def input_gradient(
        self, dy: Tensor, record: tuple[Tensor, ...] = (), *, onto: Tensor | None = None, overwrite: bool = False
    ) -> Tensor:
        """Dx from dy, the rectifier's part being done, plus `onto`, in the place of that if it may be overwritten."""


def with_arrived(dx: Tensor, onto: Tensor | None, *, overwrite: bool) -> Tensor:
    """A layer's own dx, which nothing else holds, plus `onto`, in the place of that if it may be overwritten."""
    if onto is None:
        return dx
    return onto.add_(dx) if overwrite else dx.add_(onto)
