"""Observes one subject: has its cloaks crafted and classified, and replaces it where that is not possible."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial

from orchestrator.errors import NoFaceError, PhotoRefusedError, first_of
from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import Cell, CloakKey
from orchestrator.session.classifying import Classifier
from orchestrator.session.cloak_sets import CloakSet, CloakSets
from orchestrator.session.context import RunContext
from orchestrator.session.crafting import Crafter
from orchestrator.session.enrolling import GallerySearcher
from orchestrator.session.photos import EncodedPhoto, SubjectPhotos, readable_photos, skip, subject_photos
from orchestrator.session.verifying import PairVerifier, Verifier
from orchestrator.store.changes import record_subject
from orchestrator.store.records import Subject, SubjectStatus

Unseen = dict[Condition, list[str]]  # by condition, the target models that have not seen a cloak under it


class _EnrolledPhotoRefusedError(PhotoRefusedError):
    """The protector does not take a photo that is to be enrolled: another probe would not help."""


class SubjectObserver:
    """Observes subjects of one run, several at a time."""

    def __init__(
        self,
        run: RunContext,
        crafter: Crafter,
        classifier: Classifier,
        searcher: GallerySearcher,
        verifier: Verifier,
    ) -> None:
        self._run = run
        self._crafter = crafter
        self._classifier = classifier
        self._searcher = searcher
        self._verifier = verifier

    async def observe(self, identity: str) -> SubjectStatus:
        """Observes the rest of an identity's cells; an identity that is not a subject is to be replaced by the next.

        Raises:
            OrchestratorError: a service is gone or not what it was, or the store or the run folder cannot be written.
        """
        before = await self._run.journal.run(partial(self._run.store.subject, identity))
        for photo in readable_photos(self._run, identity, begun=before):
            photos = subject_photos(self._run, photo, begun=before)
            if photos is None:
                break
            try:
                return await self._observe_photos(photos, before)
            except _EnrolledPhotoRefusedError as error:
                self._run.progress.note(str(error))
                break
            except PhotoRefusedError as error:
                skip(self._run, photo.name, error)
        await self._put(Subject(identity, "", "", SubjectStatus.UNREADABLE))
        self._run.progress.note(f"{identity}: none of its photos can be used; replaced by the next")
        return SubjectStatus.UNREADABLE

    async def _observe_photos(self, photos: SubjectPhotos, before: Subject | None) -> SubjectStatus:
        """Observes the rest of a subject's cells.

        Raises:
            PhotoRefusedError: the protector refuses a photo.
            OrchestratorError: see `observe`.
        """
        probe = photos.probe
        subject = Subject(probe.identity, probe.name, probe.sha256, SubjectStatus.BEGUN)
        await self._put(subject)
        observed = await self._observed_cells(probe.name)
        counted_before = before is not None and before.status is SubjectStatus.SUBJECT
        if not counted_before:
            self._run.progress.observed(len(observed))
        status = SubjectStatus.SUBJECT
        refused: PhotoRefusedError | None = None
        async with self._pair(probe) as pair, asyncio.TaskGroup() as classifications:
            show = partial(self._show, photos, pair, classifications)
            try:
                async with asyncio.TaskGroup() as source_models:  # together: the protector works on several at a time
                    for name in self._run.plan.grid.source_models:
                        source_models.create_task(self._observe_source_model(photos, name, observed, show))
            except* NoFaceError as errors:
                status = SubjectStatus.NO_FACE
                self._run.progress.note(f"{first_of(errors)}: the protector finds no face; replaced by the next")
            except* PhotoRefusedError as refusals:
                refused = first_of(refusals)
        if refused is not None:
            if not counted_before:
                raise refused
            await self._run.give_up(probe.name, "craft", refused)  # it took the photo before, and what was observed counts
        await self._put(replace(subject, status=status))
        if status is SubjectStatus.SUBJECT and not counted_before:
            self._run.progress.subject_done(probe.identity)
        return status

    def _pair(self, probe: EncodedPhoto) -> AbstractAsyncContextManager[PairVerifier | None]:
        """What compares the probe with one identity at a time; None where it is searched for among many."""
        return nullcontext() if self._run.plan.pairs is None else self._verifier.pair(probe)

    def _show(
        self,
        photos: SubjectPhotos,
        pair: PairVerifier | None,
        classifications: asyncio.TaskGroup,
        cloaks: CloakSet,
        unseen: Unseen,
    ) -> None:
        """Begins to show cloaks under conditions; what an adaptive invader is asked waits for all subjects."""
        if pair is not None:
            classifications.create_task(pair.show(photos.probe, cloaks.probe, unseen))
            return
        of_probe, of_gallery = (
            {each: targets for each, targets in unseen.items() if each.carrier in carriers}
            for carriers in ((Carrier.PROBE,), (Carrier.GALLERY, Carrier.BOTH))
        )
        classifications.create_task(self._classifier.show(photos.probe, cloaks.probe, of_probe))
        classifications.create_task(self._searcher.show(photos, cloaks, of_gallery))

    async def _observe_source_model(
        self, photos: SubjectPhotos, source_model: str, observed: Collection[Cell], show: Callable[[CloakSet, Unseen], None]
    ) -> None:
        """Has one source model craft the missing cloaks, and shows each under the conditions in which it was not yet seen.

        Raises:
            NoFaceError: the protector finds no face in the photo that the message names.
        """
        unseen = self._unseen_cloaks(source_model, observed)
        enrolling = {key for key, conditions in unseen.items() if any(each.carrier.enrols for each in conditions)}
        sets = CloakSets(photos, enrolling=enrolling, show=lambda cloaks: show(cloaks, unseen[cloaks.key]))
        with self._classifier.closed_on_error():
            await self._craft(photos.probe, source_model, unseen, sets)
            for photo in photos.cloaked:
                try:
                    await self._craft(photo, source_model, enrolling, sets)
                except PhotoRefusedError as error:
                    raise _EnrolledPhotoRefusedError(f"{photo.name}: {error}") from error

    async def _craft(self, photo: EncodedPhoto, source_model: str, keys: Collection[CloakKey], sets: CloakSets) -> None:
        try:
            await self._crafter.craft(photo, source_model, keys, partial(sets.add, photo))
        except NoFaceError as error:
            raise NoFaceError(photo.name) from error

    def _unseen_cloaks(self, source_model: str, observed: Collection[Cell]) -> dict[CloakKey, Unseen]:
        """The cloaks that some target model has not seen under some condition, with these conditions and target models."""
        grid = self._run.plan.grid
        unseen: dict[CloakKey, Unseen] = {}
        for key in grid.cloaks(source_model):
            for condition in grid.conditions:
                targets = [name for name in grid.readers(condition) if key.read_by(name, condition) not in observed]
                if targets:
                    unseen.setdefault(key, {})[condition] = targets
        return unseen

    async def _observed_cells(self, probe: str) -> frozenset[Cell]:
        observations = await self._run.journal.run(partial(self._run.store.observations, probe=probe))
        return frozenset(each.cell for each in observations)

    async def _put(self, subject: Subject) -> None:
        await self._run.journal.write(record_subject(subject))
