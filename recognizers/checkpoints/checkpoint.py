"""Recognises a checkpoint by its content and says what it is, or what is wrong with it."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from recognizers.architectures import architectures
from recognizers.checkpoints.container import read_container
from recognizers.checkpoints.layout import Layout
from recognizers.checkpoints.published import PUBLISHED
from recognizers.errors import CheckpointError, blaming
from recognizers.network import Network

_NAMES_SHOWN = 4


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file that holds one of the known networks, complete."""

    path: Path
    sha256: str
    file_format: str  # container and naming
    architecture: str
    classes: int
    precision: str
    note: str | None
    tensors: Mapping[str, Tensor]  # by the library's names, in the file's precision

    @property
    def published_as(self) -> str | None:
        """Which published file this is, or None."""
        return PUBLISHED.get(self.sha256)


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads and recognises a checkpoint file; its name does not matter.

    Raises:
        CheckpointError: it is none of the known networks, not complete, damaged, or not safe to read. The message
            begins with the path.
    """
    try:
        container = read_container(path)
        network, layout, tensors = _recognise(container.tensors)
        return Checkpoint(
            path=path,
            sha256=file_sha256(path),
            file_format=f"{container.kind}, {layout.name} names",
            architecture=network.name,
            classes=_classes(network, tensors),
            precision=", ".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})),
            note=layout.note,
            tensors=tensors,
        )
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recognise(named: Mapping[str, Tensor]) -> tuple[type[Network], Layout, dict[str, Tensor]]:
    # DataParallel prefixes every name; the step counters of BatchNorm are not weights.
    tensors = {
        name.removeprefix("module."): tensor for name, tensor in named.items() if not name.endswith(".num_batches_tracked")
    }
    network, layout = _claimant(tensors)
    with blaming(f"{network.name}'s layout {layout.name}"):
        translated = {layout.rename(name): layout.translate(name, tensor) for name, tensor in tensors.items()}
    _check_names(network, layout, translated)
    _check_values(translated)
    return network, layout, translated


def _claimant(tensors: Mapping[str, Tensor]) -> tuple[type[Network], Layout]:
    """The architecture, and its layout, that a file with these names is of."""
    known = architectures()
    claims, faults = [], []
    for name, network in known.usable.items():
        for layout in network.layouts:
            try:
                if layout.matches(tensors.keys()):
                    claims.append((network, layout))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in's fault hides no other's claim
                faults.append(f"; {name}'s layout {layout.name} failed: {type(error).__name__}: {error}")
    # A plug-in cannot take a file away from this project's own networks.
    claims = [claim for claim in claims if claim[0].name in known.own] or claims
    if len(claims) > 1:
        names = ", ".join(network.name for network, _ in claims)
        raise CheckpointError(f"several architectures claim this file: {names}; keep one of them installed")
    if not claims:
        raise CheckpointError(
            f"wrong architecture: expected one of {', '.join(known.usable)}, got {len(tensors)} tensors named "
            f"{_some(tensors) or 'nothing'}{''.join(faults)}"
        )
    return claims[0]


def _expected(network: type[Network]) -> dict[str, tuple[int, ...]]:
    with blaming(f"the network {network.name}"), torch.device("meta"):
        tensors = network().backbone.state_dict()
    return {name: tuple(tensor.shape) for name, tensor in tensors.items() if not name.endswith(".num_batches_tracked")}


def _check_names(network: type[Network], layout: Layout, tensors: Mapping[str, Tensor]) -> None:
    expected = _expected(network)
    head_names = {f"{network.head_name}.weight", f"{network.head_name}.bias"}
    missing = (expected.keys() | head_names) - tensors.keys()
    unexpected = tensors.keys() - expected.keys() - head_names
    if missing or unexpected:
        complaints = [
            f"{len(names)} {kind} ({_some(names)})"
            for kind, names in (("missing", missing), ("unexpected", unexpected))
            if names
        ]
        raise CheckpointError(f"looks like {network.name} ({layout.name}), but of its keys: {', '.join(complaints)}")
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise CheckpointError(
                f"looks like {network.name} ({layout.name}), but {name} has the shape "
                f"{tuple(tensors[name].shape)}, expected {shape}"
            )


def _check_values(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise CheckpointError(f"{name}: expected floating point, got {tensor.dtype}")
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{name}: holds values that are not finite numbers")


def _classes(network: type[Network], tensors: Mapping[str, Tensor]) -> int:
    weight, bias = (tensors[f"{network.head_name}.{part}"] for part in ("weight", "bias"))
    classes = weight.shape[0] if weight.ndim else 0
    if tuple(weight.shape) != (classes, network.feature_size) or tuple(bias.shape) != (classes,) or not classes:
        raise CheckpointError(
            f"the classifier {network.head_name}: expected weight (classes, {network.feature_size}) and bias (classes,), "
            f"got {tuple(weight.shape)} and {tuple(bias.shape)}"
        )
    return classes


def _some(names: Collection[str]) -> str:
    first = sorted(names)[:_NAMES_SHOWN]
    return ", ".join(first) + (", ..." if len(names) > len(first) else "")
