"""Fawkes, as it was published."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from protector_service.methods.asks import Cloak, Cost, Crafting
from protector_service.methods.dssim import Dssim
from protector_service.methods.embeddings import embeddings, sum_of_distances
from protector_service.methods.fawkes import FAR, hinge_slope
from protector_service.methods.method import Method, MethodJob, OwnBudget, stated
from protector_service.methods.slopes import value_and_slope
from protector_service.methods.tanh_pixels import LEVELS, TanhPixels

CANDIDATES = 32  # a choice
THRESHOLD = 0.005  # of DSSIM: mode mid
RATE = 20.0
SCALE = 1e9  # of the hinge at the threshold
WEIGHT = 1000.0  # of the feature term


class FawkesTargeted(Method):
    """Fawkes (Shan et al. 2020, Eq. 3), mode mid: towards the candidate whose features are farthest from the probe's.

    It minimises sd max(DSSIM - th, 0)^2 + 1000 sum_m || Phi_m(t) - Phi_m(x') ||^2 / || Phi_m(t) ||, Phi_m being the features
    of source model m over their length, on the tanh variable and by the steps of release 1.0, from the probe itself: it has
    a gradient there. Candidates are drawn from the identities that all source models know; no photo of them is needed, as
    Phi_m(t) is where the source model puts the identity: the template of a matcher, or the direction of a classifier's row
    of weights. The paper leaves open how many there are, and which iterate is kept: that nearest to t within 1.1 th.
    """

    name = "fawkes-targeted"
    description = "Fawkes as published (Eq. 3), mode mid: moves the features to those of another person, within DSSIM 0.005."
    needs_label_set = False
    needs_candidates = True
    carrier = "gallery"
    own_budget = OwnBudget(f"DSSIM {THRESHOLD:g} (at most 1.1 times as much)", LEVELS)
    settable: ClassVar = {"n_iter": range(1, 1001)}
    n_iter: int = 200

    def cost(self, epsilon: int) -> Cost:
        return Cost(gradients=self.n_iter, forward_passes=1)

    @stated(
        candidates="32 identities that all source models know, drawn; of these the farthest from the probe",
        start="the probe",
        variable="atanh of the pixels, by Adadelta (rho 0.95)",
        objective="1e9 max(DSSIM - th, 0)^2 + 1000 times the squared distance of the embeddings to the candidate's",
        kept="the smallest distance at DSSIM of at most 1.1 th",
    )
    def craft(self, job: MethodJob) -> Crafting:
        target = farthest(job, (yield from embeddings(job, job.probe)))
        pixels = TanhPixels(job.probe, rate=RATE)
        dissimilarity = Dssim(job.probe)
        kept, smallest = job.probe, torch.inf
        for _ in range(self.n_iter):
            x = pixels.image
            distance, gradient = yield from sum_of_distances(job, x, target)
            if distance < smallest and float(dissimilarity(x.round())) <= FAR * THRESHOLD:
                kept, smallest = x, distance
            dssim, slope = value_and_slope(dissimilarity, x)
            pixels.descend(hinge_slope(dssim, THRESHOLD, scale=SCALE) * slope + WEIGHT * gradient)
        yield Cloak(0, kept)


def farthest(job: MethodJob, clean: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """T = argmax_k sum_m || Phi_m(x) - centroid_mk || among the candidates: its centroid (D,) for each source model.

    Raises:
        ValueError: the job has no candidates.
    """
    if not job.candidates:
        raise ValueError("expected source models that know somebody in common, got none")
    drawn = job.draws().permutation(len(job.candidates))[:CANDIDATES]
    distances = torch.zeros(len(drawn), dtype=torch.float64)
    centroids = {
        model: torch.stack([job.candidates.centroid(model, place) for place in drawn]).to(embedding)
        for model, embedding in clean.items()
    }
    for model, embedding in clean.items():
        distances += (centroids[model] - embedding).norm(dim=1).cpu()
    return {model: rows[int(distances.argmax())] for model, rows in centroids.items()}
