"""Image gradients of one source model, in batches of one fixed shape."""

import threading
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from recognizers.networks.recognizer import Recognizer
from recognizers.precision import Precision


class BatchedGradients:
    """Computes what rows need of a recognizer, always `batch_rows` images at a time.

    Convolutions round differently at another batch size, so unused places are padded: which rows share a batch cannot
    change a cloak. With `fixed` off they are not, and a cloak depends on its neighbours by a rounding.

    Several threads may compute at a time.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        batch_rows: int,
        fixed: bool = True,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`dtype` is the floating-point type of images and gradients, not of the network."""
        self.recognizer = recognizer
        self.batch_rows = batch_rows
        self.fixed = fixed
        self.device = device or torch.device("cpu")
        self.dtype = dtype
        self.computed = 0  # gradients so far, padding not counted
        self._counting = threading.Lock()

    def of(self, images: Sequence[Tensor], labels: Sequence[int]) -> Tensor:
        """The gradient (N, 3, S, S) of each image's cross-entropy J at its label, for 1..batch_rows images (3, S, S)."""
        filled = len(images)
        places = self.batch_rows if self.fixed else filled
        padding = places - filled
        batch = torch.stack([*images, *[images[-1]] * padding])
        targets = torch.tensor([*labels, *[labels[-1]] * padding], device=self.device)
        with self._counting:
            self.computed += filled
        return input_gradient(self.recognizer, batch, targets)[:filled].contiguous()

    def bytes_per_place(self) -> int:
        """Memory that one place of a batch takes for activations kept between forward and backward, by trying.

        A running batch takes `batch_rows` times as much, in each worker that computes; rows that wait take only their image.
        """
        return self._bytes_kept(images=2) - self._bytes_kept(images=1)  # the rest is weights

    def _bytes_kept(self, *, images: int) -> int:
        kept: dict[int, int] = {}  # by address, because a storage may be kept as several tensors

        def count(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        shape = (images, 3, self.recognizer.input_size, self.recognizer.input_size)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            input_gradient(
                self.recognizer,
                torch.full(shape, 127.5, device=self.device, dtype=self.dtype),
                torch.zeros(images, dtype=torch.int64, device=self.device),
            )
        return sum(kept.values())

    def clean_logits(self, image: Tensor) -> Tensor:
        """The logits (C,) of one image (3, S, S)."""
        places = self.batch_rows if self.fixed else 1
        with torch.no_grad():
            return self.recognizer.logits(image.expand(places, -1, -1, -1).contiguous())[0]


def input_gradient(recognizer: Recognizer, images: Tensor, labels: Tensor) -> Tensor:
    """Gradient with respect to each image (N, 3, S, S) of its own cross-entropy J at its label (N,)."""
    images = images.detach().requires_grad_(True)
    loss = cross_entropy(recognizer.logits(images), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, images)
    return gradient


def suitable_batch_rows(device: torch.device, precision: Precision) -> int:
    """Places in a batch that suit a device: few where small batches keep it busy, because cloaks wait for full ones."""
    if device.type == "cuda":
        return 32
    return 8 if precision is Precision.BFLOAT16 else 4
