"""Products whose rows depend on neither their place nor their neighbours."""

import pytest
import torch
from torch import Tensor, nn

from recognizers.inference.frozen_linear import FrozenLinear, freeze_linears, rows_by

# (K, M) of the embedded networks' squeezes and heads. MKL's own product of the first rounds rows by their place on some
# processors.
SHAPES = [(96, 6), (6, 96), (32, 2), (192, 12), (24, 384), (384, 300), (300, 384)]
PRECISIONS = [torch.float32, torch.bfloat16]


def drawn(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(("inputs", "outputs"), SHAPES)
@pytest.mark.parametrize("places", [4, 8])
def test_a_row_has_the_same_product_in_every_place(inputs: int, outputs: int, places: int, dtype: torch.dtype) -> None:
    weight = drawn(outputs, inputs, dtype=dtype)
    for seed in range(20):
        rows = drawn(places, inputs, dtype=dtype, seed=seed)
        products = rows_by(weight, rows)
        for turn in range(1, places):
            assert torch.equal(rows_by(weight, rows.roll(turn, 0)), products.roll(turn, 0))


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(("inputs", "outputs"), SHAPES)
def test_a_rows_product_does_not_depend_on_its_neighbours(inputs: int, outputs: int, dtype: torch.dtype) -> None:
    weight, row = drawn(outputs, inputs, dtype=dtype), drawn(1, inputs, dtype=dtype, seed=1)
    alone = rows_by(weight, row.repeat(4, 1))[0]
    for seed in range(20):
        among = torch.cat([row, drawn(3, inputs, dtype=dtype, seed=seed)])
        assert torch.equal(rows_by(weight, among)[0], alone)


@pytest.mark.parametrize(("inputs", "outputs"), SHAPES)
def test_products_are_right(inputs: int, outputs: int) -> None:
    weight, rows, bias = (drawn(*shape, dtype=torch.float64) for shape in ((outputs, inputs), (5, inputs), (outputs,)))
    product = rows_by(weight.float(), rows.float(), bias.float())
    torch.testing.assert_close(product.double(), rows @ weight.T + bias, rtol=1e-5, atol=1e-5)


def test_the_gradient_is_the_linear_layers() -> None:
    layer = nn.Linear(7, 5)
    frozen = FrozenLinear(layer)
    one, other = (drawn(3, 7, dtype=torch.float32).requires_grad_(True) for _ in range(2))
    layer(one).square().sum().backward()
    frozen(other).square().sum().backward()
    assert one.grad is not None
    assert other.grad is not None
    torch.testing.assert_close(other.grad, one.grad)


def test_double_precision_is_left_to_torch() -> None:
    weight, rows = drawn(5, 7, dtype=torch.float64), drawn(3, 7, dtype=torch.float64)
    assert torch.equal(rows_by(weight, rows), nn.functional.linear(rows, weight))


def test_every_linear_layer_is_replaced() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))
    freeze_linears(network)
    assert not [module for module in network.modules() if isinstance(module, nn.Linear)]
