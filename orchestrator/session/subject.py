"""Asks all that is not yet answered about one subject, and records the answers."""

import asyncio
import errno
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from itertools import chain
from typing import Protocol

from orchestrator.errors import (
    CallError,
    InputError,
    NoFaceError,
    OrchestratorError,
    PhotoRefusedError,
    ServiceGoneError,
    UnusableServiceError,
    first_of,
)
from orchestrator.experiment.grid import CONTROL, LOSSLESS, Cell, CloakKey
from orchestrator.experiment.records import Cloak
from orchestrator.faces.data_set import Photo, drawn_photos
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.invader import InvaderClient
from orchestrator.services.protector import ProtectorClient
from orchestrator.services.retries import RetryPolicy
from orchestrator.session.planning import ResolvedPlan
from orchestrator.store import Failure, Journal, LosslessControl, Store, Subject, SubjectStatus

CLASSIFICATIONS_IN_FLIGHT = 8

# What keeps a photo from being read as long as nobody mends it: it is gone, forbidden, or no file.
_OF_THE_PHOTO = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP})


class _PhotoGoneError(InputError):
    """The photo that the run began with is not there any more."""


class Progress(Protocol):
    """Whoever shows how far a run is."""

    def observed(self, count: int) -> None:
        """So many further observations are recorded."""
        ...

    def subject_done(self, identity: str) -> None:
        """All that can be observed about a subject is."""
        ...

    def stands_at(self, *, subjects: int, observations: int, wanted: int) -> None:
        """How far the run is as a whole, whoever works on it, and how many subjects it goes on to."""
        ...

    def note(self, message: str) -> None:
        """Something that the user should know."""
        ...


@dataclass
class Tally:
    """What this session did, beside the observations it made."""

    craft_calls: int = 0
    lossless_control_calls: int = 0
    classify_calls: int = 0
    unreadable_photos: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class KeptCloak:
    """A cloak that was crafted before and is still in the run folder."""

    key: CloakKey
    sha256: str
    encoded: bytes


@dataclass(frozen=True)
class Services:
    """The two services as a run has them."""

    protector: ProtectorClient
    invader: InvaderClient
    protector_retries: RetryPolicy
    invader_retries: RetryPolicy


