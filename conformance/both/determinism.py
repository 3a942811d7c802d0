"""The same request gets the same answer."""

import asyncio

from conformance.check import Problems, check
from conformance.service import Service


@check(
    "repeatable",
    demands="The same request gets the same answer, whatever was asked in between.",
    why="An answer that depends on earlier requests is not about the image alone, and a run can be reproduced only "
    "where its cloaks are.",
    queries=8,
)
async def repeatable(service: Service) -> Problems:
    samples = service.samples()
    first = {name: await service.answers(**changes) for name, changes in samples.items()}
    for name in reversed(list(samples)):
        if difference := service.difference(first[name], await service.ask(service.request(**samples[name]))):
            yield f"{name}, asked again: {difference}"


@check(
    "under-load",
    demands="A request gets the same answer while many others are being worked on.",
    why="Requests may share a batch, a thread or a random generator: then an answer depends on who else asks, or "
    "belongs to another request.",
    queries=16,
)
async def under_load(service: Service) -> Problems:
    load = [each for _ in range(service.copies) for each in service.samples().items()]
    alone = [await service.answers(**changes) for _, changes in load]
    # A request may have to wait for all the others.
    requests = (service.ask(service.request(**changes), times=len(load)) for _, changes in load)
    loaded = await asyncio.gather(*requests)
    for (name, _), expected, got in zip(load, alone, loaded, strict=True):
        if difference := service.difference(expected, got):
            yield f"{name}, under load: {difference}"
