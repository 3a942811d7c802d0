"""LPIPS with random weights beside a plain statement, and beside the authors' package where that is installed."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.models import alexnet

from protector_service.methods.lpips import CHANNELS, Lpips
from protector_service.methods.slopes import value_and_slope
from tests.support.feature_cloaks import image_of
from tests.support.networks import probe

SIDE = 96
LAYERS_END = (1, 4, 7, 9, 11)  # the places of AlexNet's ReLUs
CPU = torch.device("cpu")


def random_weights() -> tuple[dict[str, Tensor], list[Tensor]]:
    """AlexNet's, and those of its layers."""
    torch.manual_seed(4)
    return dict(alexnet(weights=None).state_dict()), [torch.rand(count) for count in CHANNELS]


def plain_lpips(x: Tensor, x_0: Tensor, network: dict[str, Tensor], weights: list[Tensor]) -> float:
    """Zhang et al. 2018, Eq. 1, place by place."""
    features = alexnet(weights=None)
    features.load_state_dict(network)
    mean = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    one, other = (((image[None] / 127.5 - 1) - mean) / deviation for image in (x, x_0))
    total = 0.0
    with torch.no_grad():
        for place, module in enumerate(features.features):
            one, other = module(one), module(other)
            if place in LAYERS_END:
                w = weights[LAYERS_END.index(place)].view(1, -1, 1, 1)
                unit = [each / (each.norm(dim=1, keepdim=True) + 1e-10) for each in (one.clone(), other.clone())]
                total += float((w * (unit[0] - unit[1]) ** 2).sum(1).mean())
    return total


@pytest.mark.parametrize("amplitude", [2.0, 30.0])
def test_it_is_what_the_plain_statement_says(amplitude: float) -> None:
    network, weights = random_weights()
    x_0 = image_of(probe(side=SIDE)).float()
    x = (x_0 + amplitude * torch.linspace(0, 900, x_0.numel()).sin().reshape(x_0.shape)).clamp(0, 255)
    found = float(Lpips(network, weights, device=CPU)(x_0)(x))
    assert found == pytest.approx(plain_lpips(x, x_0, network, weights), rel=1e-3)
    assert found > 0


def test_what_is_too_small_for_its_network_is_enlarged() -> None:
    network, weights = random_weights()
    x_0, x = (image_of(probe(side=40, seed=seed)[:20]).float() for seed in (0, 1))
    enlarged, enlarged_0 = (interpolate(each[None], (63, 63), mode="bilinear")[0] for each in (x, x_0))
    found = float(Lpips(network, weights, device=CPU)(x_0)(x))
    assert found == pytest.approx(plain_lpips(enlarged, enlarged_0, network, weights), rel=1e-3)


def test_it_is_what_the_authors_package_says() -> None:
    package = pytest.importorskip(
        "lpips", reason="requirements/oracles.lock is not installed: NO COMPARISON WITH THE PACKAGE lpips"
    )
    network, weights = random_weights()
    theirs = package.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    state = theirs.state_dict()
    convolutions = {name: tensor for name, tensor in network.items() if name.startswith("features.")}
    for name in state:
        if name.startswith("net.slice"):  # net.slice1.0.weight is features.0.weight
            state[name] = convolutions[f"features.{name.split('.', 2)[2]}"]
        elif name.endswith("model.1.weight"):
            state[name] = weights[int(name.removeprefix("lins.").removeprefix("lin")[0])].view(1, -1, 1, 1)
    theirs.load_state_dict(state)
    x_0, x = (image_of(probe(side=SIDE, seed=seed)).float() for seed in (0, 1))
    with torch.no_grad():
        expected = float(theirs.eval()(x[None] / 127.5 - 1, x_0[None] / 127.5 - 1))
    assert float(Lpips(network, weights, device=CPU)(x_0)(x)) == pytest.approx(expected, rel=1e-3)


def test_its_gradient_is_a_number_even_where_a_layer_has_no_features() -> None:
    network, weights = random_weights()
    network["features.0.bias"] = torch.full((64,), -1e3)
    _, slope = value_and_slope(
        Lpips(network, weights, device=CPU)(torch.full((3, SIDE, SIDE), 90.0)), torch.zeros(3, SIDE, SIDE)
    )
    assert slope.isfinite().all()


def test_it_grows_with_the_change_and_its_gradient_leads_back() -> None:
    network, weights = random_weights()
    x_0 = image_of(probe(side=SIDE)).float()
    distance = Lpips(network, weights, device=CPU)(x_0)
    noise = torch.linspace(0, 900, x_0.numel()).cos().reshape(x_0.shape)
    values = [float(distance(x_0 + size * noise)) for size in (0, 4, 16)]
    assert values[0] == pytest.approx(0, abs=1e-9)
    assert values[0] < values[1] < values[2]
    value, slope = value_and_slope(distance, x_0 + 16 * noise)
    assert float(distance(x_0 + 16 * noise - slope.sign())) < value