class SubjectObserver:
    """Observes subjects of one run, several at a time."""

    def __init__(
        self,
        planned: ResolvedPlan,
        services: Services,
        *,
        store: Store,
        journal: Journal,
        folder: RunFolder,
        progress: Progress,
        keep_cloaks: bool,
    ) -> None:
        self._plan = planned.plan
        self._label_sets = planned.label_sets
        self._services = services
        self._store = store
        self._journal = journal
        self._folder = folder
        self._progress = progress
        self._keep_cloaks = keep_cloaks
        # A place is given back when the answer is recorded: what a crash can cost is the questions that hold these.
        self._classifying = asyncio.Semaphore(CLASSIFICATIONS_IN_FLIGHT)
        self._ending = False
        self.tally = Tally()

    async def observe(self, identity: str) -> SubjectStatus:
        """Observes what is not yet observed of an identity; one that is no subject is to be replaced by the next.

        Raises:
            OrchestratorError: a service is gone or not what it was, or the store or the run folder cannot be written.
        """
        before = await self._journal.run(partial(self._store.subject, identity))
        drawn = drawn_photos(self._plan.faces, identity, seed=self._plan.seed)
        photos = self._readable(drawn)
        if before is not None and before.photo:
            try:
                photos = chain([self._read_again(before, drawn)], photos)
            except _PhotoGoneError:
                if not await self._is_all_observed(before):
                    raise
                self._progress.note(f"{before.photo}: is not there any more; its lossless controls are not asked for")
                await self._put(before)
                return before.status
        for photo, encoded in photos:
            try:
                return await self._observe_photo(photo, encoded, before)
            except PhotoRefusedError as error:
                self._skip(photo, error)
        await self._put(Subject(identity, "", "", SubjectStatus.UNREADABLE))
        self._progress.note(f"{identity}: none of its photos can be used; replaced by the next")
        return SubjectStatus.UNREADABLE

    async def _observe_photo(self, photo: Photo, encoded: bytes, before: Subject | None) -> SubjectStatus:
        """Observes what is not yet observed of a photo.

        Raises:
            PhotoRefusedError: the protector does not take it.
            OrchestratorError: see `observe`.
        """
        subject = Subject(photo.identity, photo.name, sha256(encoded).hexdigest(), SubjectStatus.BEGUN)
        await self._put(subject)
        observed = await self._journal.run(partial(self._store.observed_cells, probe=photo.name))
        counted_before = before is not None and before.status is SubjectStatus.SUBJECT
        if not counted_before:
            self._progress.observed(len(observed))
        status = SubjectStatus.SUBJECT
        refused: PhotoRefusedError | None = None
        async with asyncio.TaskGroup() as classifications:
            try:
                async with asyncio.TaskGroup() as source_models:  # together: the protector works on several at a time
                    for name in self._plan.grid.source_models:
                        work = self._observe_source_model(photo, encoded, name, observed, classifications)
                        source_models.create_task(work)
            except* NoFaceError:
                status = SubjectStatus.NO_FACE
                self._progress.note(f"{photo.name}: the protector finds no face; replaced by the next")
            except* PhotoRefusedError as refusals:
                refused = first_of(refusals)
        if refused is not None:
            if not counted_before:
                raise refused
            await self._record_failure(photo, "craft", refused)  # it took the photo before, and what was observed counts
        await self._put(replace(subject, status=status))
        if status is SubjectStatus.SUBJECT and not counted_before:
            self._progress.subject_done(photo.identity)
        return status

    async def _put(self, subject: Subject) -> None:
        await self._journal.run(partial(self._store.put_subject, subject))

    def _readable(self, photos: Iterable[Photo]) -> Iterator[tuple[Photo, bytes]]:
        """Those that can be read; whether they are whole pictures, and small enough, the protector says.

        Raises:
            InputError: see `_read`.
        """
        for photo in photos:
            if (encoded := self._read(photo)) is not None:
                yield photo, encoded

    def _read(self, photo: Photo) -> bytes | None:
        """The encoded photo; None where it is not there to be read.

        Raises:
            InputError: whether it can be read could not be told: another in its place would be another draw.
        """
        try:
            return photo.read()
        except OSError as error:
            if error.errno not in _OF_THE_PHOTO:
                raise InputError(
                    f"--faces: {photo.name}: expected a photo that can be read, or that never can be; got an error that "
                    f"may pass: {error.strerror or error}; see to it, and the same command goes on"
                ) from error
            self._skip(photo, error)
            return None

    def _skip(self, photo: Photo, error: Exception) -> None:
        self.tally.unreadable_photos.append(photo.name)
        self._progress.note(f"skipped: {photo.name}: {error}")

    def _read_again(self, before: Subject, drawn: Iterator[Photo]) -> tuple[Photo, bytes]:
        """The photo that the run began with, and goes on with.

        Raises:
            _PhotoGoneError: it cannot be read any more, or is another now.
            InputError: see `_read`.
        """
        photo = next((photo for photo in drawn if photo.name == before.photo), None)
        encoded = None if photo is None else self._read(photo)
        if photo is None or encoded is None:
            raise _PhotoGoneError(f"--faces: {before.photo} can no longer be read; the run began with it")
        if sha256(encoded).hexdigest() != before.photo_sha256:
            raise _PhotoGoneError(f"--faces: {photo.name} is not the photo that the run began with: its SHA-256 is another")
        return photo, encoded

    async def _is_all_observed(self, subject: Subject) -> bool:
        """Whether a subject lacks nothing but a lossless control, which is not worth a run."""
        observed = await self._journal.run(partial(self._store.observed_cells, probe=subject.photo))
        return subject.status is SubjectStatus.SUBJECT and observed.issuperset(self._plan.grid.cells())

    async def _observe_source_model(
        self,
        photo: Photo,
        encoded: bytes,
        source_model: str,
        observed: Collection[Cell],
        classifications: asyncio.TaskGroup,
    ) -> None:
        """Crafts what one source model has yet to craft for a photo, and shows every cloak to whom it was not yet shown.

        Raises:
            NoFaceError: the protector finds no face in the photo.
        """
        with self._run_ends_on_error():
            crafted = await self._observe_cloaks(photo, encoded, source_model, observed, classifications)
            if crafted and self._keep_cloaks and not await self._has_lossless_control(photo, source_model):
                await self._ask_lossless_control(photo, encoded, source_model)

    async def _observe_cloaks(
        self,
        photo: Photo,
        encoded: bytes,
        source_model: str,
        observed: Collection[Cell],
        classifications: asyncio.TaskGroup,
    ) -> bool:
        """False where a cloak could not be had."""
        unseen = self._unseen_cloaks(source_model, observed)
        for cloak in await self._kept_cloaks(photo, unseen):
            classifications.create_task(self._classify(photo, cloak, unseen.pop(cloak.key)))
        if not unseen:
            return True

        async def craft_missing() -> None:
            async with aclosing(self._craft(photo, encoded, source_model, list(unseen))) as cloaks:
                async for crafted in cloaks:
                    # Rows of the grid that are asked for again may overlap what came.
                    if (targets := unseen.pop(crafted.key, None)) is not None:
                        await self._keep(photo, crafted)
                        classifications.create_task(self._classify(photo, crafted, targets))
            self._check_complete(source_model, unseen)

        try:
            await self._services.protector_retries.call(craft_missing, missing=lambda: len(unseen))
        except (CallError, UnusableServiceError) as error:
            await self._give_up(photo, f"craft with {source_model}", error)
            return False
        return True

    def _check_complete(self, source_model: str, unseen: dict[CloakKey, list[str]]) -> None:
        if unseen:
            missing = ", ".join(f"{key.method} at {key.epsilon}" for key in unseen)
            raise CallError(f"{self._services.protector.name}: {source_model}: ended without {missing}", transient=True)

    def _unseen_cloaks(self, source_model: str, observed: Collection[Cell]) -> dict[CloakKey, list[str]]:
        """The cloaks that were not yet shown to every target model, with the target models left."""
        unseen: dict[CloakKey, list[str]] = {}
        for key in self._plan.grid.cloaks(source_model):
            cells = (Cell(key.source_model, key.method, key.epsilon, name) for name in self._plan.grid.target_models)
            targets = [cell.target_model for cell in cells if cell not in observed]
            if targets:
                unseen[key] = targets
        return unseen

    async def _kept_cloaks(self, photo: Photo, unseen: dict[CloakKey, list[str]]) -> list[KeptCloak]:
        """The cloaks among those that an earlier session crafted, recorded and kept."""
        kept = []
        for cloak in await self._journal.run(partial(self._store.cloaks, probe=photo.name)):
            encoded = self._folder.kept_cloak(cloak.sha256, self._plan.storage.suffix) if cloak.key in unseen else None
            if encoded is not None:
                kept.append(KeptCloak(cloak.key, cloak.sha256, encoded))
        return kept

    def _craft(self, photo: Photo, encoded: bytes, source_model: str, keys: list[CloakKey]) -> AsyncGenerator[Cloak, None]:
        self.tally.craft_calls += 1
        return self._services.protector.craft(
            encoded,
            identity=photo.identity,
            source_model=source_model,
            methods=list(dict.fromkeys(key.method for key in keys)),
            epsilons=sorted({key.epsilon for key in keys if key.method != CONTROL}),
            storage=self._plan.storage,
            seed=self._plan.seed,
        )

    async def _keep(self, photo: Photo, cloak: Cloak) -> None:
        if self._keep_cloaks:
            self._folder.keep_cloak(cloak.sha256, self._plan.storage.suffix, cloak.encoded)
        await self._journal.write(self._store.crafting(photo.name, cloak))

    async def _has_lossless_control(self, photo: Photo, source_model: str) -> bool:
        """Whether it is kept; where cloaks are stored without loss, the control among them is one."""
        controls = await self._journal.run(partial(self._store.lossless_controls, probe=photo.name))
        recorded = controls.get((photo.name, source_model))
        if recorded is not None and self._folder.kept_lossless_control(recorded.file_sha256) is not None:
            return True
        if self._plan.storage != LOSSLESS:
            return False
        for cloak in await self._journal.run(partial(self._store.cloaks, probe=photo.name)):
            if cloak.key == CloakKey(source_model, CONTROL, 0):
                encoded = self._folder.kept_cloak(cloak.sha256, LOSSLESS.suffix)
                if encoded is not None:
                    recorded = LosslessControl(photo.name, source_model, cloak.probe_sha256, cloak.sha256)
                    await self._keep_lossless_control(recorded, encoded)
                    return True
        return False

    async def _ask_lossless_control(self, photo: Photo, encoded: bytes, source_model: str) -> None:
        """Asks for the probe as it was before storage: what stored cloaks are compared with, and shown to nobody.

        One that cannot be had is recorded as a failure and keeps nothing else from being observed.
        """

        async def craft_control() -> Cloak:
            self.tally.lossless_control_calls += 1
            row = self._services.protector.craft(
                encoded,
                identity=photo.identity,
                source_model=source_model,
                methods=[CONTROL],
                epsilons=[],
                storage=LOSSLESS,
                seed=self._plan.seed,
            )
            controls = [control async for control in row if control.key.method == CONTROL]
            self._check_complete(source_model, {} if controls else {CloakKey(source_model, CONTROL, 0): []})
            return controls[0]

        try:
            control = await self._services.protector_retries.call(craft_control)
        except (CallError, UnusableServiceError, NoFaceError, PhotoRefusedError) as error:  # it took the photo before
            await self._give_up(photo, f"lossless control of {source_model}", error)
            return
        recorded = LosslessControl(photo.name, source_model, control.probe_sha256, control.sha256)
        await self._keep_lossless_control(recorded, control.encoded)

    async def _keep_lossless_control(self, control: LosslessControl, encoded: bytes) -> None:
        self._folder.keep_lossless_control(control.file_sha256, encoded)
        await self._journal.run(partial(self._store.put_lossless_control, control))

    async def _classify(self, photo: Photo, cloak: KeptCloak | Cloak, targets: list[str]) -> None:
        k = max(self._plan.grid.ks)

        async def classify() -> dict[str, list[str]] | None:
            self.tally.classify_calls += 1
            return await self._services.invader.classify(cloak.encoded, target_models=targets, k=k, region=self._plan.region)

        async with self._place_in_flight():
            try:
                answers = await self._services.invader_retries.call(classify)
            except (CallError, UnusableServiceError) as error:
                await self._give_up(photo, f"classify {cloak.key}", error)
                return
            observations = [
                self._observation(photo, cloak.key, target, k, None if answers is None else answers[target])
                for target in targets
            ]
            named = {target: answers[target][0] for target in targets} if answers else {}
            await self._journal.write(self._store.observing(observations, cloak_sha256=cloak.sha256, answers=named))
        self._progress.observed(len(observations))

    @asynccontextmanager
    async def _place_in_flight(self) -> AsyncIterator[None]:
        """One of the few there are. A run that ends gives none back, so that nobody asks another question of it."""
        await self._classifying.acquire()
        try:
            with self._run_ends_on_error():
                yield
        finally:  # where this subject alone is not to be worked on any more, others may be
            if not self._ending:
                self._classifying.release()

    @contextmanager
    def _run_ends_on_error(self) -> Iterator[None]:
        """Notes it at once: the others of the same subject are told long before those of other subjects."""
        try:
            yield
        except (NoFaceError, PhotoRefusedError):
            raise
        except OrchestratorError:
            self._ending = True
            raise

    def _observation(self, photo: Photo, key: CloakKey, target: str, k: int, candidates: list[str] | None) -> Observation:
        cell = Cell(key.source_model, key.method, key.epsilon, target)
        if candidates is None:
            return Observation(photo.name, cell, Outcome.NO_FACE, None, k)
        strangers = set(candidates) - self._label_sets[target]
        if strangers:
            raise UnusableServiceError(
                f"{self._services.invader.name}: {target} answered {min(strangers)!r}, which is not in the label set that "
                f"it listed; the service was changed during the run"
            )
        if photo.identity not in candidates:
            return Observation(photo.name, cell, Outcome.BEYOND, None, k)
        return Observation(photo.name, cell, Outcome.RANKED, candidates.index(photo.identity) + 1, k)

    async def _give_up(self, photo: Photo, what: str, error: OrchestratorError) -> None:
        """Records a call that failed for good.

        Raises:
            UnusableServiceError: it is the service that failed, and the run ends.
        """
        if not isinstance(error, ServiceGoneError):
            await self._record_failure(photo, what, error)
        if isinstance(error, UnusableServiceError):
            raise error

    async def _record_failure(self, photo: Photo, what: str, error: OrchestratorError) -> None:
        failure = Failure(photo.name, what, str(error))
        self.tally.failures.append(failure)
        await self._journal.run(partial(self._store.add_failure, failure))
