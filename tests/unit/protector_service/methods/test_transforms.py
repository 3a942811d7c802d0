"""Gradients through transforms of the image."""

import pytest
import torch
from torch import Tensor

from protector_service.methods.asks import Answer, CrossEntropy
from protector_service.methods.transforms import Transform, mean_gradient, pull_back

X = torch.arange(12.0, dtype=torch.float64).view(3, 2, 2)


def test_a_gradient_is_pulled_back_by_the_chain_rule() -> None:
    gradient = torch.tensor([1.0, -2.0, 0.0, 4.0], dtype=torch.float64).view(1, 2, 2).expand(3, 2, 2)
    assert torch.equal(pull_back(X, lambda x: x, gradient), gradient)
    assert torch.equal(pull_back(X, lambda x: x / 4, gradient), gradient / 4)
    assert torch.equal(pull_back(X, lambda x: x.mT, gradient), gradient.mT)
    assert torch.equal(pull_back(X, lambda x: x**2, gradient), 2 * X * gradient), "where it is not linear, at x"


def test_pulling_back_leaves_no_graph_and_does_not_touch_the_image() -> None:
    x = X.clone()
    with torch.no_grad():
        pulled = pull_back(x, lambda image: 3 * image, torch.ones_like(x))
    assert torch.equal(x, X)
    assert not x.requires_grad
    assert not pulled.requires_grad


def test_each_transform_is_asked_about_at_once_and_the_pulled_back_gradients_are_averaged() -> None:
    transforms: list[Transform] = [lambda x: x, lambda x: x / 2, lambda x: x.flip(1)]
    asking = mean_gradient(X, transforms, 5)
    asks = next(asking)
    assert isinstance(asks, list)
    assert [ask.objective for ask in asks] == [CrossEntropy(5)] * 3
    assert all(ask.gradient and not ask.model for ask in asks)
    for ask, transform in zip(asks, transforms, strict=True):
        assert torch.equal(ask.image, transform(X))
    gradients: list[Tensor] = [torch.full_like(X, 3), torch.full_like(X, 12), X]
    with pytest.raises(StopIteration) as end:
        asking.send([Answer(gradient=gradient) for gradient in gradients])
    assert torch.allclose(end.value.value, (3 + 6 + X.flip(1)) / 3)
