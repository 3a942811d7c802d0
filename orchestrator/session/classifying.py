"""Cloaks are shown to target models, and their answers recorded."""

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
from orchestrator.store import record_observations

CLASSIFICATIONS_IN_FLIGHT = 8


class Classifier:
    """Asks an invader, a few calls at a time; once the run ends it asks nothing any more."""

    def __init__(self, run: RunContext, invader: InvaderClient, retries: RetryPolicy) -> None:
        self._run = run
        self._invader = invader
        self._retries = retries
        # A place is given back when the answer is recorded: a crash loses at most the calls that hold these.
        self._places = asyncio.Semaphore(CLASSIFICATIONS_IN_FLIGHT)
        self._closed = False

    async def show(self, photo: EncodedPhoto, cloak: Cloak, targets: Sequence[str]) -> None:
        """Shows a cloak to target models, and records what they take it for, or that the call failed.

        Raises:
            UnusableServiceError: the invader failed, or its answer is not of the label sets that it listed.
            StoreError: the answer cannot be recorded.
        """
        await self._places.acquire()
        try:
            with self.closed_on_error():
                await self._show(photo, cloak, targets)
        finally:  # where this subject alone is not to be worked on any more, others may be
            if not self._closed:
                self._places.release()

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Where the run ends by an error, no other question is asked: subjects learn of it one after another."""
        try:
            yield
        except (NoFaceError, PhotoRefusedError):  # which are of one photo
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
        """What a target model did with a cloak, and the rank of the true identity."""
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
