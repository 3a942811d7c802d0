"""From checkpoint files to recognizers."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch

from recognizers.checkpoints import embedded
from recognizers.checkpoints.checkpoint import Checkpoint, read_checkpoint
from recognizers.checkpoints.labels import find_labels_file, read_labels
from recognizers.checkpoints.model_card import check_against_card
from recognizers.checkpoints.trial import advice_on, logits_as_built, verify_rewrite
from recognizers.errors import CheckpointError, LabelSetError, RecognizerError, wrap_errors
from recognizers.networks.head import LinearHead
from recognizers.networks.label_set import LabelSet
from recognizers.networks.network import Network
from recognizers.networks.recognizer import NeuralRecognizer
from recognizers.networks.registry import architectures
from recognizers.precision import Precision

# What lies beside checkpoints: labels, notes, model cards. Every other file is taken for one, whatever it is called.
OTHER_SUFFIXES = frozenset({".txt", ".csv", ".md", ".json"})

logger = logging.getLogger(__name__)

OnRefused = Callable[[str, str], None]


@dataclass(frozen=True)
class LoadedRecognizer:
    """A recognizer and the checkpoint it came from."""

    recognizer: NeuralRecognizer
    path: Path
    checkpoint_sha256: str


def load_recognizer(path: Path) -> LoadedRecognizer:
    """Loads one checkpoint, with the labels file beside it.

    Raises:
        CheckpointError: see `read_checkpoint`; or the file is not the one that its model card describes; or it holds an
            embedding network.
        LabelSetError: there is no labels file, it cannot be read, or it names another number of identities than the
            checkpoint has classes.
    """
    checkpoint = read_checkpoint(path)
    check_against_card(path, sha256=checkpoint.sha256)
    if checkpoint.classes is None:
        raise CheckpointError(
            f"{path}: {checkpoint.architecture} is an embedding network without classes: it needs a gallery, and services "
            "have none yet"
        )
    label_set = labels_of(checkpoint)
    with wrap_errors(f"{path}: the network {checkpoint.architecture}"):
        return LoadedRecognizer(build_recognizer(checkpoint, label_set), path, checkpoint.sha256)


def labels_of(checkpoint: Checkpoint) -> LabelSet:
    """The label set of a checkpoint, from the labels file beside it.

    Raises:
        LabelSetError: see `load_recognizer`.
    """
    labels_file = find_labels_file(checkpoint.path)
    if labels_file is None:
        raise LabelSetError(
            f"{checkpoint.path}: no labels file beside it; expected {checkpoint.path.stem}.labels.txt or labels.txt "
            f"({checkpoint.classes} lines, an identity each, in class order) or VGGFace2's identity_meta.csv"
        )
    label_set = read_labels(labels_file)
    if len(label_set) != checkpoint.classes:
        raise LabelSetError(
            f"{labels_file}: names {len(label_set)} identities, but {checkpoint.path.name} has {checkpoint.classes} classes"
        )
    return label_set


def build_recognizer(checkpoint: Checkpoint, label_set: LabelSet) -> NeuralRecognizer:
    """Puts a checkpoint's weights, as float32, into the network and the linear head they belong to."""
    network = build_network(checkpoint)
    head = LinearHead(network.feature_size, label_set)
    head_prefix = f"{network.head_name}."
    head.linear.load_state_dict(
        {
            name.removeprefix(head_prefix): tensor.to(torch.float32)
            for name, tensor in checkpoint.tensors.items()
            if name.startswith(head_prefix)
        }
    )
    return NeuralRecognizer(network, head)


def build_network(checkpoint: Checkpoint) -> Network:
    """Puts a checkpoint's weights, as float32, into the network they belong to; those of its classifier are left out."""
    network = architectures().usable[checkpoint.architecture]()
    backbone = {
        name: tensor.to(torch.float32)
        for name, tensor in checkpoint.tensors.items()
        if network.head_name is None or not name.startswith(f"{network.head_name}.")
    }
    network.backbone.load_state_dict(network.backbone.state_dict() | backbone)  # which may lack counters
    return network.eval().requires_grad_(False)


def load_folder(
    folder: Path | None,
    device: torch.device,
    *,
    precision: Precision = Precision.FLOAT32,
    on_refused: OnRefused = lambda *_: None,
) -> Mapping[str, LoadedRecognizer]:
    """Loads every checkpoint of a folder to a device, ready to serve in a precision; by architecture.

    What is refused, a file or a plug-in, does not keep the others from loading.

    Args:
        folder: None for that of the embedded recognizers.
        device: where the networks will run.
        precision: what they compute in.
        on_refused: is told "checkpoint" or "plug-in" and why, for each that is refused.

    Raises:
        CheckpointError: the folder cannot be listed, or none of its checkpoints can be used.
    """
    folder = folder or embedded.FOLDER
    for reason in architectures().refused:
        on_refused("plug-in", reason)
    loaded: dict[str, LoadedRecognizer] = {}
    refused: list[str] = []
    for path in _checkpoint_files(folder):
        try:
            candidate = load_recognizer(path)
            blamed = f"{path}: the network {candidate.recognizer.name}"
            with wrap_errors(blamed):
                expected = logits_as_built(candidate.recognizer)
            with wrap_errors(blamed, advice=advice_on(candidate.recognizer)):
                to_device(candidate.recognizer, device, precision=precision)
                verify_rewrite(candidate.recognizer, device, path=path, expected=expected, precision=precision)
        except RecognizerError as error:
            refused.append(str(error))
            on_refused("checkpoint", str(error))
            continue
        name = candidate.recognizer.name
        if name in loaded:
            raise CheckpointError(f"{folder}: two checkpoints of {name}: {loaded[name].path.name} and {path.name}; keep one")
        loaded[name] = candidate
    if not loaded:
        reasons = "; ".join(refused) or "it holds no file that could be one"
        raise CheckpointError(f"{folder}: no usable checkpoint: {reasons}")
    return loaded


def to_device(recognizer: NeuralRecognizer, device: torch.device, *, precision: Precision = Precision.FLOAT32) -> None:
    """Takes a recognizer to a device and a precision; rewritten to run faster, where its network can be."""
    if recognizer.network.traceable and _can_rewrite():
        from recognizers.inference.preparing import prepare

        prepare(recognizer, device, precision=precision)
        return
    recognizer.to(device)
    recognizer.network.backbone.to(precision.dtype)


@cache
def _can_rewrite() -> bool:
    """Whether `recognizers/inference` is there, which nothing needs but speed."""
    there = bool(find_spec("recognizers.inference") and find_spec("recognizers.inference.preparing"))
    if not there:
        logger.warning("recognizers/inference is absent: networks run as built, slower")
    return there


def _checkpoint_files(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be listed: {error.strerror or error}") from error
    return [
        path
        for path in entries
        if path.is_file() and not path.name.startswith(".") and path.suffix.lower() not in OTHER_SUFFIXES
    ]
