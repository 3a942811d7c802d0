"""Fawkes, as its release 1.0 computes."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from protector_service.methods.asks import Cloak, Cost, Crafting
from protector_service.methods.dssim import Dssim
from protector_service.methods.embeddings import embeddings, sum_of_distances
from protector_service.methods.method import Method, MethodJob, OwnBudget, stated
from protector_service.methods.slopes import value_and_slope
from protector_service.methods.tanh_pixels import TanhPixels

LARGEST_CHANGE = 15  # levels
SCALE = 1e6  # of the hinge at the threshold
START = 1e-4  # of the tanh variable, at most
KICK = 0.01  # of the tanh variable, once: at the probe itself the distance of features has no gradient
NEAR, FAR = 0.9, 1.1  # of the threshold: between them the weight of the feature term is 1
MAX_WEIGHT = 129  # that is still doubled


class Fawkes(Method):
    """Fawkes (Shan et al. 2020), release 1.0: away from where the source models put the face, within a DSSIM.

    It minimises sd max(DSSIM - th, 0)^2 - c sum_m || Phi_m(x') - Phi_m(x) ||^2 / || Phi_m(x) ||, Phi_m(x) being the features
    of source model m over their length, and keeps the iterate with the largest distance of features whose DSSIM is at most
    1.1 th: that of the iterate in whole levels, which is what leaves as a cloak, where the release looks at real numbers.
    """

    needs_label_set = False
    carrier = "gallery"
    settable: ClassVar = {"n_iter": range(1, 1001)}
    threshold: ClassVar[float]  # th, of DSSIM
    n_iter: int
    rate: ClassVar[float]

    def cost(self, epsilon: int) -> Cost:
        return Cost(gradients=self.n_iter, forward_passes=1)

    @stated(
        start="the probe, U(-1e-4, 1e-4) added to the variable",
        variable="atanh of the pixels, by Adadelta (rho 0.95); its first step also by -0.01 sign g",
        objective="1e6 max(DSSIM - th, 0)^2 - c times the squared distance of the embeddings to the probe's; c is doubled "
        "up to DSSIM 0.9 th, halved from 1.1 th, else 1",
        kept="the largest distance at DSSIM of at most 1.1 th",
    )
    def craft(self, job: MethodJob) -> Crafting:
        clean = yield from embeddings(job, job.probe)
        pixels = TanhPixels(job.probe, rate=self.rate, start=_start(job), largest_change=LARGEST_CHANGE)
        dissimilarity = Dssim(job.probe)
        weight = FeatureWeight(self.threshold)
        kept, largest = job.probe, -torch.inf
        for step in range(self.n_iter):
            x = pixels.image
            distance, gradient = yield from sum_of_distances(job, x, clean)
            if distance > largest and float(dissimilarity(x.round())) <= FAR * self.threshold:
                kept, largest = x, distance
            dssim, slope = value_and_slope(dissimilarity, x)
            pixels.descend(
                hinge_slope(dssim, self.threshold, scale=SCALE) * slope - weight.value * gradient,
                kick=KICK if step == 0 else 0.0,
            )
            weight.adapt(dssim)
        yield Cloak(0, kept)


@dataclass
class FeatureWeight:
    """c, the weight of the feature term: grows while there is room below the threshold, shrinks while there is none."""

    threshold: float
    value: float = 1.0
    _side: int = 0  # of the threshold, at the step before: -1 below, 1 above, 0 near it

    def adapt(self, dssim: float) -> None:
        """Takes the DSSIM of an iterate. On changing sides and near the threshold, c is 1 again."""
        side = -1 if dssim <= NEAR * self.threshold else 1 if dssim >= FAR * self.threshold else 0
        if side == 0 or side == -self._side:
            self.value = 1.0
        elif side < 0 and self.value <= MAX_WEIGHT:
            self.value *= 2
        elif side > 0 and self.value >= 1 / MAX_WEIGHT:
            self.value /= 2
        self._side = side


def hinge_slope(dssim: float, threshold: float, *, scale: float) -> float:
    """The derivative of scale max(DSSIM - th, 0)^2 in DSSIM: 0 within the budget."""
    return 2 * scale * max(dssim - threshold, 0)


def _start(job: MethodJob) -> Tensor:
    """U(-1, 1) x 1e-4 for every element of the probe."""
    drawn = torch.from_numpy(2 * job.draws().uniform(job.probe.numel()) - 1)
    return START * drawn.reshape(job.probe.shape).to(job.probe)


def _budget(threshold: float) -> OwnBudget:
    return OwnBudget(f"DSSIM {threshold:g} (at most 1.1 times as much)", LARGEST_CHANGE)


class FawkesLow(Fawkes):
    """Mode low."""

    name = "fawkes-low"
    description = "Fawkes 1.0, mode low: moves the features away from the probe's, within DSSIM 0.004, untargeted."
    threshold, n_iter, rate = 0.004, 40, 25.0
    own_budget = _budget(threshold)


class FawkesMid(Fawkes):
    """Mode mid."""

    name = "fawkes-mid"
    description = "Fawkes 1.0, mode mid: moves the features away from the probe's, within DSSIM 0.012, untargeted."
    threshold, n_iter, rate = 0.012, 75, 20.0
    own_budget = _budget(threshold)


class FawkesHigh(Fawkes):
    """Mode high."""

    name = "fawkes-high"
    description = "Fawkes 1.0, mode high: moves the features away from the probe's, within DSSIM 0.017, untargeted."
    threshold, n_iter, rate = 0.017, 150, 15.0
    own_budget = _budget(threshold)
