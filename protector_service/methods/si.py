"""The scale-invariant method."""

from functools import partial

import torch
from torch import Tensor

from protector_service.methods.asks import Asking
from protector_service.methods.method import MethodJob, stated
from protector_service.methods.mi import MomentumIterativeMethod
from protector_service.methods.trajectory import Point
from protector_service.methods.transforms import mean_gradient

SCALES = tuple(2.0**-i for i in range(5))  # Lin et al. 2020, section 3.2: m = 5


class ScaleInvariantMethod(MomentumIterativeMethod):
    """SI-MI-FGSM (Lin et al. 2020, Eq. 7): `mi` along the mean gradient of J(x / 2^i), i = 0..4."""

    name = "si"
    description = "Scale-invariant method: the momentum iterative method over darkened copies of the image, untargeted."
    gradients_per_step = len(SCALES)

    @stated(scales="1, 1/2, 1/4, 1/8, 1/16")
    def gradient(self, job: MethodJob, at: Point) -> Asking[Tensor]:
        return (yield from mean_gradient(at.x, [partial(torch.mul, other=scale) for scale in SCALES], job.y_true))
