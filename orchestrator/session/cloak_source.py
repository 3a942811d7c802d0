"""What a run asks for its cloaks, opened while the run lasts."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from orchestrator.cloaks.source import CloakSource
from orchestrator.cloaks.with_noise import WithMatchedNoise
from orchestrator.services.endpoint import EndpointSpec, endpoint
from orchestrator.services.replicated_protector import open_protector

Ended = Callable[[], str | None]  # says how the process of a service that was started ended; None while it runs


@asynccontextmanager
async def cloak_source(
    protector: EndpointSpec | CloakSource,
    *,
    log: Path,
    note: Callable[[str], None],
    on_enrolling: Callable[[int, int], None] = lambda *_: None,
) -> AsyncIterator[tuple[CloakSource, Ended]]:
    """What is asked for cloaks while the context lasts: a protector, which is started where it does not run yet.

    `on_enrolling` is as of `endpoint`.

    Raises:
        OrchestratorError: it cannot be started.
    """
    if not isinstance(protector, EndpointSpec):
        try:
            yield protector, lambda: None
        finally:
            await protector.close()
        return
    async with endpoint(protector, log=log, note=note, on_enrolling=on_enrolling) as started:
        client = open_protector(started.address, tls=protector.tls_in_use, tls_name=protector.tls_name, note=note)
        try:
            yield WithMatchedNoise(client), started.ended
        finally:
            await client.close()
