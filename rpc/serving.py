"""A service from its settings to its end, whichever its role."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from rpc.addresses import address_of
from rpc.metrics import Metrics, serve_metrics
from rpc.roles import Role
from rpc.server import ALL_REASONS, Server
from rpc.settings import ServiceSettings
from rpc.stopping import close_within
from rpc.tracing import server_interceptors

CLOSE_SECONDS = 10.0  # after the calls have been drained

Settings = TypeVar("Settings", bound=ServiceSettings)


async def serve(
    role: Role,
    settings: Settings,
    wired: Callable[[Settings, Server, Metrics], AbstractContextManager[Sequence[Callable[[], None]]]],
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
    metrics = Metrics()
    server = Server(
        address=address_of(settings.host, settings.port),
        limits=settings.image_limits,
        disclosed=disclosed,
        tls=settings.tls,
        metrics=metrics,
        health_port=settings.health_port,
        interceptors=server_interceptors(role.program),
    )
    with wired(settings, server, metrics) as closers:
        serve_metrics(metrics, settings)
        await server.serve(
            [role.grpc_service], drain_seconds=settings.drain_seconds, stop_with_stdin=settings.stop_with_stdin
        )
    await close_within(CLOSE_SECONDS, *closers, at_once=server.signals.at_once)
