"""LowKey, with LPIPS as it was published, and with DSSIM in its place."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Self, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import conv2d, normalize

from protector_service.methods.asks import Answer, Ask, Asking, Cloak, Cost, Crafting, Objective
from protector_service.methods.dssim import Dssim, gaussian
from protector_service.methods.embeddings import EmbeddingDistance
from protector_service.methods.method import Method, MethodJob, OwnBudget, stated
from protector_service.methods.slopes import value_and_slope
from protector_service.methods.transforms import Transform, pull_back

ALPHA = 0.64  # levels: 0.0025 of the range
START = 1.3  # levels, at most
N_ITER = 50
LARGEST_CHANGE = round(START + N_ITER * ALPHA)  # levels
WEIGHT = 0.05  # of the perceptual term
KERNEL, SIGMA = 7, 3.0  # pixels

Perception: TypeAlias = Callable[[Tensor], Callable[[Tensor], Tensor]]
"""Of a probe (3, H, W), what measures how visibly an image (3, H, W) differs from it: a differentiable scalar."""


class LowKeyDssim(Method):
    """LowKey (Cherepanova et al. 2021, section 4), with DSSIM in the place of LPIPS, which needs no network of its own.

    It maximises (1 / 2n) sum_i [ || A_i(x) - A_i(x') ||^2 + || A_i(x) - A_i(G x') ||^2 ] / || A_i(x) || - 0.05 D(x', x);
    A_i(x) is the sum of what source model i makes of x and of its mirror image, over its length (so that || A_i(x) || is 1),
    G a Gaussian, and D the DSSIM. The weight is the published one of LPIPS.
    """

    name = "lowkey-dssim"
    description = (
        "LowKey with DSSIM for LPIPS: moves the features, with and without smoothing, away from the probe's, untargeted."
    )
    needs_label_set = False
    carrier = "gallery"
    own_budget = OwnBudget("50 steps of 0.64 levels, weighed against DSSIM", LARGEST_CHANGE)
    settable: ClassVar = {"n_iter": range(1, N_ITER + 1)}
    n_iter: int = N_ITER
    perception: Perception = staticmethod(Dssim)

    def cost(self, epsilon: int) -> Cost:
        # The smoothed image and the unsmoothed one, each with its mirror image: a forward pass for A, then a gradient.
        return Cost(gradients=4 * self.n_iter, forward_passes=2 + 4 * self.n_iter)

    @stated(
        alpha="0.64 levels",
        start="the probe, U(-1.3, 1.3) levels added to each sample, clipped to 0..255",
        smoothing="Gaussian, 7 x 7, sigma 3, reflected at the borders",
        objective="half the squared distance of the embedding to the probe's, and half that of the smoothed image's, less "
        "0.05 times the perceptual distance; an embedding is of the image and its mirror image",
    )
    def craft(self, job: MethodJob) -> Crafting:
        clean = {model: normalize(sums, dim=0) for (model, _), sums in (yield from _sums(job, job.probe, [_same])).items()}
        visible = self.perception(job.probe)
        x = _start(job)
        for _ in range(self.n_iter):
            gradient = yield from objective_gradient(job, x, clean, visible)
            x = (x + ALPHA * gradient.sign()).clamp(0, 255)
        yield Cloak(0, x)


class LowKey(LowKeyDssim):
    """LowKey (Cherepanova et al. 2021, section 4): D is LPIPS, whose network is in the service's checkpoint folder."""

    name = "lowkey"
    description = (
        "LowKey: moves the features, with and without smoothing, away from the probe's, weighed against LPIPS, untargeted."
    )
    own_budget = OwnBudget("50 steps of 0.64 levels, weighed against LPIPS", LARGEST_CHANGE)

    def seeing(self, perception: Perception) -> Self:
        """The same method with LPIPS; without, it is `LowKeyDssim` by another name, and not to be offered."""
        other = self.having()
        other.perception = perception
        return other


def objective_gradient(
    job: MethodJob, x: Tensor, clean: Mapping[str, Tensor], visible: Callable[[Tensor], Tensor]
) -> Asking[Tensor]:
    """The gradient (3, H, W) in x of what LowKey maximises; `clean` are A_i of the probe (D,), by source model.

    A_i is a function of two images, an ask is about one: features are asked for first, and then, of each of the two images,
    the gradient along the slope of the distance at their sum.
    """
    views = [_same, smooth]
    sums = yield from _sums(job, x, views)
    slopes = {key: value_and_slope(_distance_to(clean[key[0]]), together)[1] for key, together in sums.items()}
    asked = [
        (shown, Ask(shown(x), _along(slope), model=model))
        for (model, place), slope in slopes.items()
        for shown in (views[place], _mirrored(views[place]))
    ]
    answers: list[Answer] = yield [ask for _, ask in asked]
    pulled = [pull_back(x, shown, answer.gradient) for (shown, _), answer in zip(asked, answers, strict=True)]
    return torch.stack(pulled).sum(0) / (2 * len(job.models)) - WEIGHT * value_and_slope(visible, x)[1]


def smooth(image: Tensor) -> Tensor:
    """G: an image (3, H, W) convolved with a Gaussian, reflected at its borders."""
    weights = gaussian(KERNEL, sigma=SIGMA).to(image)
    down, across = (_reflected(side).to(image.device) for side in image.shape[-2:])
    padded = image[:, down][:, :, across].unsqueeze(1)
    return conv2d(conv2d(padded, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1)).squeeze(1)


def _reflected(side: int) -> Tensor:
    """The places along an axis, and beyond its ends those that a mirror at the outermost ones shows, however short it is."""
    places = torch.arange(-(KERNEL // 2), side + KERNEL // 2)
    period = max(2 * (side - 1), 1)
    return (side - 1 - (places % period - (side - 1)).abs()).clamp(min=0)


def _same(image: Tensor) -> Tensor:
    return image


def _mirrored(view: Transform) -> Transform:
    return lambda image: view(image).flip(-1)


def _sums(job: MethodJob, x: Tensor, views: Sequence[Transform]) -> Asking[dict[tuple[str, int], Tensor]]:
    """What a source model makes of a view of x and of its mirror image, added (D,); by its name and the view's place."""
    keys = [(model, place) for model in job.models for place in range(len(views))]
    answers: list[Answer] = yield [
        Ask(shown(x), gradient=False, model=model)
        for model, place in keys
        for shown in (views[place], _mirrored(views[place]))
    ]
    return {key: answers[2 * at].features + answers[2 * at + 1].features for at, key in enumerate(keys)}


def _distance_to(clean: Tensor) -> Callable[[Tensor], Tensor]:
    distance = EmbeddingDistance(clean)
    return lambda features: distance(features, features)


def _along(slope: Tensor) -> Objective:
    """Features' component along a slope (D,)."""

    def component(logits: Tensor, features: Tensor) -> Tensor:  # noqa: ARG001 - an objective's
        return features @ slope

    return component


def _start(job: MethodJob) -> Tensor:
    drawn = torch.from_numpy(2 * job.draws().uniform(job.probe.numel()) - 1)
    return (job.probe + START * drawn.reshape(job.probe.shape).to(job.probe)).clamp(0, 255)
