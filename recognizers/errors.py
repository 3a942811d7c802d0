"""What can go wrong with recognizers and their files."""

from collections.abc import Iterator
from contextlib import contextmanager


class RecognizerError(Exception):
    """Root of this package's errors. The message is meant for the person who runs the program."""


class CheckpointError(RecognizerError):
    """A checkpoint file cannot be used; the message says why and, where there is one, the way out."""


class LabelSetError(RecognizerError):
    """A labels file cannot be used, or does not fit its checkpoint."""


class UnknownIdentityError(RecognizerError):
    """An identity is not in a label set."""


@contextmanager
def blaming(what: str, *, advice: str = "") -> Iterator[None]:
    """Makes whatever is raised within it a `CheckpointError` that names what failed: a plug-in may raise anything."""
    try:
        yield
    except RecognizerError:
        raise
    except (Exception, SystemExit) as error:
        raise CheckpointError(f"{what} failed: {type(error).__name__}: {error}{advice}") from error
