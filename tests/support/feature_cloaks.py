"""What cloaks of features are compared with: DSSIM by scikit-image, and embeddings without an engine."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn.functional import normalize

from recognizers.networks.recognizer import Recognizer
from tests.support.answering import seen


def dssim_of(first: NDArray[np.generic], second: NDArray[np.generic]) -> float:
    """(1 - SSIM) / 2 of two pictures (H, W, 3), in levels."""
    similarity = structural_similarity(  # type: ignore[no-untyped-call]
        first.astype(float),
        second.astype(float),
        data_range=255,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float((1 - similarity) / 2)


def pixels(image: Tensor) -> NDArray[np.float64]:
    """An image (3, H, W) as a picture (H, W, 3), not rounded."""
    return image.detach().permute(1, 2, 0).double().numpy()


def embedded(image: Tensor, recognizer: Recognizer) -> Tensor:
    """The features (D,) of an image (3, H, W), over their length, at the recognizer's input size."""
    return normalize(recognizer.features(seen(image, recognizer)[None])[0], dim=0)


def distance_of(first: Tensor, second: Tensor, recognizers: Sequence[Recognizer]) -> float:
    """The sum over recognizers of the squared distance of two images' (3, H, W) embeddings."""
    each = [(embedded(first, recognizer) - embedded(second, recognizer)).square().sum() for recognizer in recognizers]
    return float(torch.stack(each).sum())


def image_of(picture: NDArray[np.uint8]) -> Tensor:
    """A picture (H, W, 3) as an image (3, H, W) of double precision."""
    return torch.from_numpy(picture).permute(2, 0, 1).double()


def plain_dssim(x: Tensor, x_0: Tensor) -> Tensor:
    """DSSIM of two images (3, H, W), a place at a time: differentiable, and slow."""
    at = torch.arange(11, dtype=x.dtype) - 5
    weights = torch.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * 1.5**2))
    weights = weights / weights.sum()
    ones, twos = (each.unfold(1, 11, 1).unfold(2, 11, 1) for each in (x, x_0))
    means = [(each * weights).sum((-1, -2)) for each in (ones, twos, ones * ones, twos * twos, ones * twos)]
    one, two, one_one, two_two, one_two = means
    c_1, c_2 = 2.55**2, 7.65**2
    numerator = (2 * one * two + c_1) * (2 * (one_two - one * two) + c_2)
    denominator = (one**2 + two**2 + c_1) * (one_one - one**2 + two_two - two**2 + c_2)
    return (1 - (numerator / denominator).mean()) / 2
