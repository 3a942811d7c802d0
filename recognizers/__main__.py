"""`python -P -m recognizers`: inspect and convert checkpoint files."""

from collections.abc import Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import click

from command_line.memory import limit_note
from command_line.options import PathOption
from command_line.program import EXIT_STATUS, run_program
from recognizers.checkpoints.labels import find_labels_file
from recognizers.errors import CheckpointError, LabelSetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from recognizers.checkpoints.checkpoint import Checkpoint
    from recognizers.networks.network import Network

# torch is imported where it is needed, so that a lack of memory for it can be reported.

_FILE = PathOption()
_NO_CLASSES = "none: an embedding network, which needs a gallery"


@click.group(epilog=EXIT_STATUS)
@click.version_option(package_name="face-deid-bench")
def cli() -> None:
    """Checkpoints of face recognizers: FaceNet, ResNet-50, SENet-50, dlib's ResNet, ArcFace, AdaFace, ONNX and others."""


@cli.command(epilog=EXIT_STATUS)
@click.argument("file", type=_FILE)
@click.option(
    "--self-test",
    "photos",
    type=_FILE,
    nargs=3,
    metavar="PHOTO PHOTO OTHER",
    help="Two photos of one person and one of another, to compare; by default those that its card names.",
)
def inspect(file: Path, photos: tuple[Path, ...] | None) -> str:
    """Say what FILE is, by its content, or what is wrong with it.

    An ONNX file is known by its name, and needs a card beside it.
    """
    from recognizers.checkpoints.checkpoint import read_checkpoint
    from recognizers.checkpoints.loading import build_network
    from recognizers.checkpoints.model_card import card_path
    from recognizers.galleries.self_test import photos_of
    from recognizers.onnx.model_file import is_onnx

    photos = photos or photos_of(card_path(file))
    if is_onnx(file):
        return _inspect_onnx(file, card_path(file), photos)
    checkpoint = read_checkpoint(file)
    said = report(checkpoint)
    return said if photos is None else f"{said}\n{_self_test(build_network(checkpoint), photos)}"


def _inspect_onnx(file: Path, card: Path, photos: Sequence[Path] | None) -> str:
    """Prints what a file is, so that it stands there if it is refused; then the verdict."""
    from recognizers.onnx.description import described
    from recognizers.onnx.loading import build_onnx
    from recognizers.onnx.model_file import read_model

    onnx_file = read_model(file)
    click.echo(_lines(described(onnx_file)))
    network = build_onnx(onnx_file, card=card)
    faces = f"{network.extraction.name.lower()} faces"
    verdict = f"can be a target model, {network.name}: {faces}, compared by {network.distance} distance, as {card.name} says"
    said = _lines({"verdict": verdict})
    return said if photos is None else f"{said}\n{_self_test(network, photos)}"


def _self_test(network: "Network", photos: Sequence[Path]) -> str:
    import torch

    from recognizers.extraction import MtcnnDetector, extract_face
    from recognizers.galleries.self_test import run_self_test
    from recognizers.networks.recognizer import Embedder

    cpu = torch.device("cpu")
    find_face = partial(extract_face, detector=MtcnnDetector(cpu))
    result = run_self_test(Embedder(network), photos, device=cpu, decode=_decoded, find_face=find_face)
    return _lines({"self-test": result.in_words})


def _decoded(encoded: bytes) -> "NDArray[np.uint8]":
    """A photo as services see it, turned as its camera says."""
    import numpy as np
    from PIL import Image, ImageOps

    try:
        return np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(encoded))).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CheckpointError(f"expected a photo, got none: {error}") from error


@cli.command(epilog=EXIT_STATUS)
@click.argument("file", type=_FILE)
@click.argument("out", type=_FILE)
def convert(file: Path, out: Path) -> str:
    """Write FILE's weights to OUT.safetensors, under the names of the library that builds the network.

    OUT stands complete before anything is printed.
    """
    if out.suffix != ".safetensors":
        raise click.BadParameter(f"expected a name that ends in .safetensors, got {out.name}", param_hint="OUT")
    if out.exists():
        raise click.BadParameter(f"{out} exists; it is not overwritten", param_hint="OUT")
    from recognizers.checkpoints.checkpoint import read_checkpoint

    _write(read_checkpoint(file), out)
    return report(read_checkpoint(out))


def _write(checkpoint: "Checkpoint", out: Path) -> None:
    import torch
    from safetensors.torch import save

    # Clones: safetensors refuses tensors that share memory.
    tensors = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in checkpoint.tensors.items()}
    content = save(tensors, metadata={"architecture": checkpoint.architecture, "source_sha256": checkpoint.sha256})
    partial = out.with_name(f"{out.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(out)
    except OSError as error:
        raise CheckpointError(f"{out}: cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


@cli.command(epilog=EXIT_STATUS)
@click.argument("folder", type=PathOption(), default=None, required=False)
def purge(folder: Path | None) -> str:
    """Delete the embeddings of enrolled photos that services keep in FOLDER, by default in the user's caches.

    Services that are started again embed the photos again.
    """
    from recognizers.galleries.embedding_cache import delete_embeddings, usual_folder

    return "\n".join(map(str, delete_embeddings(folder or usual_folder()))) or "there are none"


def report(checkpoint: "Checkpoint") -> str:
    """What was recognised, a fact a line."""
    facts = {
        "file": str(checkpoint.path),
        "format": checkpoint.file_format,
        "unwrapped": checkpoint.unwrapped,
        "architecture": checkpoint.architecture,
        "classes": _NO_CLASSES if checkpoint.classes is None else str(checkpoint.classes),
        "input": _input_fact(checkpoint),
        "features": _features_fact(checkpoint),
        "precision": checkpoint.precision,
        "sha256": checkpoint.sha256,
        "published": checkpoint.published_as or "no: not one of the known published files",
        "labels": None if checkpoint.classes is None else _labels_fact(checkpoint),
        "note": checkpoint.note,
    }
    return _lines(facts)


def _lines(facts: Mapping[str, str | None]) -> str:
    return "\n".join(f"{name + ':':<14}{fact}" for name, fact in facts.items() if fact)


def _input_fact(checkpoint: "Checkpoint") -> str:
    from recognizers.networks.registry import architectures

    network = architectures().usable[checkpoint.architecture]
    return f"{network.input_size} x {network.input_size}, {network.extraction.name.lower()} faces"


def _features_fact(checkpoint: "Checkpoint") -> str | None:
    """Of an embedding network, whose features are all it has."""
    from recognizers.networks.registry import architectures

    if checkpoint.classes is not None:
        return None
    network = architectures().usable[checkpoint.architecture]
    parameters = sum(tensor.numel() for tensor in checkpoint.tensors.values())
    return f"{network.feature_size}, compared by {network.distance} distance; {parameters:,} parameters"


def _labels_fact(checkpoint: "Checkpoint") -> str:
    from recognizers.checkpoints.loading import labels_of

    try:
        label_set = labels_of(checkpoint)
    except LabelSetError as error:
        return f"unusable: {error}"
    return f"{find_labels_file(checkpoint.path)}, sha256 {label_set.sha256}"


def main() -> None:
    """Runs the command line; errors are one line, without a stack trace."""
    run_program(cli, note=limit_note())


if __name__ == "__main__":
    main()
