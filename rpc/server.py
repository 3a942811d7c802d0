"""The life of a service: bind, get ready, serve, drain on a signal, stop."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from rpc.errors import BUSY, IDENTITIES_NOT_LISTED, INVALID_ARGUMENT, NO_FACE, NOT_FOUND, AddressInUseError
from rpc.images import ImageLimits
from rpc.interceptor import ErrorInterceptor

logger = logging.getLogger(__name__)

ALL_REASONS = frozenset({INVALID_ARGUMENT, NO_FACE, NOT_FOUND, BUSY, IDENTITIES_NOT_LISTED})
LISTENING = "listening on "
_ENVELOPE = 2**20  # what a message may hold beside its image, in bytes


class Server:
    """A gRPC server with standard health; `serve` returns once a signal has stopped it."""

    def __init__(self, *, address: str, limits: ImageLimits, disclosed: frozenset[str] = ALL_REASONS) -> None:
        most_bytes = limits.most_bytes + _ENVELOPE
        self.grpc = grpc.aio.server(
            interceptors=[ErrorInterceptor(disclosed=disclosed)],
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", most_bytes),
                ("grpc.max_send_message_length", most_bytes),
            ],
        )
        self.health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.grpc)
        try:
            self.port = self.grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise AddressInUseError(
                f"cannot listen on {address}: the port is taken or the host is not this machine's"
            ) from error
        self._host = address.rpartition(":")[0]

    @property
    def address(self) -> str:
        return f"{self._host}:{self.port}"

    async def start(self, service_names: Sequence[str]) -> None:
        """Answers calls from now on and reports the services as ready."""
        await self.grpc.start()
        for name in ("", *service_names):
            await self.health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def serve(self, service_names: Sequence[str], *, drain_seconds: float, stop_with_stdin: bool) -> None:
        """Serves until SIGTERM or SIGINT; then reports NOT_SERVING, lets calls finish for a while, and stops.

        With `stop_with_stdin`, the end of standard input stops it too.
        """
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        if stop_with_stdin:
            # A daemon thread: nothing portable can interrupt a blocking read of standard input.
            threading.Thread(target=_wait_for_end_of_stdin, args=(loop, stopped), daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        await self.start(service_names)
        logger.info("serving", extra={"address": self.address, "transport": "plain text"})
        # The one line on standard output: whoever started this process on port 0 learns the port from it.
        print(f"{LISTENING}{self.address}", flush=True)  # noqa: T201
        await stopped.wait()
        await self.health.enter_graceful_shutdown()
        logger.info("draining", extra={"seconds": drain_seconds})
        await self.grpc.stop(drain_seconds)
        logger.info("stopped")


def _wait_for_end_of_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    # Not through sys.stdin: its buffer is locked while a thread waits in it, and an interpreter that ends then aborts.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    loop.call_soon_threadsafe(stopped.set)
