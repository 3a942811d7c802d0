"""Secrets that are planted in an invader, and the search for them in whatever left it."""

import base64
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Canary:
    """A secret, and every form in which it would be recognised."""

    name: str
    text: str  # as a text would hold it
    binary: bytes  # as a field of bytes would hold it
    forms: tuple[bytes, ...]

    @classmethod
    def of_text(cls, name: str, text: str) -> "Canary":
        """A text, which is also recognised by its middle, in hexadecimal and in base64."""
        encoded = text.encode()
        return cls(name, text, encoded, (encoded, encoded.hex().encode(), *_base64_forms(encoded)))

    @classmethod
    def of_number(cls, name: str, value: float) -> "Canary":
        """A float32, in 4 or 8 bytes of either order, and as a decimal number of 5 places or more."""
        single = float(np.float32(value))
        packed = [struct.pack(form, single) for form in ("<f", ">f", "<d", ">d")]
        cut, rounded, exponent = f"{single:.9f}"[:7], f"{single:.5f}", f"{single:.9e}"[:6]
        texts = [text.encode() for text in (cut, rounded, exponent)]
        return cls(name, repr(single), packed[0], (*packed, *(each.hex().encode() for each in packed), *texts))


def _base64_forms(content: bytes) -> Iterable[bytes]:
    """The parts of its base64 that do not depend on what stands beside it, for each of the three ways to be cut."""
    for shift in range(3):
        whole = content[shift : shift + (len(content) - shift) // 3 * 3]
        yield base64.b64encode(whole)


def found(canaries: Iterable[Canary], evidence: Iterable[bytes]) -> set[str]:
    """The names of the canaries that are somewhere in the evidence."""
    pieces = list(evidence)
    return {canary.name for canary in canaries if any(form in piece for form in canary.forms for piece in pieces)}
