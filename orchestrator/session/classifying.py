"""Shows cloaks under conditions to target models, and records their answers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from typing import NamedTuple

from orchestrator.errors import CallError, NoFaceError, OrchestratorError, PhotoRefusedError, UnusableServiceError
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import CloakKey
from orchestrator.experiment.region import Region
from orchestrator.faces.data_set import canonical
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.pictures.conditions import under_conditions
from orchestrator.pictures.pasting import published
from orchestrator.services.galleries import SealedGallery
from orchestrator.services.invader import Classification, Invader
from orchestrator.services.retries import RetryPolicy
from orchestrator.session.context import RunContext
from orchestrator.session.photos import EncodedPhoto
from orchestrator.session.slots import Slots
from orchestrator.store.changes import record_observations
from rpc.images.bare_image import BadImageError

CLASSIFICATIONS_IN_FLIGHT = 8  # for each replica of the invader
CLOAKS_AT_ONCE = 8  # likewise, that are in memory under all their conditions

Answers = Mapping[str, Classification] | None  # by target model; None where no face was found


class Query(NamedTuple):
    """A picture that target models are shown."""

    condition: Condition
    picture: bytes
    targets: Sequence[str]


Ask = Callable[[EncodedPhoto, CloakKey, Query], Coroutine[None, None, None]]


class Classifier:
    """Asks an invader, with few calls in flight, and with none more when the run ends."""

    def __init__(
        self, run: RunContext, invader: Invader, retries: RetryPolicy, *, capacity: Callable[[], int] = lambda: 1
    ) -> None:
        """`capacity` tells how many replicas of the invader take calls now."""
        self._run = run
        self._invader = invader
        self._retries = retries
        self.retried = retries.call
        self.galleries = invader.galleries
        self.capacity = capacity
        # Released when the answer is recorded, so that a crash loses at most the calls in flight.
        self._in_flight = Slots(lambda: CLASSIFICATIONS_IN_FLIGHT * capacity())
        self._cloaks = Slots(lambda: CLOAKS_AT_ONCE * capacity())
        self._closed = False

    async def show(
        self,
        photo: EncodedPhoto,
        cloak: Cloak,
        unseen: Mapping[Condition, Sequence[str]],
        *,
        ask: Ask | None = None,
    ) -> None:
        """Shows a cloak under conditions to the target models that have not seen it so, and records what became of it.

        All its conditions are asked about together, so that a budget that is spent shortens them alike. `ask` asks about one
        and records the answer; by default, of the label sets that the invader lists.

        Raises:
            UnusableServiceError: the invader failed, or named somebody who is not in the label set that it listed.
            StoreError: the answer cannot be recorded.
        """
        async with self._cloaks:
            try:  # in a thread: the event loop has other calls to attend to
                pictures = await asyncio.to_thread(_pictures, photo, cloak, unseen)
            except BadImageError as error:
                refused = CallError(f"expected {error.expected}, got {error.actual}", transient=False)
                await self._run.give_up(photo.name, f"the cloak {cloak.record.key} as the protector sent it", refused)
                return
            async with asyncio.TaskGroup() as queries:
                for condition, targets in unseen.items():
                    query = Query(condition, pictures[condition], targets)
                    queries.create_task((ask or self._ask)(photo, cloak.record.key, query))

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

    async def _ask(self, photo: EncodedPhoto, key: CloakKey, query: Query) -> None:
        async with self.slot():
            condition, picture, targets = query
            try:
                answers = await self.classify(picture, targets=targets, k=self._k, region=condition.region)
            except (CallError, UnusableServiceError) as error:
                await self._run.give_up(photo.name, f"classify {key} under {condition}", error)
                return
            await self.record(photo, key, query, answers)

    async def classify(self, picture: bytes, *, targets: Sequence[str], k: int, region: Region) -> Answers:
        """The answers of target models, by name; None where the invader finds no face.

        Raises:
            CallError: the call failed, as often as it was made.
            UnusableServiceError: the invader failed.
        """

        async def ask() -> Answers:
            self._run.tally.classify_calls += 1
            return await self._invader.classify(picture, target_models=targets, k=k, region=region)

        return await self._retries.call(ask)

    async def search(self, query: Query, gallery: SealedGallery) -> Answers:
        """The answers of matchers that compare with a gallery of this client's, by name. The call is made once.

        Raises:
            OrchestratorError: see `Invader.classify`.
        """
        self._run.tally.classify_calls += 1
        return await self._invader.classify(
            query.picture, target_models=query.targets, k=self._k, region=query.condition.region, gallery=gallery
        )

    async def record(
        self,
        photo: EncodedPhoto,
        key: CloakKey,
        query: Query,
        answers: Answers,
        *,
        gallery: SealedGallery | None = None,
    ) -> None:
        """Records what target models answered, of the gallery that they compared with where it was not the invader's own.

        Raises:
            UnusableServiceError: the invader named somebody who is not in the label set that it listed.
            StoreError: it cannot be recorded.
        """
        self.check_known(answers)
        enrolled = gallery is None or canonical(photo.identity) not in gallery.not_enrolled
        observations = []
        for target in query.targets:
            answer = None if answers is None else answers[target]
            outcome, rank = _outcome(photo.identity, answer) if enrolled else (Outcome.NOT_ENROLLED, None)
            cell = key.read_by(target, query.condition)
            observations.append(Observation(photo.name, cell, outcome, rank, self._k, self._reached(target, answer)))
        await self._run.journal.write(
            record_observations(
                observations,
                picture_sha256=sha256(query.picture).hexdigest(),
                answers={target: answers[target].candidates[0] for target in query.targets} if answers else {},
                gallery_sha256=None if gallery is None else gallery.sha256,
            )
        )
        self._run.progress.observed(len(observations))

    @property
    def _k(self) -> int:
        return max(self._run.plan.grid.ks)

    def check_known(self, answers: Answers) -> None:
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

    def _reached(self, target: str, answer: Classification | None) -> Mapping[str, int]:
        """How many candidates reach each threshold of a target model: none where there is no answer."""
        if answer is not None:
            return answer.reached
        return {threshold.name: 0 for threshold in self._run.plan.target_models[target].thresholds}


def _pictures(photo: EncodedPhoto, cloak: Cloak, conditions: Collection[Condition]) -> dict[Condition, bytes]:
    """What is shown of a cloak under conditions.

    Raises:
        BadImageError: it is no picture, or does not fit into its photo.
    """
    return under_conditions(published(photo.encoded, cloak), conditions) if conditions else {}


def _outcome(identity: str, answer: Classification | None) -> tuple[Outcome, int | None]:
    """The outcome of an answer, and the rank of the true identity."""
    if answer is None:
        return Outcome.NO_FACE, None
    if identity not in answer.candidates:
        return Outcome.BEYOND, None
    return Outcome.RANKED, answer.candidates.index(identity) + 1
