"""What a client is told of a store's refusal."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from gallery_service.errors import ClientGalleryError, Reason
from rpc.errors import NEVER_AGAIN, FieldViolation, ServiceError

_CODES = {
    Reason.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.SEALED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.NOT_SEALED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.EMPTY: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.ALREADY_ENROLLED: grpc.StatusCode.ALREADY_EXISTS,
    Reason.LIMIT: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


@contextmanager
def refusing(field: str) -> Iterator[None]:
    """Turns a store's refusal into what leaves the service.

    Args:
        field: of the request, that names the gallery.

    Raises:
        ServiceError: the store refused.
    """
    try:
        yield
    except ClientGalleryError as error:
        raise refusal(error, field=field) from error


def refusal(error: ClientGalleryError, *, field: str) -> ServiceError:
    """What a client is told of a refusal."""
    violation = FieldViolation(
        "identity" if error.reason is Reason.ALREADY_ENROLLED else field, error.expected, error.actual
    )
    return ServiceError(
        str(violation),
        code=_CODES[error.reason],
        reason=error.reason.value,
        violation=violation,
        retry_after_ms=NEVER_AGAIN if error.reason is Reason.LIMIT else None,
    )
