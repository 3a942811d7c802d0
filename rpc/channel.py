"""Channels to the services: message sizes, and retries by gRPC's own service config."""

import json

import grpc

_MOST_BYTES = 64 * 2**20
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                # RESOURCE_EXHAUSTED comes with grpc-retry-pushback-ms, which overrides the backoff.
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel to `host:port`, in plain text."""
    return grpc.aio.insecure_channel(
        address,
        options=[
            ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
            ("grpc.max_receive_message_length", _MOST_BYTES),
            ("grpc.max_send_message_length", _MOST_BYTES),
        ],
    )
