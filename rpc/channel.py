"""Channels to the services: message sizes, and retries by gRPC's own service config."""

import json

import grpc

from rpc.addresses import host_and_port, is_loopback
from rpc.errors import PlainTextError
from rpc.tls import TlsMaterial
from rpc.tracing import client_interceptors

_MOST_BYTES = 64 * 2**20
# What the environment calls a proxy would get the photos of a call to loopback in plain text, and has no place between the
# containers of a deployment.
NO_PROXY = ("grpc.enable_http_proxy", 0)
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


def open_channel(address: str, *, tls: TlsMaterial | None = None, caller: str = "client") -> grpc.aio.Channel:
    """A channel to `host:port`, by mutual TLS or, to this machine only, in plain text.

    Raises:
        AddressError: the address is not `host:port`.
        PlainTextError: the host is not loopback, and there is no `tls`.
    """
    host, _ = host_and_port(address)
    options: list[tuple[str, str | int]] = [
        ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
        ("grpc.max_receive_message_length", _MOST_BYTES),
        ("grpc.max_send_message_length", _MOST_BYTES),
        NO_PROXY,
    ]
    interceptors = list(client_interceptors(caller))
    if tls is not None:
        return grpc.aio.secure_channel(address, tls.channel_credentials(), options=options, interceptors=interceptors)
    if not is_loopback(host):
        raise PlainTextError(f"{address}: plain text is for loopback only; faces go further by mutual TLS")
    return grpc.aio.insecure_channel(address, options=options, interceptors=interceptors)
