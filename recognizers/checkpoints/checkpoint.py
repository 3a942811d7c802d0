"""Recognises a checkpoint by its content and says what it is, or what is wrong with it."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from command_line.memory import memory_advice
from recognizers.checkpoints.nested_state_dicts import KeyPath, location, without_prefixes
from recognizers.checkpoints.tensor_file import TensorFile, read_tensor_file
from recognizers.errors import CheckpointError, shorten, some, wrap_errors
from recognizers.networks.network import Network
from recognizers.networks.registry import architectures
from recognizers.networks.state_dict_format import StateDictFormat

# By digest.
_PUBLISHED = {
    "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b": (
        "20180402-114759-vggface2.pt of facenet-pytorch v2.2.9"
    ),
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30": (
        "dlib_face_recognition_resnet_model_v1.dat of dlib-models, trained on about 3 million photographs of 7,485 people; "
        "in the public domain or under CC0 1.0"
    ),
    "9a954e4046df21aea62b46c032de4b56f7230dfc3705b6b1bda348983e0eb26e": "resnet50_ft_weight.pkl of VGGFace2-pytorch",
    "ad98acb4475df0949cc4357c971f68d0eb944f8323ecef387a0be5b10a2dbca0": "senet50_ft_weight.pkl of VGGFace2-pytorch",
}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file that holds one of the known networks, complete."""

    path: Path
    sha256: str
    file_format: str  # kind of file and naming
    architecture: str
    classes: int | None  # None: without a classifier, an embedding network
    precision: str
    note: str | None
    tensors: Mapping[str, Tensor]  # by the library's names, in the file's precision
    unwrapped: str | None = None  # under which key and behind which prefix of all names they were, if any

    @property
    def published_as(self) -> str | None:
        """Which published file this is, or None."""
        return _PUBLISHED.get(self.sha256)


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads and recognises a checkpoint file; its name does not matter.

    Raises:
        CheckpointError: it is none of the known networks, not complete, damaged, or not safe to read. The message
            begins with the path.
    """
    try:
        file = read_tensor_file(path)
        claimed = _find_network(file)
        network = claimed.network
        with wrap_errors(f"{network.name}'s format {claimed.format.name}"):
            tensors = {
                claimed.format.rename(name): claimed.format.translate(name, tensor)
                for name, tensor in claimed.tensors.items()
                if claimed.format.keeps(name)
            }
        _check_names(claimed, tensors)
        _check_values(tensors)
        return Checkpoint(
            path=path,
            sha256=file_sha256(path),
            file_format=f"{file.kind}, {claimed.format.name} names",
            architecture=network.name,
            classes=_classes(network, tensors),
            precision=", ".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})),
            note=claimed.format.note,
            tensors=tensors,
            unwrapped=claimed.location,
        )
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (MemoryError, RuntimeError) as error:
        if advice := memory_advice(error):
            raise CheckpointError(f"{path}: {advice}") from error
        raise


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class _Claimed:
    """Tensors that an architecture's format knows by their names, and where they stand in the file."""

    network: type[Network]
    format: StateDictFormat
    tensors: Mapping[str, Tensor]  # by the format's names
    location: str | None


def _find_network(file: TensorFile) -> _Claimed:
    """The one network in a file, wherever a training loop put it."""
    found = [claimed for keys, named in file.state_dicts.items() if (claimed := _claim(keys, named))]
    if len(found) > 1:
        places = "; ".join(claimed.location or "on its own" for claimed in found)
        raise CheckpointError(
            f"holds {len(found)} networks ({places}), and does not say which is meant: save one alone, by "
            'torch.save(torch.load("FILE", weights_only=True)["KEY"], "OUT")'
        )
    if not found:
        raise _unknown_network(file.tensors)
    return found[0]


def _claim(keys: KeyPath, named: Mapping[str, Tensor]) -> _Claimed | None:
    for prefix, tensors in without_prefixes(_weights(named)):
        if claims := _claims(tensors, faults=[]):
            if len(claims) > 1:
                names = ", ".join(network.name for network, _ in claims)
                raise CheckpointError(f"several architectures claim this file: {names}; keep one of them installed")
            return _Claimed(*claims[0], tensors, location(keys, prefix))
    return None


