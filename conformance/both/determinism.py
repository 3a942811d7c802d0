"""The same request is answered the same."""

import asyncio

from conformance.check import Problems, check
from conformance.service import Service


@check(
    "repeatable",
    demands="The same request gets the same answer, whatever was asked between.",
    why="An answer that depends on what was asked before is about more than the image, and a run that is done again is the "
    "same run only where cloaks are.",
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
    demands="Every request gets the same answer while several are sent several times at once.",
    why="Requests that share a batch, a thread or a random generator may get what depends on who else asks, or one "
    "another's answers.",
    queries=16,
)
async def under_load(service: Service) -> Problems:
    load = [each for _ in range(service.copies) for each in service.samples().items()]
    alone = [await service.answers(**changes) for _, changes in load]
    # One that is worked on after all the others is given the time of all.
    requests = (service.ask(service.request(**changes), times=len(load)) for _, changes in load)
    loaded = await asyncio.gather(*requests)
    for (name, _), expected, got in zip(load, alone, loaded, strict=True):
        if difference := service.difference(expected, got):
            yield f"{name}, under load: {difference}"
