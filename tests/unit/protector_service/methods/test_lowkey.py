"""LowKey beside a plain statement of what it maximises, and beside a script of a page."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from protector_service.methods.asks import Cost
from protector_service.methods.lowkey import LowKey, LowKeyDssim, smooth
from protector_service.methods.method import MethodJob
from recognizers.networks.recognizer import Recognizer
from tests.support.answering import craft_with_all, levels, seen
from tests.support.feature_cloaks import dssim_of, image_of, plain_dssim
from tests.support.networks import SmallRecognizer, probe

METHOD = LowKeyDssim()
SIDE = 24


def plain_embedding(image: Tensor, recognizer: Recognizer) -> Tensor:
    """A: what an image (3, S, S) and its mirror image make together, over its length."""
    both = recognizer.features(torch.stack([seen(image, recognizer), seen(image.flip(2), recognizer)])).sum(0)
    unit: Tensor = both / both.norm()
    return unit


def plain_objective(x: Tensor, x_0: Tensor, recognizers: Sequence[Recognizer], distance: Callable[..., Tensor]) -> Tensor:
    """What LowKey maximises."""
    total = torch.zeros((), dtype=x.dtype)
    blurred = gaussian_blur(x, [7, 7], [3.0, 3.0])
    for recognizer in recognizers:
        clean = plain_embedding(x_0, recognizer).detach()
        total = total + ((clean - plain_embedding(x, recognizer)) ** 2).sum() / clean.norm()
        total = total + ((clean - plain_embedding(blurred, recognizer)) ** 2).sum() / clean.norm()
    return total / (2 * len(recognizers)) - 0.05 * distance(x, x_0)


def plain_lowkey(
    x_0: Tensor,
    recognizers: Sequence[Recognizer],
    *,
    name: str,
    steps: int,
    seed: int,
    distance: Callable[..., Tensor] = plain_dssim,
) -> Tensor:
    """The cloak (3, S, S), by plain automatic differentiation."""
    drawn = MethodJob(name, x_0, (0,), y_true=0, seed=seed).draws().uniform(x_0.numel())
    x = (x_0 + 1.3 * (2 * torch.from_numpy(drawn).reshape(x_0.shape) - 1)).clamp(0, 255)
    for _ in range(steps):
        x.requires_grad_(True)
        (gradient,) = torch.autograd.grad(plain_objective(x, x_0, recognizers, distance), x)
        x = (x.detach() + 0.64 * gradient.sign()).clamp(0, 255)
    return x


@pytest.mark.parametrize("sizes", [(SIDE,), (SIDE, 17)], ids=["one model", "an ensemble"])
def test_its_cloaks_are_those_of_a_plain_script(sizes: tuple[int, ...]) -> None:
    recognizers = [SmallRecognizer(seed=seed, input_size=size) for seed, size in enumerate(sizes)]
    x_0 = image_of(probe(side=SIDE, seed=3))
    expected = plain_lowkey(x_0, recognizers, name="lowkey-dssim", steps=12, seed=5)
    cloaks, models = craft_with_all(METHOD.having(n_iter=12), recognizers, x_0, [], y_true=0, seed=5)
    found, clean = cloaks[0].pixels, levels(x_0)
    assert (found == levels(expected)).mean() > 0.99, "signs of gradients that are nearly 0 aside"
    assert dssim_of(clean, found) == pytest.approx(dssim_of(clean, levels(expected)), rel=0.05)
    reached, by_script, before = (
        float(plain_objective(image, x_0, recognizers, plain_dssim))
        for image in (image_of(found), image_of(levels(expected)), x_0)
    )
    assert reached == pytest.approx(by_script, rel=0.05)
    assert reached > before
    assert [(model.gradients, model.forward_passes) for model in models] == [(4 * 12, 2 + 4 * 12)] * len(models)


@pytest.mark.parametrize(("height", "width"), [(24, 24), (30, 9), (4, 40)])
def test_it_smooths_as_torchvision_does_in_boxes_of_any_shape(height: int, width: int) -> None:
    box = image_of(probe(side=40)[:height, :width])
    assert torch.allclose(smooth(box), gaussian_blur(box, [7, 7], [3.0, 3.0]), atol=1e-9)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 9), (3, 3)])
def test_a_box_that_is_narrower_than_the_kernel_is_reflected_as_often_as_it_takes(height: int, width: int) -> None:
    box = image_of(probe(side=12)[:height, :width])
    mirrored = np.pad(box.numpy(), ((0, 0), (9, 9), (9, 9)), mode="reflect")  # repeats, where torch refuses
    smoothed = gaussian_blur(torch.from_numpy(mirrored), [7, 7], [3.0, 3.0])[:, 9:-9, 9:-9]
    assert torch.allclose(smooth(box), smoothed, atol=1e-9)


def test_the_gradient_of_the_plain_statement_is_that_of_finite_differences() -> None:
    """So that what the method is compared with is the gradient of the objective."""
    recognizer, x_0 = SmallRecognizer(input_size=12), image_of(probe(side=12))
    x = (x_0 + 3 * torch.linspace(0, 30, x_0.numel(), dtype=x_0.dtype).sin().reshape(x_0.shape)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(plain_objective(x, x_0, [recognizer], plain_dssim), x)
    for place in [(0, 0, 0), (1, 5, 7), (2, 11, 11)]:
        step = torch.zeros_like(x_0)
        step[place] = 1e-3
        with torch.no_grad():
            up, down = (float(plain_objective(x + sign * step, x_0, [recognizer], plain_dssim)) for sign in (1, -1))
        assert float(gradient[place]) == pytest.approx((up - down) / 2e-3, rel=1e-4)


def test_a_mirrored_probe_has_the_mirrored_cloak_but_for_the_noise_it_starts_from() -> None:
    """The embedding counts the mirror image as much as the image."""
    recognizer, x_0 = SmallRecognizer(input_size=SIDE), image_of(probe(side=SIDE))
    one, other = (float(plain_embedding(image, recognizer).sum()) for image in (x_0, x_0.flip(2)))
    assert one == pytest.approx(other)
    far = []
    for image in (x_0, x_0.flip(2)):
        cloaks, _ = craft_with_all(METHOD.having(n_iter=30), [recognizer], image, [], y_true=0)
        cloak = image_of(cloaks[0].pixels)
        far.append(float((plain_embedding(cloak, recognizer) - plain_embedding(x_0, recognizer)).square().sum()))
    assert far[0] == pytest.approx(far[1], rel=0.2)


@pytest.mark.parametrize("side", [4, 7, 24])
def test_it_smooths_as_torchvision_does(side: int) -> None:
    image = image_of(probe(side=side))
    assert torch.allclose(smooth(image), gaussian_blur(image, [7, 7], [3.0, 3.0]))


def test_a_whole_cloak_changes_no_channel_by_more_than_33_levels() -> None:
    x_0 = image_of(probe(side=SIDE))
    cloaks, _ = craft_with_all(METHOD, [SmallRecognizer(input_size=SIDE)], x_0, [], y_true=0)
    assert 25 <= cloaks[0].largest_change <= 33
    assert cloaks[0].effort.n_iter == 50


def test_it_costs_four_gradients_and_four_forward_passes_a_step() -> None:
    assert METHOD.cost(0) == LowKey().cost(0) == Cost(200, 202)
    assert METHOD.budgets((4, 8)) == (0,)


def test_it_looks_through_what_it_is_given_and_leaves_the_method_itself_as_it_was() -> None:
    def brightness(x_0: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda image: 1e6 * (image - x_0).mean()

    x_0, recognizer = image_of(probe(side=SIDE)).clamp(40, 200), SmallRecognizer(input_size=SIDE)
    seeing = LowKey().seeing(brightness)
    cloaks, _ = craft_with_all(seeing.having(n_iter=20), [recognizer], x_0, [], y_true=0)
    assert (image_of(cloaks[0].pixels) < x_0).all(), "darker by all means"
    plain, _ = craft_with_all(LowKey().having(n_iter=20), [recognizer], x_0, [], y_true=0)
    assert not (image_of(plain[0].pixels) < x_0).all()
