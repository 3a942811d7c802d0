"""The life of a service, whichever its role: bind, get ready, serve, drain on a signal, stop."""

import asyncio
import errno
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from command_line.output import print_line
from rpc.addresses import LISTENING, LOOPBACK, address_of, is_loopback
from rpc.errors import (
    BUSY,
    GALLERY_REASONS,
    IDENTITIES_NOT_LISTED,
    INVALID_ARGUMENT,
    NO_FACE,
    NOT_FOUND,
    AddressInUseError,
    PlainTextError,
)
from rpc.images.limits import ImageLimits
from rpc.interceptor import ErrorInterceptor
from rpc.metrics import Metrics, MetricsInterceptor, serve_metrics
from rpc.roles import Role
from rpc.running_calls import RunningCalls
from rpc.settings import ServiceSettings
from rpc.stopping import StopSignals, close_within, done_within
from rpc.tls import TlsMaterial
from rpc.tracing import server_interceptors

logger = logging.getLogger(__name__)

ALL_REASONS = frozenset({INVALID_ARGUMENT, NO_FACE, NOT_FOUND, BUSY, IDENTITIES_NOT_LISTED}) | GALLERY_REASONS
_ENVELOPE = 2**20  # what a message may hold beside its image, in bytes
_STREAMS_A_CONNECTION = 64  # calls at a time: each may have a message on its way
_MIN_PING_INTERVAL_MS = 2_000  # a client that waits may ask for a sign of life so often; ours does every five seconds
_CLOSE_SECONDS = 10.0  # after the calls have been drained
_UNWIND_SECONDS = 5.0  # handlers that were cancelled have only to note how they ended
_CALL_OF_A_CLOSING_CONNECTION_MS = 3_600_000  # as long as a client waits for a Craft
_NO_GRACE_ENDS = 10.0**9  # seconds: how long calls may drain is bounded here, and not by gRPC
_REASONS = {
    errno.EADDRINUSE: "the port is taken",
    errno.EADDRNOTAVAIL: "the host is not this machine's",
    errno.EACCES: "this user may not listen on such a port",
}
_UNCOMPRESSED_ONLY = 1  # a bit for each algorithm, the first of which is none

Settings = TypeVar("Settings", bound=ServiceSettings)


async def run_server(
    role: Role,
    settings: Settings,
    wired: Callable[[Settings, "Server"], AbstractContextManager[Sequence[Callable[[], None]]]],
    *,
    disclosed: frozenset[str] = ALL_REASONS,
) -> None:
    """Binds, so that a port that is taken is told at once; then loads what answers, and serves until a signal comes.

    Args:
        role: of the service.
        settings: by which it serves.
        wired: loads what answers and adds it to the server. Its context lasts until no call runs any more, and gives what
            has threads to be closed after that.
        disclosed: the reasons for which it may refuse a call.
    """
    server = Server(
        address=address_of(settings.host, settings.port),
        limits=settings.image_limits,
        disclosed=disclosed,
        tls=settings.tls,
        health_port=settings.health_port,
        max_connection_age=settings.max_connection_age,
        interceptors=server_interceptors(role.program),
    )
    with wired(settings, server) as closers:
        serve_metrics(server.metrics, settings)
        await server.serve(
            [role.grpc_service, *server.other_services],
            drain_seconds=settings.drain_seconds,
            stop_with_stdin=settings.stop_with_stdin,
        )
    await close_within(_CLOSE_SECONDS, *closers, at_once=server.signals.at_once)


