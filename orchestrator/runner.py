"""Asks the questions of a plan that are not yet answered, several at a time, and records the answers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Protocol

from orchestrator.clients import Cloak, InvaderClient, ProtectorClient
from orchestrator.errors import (
    CallError,
    InputError,
    NoFaceError,
    OrchestratorError,
    QueryBudgetSpentError,
    UnusableServiceError,
)
from orchestrator.faces import Photo, drawn_identities, drawn_photos
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.planning import Planned
from orchestrator.protocol import CONTROL, LOSSLESS, Cell, CloakKey
from orchestrator.run_folder import RunFolder
from orchestrator.store import Failure, Fate, LosslessControl, Store, Subject
from rpc.errors import ServiceError
from rpc.images import ImageLimits, decode_image

ATTEMPTS = 3
SUBJECTS_IN_FLIGHT = 4
CLASSIFICATIONS_IN_FLIGHT = 8


class Progress(Protocol):
    """Whoever shows how far a run is."""

    def observed(self, count: int) -> None:
        """So many further observations are recorded."""
        ...

    def subject_done(self, identity: str) -> None:
        """All that can be observed about a subject is."""
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


class Runner:
    """One run over its subjects."""

    def __init__(
        self,
        planned: Planned,
        *,
        protector: ProtectorClient,
        invader: InvaderClient,
        store: Store,
        folder: RunFolder,
        progress: Progress,
        keep_cloaks: bool,
        subjects_in_flight: int = SUBJECTS_IN_FLIGHT,
    ) -> None:
        self._plan = planned.plan
        self._planned = planned
        self._protector = protector
        self._invader = invader
        self._store = store
        self._folder = folder
        self._progress = progress
        self._keep_cloaks = keep_cloaks
        self._subjects_in_flight = subjects_in_flight
        self._classifying = asyncio.Semaphore(CLASSIFICATIONS_IN_FLIGHT)
        self._drawn_before = {subject.identity: subject for subject in store.subjects()}
        self.tally = Tally()

    async def run(self) -> None:
        """Draws subjects until the plan's number is reached, and observes every cell for each.

        A subject whose photo shows the protector no face is replaced by the next in the draw, so the subjects are the
        first N of the draw that have a face, whatever the order in which the answers come.

        Raises:
            UnusableServiceError: a service is gone or not what it was; what was observed is recorded.
        """
        draw = iter(drawn_identities(self._planned.eligible, seed=self._plan.seed))
        places = iter(range(self._plan.subjects))

        async def fill_places() -> None:
            for _ in places:
                for identity in draw:
                    if await self._observe_identity(identity):
                        break

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._subjects_in_flight, self._plan.subjects)):
                    group.create_task(fill_places())
        except ExceptionGroup as errors:
            raise _first(errors) from errors

    async def _observe_identity(self, identity: str) -> bool:
        """Observes what is not yet observed of an identity; False where it is no subject and the next takes its place."""
        before = self._drawn_before.get(identity)
        if before is not None and before.fate in (Fate.NO_FACE, Fate.UNREADABLE):
            return False
        chosen = self._readable_photo(identity)
        if chosen is None and before is not None:
            raise InputError(f"--faces: {before.photo} can no longer be read; the run began with it")
        if chosen is None:
            self._store.put_subject(Subject(identity, "", "", Fate.UNREADABLE))
            self._progress.note(f"{identity}: none of its photos can be read; replaced by the next")
            return False
        photo, encoded = chosen
        subject = Subject(identity, photo.name, sha256(encoded).hexdigest(), Fate.BEGUN)
        if before is not None and (before.photo, before.photo_sha256) != (subject.photo, subject.photo_sha256):
            raise InputError(f"--faces: {photo.name} is not the photo that the run began with, {before.photo}")
        self._store.put_subject(subject)
        fate = Fate.SUBJECT
        async with asyncio.TaskGroup() as classifications:
            try:
                async with asyncio.TaskGroup() as source_models:  # together: the protector works on several at a time
                    for name in self._plan.grid.source_models:
                        source_models.create_task(self._observe_source_model(photo, encoded, name, classifications))
            except* NoFaceError:
                fate = Fate.NO_FACE
                self._progress.note(f"{photo.name}: the protector finds no face; replaced by the next")
        self._store.put_subject(replace(subject, fate=fate))
        if fate is Fate.SUBJECT:
            self._progress.subject_done(identity)
        return fate is Fate.SUBJECT

    def _readable_photo(self, identity: str) -> tuple[Photo, bytes] | None:
        for photo in drawn_photos(self._plan.faces, identity, seed=self._plan.seed):
            try:
                encoded = photo.read()
                decode_image(encoded, field=photo.name, limits=ImageLimits())
            except (OSError, ServiceError) as error:
                self.tally.unreadable_photos.append(photo.name)
                self._progress.note(f"skipped: {error}")
            else:
                return photo, encoded
        return None

    async def _observe_source_model(
        self, photo: Photo, encoded: bytes, source_model: str, classifications: asyncio.TaskGroup
    ) -> None:
        """Crafts what one source model has yet to craft for a photo, and shows every cloak to whom it was not yet shown.

        Raises:
            NoFaceError: the protector finds no face in the photo.
        """
        crafted = await self._observe_cloaks(photo, encoded, source_model, classifications)
        if crafted and self._keep_cloaks and not self._has_lossless_control(photo, source_model):
            await self._ask_lossless_control(photo, encoded, source_model)

    async def _observe_cloaks(
        self, photo: Photo, encoded: bytes, source_model: str, classifications: asyncio.TaskGroup
    ) -> bool:
        """False where a cloak could not be had."""
        unseen = self._unseen_cloaks(photo, source_model)
        for cloak in self._kept_cloaks(photo, unseen):
            classifications.create_task(self._classify(photo, cloak, unseen.pop(cloak.key)))
        failures = 0  # in a row, without a cloak between them
        while unseen:
            asked = len(unseen)
            try:
                async with aclosing(self._craft(photo, encoded, source_model, list(unseen))) as cloaks:
                    async for crafted in cloaks:
                        # A stream that broke is asked again for what is missing; rows of the grid may overlap what came.
                        if (targets := unseen.pop(crafted.key, None)) is not None:
                            self._keep(photo, crafted)
                            classifications.create_task(self._classify(photo, crafted, targets))
                self._check_complete(source_model, unseen)
            except (CallError, UnusableServiceError) as error:
                failures = failures + 1 if len(unseen) == asked else 1
                if not self._may_ask_again(photo, f"craft with {source_model}", error, failures):
                    return False
        return True

    def _check_complete(self, source_model: str, unseen: dict[CloakKey, list[str]]) -> None:
        if unseen:
            missing = ", ".join(f"{key.method} at {key.epsilon}" for key in unseen)
            raise CallError(f"{self._protector.name}: {source_model}: ended without {missing}", passing=True)

    def _unseen_cloaks(self, photo: Photo, source_model: str) -> dict[CloakKey, list[str]]:
        """The cloaks that were not yet shown to every target model, with the target models left."""
        observed = {observation.cell for observation in self._store.observations(probe=photo.name)}
        unseen: dict[CloakKey, list[str]] = {}
        for key in self._plan.grid.cloaks(source_model):
            cells = (Cell(key.source_model, key.method, key.epsilon, name) for name in self._plan.grid.target_models)
            targets = [cell.target_model for cell in cells if cell not in observed]
            self._progress.observed(len(self._plan.grid.target_models) - len(targets))
            if targets:
                unseen[key] = targets
        return unseen

    def _kept_cloaks(self, photo: Photo, unseen: dict[CloakKey, list[str]]) -> list[KeptCloak]:
        """The cloaks among those that an earlier run crafted, recorded and kept."""
        kept = []
        for cloak in self._store.cloaks(probe=photo.name):
            encoded = self._folder.kept_cloak(cloak.sha256, self._plan.storage.suffix) if cloak.key in unseen else None
            if encoded is not None:
                kept.append(KeptCloak(cloak.key, cloak.sha256, encoded))
        return kept

    def _craft(self, photo: Photo, encoded: bytes, source_model: str, keys: list[CloakKey]) -> AsyncGenerator[Cloak, None]:
        self.tally.craft_calls += 1
        return self._protector.craft(
            encoded,
            identity=photo.identity,
            source_model=source_model,
            methods=list(dict.fromkeys(key.method for key in keys)),
            epsilons=sorted({key.epsilon for key in keys if key.method != CONTROL}),
            storage=self._plan.storage,
            seed=self._plan.seed,
        )

    def _keep(self, photo: Photo, cloak: Cloak) -> None:
        if self._keep_cloaks:
            self._folder.keep_cloak(cloak.sha256, self._plan.storage.suffix, cloak.encoded)
        self._store.add_cloak(photo.name, cloak)

    def _has_lossless_control(self, photo: Photo, source_model: str) -> bool:
        """Whether it is kept; where cloaks are stored without loss, the control among them is one."""
        recorded = self._store.lossless_controls(probe=photo.name).get((photo.name, source_model))
        if recorded is not None and self._folder.kept_lossless_control(recorded.file_sha256) is not None:
            return True
        if self._plan.storage != LOSSLESS:
            return False
        for cloak in self._store.cloaks(probe=photo.name):
            if cloak.key == CloakKey(source_model, CONTROL, 0):
                encoded = self._folder.kept_cloak(cloak.sha256, LOSSLESS.suffix)
                if encoded is not None:
                    recorded = LosslessControl(photo.name, source_model, cloak.probe_sha256, cloak.sha256)
                    self._keep_lossless_control(recorded, encoded)
                    return True
        return False

    async def _ask_lossless_control(self, photo: Photo, encoded: bytes, source_model: str) -> None:
        """Asks for the probe as it was before storage: what stored cloaks are compared with, and shown to nobody.

        One that cannot be had is recorded as a failure and keeps nothing else from being observed.
        """
        what, failures = f"lossless control of {source_model}", 0
        while True:
            self.tally.lossless_control_calls += 1
            row = self._protector.craft(
                encoded,
                identity=photo.identity,
                source_model=source_model,
                methods=[CONTROL],
                epsilons=[],
                storage=LOSSLESS,
                seed=self._plan.seed,
            )
            try:
                controls = [control async for control in row if control.key.method == CONTROL]
                self._check_complete(source_model, {} if controls else {CloakKey(source_model, CONTROL, 0): []})
                recorded = LosslessControl(photo.name, source_model, controls[0].probe_sha256, controls[0].sha256)
                self._keep_lossless_control(recorded, controls[0].encoded)
            except NoFaceError as error:  # where it found one before: the subject stays one
                self._record_failure(photo, what, error)
            except (CallError, UnusableServiceError) as error:
                failures += 1
                if self._may_ask_again(photo, what, error, failures):
                    continue
            return

    def _keep_lossless_control(self, control: LosslessControl, encoded: bytes) -> None:
        self._folder.keep_lossless_control(control.file_sha256, encoded)
        self._store.put_lossless_control(control)

    async def _classify(self, photo: Photo, cloak: KeptCloak | Cloak, targets: list[str]) -> None:
        k = max(self._plan.grid.ks)
        failures = 0
        while True:
            try:
                async with self._classifying:
                    self.tally.classify_calls += 1
                    answers = await self._invader.classify(
                        cloak.encoded, target_models=targets, k=k, reading=self._plan.reading
                    )
                break
            except (CallError, UnusableServiceError) as error:
                failures += 1
                if not self._may_ask_again(photo, f"classify {cloak.key}", error, failures):
                    return
        observations = [
            self._observation(photo, cloak.key, target, k, None if answers is None else answers[target])
            for target in targets
        ]
        self._store.add_answers(photo.name, cloak.key, {target: answers[target][0] for target in targets} if answers else {})
        self._store.add_observations(observations, cloak_sha256=cloak.sha256)
        self._progress.observed(len(observations))

    def _observation(self, photo: Photo, key: CloakKey, target: str, k: int, candidates: list[str] | None) -> Observation:
        cell = Cell(key.source_model, key.method, key.epsilon, target)
        if candidates is None:
            return Observation(photo.name, cell, Outcome.NO_FACE, None, k)
        strangers = set(candidates) - self._planned.label_sets[target]
        if strangers:
            raise UnusableServiceError(
                f"{self._invader.name}: {target} answered {min(strangers)!r}, which is not in the label set that it "
                f"listed; the service was changed during the run"
            )
        if photo.identity not in candidates:
            return Observation(photo.name, cell, Outcome.BEYOND, None, k)
        return Observation(photo.name, cell, Outcome.RANKED, candidates.index(photo.identity) + 1, k)

    def _may_ask_again(self, photo: Photo, what: str, error: CallError | UnusableServiceError, failures: int) -> bool:
        """Whether a failed call is worth another attempt; where not, it is recorded.

        Raises:
            UnusableServiceError: it is the service that failed, and not for the first time.
        """
        passing = error.passing if isinstance(error, CallError) else not isinstance(error, QueryBudgetSpentError)
        if passing and failures < ATTEMPTS:
            return True
        self._record_failure(photo, what, error)
        if isinstance(error, UnusableServiceError):
            raise error
        return False

    def _record_failure(self, photo: Photo, what: str, error: OrchestratorError) -> None:
        failure = Failure(photo.name, what, str(error))
        self.tally.failures.append(failure)
        self._store.add_failure(failure)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
