"""The field's usual baseline of transfer attacks."""

from torch import Tensor

from protector_service.methods.asks import Asking
from protector_service.methods.di import DiverseInputMethod
from protector_service.methods.method import MethodJob, stated
from protector_service.methods.ti import smoothed
from protector_service.methods.trajectory import Point


class TranslationInvariantDiverseInputMethod(DiverseInputMethod):
    """TI-DI2-FGSM with momentum (Dong et al. 2019, section 4): the input of `di`, the smoothing of `ti`."""

    name = "ti-di-mi"
    description = "Translation-invariant diverse input method with momentum, the usual transfer baseline, untargeted."

    @stated(
        kernel="Gaussian, 15 x 15, 3 standard deviations from centre to edge",
        transform="with probability 0.5 resized to a side of S to 1.1 S, padded with 0 at a random place, resized to S",
    )
    def gradient(self, job: MethodJob, at: Point) -> Asking[Tensor]:
        gradient = yield from super().gradient(job, at)
        return smoothed(gradient)
