"""How much the protector takes on at a time, by the memory that it takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rpc.errors import busy, invalid_argument

CHANNELS = 3
# Bytes a sample. A photo while it is decoded, turned upright and searched for a face: 7 to 9 were measured of JPEGs.
DECODING = 12
# Of a probe, for each method: the clean image, the iterates of budgets that parted, a momentum, a gradient, 4 bytes each.
METHOD = 20
CLOAK = 5  # of a probe, for each cloak: its pixels, and its PNG until the client has read it

_RETRY_AFTER_MS = 1000


@dataclass(frozen=True)
class Charge:
    """The memory that a call is taken to need."""

    bytes: int
    field: str  # of the request, that it comes from
    what: str  # that takes it


def decoding_charge(photo: bytes, *, width: int, height: int) -> Charge:
    """While a photo of so many pixels is decoded."""
    samples = CHANNELS * width * height
    return Charge(len(photo) + DECODING * samples, "photo", f"a photo of {width} x {height} pixels")


def crafting_charge(photo: bytes, *, width: int, height: int, methods: int, cloaks: int) -> Charge:
    """While cloaks of a probe of so many pixels are crafted and fetched; the encoded photo is the request's."""
    samples = CHANNELS * width * height
    what = f"{cloaks} cloaks of {width} x {height} pixels by {methods} methods"
    return Charge(len(photo) + samples * (METHOD * methods + CLOAK * cloaks), "epsilons", what)


class CapacityLimiter:
    """Bounds the memory of all calls together. For use on the event loop only."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.bytes = 0  # of the calls that are admitted

    @contextmanager
    def admitted(self, charge: Charge) -> Iterator["Admission"]:
        """Holds a call's memory while the context lasts.

        Raises:
            ServiceError: INVALID_ARGUMENT: the call can never be admitted; RESOURCE_EXHAUSTED: not now.
        """
        admission = Admission(self)
        try:
            admission.change(charge)
            yield admission
        finally:
            admission.give_back()

    def exchange(self, charge: Charge, *, held: int) -> int:
        """Takes a charge in place of so many bytes; returns its bytes. See `admitted` for what it raises."""
        if charge.bytes > self._max_bytes:
            raise invalid_argument(
                charge.field,
                expected=f"at most {self._max_bytes} bytes of memory for a call",
                actual=f"{charge.bytes} for {charge.what}",
            )
        others = self.bytes - held
        if others + charge.bytes > self._max_bytes:
            raise busy(
                f"other calls take {others} of {self._max_bytes} bytes of memory, and this one {charge.bytes} for "
                f"{charge.what}",
                retry_after_ms=_RETRY_AFTER_MS,
            )
        self.bytes = others + charge.bytes
        return charge.bytes

    def give_back(self, size: int) -> None:
        """Frees what a call held."""
        self.bytes -= size


class Admission:
    """What one call holds of the memory."""

    def __init__(self, limiter: CapacityLimiter) -> None:
        self._limiter = limiter
        self._held = 0

    def change(self, charge: Charge) -> None:
        """Holds something else from now on.

        Raises:
            ServiceError: see `CapacityLimiter.admitted`; what was held is held still.
        """
        self._held = self._limiter.exchange(charge, held=self._held)

    def give_back(self) -> None:
        """Holds nothing any more."""
        self._limiter.give_back(self._held)
        self._held = 0
