"""The same image is answered the same."""

import asyncio

from conformance.check import NotApplicable, check, fail_for
from conformance.invader.service import IMAGES, Answer, Invader
from conformance.pictures import faceless

COPIES = 3  # of every image, at the same time


def same(one: Answer, other: Answer) -> bool:
    """Whether two answers say the same of an image, whatever is left of a budget."""
    return one.face_found == other.face_found and one.classifications == other.classifications


@check(
    "invader.repeatable",
    demands="The same image gets the same answer, whatever was asked between.",
    why="An answer that depends on what was asked before is about more than the image.",
    queries=2 * IMAGES + 2,
)
async def repeatable(service: Invader) -> None:
    images = [subject.photo for subject in service.subjects] + [faceless()]
    first = [await service.answer(image) for image in images]
    again = [await service.classify(service.request(image)) for image in reversed(images)]
    fail_for(
        f"image {place + 1}: asked in another order it is answered otherwise"
        for place, (before, after) in enumerate(zip(first, reversed(again), strict=True))
        if not same(before, after)
    )


@check(
    "invader.alone",
    demands="A target model answers the same whether it is asked alone or among others.",
    why="Each target model is an experiment of its own.",
    queries=IMAGES + 8,
)
async def alone(service: Invader) -> None:
    if len(service.names) < 2:
        raise NotApplicable("there is one target model only")
    together = {each.target_model: each for each in (await service.answer(service.subjects[0].photo)).classifications}
    problems = []
    for name in service.names[:8]:
        answer = await service.classify(service.request(target_models=[name]))
        if [together.get(name)] != list(answer.classifications):
            problems.append(f"{name}: alone it answers otherwise")
    fail_for(problems)


@check(
    "invader.under-load",
    demands=f"Every image gets the same answer while all are asked about {COPIES} times at once.",
    why="Faces of requests that share a batch or a thread may get one another's answers.",
    queries=(COPIES + 1) * (IMAGES + 1),
)
async def under_load(service: Invader) -> None:
    images = [subject.photo for subject in service.subjects] + [faceless()]
    alone = [await service.answer(image) for image in images]
    asked = [image for _ in range(COPIES) for image in images]
    # One that is worked on after all the others is given the time of all.
    loaded = await asyncio.gather(*(service.classify(service.request(image), times=len(asked)) for image in asked))
    different = [place for place, answer in enumerate(loaded) if not same(answer, alone[place % len(images)])]
    fail_for(f"image {place % len(images) + 1}: under load it is answered otherwise" for place in different)
