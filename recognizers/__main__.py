"""`python -m recognizers`: inspect and convert checkpoint files."""

import sys
from pathlib import Path

import click
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from recognizers.checkpoints.checkpoint import Checkpoint, read_checkpoint
from recognizers.errors import CheckpointError, LabelSetError, RecognizerError
from recognizers.label_set import find_labels_file
from recognizers.loading import labels_of

_FILE = click.Path(path_type=Path)


@click.group()
def cli() -> None:
    """Checkpoints of FaceNet, ResNet-50 and SENet-50."""


@cli.command()
@click.argument("file", type=_FILE)
def inspect(file: Path) -> None:
    """Say what FILE is, by its content, or what is wrong with it."""
    click.echo(report(read_checkpoint(file)))


@cli.command()
@click.argument("file", type=_FILE)
@click.argument("out", type=_FILE)
def convert(file: Path, out: Path) -> None:
    """Write FILE's weights to OUT.safetensors, under the names of the library that builds the network."""
    if out.suffix != ".safetensors":
        raise click.BadParameter(f"expected a name that ends in .safetensors, got {out.name}", param_hint="OUT")
    if out.exists():
        raise click.BadParameter(f"{out} exists; it is not overwritten", param_hint="OUT")
    checkpoint = read_checkpoint(file)
    # Clones: safetensors refuses tensors that share memory.
    tensors = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in checkpoint.tensors.items()}
    metadata = {"architecture": checkpoint.architecture, "source_sha256": checkpoint.sha256}
    try:
        save_file(tensors, out, metadata=metadata)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{out}: cannot be written: {error}") from error
    click.echo(report(read_checkpoint(out)))


def report(checkpoint: Checkpoint) -> str:
    """What was recognised, a fact a line."""
    facts = {
        "file": str(checkpoint.path),
        "format": checkpoint.file_format,
        "architecture": checkpoint.architecture,
        "classes": str(checkpoint.classes),
        "precision": checkpoint.precision,
        "sha256": checkpoint.sha256,
        "published": checkpoint.published_as or "no: not one of the known published files",
        "labels": _labels_fact(checkpoint),
    }
    if checkpoint.note:
        facts["note"] = checkpoint.note
    return "\n".join(f"{name + ':':<14}{fact}" for name, fact in facts.items())


def _labels_fact(checkpoint: Checkpoint) -> str:
    try:
        label_set = labels_of(checkpoint)
    except LabelSetError as error:
        return f"unusable: {error}"
    return f"{find_labels_file(checkpoint.path)}, sha256 {label_set.sha256}"


def main() -> None:
    """Runs the command line; errors are one line, without a stack trace."""
    try:
        cli()
    except RecognizerError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
