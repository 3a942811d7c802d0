"""Searches as an invader does that has the tool: beside everybody's photos it enrols cloaks of the other subjects' photos.

A choice: the others whose photos it cloaks are the run's subjects, of whom the cloaks are there.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256

from orchestrator.errors import NoFaceError, PhotoRefusedError
from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import Cell, CloakKey
from orchestrator.services.galleries import LastingGallery
from orchestrator.session.classifying import Classifier, Query
from orchestrator.session.context import RunContext
from orchestrator.session.crafting import Crafter
from orchestrator.session.enrolling import GallerySearcher, Searches, alike, worn
from orchestrator.session.photos import SubjectPhotos, readable_photos, subject_photos
from orchestrator.store.records import SubjectStatus

KINDS_AT_ONCE = 2  # of cloaks, of which those of all subjects are in memory


class AdaptiveSearcher:
    """Searches when the cloaks of all subjects are there."""

    def __init__(self, run: RunContext, crafter: Crafter, classifier: Classifier, searcher: GallerySearcher) -> None:
        self._run = run
        self._crafter = crafter
        self._classifier = classifier
        self._searcher = searcher
        self._kinds = asyncio.Semaphore(KINDS_AT_ONCE)

    async def search(self) -> None:
        """Makes the searches that are not recorded yet.

        Raises:
            OrchestratorError: a service failed, or an answer cannot be recorded; what was answered before is recorded.
        """
        grid = self._run.plan.grid
        conditions = grid.carried_by(Carrier.ADAPTIVE)
        if not conditions:
            return
        subjects = await self._subjects()
        observed = {
            (each.probe, each.cell)
            for each in await self._run.journal.run(self._run.store.observations)
            if each.cell.condition in conditions
        }
        async with asyncio.TaskGroup() as kinds:
            for source_model in grid.source_models:
                for key in grid.cloaks(source_model):
                    unseen = self._unseen(key, conditions, [each.probe.name for each in subjects], observed)
                    if any(unseen.values()):
                        kinds.create_task(self._search_kind(key, subjects, unseen))

    async def _subjects(self) -> list[SubjectPhotos]:
        found = []
        for subject in await self._run.journal.run(self._run.store.subjects):
            if subject.status is SubjectStatus.SUBJECT:
                probe = next(readable_photos(self._run, subject.identity, begun=subject))
                photos = subject_photos(self._run, probe, begun=subject)
                assert photos is not None, "those of a subject could be read"
                found.append(photos)
        return found

    def _unseen(
        self, key: CloakKey, conditions: Sequence[Condition], probes: Sequence[str], observed: set[tuple[str, Cell]]
    ) -> dict[str, dict[Condition, list[str]]]:
        """By probe and condition, the target models that have not read it."""
        unseen: dict[str, dict[Condition, list[str]]] = {}
        for probe in probes:
            of_probe = unseen.setdefault(probe, {})
            for condition in conditions:
                readers = self._run.plan.grid.readers(condition)
                targets = [name for name in readers if (probe, key.read_by(name, condition)) not in observed]
                if targets:
                    of_probe[condition] = targets
        return unseen

    async def _search_kind(
        self, key: CloakKey, subjects: Sequence[SubjectPhotos], unseen: Mapping[str, Mapping[Condition, Sequence[str]]]
    ) -> None:
        async with self._kinds:
            cloaks = {each.probe.name: await self._cloaks(key, each) for each in subjects}
            if any(len(cloaks[each.probe.name]) < len(each.cloaked) for each in subjects):
                return  # without some the invader would be another; what is missing is recorded
            asked = {condition for of_probe in unseen.values() for condition in of_probe}
            for chain, conditions in alike(asked).items():
                pictures = {
                    each.probe.name: await asyncio.to_thread(worn, each, cloaks[each.probe.name], chain) for each in subjects
                }
                waiting = []
                for each in subjects:
                    of_probe = unseen[each.probe.name]
                    queries = [
                        Query(condition, each.probe.encoded, of_probe[condition])
                        for condition in sorted(conditions)
                        if condition in of_probe
                    ]
                    if queries:
                        waiting.append(Searches(each, key, pictures[each.probe.name], queries))
                await self._search_all(waiting, subjects, pictures)

    async def _search_all(
        self, waiting: Sequence[Searches], subjects: Sequence[SubjectPhotos], pictures: Mapping[str, Sequence[bytes]]
    ) -> None:
        """Searches for subjects in galleries that are derived from one with everybody's photos and these pictures."""
        everybody = {
            each.identity: [*(photo.encoded for photo in each.cloaked), *pictures[each.probe.name]] for each in subjects
        }
        async with LastingGallery(self._classifier.galleries, everybody) as base:
            for searches in sorted(waiting, key=self._turn):
                async with self._classifier.slot():
                    await self._searcher.search(await self._unrecorded(searches), base=base)

    def _turn(self, searches: Searches) -> bytes:
        """Orders searches in a way of this orchestrator's own: several that work on one run begin with different ones."""
        owner = self._run.store.leases.owner
        return sha256(f"{owner}\n{searches.photos.probe.name}".encode(errors="surrogateescape")).digest()

    async def _unrecorded(self, searches: Searches) -> Searches:
        """Without those that another orchestrator has made meanwhile."""
        observations = partial(self._run.store.observations, probe=searches.photos.probe.name)
        recorded = {each.cell for each in await self._run.journal.run(observations)}
        unrecorded = [
            query
            for query in searches.queries
            if not all(searches.key.read_by(name, query.condition) in recorded for name in query.targets)
        ]
        return replace(searches, queries=unrecorded)

    async def _cloaks(self, key: CloakKey, photos: SubjectPhotos) -> list[Cloak]:
        """The cloaks of a subject's photos, in their order, of those that can be had."""
        found: list[Cloak] = []
        for photo in photos.cloaked:
            try:
                await self._crafter.craft(photo, key.source_model, [key], found.append)
            except (NoFaceError, PhotoRefusedError) as error:  # it took the photo before
                await self._run.give_up(photo.name, f"craft with {key.source_model}", error)
        return found
