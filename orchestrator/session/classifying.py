"""Shows cloaks to target models, and records their answers."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from orchestrator.errors import CallError, NoFaceError, OrchestratorError, PhotoRefusedError, UnusableServiceError
from orchestrator.experiment.cloak import Cloak
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.services.invader import InvaderClient
from orchestrator.services.retries import RetryPolicy
from orchestrator.session.context import RunContext
from orchestrator.session.photos import EncodedPhoto
from orchestrator.store.changes import record_observations

CLASSIFICATIONS_IN_FLIGHT = 8


class Classifier:
    """Asks an invader, with few calls in flight, and with none more when the run ends."""

    def __init__(self, run: RunContext, invader: InvaderClient, retries: RetryPolicy) -> None:
        self._run = run
        self._invader = invader
        self._retries = retries
        # Released when the answer is recorded, so that a crash loses at most the calls in flight.
        self._in_flight = asyncio.Semaphore(CLASSIFICATIONS_IN_FLIGHT)
        self._closed = False

    async def show(self, photo: EncodedPhoto, cloak: Cloak, targets: Sequence[str]) -> None:
        """Shows a cloak to target models, and records their answers, or that the call failed.

        Raises:
            UnusableServiceError: the invader failed, or named somebody who is not in the label set that it listed.
            StoreError: the answer cannot be recorded.
        """
        await self._in_flight.acquire()
        try:
            with self.closed_on_error():
                await self._show(photo, cloak, targets)
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

    async def _show(self, photo: EncodedPhoto, cloak: Cloak, targets: Sequence[str]) -> None:
        record, k = cloak.record, max(self._run.plan.grid.ks)

        async def classify() -> dict[str, list[str]] | None:
            self._run.tally.classify_calls += 1
            return await self._invader.classify(cloak.encoded, target_models=targets, k=k, region=self._run.plan.region)

        try:
            answers = await self._retries.call(classify)
        except (CallError, UnusableServiceError) as error:
            await self._run.give_up(photo.name, f"classify {record.key}", error)
            return
        observations = []
        for target in targets:
            cell = record.key.read_by(target)
            outcome, rank = self._outcome(photo.identity, target, None if answers is None else answers[target])
            observations.append(Observation(photo.name, cell, outcome, rank, k))
        named = {target: answers[target][0] for target in targets} if answers else {}
        await self._run.journal.write(record_observations(observations, cloak_sha256=record.sha256, answers=named))
        self._run.progress.observed(len(observations))

    def _outcome(self, identity: str, target: str, candidates: list[str] | None) -> tuple[Outcome, int | None]:
        """The outcome of an answer, and the rank of the true identity."""
        if candidates is None:
            return Outcome.NO_FACE, None
        strangers = set(candidates) - self._run.resolved.label_sets[target]
        if strangers:
            raise UnusableServiceError(
                f"{self._invader.name}: {target} answered {min(strangers)!r}, which is not in the label set that "
                f"it listed; the service was changed during the run"
            )
        if identity not in candidates:
            return Outcome.BEYOND, None
        return Outcome.RANKED, candidates.index(identity) + 1