class Server:
    """A gRPC server with standard health; `serve` returns once a signal has stopped it.

    With `tls` it refuses clients without a certificate of the same authority; without, it serves on loopback only.
    """

    def __init__(
        self,
        *,
        address: str,
        limits: ImageLimits,
        disclosed: frozenset[str] = ALL_REASONS,
        tls: TlsMaterial | None = None,
        health_port: int | None = None,
        max_connection_age: float = 0,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    ) -> None:
        """Binds, and answers nothing yet.

        Args:
            address: to listen on.
            limits: of images, which bound messages.
            disclosed: the reasons for which it may refuse a call.
            tls: with which it takes clients with a certificate only; None for plain text.
            health_port: answers health checks, and nothing else, to this machine in plain text.
            max_connection_age: seconds after which a client is told to connect anew for further calls, so that it meets
                the replicas that came meanwhile; 0 for never.
            interceptors: outermost first.

        Raises:
            PlainTextError: the address is not loopback, and there is no `tls`.
            AddressInUseError: an address cannot be had.
        """
        self._host = address.rpartition(":")[0]
        if tls is None and not is_loopback(self._host):
            raise PlainTextError(
                f"plain text is for loopback only, and {self._host} is not: give --tls-certificate, --tls-key and "
                f"--tls-authority (`make certificates` makes them), or --host {LOOPBACK}"
            )
        self.transport = "plain text, loopback only" if tls is None else "mutual TLS"
        self.metrics = Metrics()
        self.calls = RunningCalls()
        self.signals = StopSignals()
        self.other_services: list[str] = []  # beside that of its role; whoever adds one to the server lists it for health
        max_bytes = limits.max_bytes + _ENVELOPE
        self.grpc = grpc.aio.server(
            interceptors=[
                *interceptors,
                MetricsInterceptor(self.metrics),
                ErrorInterceptor(disclosed=disclosed),
                self.calls,
            ],
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_concurrent_streams", _STREAMS_A_CONNECTION),
                ("grpc.max_receive_message_length", max_bytes),
                ("grpc.max_send_message_length", max_bytes),
                # gRPC closes the connection of a client whose pings come more often than every five minutes, unless told.
                ("grpc.http2.min_ping_interval_without_data_ms", _MIN_PING_INTERVAL_MS),
                ("grpc.keepalive_permit_without_calls", 1),  # one that is on its way when the last call ends
                # Images are compressed already; a message that inflates is one thing only.
                ("grpc.compression_enabled_algorithms_bitset", _UNCOMPRESSED_ONLY),
                *_aging(max_connection_age),
            ],
        )
        self.health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.grpc)
        self.port = _bind(self.grpc, address, tls)
        self._health_grpc: grpc.aio.Server | None = None
        if health_port is not None:
            self._health_grpc = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
            health_pb2_grpc.add_HealthServicer_to_server(self.health, self._health_grpc)
            self.health_port = _bind(self._health_grpc, f"{LOOPBACK}:{health_port}", None)

    @property
    def address(self) -> str:
        return f"{self._host}:{self.port}"

    async def start(self, service_names: Sequence[str]) -> None:
        """Answers calls from now on and reports the services as ready."""
        await self.grpc.start()
        if self._health_grpc is not None:
            await self._health_grpc.start()
        for name in ("", *service_names):
            await self.health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, drain_seconds: float | None) -> None:
        """Lets running calls finish for a while, cuts off those that do not, and waits until the handlers of all have ended.

        A second signal ends the while.
        """
        stopping = asyncio.create_task(self.grpc.stop(_NO_GRACE_ENDS if drain_seconds else None))
        if drain_seconds and not await done_within(drain_seconds, stopping, unless=self.signals.at_once):
            self.calls.cut_off = True
            await self.grpc.stop(None)  # which has the effect of shortening the other
        self.calls.cut_off = True
        await stopping
        if not await self.calls.end(_UNWIND_SECONDS):
            logger.warning("calls did not end when they were cut off", extra={"calls": self.calls.number})
        if self._health_grpc is not None:
            await self._health_grpc.stop(None)

    async def serve(self, service_names: Sequence[str], *, drain_seconds: float, stop_with_stdin: bool) -> None:
        """Serves until SIGTERM, SIGINT or SIGHUP; then reports NOT_SERVING, lets calls finish for a while, and stops.

        With `stop_with_stdin`, the end of standard input stops it too. When this returns no handler runs any more.
        """
        if stop_with_stdin:
            # A daemon thread: nothing portable can interrupt a blocking read of standard input.
            arguments = (asyncio.get_running_loop(), self.signals.asked)
            threading.Thread(target=_wait_for_end_of_stdin, args=arguments, daemon=True).start()
        self.signals.listen()
        await self.start(service_names)
        logger.info("serving", extra={"address": self.address, "transport": self.transport})
        # The one line on standard output: whoever started this process on port 0 learns the port from it.
        print_line(f"{LISTENING}{self.address}")
        await self.signals.asked.wait()
        await self.health.enter_graceful_shutdown()
        logger.info("draining", extra={"seconds": drain_seconds})
        await self.stop(drain_seconds)
        logger.info("stopped")


def _aging(max_seconds: float) -> tuple[tuple[str, int], ...]:
    """What ends connections, with jitter of gRPC's own; calls that are under way then end in their own time."""
    if not max_seconds:
        return ()
    return (
        ("grpc.max_connection_age_ms", int(max_seconds * 1000)),
        ("grpc.max_connection_age_grace_ms", _CALL_OF_A_CLOSING_CONNECTION_MS),
    )


def _bind(server: grpc.aio.Server, address: str, tls: TlsMaterial | None) -> int:
    try:
        if tls is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, tls.server_credentials())
    except RuntimeError as error:
        raise AddressInUseError(f"cannot listen on {address}: {_why_not(address)}") from error


def _why_not(address: str) -> str:
    """Why an address cannot be listened on, by trying: gRPC does not say."""
    host, _, port = address.rpartition(":")
    try:
        ends = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, end in ends:
            with socket.socket(family, kind, protocol) as trying:
                trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC
                trying.bind(end)
    except (socket.gaierror, UnicodeError, ValueError):
        return f"the host {host!r} is not known here"
    except OSError as error:
        return _REASONS.get(error.errno or 0, error.strerror or str(error))
    return "the port is taken or the host is not this machine's"


def _wait_for_end_of_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    if sys.stdin is not None:
        with suppress(OSError, ValueError):  # it is closed, or that of a terminal that was: it has ended
            # Not through sys.stdin: its buffer is locked while a thread waits in it, and an interpreter that ends then
            # aborts.
            while os.read(sys.stdin.fileno(), 1024):
                pass
    with suppress(RuntimeError):  # the loop is closed: the service has stopped already
        loop.call_soon_threadsafe(stopped.set)
