"""Where a service is: at a given address, or started for the run."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.services.children import Endpoint, child_service
from rpc.tls import TlsMaterial


@dataclass(frozen=True)
class EndpointSpec:
    """The address of a service, or what to start it with: a folder, or else the embedded recognizers.

    The address is `host:port`, or what stands for several (`services/addresses.py`).

    Raises:
        InputError: both an address and a folder were given.
    """

    kind: str  # "protector" or "invader"
    address: str | None
    checkpoints: Path | None
    precision: str = "float32"  # of one that is started
    tls: TlsMaterial | None = None  # shown to one that is running
    arguments: tuple[str, ...] = ()  # further ones of one that is started
    tls_name: str | None = None  # that the certificates of what is running are for, where it is not their hosts

    def __post_init__(self) -> None:
        if self.address is not None and self.checkpoints is not None:
            raise InputError(f"--{self.kind}, --{self.kind}-checkpoints: expected at most one of the two, got both")

    @property
    def tls_in_use(self) -> TlsMaterial | None:
        """None for a service that is started, because it listens on loopback."""
        return None if self.address is None else self.tls


@asynccontextmanager
async def endpoint(
    spec: EndpointSpec, *, log: Path, note: Callable[[str], None], on_enrolling: Callable[[int, int], None] = lambda *_: None
) -> AsyncIterator[Endpoint]:
    """The endpoint of a service; a service without an address is started, and runs while the context lasts.

    `on_enrolling` is told how many photos one that is started has enrolled, and of how many.

    Raises:
        OrchestratorError: see `child_service`.
    """
    if spec.address is not None:
        yield Endpoint(spec.address)
        return
    arguments = ["--precision", spec.precision, *spec.arguments]
    if spec.checkpoints is not None:
        arguments += ["--checkpoints", str(spec.checkpoints)]
    async with child_service(f"{spec.kind}_service", arguments=arguments, log=log, on_enrolling=on_enrolling) as started:
        for error in started.errors:
            note(f"{spec.kind}: {error}")
        yield started
