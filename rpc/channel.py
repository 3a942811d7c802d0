"""Channels to the services: message sizes, keepalive and replicas. A call is made once; its caller may make it again."""

import json

import grpc

from rpc.addresses import host_and_port, is_loopback, is_replicated
from rpc.errors import PlainTextError
from rpc.tls import TlsMaterial
from rpc.tracing import client_interceptors

_MAX_BYTES = 64 * 2**20
# What the environment calls a proxy would get the photos of a call to loopback in plain text, and has no place between the
# containers of a deployment.
NO_PROXY = ("grpc.enable_http_proxy", 0)
# While a call waits, its peer is asked for a sign of life so often; one that owes it for so long is given up, and its calls
# fail with UNAVAILABLE. A process that is stopped keeps its connections, and nothing else would tell.
KEEPALIVE_MS = 5_000
KEEPALIVE_TIMEOUT_MS = 5_000
# A connection that is not established by then is given up: a process that is stopped accepts one, and never speaks.
CONNECT_MS = 5_000
_FIRST_RECONNECT_MS, _LAST_RECONNECT_MS = 1_000, 5_000  # between attempts to connect: doubled, with gRPC's jitter of 20 %
_LIVELINESS = (
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    # What gRPC waits for is the answer to its ping, for a minute unless told: without this the timeout above has no effect.
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.max_pings_without_data", 0),  # no limit: a call waits in silence while its photo is computed
    ("grpc.keepalive_permit_without_calls", 0),  # a peer that died between calls is noticed by the next one
    ("grpc.min_reconnect_backoff_ms", CONNECT_MS),
    ("grpc.initial_reconnect_backoff_ms", _FIRST_RECONNECT_MS),
    ("grpc.max_reconnect_backoff_ms", _LAST_RECONNECT_MS),
    # A container that comes back may have another address; gRPC itself would ask for that after half a minute.
    ("grpc.dns_min_time_between_resolutions_ms", _FIRST_RECONNECT_MS),
)
_ROUND_ROBIN = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})


def open_channel(
    address: str, *, tls: TlsMaterial | None = None, tls_name: str | None = None, caller: str = "client"
) -> grpc.aio.Channel:
    """A channel to `host:port`, by mutual TLS or, to this machine only, in plain text.

    To `dns:///host:port` calls take turns among all addresses of the name that can be connected to. Whichever it is, its
    certificate must be for the name, or for `tls_name` where that is given.

    Raises:
        AddressError: the address is of neither form.
        PlainTextError: the host is not loopback, and there is no `tls`.
    """
    host, _ = host_and_port(address)
    options: list[tuple[str, str | int]] = [
        ("grpc.max_receive_message_length", _MAX_BYTES),
        ("grpc.max_send_message_length", _MAX_BYTES),
        # Not even calls that no server has seen are made again ("transparent" retries). All that gRPC does by itself is to
        # connect again, for the calls that come then.
        ("grpc.enable_retries", 0),
        NO_PROXY,
        *_LIVELINESS,
    ]
    if is_replicated(address):
        options.append(("grpc.service_config", _ROUND_ROBIN))
    if tls_name is not None:
        options.append(("grpc.ssl_target_name_override", tls_name))
    interceptors = list(client_interceptors(caller))
    if tls is not None:
        return grpc.aio.secure_channel(address, tls.channel_credentials(), options=options, interceptors=interceptors)
    if not is_loopback(host):
        raise PlainTextError(f"{address}: plain text is for loopback only; faces go further by mutual TLS")
    return grpc.aio.insecure_channel(address, options=options, interceptors=interceptors)
