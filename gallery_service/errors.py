"""What can be wrong with a request for a client's gallery."""

from enum import StrEnum

from command_line.errors import OperatorError


class Reason(StrEnum):
    """Why a store refuses; the values are those that a client is told."""

    NOT_FOUND = "NOT_FOUND"
    SEALED = "GALLERY_SEALED"
    NOT_SEALED = "GALLERY_NOT_SEALED"
    EMPTY = "GALLERY_EMPTY"
    ALREADY_ENROLLED = "ALREADY_ENROLLED"
    LIMIT = "GALLERY_LIMIT"


class ClientGalleryError(OperatorError):
    """A store refuses a request; what was expected and what came, with the way out, are the client's to know."""

    def __init__(self, reason: Reason, *, expected: str, actual: str) -> None:
        super().__init__(f"expected {expected}, got {actual}")
        self.reason = reason
        self.expected = expected
        self.actual = actual


def not_found() -> ClientGalleryError:
    """There is no such gallery: in the same words for one that never was, that is gone, and that is another client's.

    Its name is not repeated: whoever has it can use the gallery, and messages are logged.
    """
    return ClientGalleryError(
        Reason.NOT_FOUND,
        expected="a gallery that this client created, and neither deleted nor left unused for too long",
        actual="a name of none",
    )
