"""Has cloaks enrolled in place of a subject's photos, and searches for the subject among the others."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.errors import CallError, UnusableServiceError
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import CloakKey
from orchestrator.pictures.conditions import under_condition
from orchestrator.pictures.pasting import published
from orchestrator.services.galleries import LastingGallery, SealedGallery
from orchestrator.session.classifying import CLOAKS_AT_ONCE, Classifier, Query
from orchestrator.session.cloak_sets import CloakSet
from orchestrator.session.context import RunContext
from orchestrator.session.photos import EncodedPhoto, SubjectPhotos
from orchestrator.session.slots import Slots
from rpc.images.bare_image import BadImageError

Unseen = Mapping[Condition, Sequence[str]]  # by condition, the target models that have not read it


@dataclass(frozen=True)
class Searches:
    """Searches for a subject in one gallery, and which of them are answered and recorded."""

    photos: SubjectPhotos
    key: CloakKey  # the kind of cloak that is enrolled
    enrolled: Sequence[bytes]  # in place of the subject's pictures
    queries: Sequence[Query]
    answered: set[Condition] = field(default_factory=set)

    @property
    def unanswered(self) -> list[Query]:
        return [query for query in self.queries if query.condition not in self.answered]

    @property
    def in_words(self) -> str:
        """What is not answered, for a message."""
        return f"enrol {self.key} and search under {', '.join(str(query.condition) for query in self.unanswered)}"


class GallerySearcher:
    """Enrols and searches. A gallery lives as long as the searches in it."""

    def __init__(self, run: RunContext, classifier: Classifier) -> None:
        self._run = run
        self._classifier = classifier
        self._cloaks = Slots(lambda: CLOAKS_AT_ONCE * classifier.capacity())

    async def show(self, photos: SubjectPhotos, cloaks: CloakSet, unseen: Unseen) -> None:
        """Searches for a subject whose cloaks are enrolled, under conditions, and records what became of it.

        Conditions whose chains are the same share a gallery.

        Raises:
            UnusableServiceError: the invader failed, or named somebody who is not in the label set that it listed.
            StoreError: an answer cannot be recorded.
        """
        async with self._cloaks, asyncio.TaskGroup() as galleries:
            for chain, conditions in alike(unseen).items():
                try:  # in threads: the event loop has other calls to attend to
                    enrolled = await asyncio.to_thread(worn, photos, cloaks.enrolled, chain)
                    searched = await asyncio.to_thread(_shown, photos.probe, cloaks.probe, chain)
                except BadImageError as error:
                    refused = CallError(f"expected {error.expected}, got {error.actual}", transient=False)
                    what = f"the cloaks {cloaks.key} as the protector sent them"
                    await self._run.give_up(photos.probe.name, what, refused)
                    return
                queries = [
                    Query(each, searched if each.carrier.is_searched else photos.probe.encoded, unseen[each])
                    for each in conditions
                ]
                galleries.create_task(self._search(Searches(photos, cloaks.key, enrolled, queries)))

    async def _search(self, searches: Searches) -> None:
        async with self._classifier.slot():
            await self.search(searches)

    async def search(self, searches: Searches, *, base: LastingGallery | None = None) -> None:
        """Enrols, makes the searches that are not answered yet, and records each answer as it comes, or what failed.

        Args:
            searches: for a subject.
            base: the gallery with everybody else; None: the invader's own.

        Raises:
            UnusableServiceError: see `show`.
            StoreError: see `show`.
        """
        enrolled = {searches.photos.identity: searches.enrolled}
        async with LastingGallery(self._classifier.galleries, enrolled, base=base) as gallery:

            async def ask() -> None:
                if searches.unanswered:
                    await gallery.use(lambda sealed: self._ask(searches, sealed))

            try:
                await self._classifier.retried(ask, missing=lambda: len(searches.unanswered))
            except (CallError, UnusableServiceError) as error:
                await self._run.give_up(searches.photos.probe.name, searches.in_words, error)

    async def _ask(self, searches: Searches, gallery: SealedGallery) -> None:
        is_enrolled = searches.photos.identity not in gallery.not_enrolled
        for query in searches.unanswered:
            answers = await self._classifier.search(query, gallery) if is_enrolled else None
            await self._classifier.record(searches.photos.probe, searches.key, query, answers, gallery=gallery)
            searches.answered.add(query.condition)


def alike(conditions: Iterable[Condition]) -> dict[Condition, list[Condition]]:
    """The conditions whose chains are the same, by chain."""
    found: dict[Condition, list[Condition]] = {}
    for condition in conditions:
        found.setdefault(condition.chain, []).append(condition)
    return found


def worn(photos: SubjectPhotos, cloaks: Sequence[Cloak], chain: Condition) -> list[bytes]:
    """What is enrolled of a subject: its cloaks as they come to the invader, and beside them its photos that stay clean.

    Args:
        photos: of the subject.
        cloaks: of its photos that are cloaked, in their order.
        chain: what is done to them.

    Raises:
        BadImageError: a cloak is no picture, or does not fit into its photo.
    """
    cloaked = [_shown(photo, cloak, chain) for photo, cloak in zip(photos.cloaked, cloaks, strict=True)]
    return [*cloaked, *(photo.encoded for photo in photos.clean)]


def _shown(photo: EncodedPhoto, cloak: Cloak, chain: Condition) -> bytes:
    return under_condition(published(photo.encoded, cloak), chain)
