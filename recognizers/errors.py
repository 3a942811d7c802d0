"""What can go wrong with recognizers and their files."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from command_line.errors import OperatorError
from command_line.memory import memory_advice

_MAX_TEXT = 100  # characters
_NAMES_SHOWN = 4


class RecognizerError(OperatorError):
    """Root of this package's errors."""


class CheckpointError(RecognizerError):
    """A checkpoint file cannot be used; the message says why and, where there is one, the way out."""


class LabelSetError(RecognizerError):
    """A labels file cannot be used, or does not fit its checkpoint."""


class GalleryError(RecognizerError):
    """Photos cannot be enrolled, or thresholds be calibrated on them; the message says why."""


class UnknownIdentityError(RecognizerError):
    """An identity is not in a label set."""


def shorten(text: str) -> str:
    """Text of a file's choosing as it may be printed: on one line, and not long."""
    printable = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text[:_MAX_TEXT])
    return printable + ("..." if len(text) > _MAX_TEXT else "")


def some(names: Iterable[str]) -> str:
    """The first of some names, as they may be printed."""
    known = list(names)
    return ", ".join(shorten(name) for name in known[:_NAMES_SHOWN]) + (", ..." if len(known) > _NAMES_SHOWN else "")


@contextmanager
def wrap_errors(what: str, *, advice: str = "") -> Iterator[None]:
    """Makes whatever is raised within it a `CheckpointError` that names what failed: a plug-in may raise anything."""
    try:
        yield
    except RecognizerError:
        raise
    except (Exception, SystemExit) as error:
        reason = memory_advice(error) or f"{type(error).__name__}: {error}{advice}"
        raise CheckpointError(f"{what} failed: {reason}") from error
