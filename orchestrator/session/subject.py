"""Observes one subject: has its cloaks crafted and classified, and replaces it where that is not possible."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from functools import partial

from orchestrator.errors import NoFaceError, PhotoRefusedError, first_of
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import Cell, CloakKey
from orchestrator.session.classifying import Classifier
from orchestrator.session.context import RunContext
from orchestrator.session.crafting import Crafter
from orchestrator.session.photos import EncodedPhoto, readable_photos, skip
from orchestrator.store.changes import record_subject
from orchestrator.store.records import Subject, SubjectStatus

Unseen = dict[Condition, list[str]]  # by condition, the target models that have not seen a cloak under it


class SubjectObserver:
    """Observes subjects of one run, several at a time."""

    def __init__(self, run: RunContext, crafter: Crafter, classifier: Classifier) -> None:
        self._run = run
        self._crafter = crafter
        self._classifier = classifier

    async def observe(self, identity: str) -> SubjectStatus:
        """Observes the rest of an identity's cells; an identity that is not a subject is to be replaced by the next.

        Raises:
            OrchestratorError: a service is gone or not what it was, or the store or the run folder cannot be written.
        """
        before = await self._run.journal.run(partial(self._run.store.subject, identity))
        for photo in readable_photos(self._run, identity, begun=before):
            try:
                return await self._observe_photo(photo, before)
            except PhotoRefusedError as error:
                skip(self._run, photo.name, error)
        await self._put(Subject(identity, "", "", SubjectStatus.UNREADABLE))
        self._run.progress.note(f"{identity}: none of its photos can be used; replaced by the next")
        return SubjectStatus.UNREADABLE

    async def _observe_photo(self, photo: EncodedPhoto, before: Subject | None) -> SubjectStatus:
        """Observes the rest of a photo's cells.

        Raises:
            PhotoRefusedError: the protector refuses it.
            OrchestratorError: see `observe`.
        """
        subject = Subject(photo.identity, photo.name, photo.sha256, SubjectStatus.BEGUN)
        await self._put(subject)
        observed = await self._observed_cells(photo.name)
        counted_before = before is not None and before.status is SubjectStatus.SUBJECT
        if not counted_before:
            self._run.progress.observed(len(observed))
        status = SubjectStatus.SUBJECT
        refused: PhotoRefusedError | None = None
        async with asyncio.TaskGroup() as classifications:
            try:
                async with asyncio.TaskGroup() as source_models:  # together: the protector works on several at a time
                    for name in self._run.plan.grid.source_models:
                        source_models.create_task(self._observe_source_model(photo, name, observed, classifications))
            except* NoFaceError:
                status = SubjectStatus.NO_FACE
                self._run.progress.note(f"{photo.name}: the protector finds no face; replaced by the next")
            except* PhotoRefusedError as refusals:
                refused = first_of(refusals)
        if refused is not None:
            if not counted_before:
                raise refused
            await self._run.give_up(photo.name, "craft", refused)  # it took the photo before, and what was observed counts
        await self._put(replace(subject, status=status))
        if status is SubjectStatus.SUBJECT and not counted_before:
            self._run.progress.subject_done(photo.identity)
        return status

    async def _observe_source_model(
        self, photo: EncodedPhoto, source_model: str, observed: Collection[Cell], classifications: asyncio.TaskGroup
    ) -> None:
        """Has one source model craft the missing cloaks, and shows each under the conditions in which it was not yet seen.

        Raises:
            NoFaceError: the protector finds no face in the photo.
        """
        unseen = self._unseen_cloaks(source_model, observed)

        def show(cloak: Cloak) -> None:
            classifications.create_task(self._classifier.show(photo, cloak, unseen[cloak.record.key]))

        with self._classifier.closed_on_error():
            await self._crafter.craft(photo, source_model, unseen, show)

    def _unseen_cloaks(self, source_model: str, observed: Collection[Cell]) -> dict[CloakKey, Unseen]:
        """The cloaks that some target model has not seen under some condition, with these conditions and target models."""
        grid = self._run.plan.grid
        unseen: dict[CloakKey, Unseen] = {}
        for key in grid.cloaks(source_model):
            for condition in grid.conditions:
                targets = [name for name in grid.target_models if key.read_by(name, condition) not in observed]
                if targets:
                    unseen.setdefault(key, {})[condition] = targets
        return unseen

    async def _observed_cells(self, probe: str) -> frozenset[Cell]:
        observations = await self._run.journal.run(partial(self._run.store.observations, probe=probe))
        return frozenset(each.cell for each in observations)

    async def _put(self, subject: Subject) -> None:
        await self._run.journal.write(record_subject(subject))
