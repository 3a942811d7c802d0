"""Where source models put a face: embeddings, that is features of unit length, which need no label set."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from protector_service.methods.asks import Answer, Ask, Asking
from protector_service.methods.method import MethodJob


@dataclass(frozen=True, eq=False)
class EmbeddingDistance:
    """|| Phi(x) - target ||^2, Phi(x) being an image's features over their length; the target (D,) has unit length, too.

    Shan et al. and Cherepanova et al. divide by || Phi(x) || besides, which is 1.
    """

    target: Tensor

    def __call__(self, logits: Tensor, features: Tensor) -> Tensor:
        return (normalize(features, dim=0) - self.target).square().sum()


def embeddings(job: MethodJob, image: Tensor) -> Asking[dict[str, Tensor]]:
    """The embedding (D,) that each source model makes of an image (3, H, W), by its name."""
    answers: list[Answer] = yield [Ask(image, gradient=False, model=model) for model in job.models]
    return {model: normalize(answer.features, dim=0) for model, answer in zip(job.models, answers, strict=True)}


def sum_of_distances(job: MethodJob, image: Tensor, targets: Mapping[str, Tensor]) -> Asking[tuple[float, Tensor]]:
    """Sum over the source models m of || Phi_m(x) - target_m ||^2, and its gradient in x (3, H, W)."""
    answers: list[Answer] = yield [Ask(image, EmbeddingDistance(targets[model]), model=model) for model in job.models]
    distance = float(torch.stack([answer.loss for answer in answers]).sum())
    return distance, torch.stack([answer.gradient for answer in answers]).sum(0)
