"""The engine's cloaks beside those of a plain loop over the same prepared network and batch shape: bit for bit or not."""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.children import in_child
from benchmarks.networks import ALIGNED, FULL_SIZE, random_probes, random_recognizer
from benchmarks.results import report
from protector_service.batched_model import BatchedModel, input_gradient, suitable_batch_rows
from protector_service.engine import Engine
from protector_service.job import CloakSink, CraftJob, FinishedCloak
from protector_service.methods.bim import BasicIterativeMethod
from protector_service.methods.illc import IterativeLeastLikelyClass, least_likely
from protector_service.methods.mi import MU, MomentumIterativeMethod, unit_mean
from protector_service.methods.ti import TranslationInvariantMethod, smoothed
from protector_service.methods.trajectory import ALPHA, iterations
from recognizers.checkpoints.loading import to_device
from recognizers.device import prepare_device
from recognizers.networks.recognizer import NeuralRecognizer
from recognizers.precision import Precision

EPSILONS = (4, 8, 16)
METHODS = (
    BasicIterativeMethod(),
    IterativeLeastLikelyClass(),
    MomentumIterativeMethod(),
    TranslationInvariantMethod(),
)
NETWORKS = (*FULL_SIZE, *ALIGNED, "dlib")
LABEL = 0


class _Watched(CloakSink):
    """Lets others come after its first cloak, and one of them go after theirs."""

    def __init__(self, engine: Engine, coming: list[tuple[CraftJob, CloakSink]], most: int) -> None:
        self.cloaks: list[FinishedCloak] = []
        self._engine, self._coming, self._most = engine, coming, most

    def wants(self) -> bool:
        return len(self.cloaks) < self._most

    def deliver(self, cloak: FinishedCloak) -> None:
        self.cloaks.append(cloak)
        while self._coming:
            self._engine.submit(*self._coming.pop())

    def end(self, error: Exception | None) -> None:
        if error is not None:
            raise error


def equal_cloaks(network: str, precision: str) -> tuple[int, int]:
    """How many cloaks are equal, of how many; jobs join and leave while they are crafted."""
    prepared = prepare_device("cpu", workers=0, threads=0)
    recognizer = random_recognizer(network)
    to_device(recognizer, prepared.device, precision=Precision(precision))
    places = suitable_batch_rows(prepared.device, Precision(precision))
    engine = Engine({network: BatchedModel(recognizer, batch_rows=places)}, workers=prepared.workers)
    first, second, leaver = random_probes(recognizer.input_size, 3)

    def job(probe: NDArray[np.uint8]) -> CraftJob:
        return CraftJob((network,), probe, LABEL, METHODS, EPSILONS)

    late = _Watched(engine, [], most=100)
    leaving = _Watched(engine, [], most=1)
    early = _Watched(engine, [(job(second), late), (job(leaver), leaving)], most=100)
    engine.submit(job(first), early)
    while engine.jobs:
        list(engine.craft(CraftJob((network,), leaver, LABEL, METHODS[:1], (1,))))
    engine.close()
    equal = total = 0
    for probe, sink in ((first, early), (second, late)):
        for cloak in sink.cloaks:
            equal += np.array_equal(cloak.pixels, plain_loop(recognizer, probe, cloak, places))
            total += 1
    return equal, total


def plain_loop(
    recognizer: NeuralRecognizer, probe: NDArray[np.uint8], cloak: FinishedCloak, places: int
) -> NDArray[np.uint8]:
    """A method for one budget, on a batch that holds the image in every place."""
    x_0 = torch.from_numpy(probe).permute(2, 0, 1).float().repeat(places, 1, 1, 1)
    label, sign = LABEL, ALPHA
    if cloak.method == "illc":  # Eq. 5, the others climb as Eq. 4 does
        with torch.no_grad():
            label, sign = least_likely(recognizer.logits(x_0)[0]), -ALPHA
    x, momentum = x_0, torch.zeros_like(x_0)
    for _ in range(iterations(cloak.epsilon)):
        direction = input_gradient(recognizer, x, torch.full((places,), label))
        if cloak.method == "ti":
            direction = torch.stack([smoothed(each) for each in direction])
        if cloak.method in ("mi", "ti"):
            direction = momentum = MU * momentum + torch.stack([unit_mean(each) for each in direction])
        x = x + sign * direction.sign()
        x = torch.minimum(torch.maximum(x, x_0 - cloak.epsilon), x_0 + cloak.epsilon).clamp(0, 255)
    return np.asarray(x[0].permute(1, 2, 0).to(torch.uint8).numpy())


def run(networks: Sequence[str]) -> None:
    """Every network in both precisions."""
    rows, raw = [], []
    for network, precision in itertools.product(networks, Precision):
        equal, total = in_child(equal_cloaks, network, str(precision))
        rows.append((network, precision, f"{equal} of {total}"))
        raw.append({"network": network, "precision": precision, "equal": equal, "total": total})
    report(
        "exactness", "engine and plain loop", ("network", "precision", "cloaks equal bit for bit"), rows, {"measured": raw}
    )
