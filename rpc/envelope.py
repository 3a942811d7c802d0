"""What a request holds beside its image, bounded before it is parsed.

Requests are parsed on the event loop. An image is copied whatever its size (2 ms for 16 MiB); sixteen million numbers of a
byte each take half a second, in which no other call is answered. What the envelope allows takes less than a millisecond.
"""

from functools import cache

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor

from rpc.errors import ServiceError, invalid_argument

MAX_BYTES = 64 * 2**10
MAX_FIELDS = 4096
_MAX_VARINT_BYTES = 10
_VARINT, _FIXED64, _LENGTH, _GROUP_START, _GROUP_END, _FIXED32 = range(6)  # wire types


@cache
def image_fields(method: str) -> frozenset[int] | None:
    """Numbers of the fields of a method's request that hold bytes; None where this project's schema has no such method.

    Args:
        method: `/package.Service/Name`.
    """
    service, _, name = method.removeprefix("/").partition("/")
    try:
        request = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name].input_type
    except KeyError:
        return None
    return frozenset(field.number for field in request.fields if field.type == FieldDescriptor.TYPE_BYTES)


def check_envelope(request: bytes, *, images: frozenset[int]) -> None:
    """Makes sure that a request holds little beside its images, looking at no more than `MAX_FIELDS` of its fields.

    Args:
        request: a message in protobuf's wire format.
        images: numbers of the fields whose bytes do not count.

    Raises:
        ServiceError: INVALID_ARGUMENT: it holds more than `MAX_BYTES` beside, or more fields, or is no message.
    """
    place = image_bytes = 0
    try:
        for _ in range(MAX_FIELDS):
            if place == len(request):
                break
            tag, place = _varint(request, place)
            size, place = _size(request, place, wire_type=tag & 7)
            place += size
            image_bytes += size if tag >> 3 in images and tag & 7 == _LENGTH else 0
    except (IndexError, KeyError) as error:
        raise no_message(request) from error
    beside = len(request) - image_bytes
    if place > len(request):
        raise no_message(request)
    if place < len(request) or beside > MAX_BYTES:
        raise invalid_argument(
            "request",
            expected=f"at most {MAX_BYTES} bytes and {MAX_FIELDS} fields beside its image",
            actual=f"{beside} bytes" if place == len(request) else f"{len(request)} bytes in more fields",
        )


def no_message(request: bytes) -> ServiceError:
    """The request is not of the schema."""
    return invalid_argument("request", expected="a message of the schema", actual=f"{len(request)} other bytes")


def _size(request: bytes, place: int, *, wire_type: int) -> tuple[int, int]:
    """How many bytes of a field follow, and from where on.

    Raises:
        IndexError: see `_varint`.
        KeyError: there is no such type.
    """
    if wire_type == _LENGTH:
        return _varint(request, place)
    if wire_type == _VARINT:
        return 0, _varint(request, place)[1]
    return {_FIXED64: 8, _GROUP_START: 0, _GROUP_END: 0, _FIXED32: 4}[wire_type], place


def _varint(request: bytes, place: int) -> tuple[int, int]:
    """A number and the place after it.

    Raises:
        IndexError: the bytes end before it does, or it does not end.
    """
    value = 0
    for shift in range(_MAX_VARINT_BYTES):
        value |= (request[place + shift] & 0x7F) << 7 * shift
        if request[place + shift] < 0x80:
            return value, place + shift + 1
    raise IndexError("more bytes than a number has")
