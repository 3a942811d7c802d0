"""The diverse input method."""

from torch import Tensor
from torch.nn.functional import interpolate, pad

from protector_service.methods.asks import Asking
from protector_service.methods.draws import Draws
from protector_service.methods.method import MethodJob, stated
from protector_service.methods.mi import MomentumIterativeMethod
from protector_service.methods.trajectory import Point
from protector_service.methods.transforms import mean_gradient

PROBABILITY = 0.5
LARGEST = 1.1  # times the side
TRANSFORM = "with probability 0.5 resized to a side of S to 1.1 S, padded with 0 at a random place, resized to S"


class DiverseInputMethod(MomentumIterativeMethod):
    """M-DI2-FGSM (Xie et al. 2019, section 3.3): `mi` through an input that is resized and padded anew at each step."""

    name = "di"
    description = (
        "Diverse input method: the momentum iterative method through randomly resized and padded inputs, untargeted."
    )

    @stated(transform=TRANSFORM)
    def gradient(self, job: MethodJob, at: Point) -> Asking[Tensor]:
        def transform(image: Tensor) -> Tensor:
            return diverse(image, draws=job.draws(step=at.step))

        return (yield from mean_gradient(at.x, [transform], job.y_true))


def diverse(image: Tensor, *, draws: Draws) -> Tensor:
    """An image (3, H, W), with probability 0.5 resized to r in [S, floor(1.1 S)), zero-padded to floor(1.1 S), resized back.

    Resizing is bilinear, to squares of those sides; S is the longer of H and W.
    """
    side = max(image.shape[1:])
    largest = int(LARGEST * side)
    if draws.uniform(1)[0] >= PROBABILITY or largest == side:
        return image
    (resized,) = draws.integers(side, largest - 1, 1)
    left, top = draws.integers(0, largest - resized, 2)
    right, bottom = largest - resized - left, largest - resized - top
    larger = interpolate(image[None], size=(resized, resized), mode="bilinear")
    padded = pad(larger, (left, right, top, bottom))
    return interpolate(padded, size=image.shape[1:], mode="bilinear")[0]
