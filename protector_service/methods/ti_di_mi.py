"""The field's usual baseline of transfer attacks."""

from torch import Tensor

from protector_service.methods.asks import Asking
from protector_service.methods.di import TRANSFORM, DiverseInputMethod
from protector_service.methods.method import MethodJob, stated
from protector_service.methods.ti import KERNEL, smoothed
from protector_service.methods.trajectory import Point


class TranslationInvariantDiverseInputMethod(DiverseInputMethod):
    """TI-DI2-FGSM with momentum (Dong et al. 2019, section 4): the input of `di`, the smoothing of `ti`."""

    name = "ti-di-mi"
    description = "Translation-invariant diverse input method with momentum, the usual transfer baseline, untargeted."

    @stated(kernel=KERNEL, transform=TRANSFORM)
    def gradient(self, job: MethodJob, at: Point) -> Asking[Tensor]:
        gradient = yield from super().gradient(job, at)
        return smoothed(gradient)
