"""What recognizers are shown: a cloaked photo that is searched, or clean photos that are searched among cloaked ones."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.condition import Condition
from orchestrator.pictures.conditions import Pixels, under_conditions
from orchestrator.pictures.pasting import published
from orchestrator.protect.case import UNCHANGED, Answer, Finding
from orchestrator.protect.oracle import Oracle, answers_of
from orchestrator.protect.photo_files import UserPhoto
from orchestrator.services.galleries import LastingGallery

Craft = Callable[[], Awaitable[Mapping[int, Cloak]]]


@dataclass
class CloakedPhoto:
    """A photo and its cloaks, which are crafted when the first of them is wanted."""

    photo: UserPhoto
    craft: Craft
    cloaks: Mapping[int, Cloak] = field(default_factory=dict)

    async def pixels(self, budget: int) -> Pixels:
        """The photo with the cloak of a budget, upright, before it is stored."""
        if budget == UNCHANGED:
            return await asyncio.to_thread(self.photo.pixels)
        if not self.cloaks:
            self.cloaks = await self.craft()
        worn = await asyncio.to_thread(published, self.photo.encoded, self.cloaks[budget])
        assert not isinstance(worn, bytes), "a cloak in a photo has a box"
        return worn

    async def under(self, budget: int, conditions: Iterable[Condition]) -> Mapping[Condition, bytes]:
        """What comes to an invader, by condition."""
        pixels = await self.pixels(budget)
        return await asyncio.to_thread(under_conditions, pixels, conditions)


@dataclass(frozen=True)
class Question:
    """What all questions of a case have in common."""

    oracle: Oracle
    person: str  # how the galleries call the person
    k: int
    conditions: Sequence[Condition]


@dataclass(frozen=True)
class OfSearchedPhoto:
    """Whether a photo is named as the person's."""

    question: Question
    worn: CloakedPhoto
    gallery: LastingGallery  # with the person's other photos

    async def __call__(self, budget: int, recognizers: Sequence[str]) -> tuple[Answer, ...]:
        """See `Ask`."""
        pictures = await self.worn.under(budget, self.question.conditions)
        asked = await asyncio.gather(*(self._ask(budget, each, pictures[each], recognizers) for each in pictures))
        return tuple(answer for answers in asked for answer in answers)

    async def _ask(
        self, budget: int, condition: Condition, picture: bytes, recognizers: Sequence[str]
    ) -> tuple[Answer, ...]:
        asked = self.question
        found = await asked.oracle.search(picture, recognizers, self.gallery, k=asked.k)
        searched = self.worn.photo.name
        return answers_of(found, recognizers, person=asked.person, condition=condition, budget=budget, searched=searched)


@dataclass(frozen=True)
class OfEnrolledPhotos:
    """Whether clean photos find the person among photos that were put online, all of which wear cloaks."""

    question: Question
    worn: Sequence[CloakedPhoto]  # all that is enrolled of the person
    searched: Sequence[UserPhoto]  # as they are
    gallery: Callable[[Mapping[str, Sequence[bytes]]], LastingGallery]  # with these pictures among the strangers

    async def __call__(self, budget: int, recognizers: Sequence[str]) -> tuple[Answer, ...]:
        """See `Ask`."""
        enrolled = [await each.under(budget, self.question.conditions) for each in self.worn]
        answers: list[Answer] = []
        for condition in self.question.conditions:
            answers += await self._ask(budget, condition, [pictures[condition] for pictures in enrolled], recognizers)
        return tuple(answers)

    async def _ask(
        self, budget: int, condition: Condition, enrolled: Sequence[bytes], recognizers: Sequence[str]
    ) -> Sequence[Answer]:
        asked = self.question
        async with self.gallery({asked.person: list(dict.fromkeys(enrolled))}) as gallery:
            if asked.person in await asked.oracle.without_face(gallery):
                return [
                    Answer(name, condition, budget, photo.name, Finding.NOT_ENROLLED)
                    for photo in self.searched
                    for name in recognizers
                ]
            answers: list[Answer] = []
            for photo in self.searched:
                found = await asked.oracle.search(photo.encoded, recognizers, gallery, k=asked.k)
                answers += answers_of(
                    found, recognizers, person=asked.person, condition=condition, budget=budget, searched=photo.name
                )
            return answers
