"""An encoded image without its metadata, and what is wrong with one that is none."""

from dataclasses import dataclass

from rpc.errors import DeidRpcError
from rpc.images.limits import MAX_PARTS


class BadImageError(DeidRpcError):
    """An encoded image is not as expected."""

    def __init__(self, *, expected: str, actual: str) -> None:
        super().__init__(f"expected {expected}, got {actual}")
        self.expected = expected
        self.actual = actual


@dataclass(frozen=True)
class BareImage:
    """A JPEG or PNG that holds nothing but what decides on its pixels, so that no decoder trips over anything else.

    Whether its pixels are sound only decoding tells.
    """

    format: str  # "JPEG" or "PNG"
    encoded: bytes
    width: int
    height: int
    exif: bytes = b""  # as it came, sound or not
    animated: bool = False
    ended: bool = True  # the mark is there at which its pixels end


def damaged(format: str, what: str) -> BadImageError:  # noqa: A002 - Pillow's word
    """What came is not what was written once."""
    return BadImageError(expected="a whole image", actual=f"a damaged {format}: {what}")


def truncated(format: str, what: str) -> BadImageError:  # noqa: A002
    """The end of what was written once is missing."""
    return BadImageError(expected="a whole image", actual=f"a truncated {format}: {what}")


def too_many_parts(format: str, part: str) -> BadImageError:  # noqa: A002
    """It would cost seconds to go through it, whatever its parts are."""
    return BadImageError(expected=f"a {format} of at most {MAX_PARTS} {part}", actual="more")
