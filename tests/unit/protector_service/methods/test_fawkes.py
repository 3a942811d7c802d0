"""Fawkes beside a script of a page, and what it keeps."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from protector_service.methods.asks import Cost
from protector_service.methods.fawkes import Fawkes, FawkesHigh, FawkesLow, FawkesMid, FeatureWeight
from protector_service.methods.method import MethodJob
from protector_service.methods.tanh_pixels import TanhPixels
from recognizers.networks.recognizer import Recognizer
from tests.support.answering import craft_with_all, levels
from tests.support.feature_cloaks import distance_of, dssim_of, embedded, image_of, plain_dssim
from tests.support.networks import SmallRecognizer, probe

MODES = (FawkesLow(), FawkesMid(), FawkesHigh())
SIDE = 24
every_mode = pytest.mark.parametrize("method", MODES, ids=lambda method: str(method.name))


def plain_fawkes(method: Fawkes, x_0: Tensor, recognizers: Sequence[Recognizer], *, seed: int) -> Tensor:
    """The cloak (3, S, S), by plain automatic differentiation of the whole loss and PyTorch's Adadelta."""
    th = method.threshold
    job = MethodJob(method.name, x_0, (0,), y_true=0, seed=seed)
    start = torch.from_numpy(job.draws().uniform(x_0.numel()) * 2 - 1).reshape(x_0.shape) * 1e-4
    at_probe = torch.atanh((2 * x_0 / 255 - 1) * (1 - 1e-6))
    modifier = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adadelta([modifier], lr=method.rate, rho=0.95, eps=1e-7)
    clean = [embedded(x_0, recognizer).detach() for recognizer in recognizers]
    c, side = 1.0, "none"
    best, best_distance = x_0, -1.0
    for step in range(method.n_iter):
        raw = 127.5 * (torch.tanh(at_probe + modifier) / (1 - 1e-6) + 1)
        x = torch.clamp(x_0 + torch.clamp(raw - x_0, -15, 15), 0, 255)
        dssim = plain_dssim(x, x_0)
        distance = torch.zeros((), dtype=x.dtype)
        for recognizer, phi in zip(recognizers, clean, strict=True):
            distance = distance + ((embedded(x, recognizer) - phi) ** 2).sum() / phi.norm()
        if float(distance.detach()) > best_distance and dssim_of(levels(x_0), levels(x.detach())) <= 1.1 * th:
            best, best_distance = x.detach(), float(distance.detach())
        optimizer.zero_grad()
        (1e6 * torch.relu(dssim - th) ** 2 - c * distance).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step == 0:
            assert modifier.grad is not None
            modifier.data -= 0.01 * modifier.grad.sign()
        if dssim <= 0.9 * th:
            c = 1.0 if side == "above" else c * 2 if c <= 129 else c
            side = "below"
        elif dssim >= 1.1 * th:
            c = 1.0 if side == "below" else c / 2 if c >= 1 / 129 else c
            side = "above"
        else:
            c, side = 1.0, "near"
    return best


@every_mode
@pytest.mark.parametrize("sizes", [(SIDE,), (SIDE, 17)], ids=["one model", "an ensemble"])
def test_its_cloaks_land_where_a_plain_script_s_do(method: Fawkes, sizes: tuple[int, ...]) -> None:
    recognizers = [SmallRecognizer(seed=seed, input_size=size) for seed, size in enumerate(sizes)]
    x_0 = image_of(probe(side=SIDE, seed=3))
    brief = method.having(n_iter=25)
    expected = plain_fawkes(brief, x_0, recognizers, seed=5)
    cloaks, models = craft_with_all(brief, recognizers, x_0, [], y_true=0, seed=5)
    found = image_of(cloaks[0].pixels)
    far = distance_of(x_0, image_of(levels(expected)), recognizers)
    assert far > 0
    assert distance_of(x_0, found, recognizers) == pytest.approx(far, rel=0.05)
    clean = levels(x_0)
    assert dssim_of(clean, cloaks[0].pixels) == pytest.approx(dssim_of(clean, levels(expected)), rel=0.05)
    assert [model.gradients for model in models] == [25] * len(models)