def _weights(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without counters: the steps of BatchNorm's layers, and the models that an average was taken of."""
    return {
        name: tensor
        for name, tensor in named.items()
        if not name.endswith(".num_batches_tracked") and (tensor.ndim or tensor.is_floating_point() or tensor.is_complex())
    }


def _claims(tensors: Mapping[str, Tensor], *, faults: list[str]) -> list[tuple[type[Network], StateDictFormat]]:
    """The architectures, and their formats, that tensors of these names can be of."""
    known = architectures()
    claims = []
    for name, network in known.usable.items():
        for candidate in network.formats:
            try:
                if candidate.matches(tensors.keys()):
                    claims.append((network, candidate))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in's fault hides no other's claim
                faults.append(f"; {name}'s format {candidate.name} failed: {type(error).__name__}: {error}")
    # A plug-in cannot take a file away from this project's own networks.
    return [claim for claim in claims if claim[0].name in known.own] or claims


def _unknown_network(named: Mapping[str, Tensor]) -> CheckpointError:
    tensors = _weights(named)
    faults: list[str] = []
    _claims(tensors, faults=faults)
    heads = Counter(name.partition(".")[0] for name in tensors)
    for head, _ in heads.most_common(1):
        within = {name: tensor for name, tensor in tensors.items() if name.startswith(f"{head}.")}
        if len(within) < len(tensors) and (claimed := _claim((), within)):
            return CheckpointError(
                f"looks like {claimed.network.name} {claimed.location}, but other tensors stand beside it "
                f"({some(sorted(tensors.keys() - within.keys()))}): save the network's state_dict() alone"
            )
    return CheckpointError(
        f"wrong architecture: expected one of {', '.join(architectures().usable)}, got {len(tensors)} tensors named "
        f"{some(sorted(tensors)) or 'nothing'}{_near_misses(tensors)}{''.join(faults)}"
    )


def _near_misses(named: Mapping[str, Tensor]) -> str:
    misses = {
        name: miss
        for _, tensors in without_prefixes(named)
        for name, network in architectures().usable.items()
        for candidate in network.formats
        if name in architectures().own and (miss := candidate.near_miss(tensors.keys()))
    }
    return "".join(f"; it is like {name}, but {miss}" for name, miss in misses.items())


def _check_names(claimed: _Claimed, tensors: Mapping[str, Tensor]) -> None:
    looks_like = f"looks like {claimed.network.name} ({claimed.format.name}), but"
    with wrap_errors(f"the network {claimed.network.name}"), torch.device("meta"):
        built = claimed.network().backbone.state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in built.items() if not name.endswith(".num_batches_tracked")}
    heads = _head_names(claimed.network)
    names = expected.keys() | (heads if heads & tensors.keys() else set())  # without: an embedding network
    differing = {"missing": names - tensors.keys(), "unexpected": tensors.keys() - names}
    if complaints := [f"{len(keys)} {kind} ({some(sorted(keys))})" for kind, keys in differing.items() if keys]:
        raise CheckpointError(f"{looks_like} of its keys: {', '.join(complaints)}")
    for name, shape in expected.items():
        if (actual := tuple(tensors[name].shape)) != shape:
            raise CheckpointError(f"{looks_like} {name} has the shape {shorten(str(actual))}, expected {shape}")


def _head_names(network: type[Network]) -> set[str]:
    return {f"{network.head_name}.{part}" for part in ("weight", "bias")} if network.head_name else set()


def _check_values(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_meta or tensor.is_quantized:
            raise CheckpointError(f"{name}: expected plain numbers, got a sparse, quantised or empty tensor")
        if not tensor.is_floating_point():
            raise CheckpointError(f"{name}: expected floating point, got {tensor.dtype}")
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{name}: holds values that are not finite numbers")


def _classes(network: type[Network], tensors: Mapping[str, Tensor]) -> int | None:
    if not _head_names(network) & tensors.keys():
        return None
    weight, bias = (tensors[f"{network.head_name}.{part}"] for part in ("weight", "bias"))
    classes = weight.shape[0] if weight.ndim else 0
    if tuple(weight.shape) != (classes, network.feature_size) or tuple(bias.shape) != (classes,) or not classes:
        raise CheckpointError(
            f"the classifier {network.head_name}: expected weight (classes, {network.feature_size}) and bias (classes,), "
            f"got {shorten(str(tuple(weight.shape)))} and {shorten(str(tuple(bias.shape)))}"
        )
    return classes
