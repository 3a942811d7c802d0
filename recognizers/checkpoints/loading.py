"""From checkpoint files to recognizers."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import torch

from recognizers.checkpoints import embedded
from recognizers.checkpoints.checkpoint import Checkpoint, read_checkpoint
from recognizers.checkpoints.installed_weights import dlib_resnet_file
from recognizers.checkpoints.labels import find_labels_file, read_labels
from recognizers.checkpoints.lpips_weights import is_no_checkpoint
from recognizers.checkpoints.model_card import card_path, check_against_card
from recognizers.checkpoints.trial import advice_on, answers_as_built, verify_rewrite
from recognizers.errors import CheckpointError, LabelSetError, RecognizerError, wrap_errors
from recognizers.networks.dlib_resnet import DlibResNet
from recognizers.networks.gallery_head import GalleryHead
from recognizers.networks.head import LinearHead
from recognizers.networks.label_set import LabelSet
from recognizers.networks.network import Network
from recognizers.networks.recognizer import Embedder, NeuralRecognizer
from recognizers.networks.registry import architectures
from recognizers.onnx.loading import build_onnx
from recognizers.onnx.model_file import is_onnx, read_model
from recognizers.precision import Precision

# What lies beside checkpoints: labels, notes, model cards. Every other file is taken for one, whatever it is called.
OTHER_SUFFIXES = frozenset({".txt", ".csv", ".md", ".json"})

logger = logging.getLogger(__name__)

OnRefused = Callable[[str, str], None]


Model = TypeVar("Model", bound=Embedder)


@dataclass(frozen=True)
class Loaded(Generic[Model]):
    """A recognizer, or an embedder, and the checkpoint it came from."""

    recognizer: Model
    path: Path
    checkpoint_sha256: str


LoadedRecognizer: TypeAlias = Loaded[NeuralRecognizer]


@dataclass(frozen=True)
class LoadedModels:
    """What a folder of checkpoints holds, by architecture."""

    recognizers: dict[str, LoadedRecognizer]  # with the classifiers that they were trained with
    embedders: dict[str, Loaded[Embedder]]  # without, so that they need a gallery


def load_recognizer(path: Path) -> LoadedRecognizer:
    """Loads one checkpoint, with the labels file beside it.

    Raises:
        CheckpointError: see `read_checkpoint`; or the file is not the one that its model card describes; or it holds an
            embedding network.
        LabelSetError: there is no labels file, it cannot be read, or it names another number of identities than the
            checkpoint has classes.
    """
    return _recognizer_of(_read(path))


def _read(path: Path) -> Checkpoint:
    checkpoint = read_checkpoint(path)
    check_against_card(path, sha256=checkpoint.sha256)
    return checkpoint


def _recognizer_of(checkpoint: Checkpoint) -> LoadedRecognizer:
    path = checkpoint.path
    if checkpoint.classes is None:
        raise CheckpointError(
            f"{path}: {checkpoint.architecture} without a classifier is an embedding network: it needs a gallery (--gallery)"
        )
    label_set = labels_of(checkpoint)
    with wrap_errors(f"{path}: the network {checkpoint.architecture}"):
        return Loaded(build_recognizer(checkpoint, label_set), path, checkpoint.sha256)


def _embedder_of(checkpoint: Checkpoint) -> Loaded[Embedder]:
    with wrap_errors(f"{checkpoint.path}: the network {checkpoint.architecture}"):
        return Loaded(Embedder(build_network(checkpoint)), checkpoint.path, checkpoint.sha256)


def load_onnx(path: Path) -> Loaded[Embedder]:
    """Loads an ONNX file, by the card beside it.

    Raises:
        CheckpointError: see `read_model` and `build_onnx`.
    """
    file = read_model(path)
    return Loaded(Embedder(build_onnx(file, card=card_path(path))), path, file.sha256)


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
    """The classifiers of a folder; see `load_models`. Embedding networks are refused."""
    return load_models(folder, device, precision=precision, on_refused=on_refused).recognizers


def load_models(
    folder: Path | None,
    device: torch.device,
    *,
    precision: Precision = Precision.FLOAT32,
    on_refused: OnRefused = lambda *_: None,
    embedders: bool = False,
    gradients: bool = True,
) -> LoadedModels:
    """Loads every checkpoint of a folder to a device, ready to serve in a precision.

    What is refused, a file or a plug-in, does not keep the others from loading.

    Args:
        folder: None for that of the embedded recognizers.
        device: where the networks will run.
        precision: what they compute in.
        on_refused: is told "checkpoint" or "plug-in" and why, for each that is refused.
        embedders: whether networks without a classifier, or without the names of its classes, are taken too, and with them
            dlib's, whose weights a package brings, unless the folder has them.
        gradients: whether every network must have them, so that ONNX files, which have none, are refused.

    Raises:
        CheckpointError: the folder cannot be listed, or none of its checkpoints can be used.
    """
    folder = folder or embedded.FOLDER
    for reason in architectures().refused:
        on_refused("plug-in", reason)
    models = LoadedModels({}, {})
    refused: list[str] = []

    def load_each(paths: Sequence[Path]) -> None:
        for path in paths:
            try:
                candidate: Loaded[Any]
                if is_onnx(path):
                    _check_onnx_is_wanted(path, embedders=embedders, gradients=gradients)
                    candidate = load_onnx(path)
                    candidate.recognizer.to(device)
                else:
                    checkpoint = _read(path)
                    is_embedder = embedders and (checkpoint.classes is None or find_labels_file(path) is None)
                    candidate = _embedder_of(checkpoint) if is_embedder else _recognizer_of(checkpoint)
                    _make_ready(candidate, device, precision=precision)
            except RecognizerError as error:
                refused.append(str(error))
                on_refused("checkpoint", str(error))
                continue
            _add(candidate, to=models, folder=folder)

    load_each(_checkpoint_files(folder))
    if not (models.recognizers or models.embedders):
        reasons = "; ".join(refused) or "it holds no file that could be one"
        raise CheckpointError(f"{folder}: no usable checkpoint: {reasons}")
    installed = dlib_resnet_file() if embedders else None
    if installed is not None and DlibResNet.name not in models.embedders:
        load_each([installed])
    return models


def _check_onnx_is_wanted(path: Path, *, embedders: bool, gradients: bool) -> None:
    if gradients:
        raise CheckpointError(
            f"{path}: an ONNX network has no gradient, so that it can be no source model: it is for an invader's folder"
        )
    if not embedders:
        raise CheckpointError(f"{path}: an ONNX network is an embedding network: it needs a gallery (--gallery)")


def _add(candidate: Loaded[Any], *, to: LoadedModels, folder: Path) -> None:
    there: dict[str, Loaded[Any]]
    there = to.recognizers if isinstance(candidate.recognizer, NeuralRecognizer) else to.embedders
    name = candidate.recognizer.name
    if name in there:
        raise CheckpointError(
            f"{folder}: two checkpoints of {name}: {there[name].path.name} and {candidate.path.name}; keep one"
        )
    there[name] = candidate


def _make_ready(loaded: Loaded[Any], device: torch.device, *, precision: Precision) -> None:
    recognizer: Embedder = loaded.recognizer
    blamed = f"{loaded.path}: the network {recognizer.name}"
    with wrap_errors(blamed):
        expected = answers_as_built(recognizer)
    with wrap_errors(blamed, advice=advice_on(recognizer)):
        to_device(recognizer, device, precision=precision)
        verify_rewrite(recognizer, device, path=loaded.path, expected=expected, precision=precision)


def to_device(recognizer: Embedder, device: torch.device, *, precision: Precision = Precision.FLOAT32) -> None:
    """Takes a recognizer to a device and a precision; rewritten to run faster, where its network can be."""
    if recognizer.network.traceable and _can_rewrite():
        from recognizers.inference.preparing import prepare

        prepare(recognizer, device, precision=precision)
        return
    recognizer.to(device)
    recognizer.network.backbone.to(precision.dtype)


def head_to_device(head: GalleryHead, device: torch.device) -> GalleryHead:
    """Takes the head of a gallery to the device of its network, where its rows do not depend on their places in a batch."""
    if device.type == "cpu" and _can_rewrite():
        from recognizers.inference.frozen_linear import freeze_linears

        freeze_linears(head)
    return head.to(device)


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
        if path.is_file()
        and not path.name.startswith(".")
        and path.suffix.lower() not in OTHER_SUFFIXES
        and not is_no_checkpoint(path)
    ]
