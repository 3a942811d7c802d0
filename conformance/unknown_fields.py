"""Fields of messages that the schema does not have."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

_WIRE_TYPES = {0: "varint", 1: "64 bits", 2: "length-delimited", 3: "group", 5: "32 bits"}
_LENGTH_DELIMITED = 2
_BYTES_SHOWN = 12


def unknown_fields(message: Message) -> Iterator[str]:
    """A sentence about every field of a message, and of the messages in it, that the schema does not have."""
    fields: Any = UnknownFieldSet(message)  # its type stubs lack iteration
    for field in fields:
        content = field.data if field.wire_type == _LENGTH_DELIMITED else None
        shown = f" of {len(content)} bytes, {content[:_BYTES_SHOWN].hex()}…" if isinstance(content, bytes) else ""
        kind = _WIRE_TYPES.get(field.wire_type, str(field.wire_type))
        yield f"{message.DESCRIPTOR.name} holds field {field.field_number} ({kind}{shown})"
    for descriptor, value in message.ListFields():
        if descriptor.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in value if descriptor.is_repeated else [value]:
                yield from unknown_fields(inner)
