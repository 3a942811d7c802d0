"""The values that dlib's serialization is made of."""

from collections.abc import Sequence
from math import isclose, ldexp, prod
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from recognizers.errors import CheckpointError, shorten

OTHER_NETWORK = "another network of dlib's, which cannot be used"
_MAX_TEXT = 64  # bytes


class DlibReader:
    """dlib's serialized values, one after another, each of a size that was expected."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.within = ""  # which part of the file is being read

    def take(self, count: int) -> bytes:
        """The next bytes."""
        content = self._file.read(count)
        if len(content) < count:
            raise CheckpointError(
                f"the dlib file is truncated: it ends in {self.within}, after {self._file.tell()} bytes; download it again"
            )
        return content

    def integer(self) -> int:
        """A byte with the sign as its highest bit and the number of bytes as its lowest four; then the absolute value."""
        (control,) = self.take(1)
        value = int.from_bytes(self.take(control & 0x0F), "little")
        return -value if control & 0x80 else value

    def real(self) -> float:
        """Mantissa and exponent of 2."""
        mantissa, exponent = self.integer(), self.integer()
        try:
            return ldexp(mantissa, exponent)
        except OverflowError:
            return float("nan")

    def shape(self) -> tuple[int, ...]:
        """Of a tensor: samples, channels, rows, columns."""
        self.expect("version of a tensor", 2)
        return tuple(self.integer() for _ in range(4))

    def skip_shapes(self, count: int) -> None:
        """Of views into a tensor."""
        for _ in range(count):
            self.expect("version of a shape", 1)
            for _ in range(4):
                self.integer()

    def skip_reals(self, count: int) -> None:
        for _ in range(count):
            self.real()

    def tensor(self, shape: Sequence[int]) -> Tensor:
        """A tensor (float32) of a shape that is expected."""
        if (got := self.shape()) != tuple(shape):
            self._refuse("parameters of the shape", tuple(shape), shorten(str(got)))
        numbers = np.frombuffer(self.take(4 * prod(shape)), "<f4").astype(np.float32)
        return torch.from_numpy(numbers).view(*shape)

    def expect(self, what: str, value: int) -> None:
        if (got := self.integer()) != value:
            self._refuse(what, value, got)

    def expect_numbers(self, numbers: Sequence[tuple[str, int]]) -> None:
        for what, value in numbers:
            self.expect(what, value)

    def expect_real(self, what: str, value: float) -> None:
        if not isclose(got := self.real(), value, rel_tol=1e-6):
            self._refuse(what, value, f"{got:.6g}")

    def expect_text(self, what: str, text: str) -> None:
        length = self.integer()
        if not 0 <= length <= _MAX_TEXT:
            self._refuse(what, text, f"a name of {length} characters")
        if (got := self.take(length)) != text.encode():
            self._refuse(what, text, shorten(got.decode("latin-1")))

    def expect_end(self) -> None:
        if self._file.read(1):
            raise CheckpointError("the dlib file goes on after the last layer of the network: download it again")

    def _refuse(self, what: str, expected: object, got: object) -> None:
        raise CheckpointError(f"{self.within}: expected {what} {expected}, got {got}: {OTHER_NETWORK}")
