"""The Nesterov iterative method."""

from torch import Tensor

from protector_service.methods.asks import Answer, Ask, Asking, CrossEntropy
from protector_service.methods.method import MethodJob
from protector_service.methods.mi import MU, MomentumIterativeMethod
from protector_service.methods.trajectory import ALPHA, Point


class NesterovIterativeMethod(MomentumIterativeMethod):
    """NI-FGSM (Lin et al. 2020, section 3.1): `mi`, with each gradient taken where the momentum leads."""

    name = "ni"
    description = "Nesterov iterative method: the momentum iterative method with a look ahead, untargeted."

    def gradient(self, job: MethodJob, at: Point) -> Asking[Tensor]:
        ahead = at.x if at.memory is None else at.x + ALPHA * MU * at.memory  # x + alpha mu m, which is not clipped
        answer: Answer = yield Ask(ahead, CrossEntropy(job.y_true))
        return answer.gradient
