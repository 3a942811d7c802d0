"""Tries a recognizer out before it serves: a network of a plug-in may do anything."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from recognizers.errors import CheckpointError
from recognizers.networks.recognizer import NeuralRecognizer
from recognizers.precision import Precision

# Of logits, against how far those of two images are apart. Rounding makes some millionths of it, or hundredths.
_LARGEST_DIFFERENCE = {Precision.FLOAT32: 0.01, Precision.BFLOAT16: 0.3}
_ROUNDING = 1e-5  # of the logits themselves, should two images have the same


def logits_as_built(recognizer: NeuralRecognizer) -> Tensor:
    """The logits (2, C) that `verify_rewrite` expects, of a recognizer on the CPU that is not prepared yet."""
    with torch.no_grad():
        return recognizer.logits(_two_images(recognizer))


def verify_rewrite(
    recognizer: NeuralRecognizer, device: torch.device, *, path: Path, expected: Tensor, precision: Precision
) -> None:
    """Asks a recognizer once for what it will be asked for, so that one that cannot answer is refused at the start.

    Raises:
        CheckpointError: its logits are not of its label set, or cannot be differentiated, or are not numbers, or are not
            those that the network gave as it was built.
    """
    images = _two_images(recognizer).to(device).requires_grad_(True)
    logits = recognizer.logits(images)
    network = f"{path}: the network {recognizer.name}"
    if tuple(logits.shape) != (len(images), len(recognizer.label_set)):
        raise CheckpointError(
            f"{network}: expected logits ({len(images)}, {len(recognizer.label_set)}), got {tuple(logits.shape)}"
        )
    (gradient,) = torch.autograd.grad(logits.logsumexp(dim=1).sum(), images)
    if not bool(logits.isfinite().all() and gradient.isfinite().all()):
        raise CheckpointError(f"{network}: expected finite logits and gradients, got others")
    difference = float((logits.detach().cpu() - expected).norm())
    apart = float((expected[0] - expected[1]).norm())
    if not difference <= _LARGEST_DIFFERENCE[precision] * apart + _ROUNDING * float(expected.norm()):
        raise CheckpointError(
            f"{network}: expected the logits that it gives as it was built, within roundings; got others, {difference:.3g} "
            f"away where two images are {apart:.3g} apart{advice_on(recognizer)}"
        )


def advice_on(recognizer: NeuralRecognizer) -> str:
    """What may help a network that fails, as the end of a sentence."""
    return "; if it runs as built, set `traceable = False`, and it is not rewritten" if recognizer.network.traceable else ""


def _two_images(recognizer: NeuralRecognizer) -> Tensor:
    """Coloured squares (2, 3, S, S), of which networks make more than of single pixels."""
    squares = torch.randint(0, 256, (2, 3, 7, 7), generator=torch.Generator().manual_seed(0)).float()
    return interpolate(squares, size=recognizer.input_size)
