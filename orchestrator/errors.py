"""What can go wrong with an evaluation."""

from typing import TypeVar


class OrchestratorError(Exception):
    """Root of this package's errors. The message is meant for the person who runs the program."""


class InputError(OrchestratorError):
    """What was asked for cannot be done; the message names the option, what was expected and what came."""


class UnusableServiceError(OrchestratorError):
    """A service does not answer, or not as the service that the run began with. `transient`: asking again can help."""

    transient = True


class UnreachableServiceError(UnusableServiceError):
    """A service does not answer; it may come back."""


class ServiceGoneError(UnusableServiceError):
    """A service did not come back within the outage timeout, or is a process of this run's that has ended."""

    transient = False


class ServiceChangedError(UnusableServiceError):
    """A service answers as another than the one that the run began with; the message names what differs."""

    transient = False


class QueryBudgetSpentError(UnusableServiceError):
    """The invader's budget for this client is spent."""

    transient = False


class CallError(OrchestratorError):
    """One call failed; nothing was observed. `transient`: asking again can help."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


class GalleryGoneError(CallError):
    """A service has forgotten a gallery: it was started again, or the gallery had expired. It can be made again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, transient=True)


class GalleryEmptyError(CallError):
    """A gallery holds nobody: no picture that was to be enrolled shows a face."""

    def __init__(self, message: str) -> None:
        super().__init__(message, transient=False)


class ThrottledError(CallError):
    """A service is busy, or was asked too often; nothing was observed, and it may say when to come back."""

    def __init__(self, message: str, *, retry_after_ms: int | None) -> None:
        super().__init__(message, transient=True)
        self.retry_after_ms = retry_after_ms


class NoFaceError(OrchestratorError):
    """The protector finds no face in a photo."""


class PhotoRefusedError(OrchestratorError):
    """The protector does not take a photo: it is no whole picture, or beyond the limits that the protector has."""


class MetricError(OrchestratorError):
    """A metric is not defined for these observations."""


E = TypeVar("E", bound=BaseException)


def first_of(errors: BaseExceptionGroup[E]) -> E:
    """The first error of a group, however deep it lies: the others followed from it, or say the same."""
    error: E | BaseExceptionGroup[E] = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
