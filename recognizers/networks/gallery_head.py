"""The head of a matcher: scores of features by the templates of a gallery."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from recognizers.networks.gallery import EmbeddedGallery
from recognizers.networks.network import Distance

# From a score to a logit, a choice: so that cross-entropy tells the likely identities from the others.
COSINE_SCALE = 16.0  # times the cosine similarity
EUCLIDEAN_SCALE = 10.0  # times minus the squared distance


class GalleryHead(nn.Module):
    """Logits of the enrolled identities: the scaled score of each one's best template. Differentiable in the features.

    Cosine: s f.g / |f|, g of unit length. Euclidean: -s |f - g|^2 = 2 s f.g - s |g|^2 - s |f|^2, of which the first two
    terms are a linear layer, so that either costs one product of matrices.
    """

    places: Tensor  # (C, most templates of an identity): rows of the linear layer, repeated where an identity has fewer

    def __init__(self, embedded: EmbeddedGallery) -> None:
        super().__init__()
        self.embedded = embedded
        self.label_set = embedded.gallery.label_set
        self.distance = embedded.distance
        self.scale = COSINE_SCALE if self.distance is Distance.COSINE else EUCLIDEAN_SCALE
        templates = embedded.template_vectors()
        self.linear = nn.Linear(templates.shape[1], len(templates), bias=self.distance is Distance.EUCLIDEAN)
        with torch.no_grad():
            if self.distance is Distance.COSINE:
                self.linear.weight = nn.Parameter(self.scale * templates)
            else:
                self.linear.weight = nn.Parameter(2 * self.scale * templates)
                self.linear.bias = nn.Parameter(-self.scale * templates.square().sum(dim=1))
        self.register_buffer("places", _places(embedded.templates_each), persistent=False)
        self.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor
        if self.distance is Distance.COSINE:
            scores = self.linear(normalize(features, dim=1))
        else:
            scores = self.linear(features) - self.scale * features.square().sum(dim=1, keepdim=True)
        return scores[:, self.places].amax(dim=2) if self.places.shape[1] > 1 else scores[:, self.places[:, 0]]

    def centroid(self, place: int) -> Tensor:
        """See `Head.centroid`: of several templates the mean."""
        templates = self.linear.weight[sorted(set(self.places[place].tolist()))]
        return normalize(templates.detach().mean(dim=0), dim=0)

    @property
    def in_words(self) -> str:
        """How templates are made and compared, and what becomes a logit."""
        score = "the similarity" if self.distance is Distance.COSINE else "minus the squared distance"
        return f"{self.embedded.in_words}; logits are {self.scale:g} times {score}"

    def logit_of(self, score: float) -> float:
        """The logit of a similarity (cosine) or a distance (Euclidean)."""
        return self.scale * score if self.distance is Distance.COSINE else -self.scale * score**2


def _places(templates_each: Tensor) -> Tensor:
    """Where the templates of each class stand (C, most), those of classes with fewer repeated; of their numbers (C,)."""
    firsts = templates_each.cumsum(0) - templates_each
    numbers = torch.arange(int(templates_each.max()))
    return firsts.unsqueeze(1) + numbers.minimum(templates_each.unsqueeze(1) - 1)
