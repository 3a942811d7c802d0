"""Shows cloaks under conditions to target models, and records their answers."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256

from orchestrator.errors import CallError, NoFaceError, OrchestratorError, PhotoRefusedError, UnusableServiceError
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import CloakKey
from orchestrator.experiment.region import Region
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.pictures.conditions import under_conditions
from orchestrator.services.invader import Classification, InvaderClient
from orchestrator.services.retries import RetryPolicy
from orchestrator.session.context import RunContext
from orchestrator.session.photos import EncodedPhoto
from orchestrator.store.changes import record_observations
from rpc.images.bare_image import BadImageError

CLASSIFICATIONS_IN_FLIGHT = 8
CLOAKS_AT_ONCE = 8  # that are in memory under all their conditions


class Classifier:
    """Asks an invader, with few calls in flight, and with none more when the run ends."""

    def __init__(self, run: RunContext, invader: InvaderClient, retries: RetryPolicy) -> None:
        self._run = run
        self._invader = invader
        self._retries = retries
        # Released when the answer is recorded, so that a crash loses at most the calls in flight.
        self._in_flight = asyncio.Semaphore(CLASSIFICATIONS_IN_FLIGHT)
        self._cloaks = asyncio.Semaphore(CLOAKS_AT_ONCE)
        self._closed = False

    async def show(self, photo: EncodedPhoto, cloak: Cloak, unseen: Mapping[Condition, Sequence[str]]) -> None:
        """Shows a cloak under conditions to the target models that have not seen it so, and records what became of it.

        All its conditions are asked about together, so that a budget that is spent shortens them alike.

        Raises:
            UnusableServiceError: the invader failed, or named somebody who is not in the label set that it listed.
            StoreError: the answer cannot be recorded.
        """
        async with self._cloaks:
            try:  # in a thread: the event loop has other calls to attend to
                pictures = await asyncio.to_thread(under_conditions, cloak.encoded, unseen)
            except BadImageError as error:
                refused = CallError(f"expected {error.expected}, got {error.actual}", transient=False)
                await self._run.give_up(photo.name, f"the cloak {cloak.record.key} as the protector sent it", refused)
                return
            async with asyncio.TaskGroup() as queries:
                for condition, targets in unseen.items():
                    queries.create_task(self._show(photo, cloak.record.key, condition, pictures[condition], targets))

    async def _show(
        self, photo: EncodedPhoto, key: CloakKey, condition: Condition, picture: bytes, targets: Sequence[str]
    ) -> None:
        async with self.slot():
            await self._ask(photo, key, condition, picture, targets)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """One of the few calls in flight, until its answer is recorded; none more once an error within ends the run."""
        await self._in_flight.acquire()
        try:
            with self.closed_on_error():
                yield
        finally:  # also where this subject alone is left: others go on
            if not self._closed:
                self._in_flight.release()

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Makes no further call once an error within ends the run: other subjects are cancelled only later."""
        try:
            yield
        except (NoFaceError, PhotoRefusedError):  # which concern one photo
            raise
        except OrchestratorError:
            self._closed = True
            raise

    async def _ask(
        self, photo: EncodedPhoto, key: CloakKey, condition: Condition, picture: bytes, targets: Sequence[str]
    ) -> None:
        k = max(self._run.plan.grid.ks)
        try:
            answers = await self.classify(picture, targets=targets, k=k, region=condition.region)
        except (CallError, UnusableServiceError) as error:
            await self._run.give_up(photo.name, f"classify {key} under {condition}", error)
            return
        self.check_known(answers)
        observations = []
        for target in targets:
            cell = key.read_by(target, condition)
            answer = None if answers is None else answers[target]
            outcome, rank = self._outcome(photo.identity, answer)
            observations.append(Observation(photo.name, cell, outcome, rank, k, self._reached(target, answer)))
        named = {target: answers[target].candidates[0] for target in targets} if answers else {}
        digest = sha256(picture).hexdigest()
        await self._run.journal.write(record_observations(observations, picture_sha256=digest, answers=named))
        self._run.progress.observed(len(observations))

    async def classify(
        self, picture: bytes, *, targets: Sequence[str], k: int, region: Region
    ) -> dict[str, Classification] | None:
        """The answers of target models, by name; None where the invader finds no face.

        Raises:
            CallError: the call failed, as often as it was made.
            UnusableServiceError: the invader failed.
        """

        async def ask() -> dict[str, Classification] | None:
            self._run.tally.classify_calls += 1
            return await self._invader.classify(picture, target_models=targets, k=k, region=region)

        return await self._retries.call(ask)

    def check_known(self, answers: Mapping[str, Classification] | None) -> None:
        """Makes sure that only identities are named that a target model listed.

        Raises:
            UnusableServiceError: it named somebody else.
        """
        for name, answer in (answers or {}).items():
            if strangers := set(answer.candidates) - self._run.resolved.label_sets[name]:
                raise UnusableServiceError(
                    f"{self._invader.name}: {name} answered {min(strangers)!r}, which is not in the label set that "
                    f"it listed; the service was changed during the run"
                )

    def _outcome(self, identity: str, answer: Classification | None) -> tuple[Outcome, int | None]:
        """The outcome of an answer, and the rank of the true identity."""
        if answer is None:
            return Outcome.NO_FACE, None
        if identity not in answer.candidates:
            return Outcome.BEYOND, None
        return Outcome.RANKED, answer.candidates.index(identity) + 1

    def _reached(self, target: str, answer: Classification | None) -> Mapping[str, int]:
        """How many candidates reach each threshold of a target model: none where there is no face."""
        if answer is not None:
            return answer.reached
        return {threshold.name: 0 for threshold in self._run.plan.target_models[target].thresholds}
