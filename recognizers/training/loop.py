"""Training one recognizer: seeded, and resumed from the last whole epoch."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from recognizers.errors import RecognizerError
from recognizers.networks.head import LinearHead
from recognizers.networks.label_set import LabelSet
from recognizers.networks.network import Network
from recognizers.training.augmentation import AugmentedFaces
from recognizers.training.photographs import FacePhotograph

LEARNING_RATE = 4e-3  # the highest of the one cycle (Smith and Topin 2019)
WEIGHT_DECAY = 0.02
LABEL_SMOOTHING = 0.1  # keeps the softmax from saturating, where its gradient would vanish
WORKERS = 2


@dataclass(frozen=True)
class Recipe:
    """What a training depends on besides the photographs."""

    seed: int
    epochs: int
    batch: int
    dropout: float  # share of the features


@dataclass(frozen=True)
class EpochResult:
    """A point of the learning curve; percentages on the augmented views that were trained on."""

    epoch: int
    loss: float
    training_top_1: float
    seconds: float  # since the training began, interruptions not counted


class Classifier(nn.Module):
    """A network, dropout and the linear head, as they are trained."""

    def __init__(self, network: Network, label_set: LabelSet, *, dropout: float) -> None:
        super().__init__()
        self.network = network
        self.dropout = nn.Dropout(dropout)
        self.head = LinearHead(network.feature_size, label_set)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.network(images)))
        return logits


def new_classifier(architecture: type[Network], label_set: LabelSet, recipe: Recipe) -> Classifier:
    """An untrained classifier, by the recipe's seed."""
    torch.manual_seed(recipe.seed)
    return Classifier(architecture(), label_set, dropout=recipe.dropout).to(memory_format=torch.channels_last)


def train(model: Classifier, photographs: Sequence[FacePhotograph], recipe: Recipe, *, state: Path) -> Iterator[EpochResult]:
    """Trains a new classifier, or goes on from `state`, which is written after every epoch.

    Yields:
        Each epoch's result, those of earlier sessions first.

    Raises:
        RecognizerError: `state` is of another training.
    """
    network, label_set = model.network, model.head.label_set
    kernels = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]  # biases and BatchNorm's scales
    groups = [{"params": kernels, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
    faces = AugmentedFaces(photographs, input_size=network.input_size, seed=recipe.seed)
    batches = -(-len(faces) // recipe.batch)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=batches * recipe.epochs, pct_start=0.2)
    identity = {"architecture": network.name, "photographs": len(faces), "labels": label_set.sha256, **asdict(recipe)}
    parts = {"model": model, "optimizer": optimizer, "cycle": cycle}
    curve = _resume(state, identity, parts)
    yield from curve
    begun = time.monotonic() - (curve[-1].seconds if curve else 0.0)
    for epoch in range(len(curve) + 1, recipe.epochs + 1):
        faces.epoch = epoch
        order = torch.Generator().manual_seed(recipe.seed * 1000 + epoch)
        torch.manual_seed(recipe.seed * 1000 + epoch)  # dropout
        losses, hits = 0.0, 0
        model.train()
        for images, labels in DataLoader(
            faces, recipe.batch, shuffle=True, generator=order, num_workers=WORKERS, multiprocessing_context="fork"
        ):
            logits = model(images.float().contiguous(memory_format=torch.channels_last))
            loss = cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            cycle.step()
            losses += float(loss.detach()) * len(labels)
            hits += int((logits.argmax(dim=1) == labels).sum())
        model.eval()
        seconds = time.monotonic() - begun
        curve.append(EpochResult(epoch, losses / len(faces), 100.0 * hits / len(faces), seconds))
        _save(state, identity, parts, curve)
        yield curve[-1]


def _save(state: Path, identity: dict[str, Any], parts: Mapping[str, Any], curve: list[EpochResult]) -> None:
    content = {
        "identity": identity,
        "curve": [asdict(result) for result in curve],
        **{name: part.state_dict() for name, part in parts.items()},
    }
    partial = state.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(state)


def _resume(state: Path, identity: dict[str, Any], parts: Mapping[str, Any]) -> list[EpochResult]:
    if not state.exists():
        return []
    content = torch.load(state, weights_only=True)
    if content["identity"] != identity:
        raise RecognizerError(f"{state}: is of another training ({content['identity']}), expected {identity}; move it away")
    for name, part in parts.items():
        part.load_state_dict(content[name])
    return [EpochResult(**result) for result in content["curve"]]
