"""Gradient descent on a variable whose tanh is the image, so that no step leaves the pixel range."""

import torch
from torch import Tensor

from protector_service.methods.transforms import pull_back

LEVELS = 255
_MARGIN = 1 - 1e-6  # so that 0 and 255 are the tanh of numbers
RHO, EPSILON = 0.95, 1e-7  # of Adadelta: Keras' defaults


class TanhPixels:
    """x = 255 (tanh(w) / margin + 1) / 2 (Carlini and Wagner 2017, section V.B), w moved by Adadelta (Zeiler 2012)."""

    def __init__(self, probe: Tensor, *, rate: float, start: Tensor | None = None, largest_change: int = LEVELS) -> None:
        """Begins at a probe (3, H, W).

        Args:
            probe: in levels.
            rate: that Adadelta's steps are multiplied by.
            start: what is added to w at first, (3, H, W).
            largest_change: in levels, that the image is clipped at.
        """
        self._probe = probe
        self._rate = rate
        self._largest_change = largest_change
        self._w = torch.atanh((probe / LEVELS * 2 - 1) * _MARGIN)
        if start is not None:
            self._w = self._w + start
        self._squares, self._steps = torch.zeros_like(probe), torch.zeros_like(probe)  # running means of both squared

    @property
    def image(self) -> Tensor:
        """x (3, H, W), in levels, real numbers."""
        return self._image_of(self._w)

    def _image_of(self, w: Tensor) -> Tensor:
        change = LEVELS * (torch.tanh(w) / _MARGIN + 1) / 2 - self._probe
        return (self._probe + change.clamp(-self._largest_change, self._largest_change)).clamp(0, LEVELS)

    def descend(self, gradient_in_x: Tensor, *, kick: float = 0.0) -> None:
        """Takes a step against the gradient of a loss, given in x (3, H, W), and then one of -kick times its sign in w."""
        gradient = pull_back(self._w, self._image_of, gradient_in_x)
        # E[g^2] <- rho E[g^2] + (1 - rho) g^2; step = -sqrt(E[step^2] + eps) / sqrt(E[g^2] + eps) g; w <- w + rate step
        self._squares = RHO * self._squares + (1 - RHO) * gradient**2
        step = -((self._steps + EPSILON) / (self._squares + EPSILON)).sqrt() * gradient
        self._steps = RHO * self._steps + (1 - RHO) * step**2
        self._w = self._w + self._rate * step - kick * gradient.sign()