@every_mode
@pytest.mark.parametrize("seed", range(3))
def test_a_cloak_is_within_a_tenth_of_its_threshold_and_15_levels(method: Fawkes, seed: int) -> None:
    x_0 = image_of(probe(side=SIDE, seed=seed))
    recognizer = SmallRecognizer(seed=seed, input_size=SIDE)
    cloaks, _ = craft_with_all(method.having(n_iter=30), [recognizer], x_0, [], y_true=0, seed=seed)
    assert dssim_of(levels(x_0), cloaks[0].pixels) <= 1.1 * method.threshold + 1e-9
    assert 0 < cloaks[0].largest_change <= 15


@every_mode
def test_more_steps_take_the_features_farther(method: Fawkes) -> None:
    x_0, recognizer = image_of(probe(side=SIDE)), SmallRecognizer(input_size=SIDE)
    far = []
    for steps in (1, 2, 60):
        cloaks, _ = craft_with_all(method.having(n_iter=steps), [recognizer], x_0, [], y_true=0)
        far.append(distance_of(x_0, image_of(cloaks[0].pixels), [recognizer]))
    assert 0 == far[0] < far[1] < far[2], "the first iterate is the probe"


def test_the_weight_of_the_features_grows_below_the_threshold_and_shrinks_above_it() -> None:
    recorded = [0.0, 0.002, 0.009, 0.0095, 0.0105, 0.0111, 0.03, 0.03, 0.001, 0.001, 0.02, 0.02, 0.01]
    by_hand = [2, 4, 8, 1, 1, 0.5, 0.25, 0.125, 1, 2, 1, 0.5, 1]
    weight = FeatureWeight(0.01)
    found = []
    for dssim in recorded:
        weight.adapt(dssim)
        found.append(weight.value)
    assert found == by_hand


@pytest.mark.parametrize(("dssim", "last"), [(0.0, 256), (1.0, 1 / 256)])
def test_the_weight_of_the_features_is_bounded(dssim: float, last: float) -> None:
    weight = FeatureWeight(0.01)
    for _ in range(50):
        weight.adapt(dssim)
    assert weight.value == last


def test_an_iterate_comes_from_adadelta_as_pytorch_has_it() -> None:
    x_0 = image_of(probe(side=8))
    pixels = TanhPixels(x_0, rate=20.0)
    w = torch.atanh((x_0 / 255 * 2 - 1) * (1 - 1e-6)).requires_grad_(True)
    optimizer = torch.optim.Adadelta([w], lr=20.0, rho=0.95, eps=1e-7)
    target = torch.full_like(x_0, 100)
    for _ in range(10):
        optimizer.zero_grad()
        ((127.5 * (torch.tanh(w) / (1 - 1e-6) + 1) - target) ** 2).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        pixels.descend(2 * (pixels.image - target) / x_0.numel())
    expected = 127.5 * (torch.tanh(w.detach()) / (1 - 1e-6) + 1)
    assert torch.allclose(pixels.image, expected, atol=1e-6)
    assert (pixels.image - target).abs().mean() < (x_0 - target).abs().mean()


def test_black_and_white_pixels_stay_numbers() -> None:
    x_0 = torch.tensor([0.0, 255.0, 128.0]).repeat(3, 8, 3)[:, :, :8]
    pixels = TanhPixels(x_0, rate=20.0)
    assert torch.equal(pixels.image.round(), x_0)
    pixels.descend(torch.ones_like(x_0), kick=0.01)
    assert pixels.image.isfinite().all()


def test_neither_the_identity_nor_the_head_matters() -> None:
    x_0 = image_of(probe(side=SIDE))
    brief = FawkesMid().having(n_iter=5)
    knowing = SmallRecognizer(input_size=SIDE)
    other = SmallRecognizer(input_size=SIDE, classes=3)
    first, second = (craft_with_all(brief, [each], x_0, [], y_true=y)[0][0].pixels for each, y in ((knowing, 4), (other, 0)))
    assert np.array_equal(first, second)


@every_mode
def test_it_costs_a_gradient_a_step_and_one_forward_pass(method: Fawkes) -> None:
    steps = {"fawkes-low": 40, "fawkes-mid": 75, "fawkes-high": 150}[method.name]
    assert [method.cost(epsilon) for epsilon in (0, 64)] == [Cost(steps, 1)] * 2
    assert method.budgets((4, 8)) == method.budgets(()) == (0,)
