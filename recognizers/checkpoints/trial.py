"""Tries a recognizer out before it serves: a network of a plug-in may do anything."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from recognizers.errors import CheckpointError
from recognizers.networks.recognizer import Embedder, NeuralRecognizer
from recognizers.precision import Precision

# Of answers, against how far those of two images are apart. Rounding makes some millionths of it, or hundredths.
_LARGEST_DIFFERENCE = {Precision.FLOAT32: 0.01, Precision.BFLOAT16: 0.3}
_ROUNDING = 1e-5  # of the answers themselves, should two images have the same


def answers_as_built(recognizer: Embedder) -> Tensor:
    """The answers (2, C or F) that `verify_rewrite` expects, of a recognizer on the CPU that is not prepared yet."""
    with torch.no_grad():
        return _answers(recognizer, _two_images(recognizer))


def verify_rewrite(
    recognizer: Embedder, device: torch.device, *, path: Path, expected: Tensor, precision: Precision
) -> None:
    """Asks a recognizer once for what it will be asked for, so that one that cannot answer is refused at the start.

    Raises:
        CheckpointError: its logits, or an embedding network's features, are not as many as they must be, or cannot be
            differentiated, or are not numbers, or are not those that the network gave as it was built.
    """
    images = _two_images(recognizer).to(device).requires_grad_(True)
    answers = _answers(recognizer, images)
    network = f"{path}: the network {recognizer.name}"
    if isinstance(recognizer, NeuralRecognizer):
        what, size = "logits", len(recognizer.label_set)
    else:
        what, size = "features", recognizer.network.feature_size
    if tuple(answers.shape) != (len(images), size):
        raise CheckpointError(f"{network}: expected {what} ({len(images)}, {size}), got {tuple(answers.shape)}")
    (gradient,) = torch.autograd.grad(answers.logsumexp(dim=1).sum(), images)
    if not bool(answers.isfinite().all() and gradient.isfinite().all()):
        raise CheckpointError(f"{network}: expected finite {what} and gradients, got others")
    difference = float((answers.detach().cpu() - expected).norm())
    apart = float((expected[0] - expected[1]).norm())
    if not difference <= _LARGEST_DIFFERENCE[precision] * apart + _ROUNDING * float(expected.norm()):
        raise CheckpointError(
            f"{network}: expected the {what} that it gives as it was built, within roundings; got others, {difference:.3g} "
            f"away where two images are {apart:.3g} apart{advice_on(recognizer)}"
        )


def _answers(recognizer: Embedder, images: Tensor) -> Tensor:
    return recognizer.logits(images) if isinstance(recognizer, NeuralRecognizer) else recognizer.features(images)


def advice_on(recognizer: Embedder) -> str:
    """What may help a network that fails, as the end of a sentence."""
    return "; if it runs as built, set `traceable = False`, and it is not rewritten" if recognizer.network.traceable else ""


def _two_images(recognizer: Embedder) -> Tensor:
    """Coloured squares (2, 3, S, S), of which networks make more than of single pixels."""
    squares = torch.randint(0, 256, (2, 3, 7, 7), generator=torch.Generator().manual_seed(0)).float()
    return interpolate(squares, size=recognizer.input_size)
