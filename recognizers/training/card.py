"""A trained recognizer as files: weights in half precision, and the model card beside them."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from recognizers.checkpoints.checkpoint import file_sha256
from recognizers.checkpoints.model_card import card_path
from recognizers.training.held_out import Accuracy
from recognizers.training.loop import Classifier, EpochResult, Recipe


def save_weights(model: Classifier, path: Path) -> None:
    """Writes the weights under the names that `read_checkpoint` knows: kernels and matrices as float16, all else as float32.

    The variance that the stem's BatchNorm keeps is of sums of levels 0..255: beyond float16's range.
    """
    network = model.network
    head = {f"{network.head_name}.{name}": tensor for name, tensor in model.head.linear.state_dict().items()}
    tensors = {
        name: tensor.to(torch.float16 if tensor.ndim > 1 else torch.float32).contiguous()
        for name, tensor in (network.backbone.state_dict() | head).items()
        if not name.endswith(".num_batches_tracked")
    }
    save_file(tensors, path, metadata={"architecture": network.name})
    path.chmod(0o644)  # safetensors writes for the owner alone


def write_card(
    weights: Path,
    model: Classifier,
    recipe: Recipe,
    curve: Sequence[EpochResult],
    held_out: Mapping[int, Accuracy],
    *,
    trained_on: Mapping[str, Any],
) -> None:
    """Writes the model card; `held_out` is by the side of the probe, in pixels."""
    card = {
        "architecture": model.network.name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "classes": len(model.head.label_set),
        "label_set_sha256": model.head.label_set.sha256,
        "trained_on": dict(trained_on),
        **asdict(recipe),
        "training_seconds": round(curve[-1].seconds),
        "training_machine": f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}",
        "held_out": {f"probe of {side} pixels": asdict(found) for side, found in held_out.items()},
        "learning_curve": [{name: round(value, 4) for name, value in asdict(result).items()} for result in curve],
        "sha256": file_sha256(weights),
    }
    card_path(weights).write_text(json.dumps(card, indent=2) + "\n")
