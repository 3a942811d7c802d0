"""The translation-invariant method."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from protector_service.methods.asks import Asking
from protector_service.methods.method import MethodJob, stated
from protector_service.methods.mi import MomentumIterativeMethod
from protector_service.methods.trajectory import Point

KERNEL_SIZE = 15  # Dong et al. 2019, section 4.1
REACH = 3.0  # standard deviations from the centre of the kernel to its edge
KERNEL = "Gaussian, 15 x 15, 3 standard deviations from centre to edge"


class TranslationInvariantMethod(MomentumIterativeMethod):
    """TI-FGSM with momentum (Dong et al. 2019, Eq. 8): `mi` along smoothed gradients, as if the image were shifted about."""

    name = "ti"
    description = "Translation-invariant method: the momentum iterative method along smoothed gradients, untargeted."

    @stated(kernel=KERNEL)
    def gradient(self, job: MethodJob, at: Point) -> Asking[Tensor]:
        gradient = yield from super().gradient(job, at)
        return smoothed(gradient)


def smoothed(gradient: Tensor) -> Tensor:
    """W * g (Eq. 8): a gradient (3, H, W) convolved with the Gaussian kernel, zeros around it."""
    line = torch.exp(-(torch.linspace(-REACH, REACH, KERNEL_SIZE, dtype=torch.float64) ** 2) / 2)
    line = (line / line.sum()).to(gradient)
    channels, reach = gradient[:, None], KERNEL_SIZE // 2  # the kernel is the product of its rows and its columns
    rows = conv2d(channels, line.view(1, 1, 1, -1), padding=(0, reach))
    return conv2d(rows, line.view(1, 1, -1, 1), padding=(reach, 0))[:, 0]
