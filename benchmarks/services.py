"""The two services as child processes, and questions to them."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.grid import CONTROL, EPSILONS, METHODS, NOISE
from orchestrator.services.children import child_service
from orchestrator.services.invader import InvaderClient
from orchestrator.services.protector import ProtectorClient
from recognizers.checkpoints.embedded import IDENTITIES
from synthetic_faces import Population

CLASSIFICATIONS_IN_FLIGHT = 8


@dataclass(frozen=True)
class Services:
    """Both services, and where they are."""

    protector: ProtectorClient
    invader: InvaderClient
    protector_address: str
    invader_address: str


@asynccontextmanager
async def both_services(checkpoints: Path | None = None, *, precision: str) -> AsyncIterator[Services]:
    """Both services while the context lasts, with a checkpoint folder or the embedded recognizers."""
    arguments = ["--precision", precision]
    if checkpoints is not None:
        arguments += ["--checkpoints", str(checkpoints)]
    with tempfile.TemporaryDirectory() as logs:
        async with (
            child_service("protector_service", arguments=arguments, log=Path(logs, "protector")) as protector,
            child_service("invader_service", arguments=arguments, log=Path(logs, "invader")) as invader,
        ):
            clients = ProtectorClient(protector.address), InvaderClient(invader.address)
            yield Services(*clients, protector.address, invader.address)
            for client in clients:
                await client.close()


def photos(count: int) -> list[tuple[str, bytes]]:
    """Photographs of the first people of the synthetic population, with their names."""
    population = Population(IDENTITIES)
    return [(population.name(number), population.jpeg(number, 1)) for number in range(1, count + 1)]


async def craft_all(
    protector: ProtectorClient,
    people: Sequence[tuple[str, bytes]],
    source_models: Sequence[str],
    *,
    methods: Sequence[str] = (CONTROL, NOISE, *METHODS),
    epsilons: Sequence[int] = EPSILONS,
    in_flight: int,
) -> list[Cloak]:
    """The cloaks of every photo by every source model, `in_flight` photos at a time."""
    places = asyncio.Semaphore(in_flight)

    async def craft(name: str, photo: bytes, source_model: str) -> list[Cloak]:
        cloaks = protector.craft(
            photo,
            probe=name,
            identity=name,
            source_model=source_model,
            methods=methods,
            epsilons=epsilons,
            seed=0,
        )
        return [cloak async for cloak in cloaks]

    async def craft_by_each(name: str, photo: bytes) -> list[Cloak]:
        async with places:
            by_model = await asyncio.gather(*(craft(name, photo, source_model) for source_model in source_models))
        return [cloak for cloaks in by_model for cloak in cloaks]

    crafted = await asyncio.gather(*(craft_by_each(name, photo) for name, photo in people))
    return [cloak for cloaks in crafted for cloak in cloaks]


async def classify_all(invader: InvaderClient, cloaks: Sequence[Cloak], target_models: Sequence[str], *, k: int) -> None:
    """Shows every cloak to every target model."""
    places = asyncio.Semaphore(CLASSIFICATIONS_IN_FLIGHT)

    async def classify(cloak: Cloak) -> None:
        async with places:
            await invader.classify(cloak.encoded, target_models=target_models, k=k)

    await asyncio.gather(*(classify(cloak) for cloak in cloaks))
