"""What tells one state of a service from another: a digest of the models it offers, which comes with every answer.

Optional in the schema: a client compares it where it is sent. A service that was started again with other models, or that is
one of several replicas and not like the others, is so found out by its first answer, whatever the channel did meanwhile.
"""

from hashlib import sha256
from typing import Any

import grpc
from google.protobuf.message import Message

MODELS_DIGEST_KEY = "deid-models-digest"


def models_digest(listed: Message) -> str:
    """SHA-256, lower-case hexadecimal, of a List…Models answer that holds its models and nothing that a call can change."""
    return sha256(listed.SerializeToString(deterministic=True)).hexdigest()


async def send_models_digest(context: grpc.aio.ServicerContext[Any, Any], digest: str) -> None:
    """Sends it as initial metadata, once the call cannot be refused any more: gRPC retries none that has had some."""
    await context.send_initial_metadata(((MODELS_DIGEST_KEY, digest),))


async def received_models_digest(call: grpc.aio.Call) -> str | None:
    """What came with an answer; None where nothing did."""
    for key, value in await call.initial_metadata() or ():
        if key == MODELS_DIGEST_KEY and isinstance(value, str):
            return value
    return None
