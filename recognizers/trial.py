"""Tries a recognizer out before it serves: a network of a plug-in may do anything."""

from pathlib import Path

import torch
from torch import Tensor

from recognizers.errors import CheckpointError
from recognizers.precision import Precision
from recognizers.recognizer import NeuralRecognizer

# In the norm of logits. Rounding makes a hundredth of it; another function makes more than this.
_LARGEST_DIFFERENCE = {Precision.FLOAT32: 0.01, Precision.BFLOAT16: 0.5}


def logits_as_built(recognizer: NeuralRecognizer) -> Tensor:
    """The logits (1, C) that `try_out` expects, of a recognizer on the CPU that is not prepared yet."""
    with torch.no_grad():
        return recognizer.logits(_any_image(recognizer))


def try_out(
    recognizer: NeuralRecognizer, device: torch.device, *, path: Path, expected: Tensor, precision: Precision
) -> None:
    """Asks a recognizer once for what it will be asked for, so that one that cannot answer is refused at the start.

    Raises:
        CheckpointError: its logits are not of its label set, or cannot be differentiated, or are not numbers, or are not
            those that the network gave as it was built.
    """
    images = _any_image(recognizer).to(device).requires_grad_(True)
    logits = recognizer.logits(images)
    network = f"{path}: the network {recognizer.name}"
    if tuple(logits.shape) != (1, len(recognizer.label_set)):
        raise CheckpointError(f"{network}: expected logits (1, {len(recognizer.label_set)}), got {tuple(logits.shape)}")
    (gradient,) = torch.autograd.grad(logits.logsumexp(dim=1).sum(), images)
    if not bool(logits.isfinite().all() and gradient.isfinite().all()):
        raise CheckpointError(f"{network}: expected finite logits and gradients, got others")
    difference = float((logits.detach().cpu() - expected).norm() / expected.norm())
    if difference > _LARGEST_DIFFERENCE[precision]:
        raise CheckpointError(
            f"{network}: made faster for serving, its logits differ by {difference:.0%} from those it gives as built; "
            "expected a few roundings. Set `traceable = False` to serve it as built"
        )


def _any_image(recognizer: NeuralRecognizer) -> Tensor:
    """One image (1, 3, S, S)."""
    side = recognizer.input_size
    return torch.randint(0, 256, (1, 3, side, side), generator=torch.Generator().manual_seed(0)).float()
