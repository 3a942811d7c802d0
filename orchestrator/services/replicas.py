"""Replicas of one service: calls go to the least busy of those that answer and offer what the run began with.

Nothing here makes a call again or waits for one: a call that meets a replica which does not answer fails as unreachable, and
`services/retries` makes it again, when `services/recovery` has found that some replica answers.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count
from typing import Generic, TypeVar

from orchestrator.errors import (
    CallError,
    GalleryGoneError,
    InputError,
    OrchestratorError,
    ServiceChangedError,
    ThrottledError,
    UnreachableServiceError,
)
from orchestrator.experiment.differences import differences
from orchestrator.experiment.model import Model
from orchestrator.services.addresses import Addresses
from orchestrator.services.model_catalogue import ServiceClient
from rpc.errors import shorten

FOLLOW_SECONDS = 5.0  # between looks at the addresses, and at the replicas that are not used
THROTTLED_MS = 500  # that a replica is passed over, where it does not say for how long it is busy
FAILED_MS = 5_000  # that one is passed over which failed a call: it is idle for that reason, and would be called first

Client = TypeVar("Client", bound=ServiceClient)


class State(Enum):
    """What is known of a replica."""

    READY = auto()
    UNCHECKED = auto()  # it has not been asked since it, or another, failed
    AWAY = auto()  # it does not answer
    REFUSED = auto()  # it answers, as another than the run began with


@dataclass(eq=False)
class Replica(Generic[Client]):
    """One of them."""

    address: str
    client: Client
    state: State = State.UNCHECKED
    error: OrchestratorError | None = None  # why it is not used
    in_flight: int = 0
    last_used: int = 0  # grows with every call
    passed_over_until: float = 0.0  # seconds, of the clock; calls go to others until then
    listed: bool = True  # whether its address still is


class Replicas(Generic[Client]):
    """The replicas of one service, as long as they are listed. `start` and `close` are its beginning and its end."""

    def __init__(
        self,
        kind: str,
        text: str,
        *,
        addresses: Addresses,
        open_client: Callable[[str], Client],
        note: Callable[[str], None],
        interval: float = FOLLOW_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connects to nothing yet.

        Args:
            kind: "protector" or "invader".
            text: what the addresses were given as.
            addresses: gives them as they are now.
            open_client: makes a client of one.
            note: is told which replicas come and go.
            interval: seconds between looks at the addresses and at replicas that are not used.
            clock: gives seconds.
        """
        self.name = f"{kind} at {shorten(text)}"
        self._addresses = addresses
        self._open_client = open_client
        self._note = note
        self._interval = interval
        self._clock = clock
        self._models: Mapping[str, Model] = {}
        self._replicas: list[Replica[Client]] = []
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None
        self._complaint: str | None = None  # about the addresses, the last that was noted

    @property
    def capacity(self) -> int:
        """The number of replicas that take calls now, without those that say that they are busy; at least 1."""
        now = self._clock()
        return max(1, sum(each.state is State.READY and each.passed_over_until <= now for each in self._replicas))

    async def models(self) -> dict[str, Model]:
        """The models of the first in the list that answers; replicas that offer others are refused, and named.

        Raises:
            InputError: the addresses cannot be had.
            OrchestratorError: none answers as a service.
        """
        self._adopt(await self._addresses())
        replicas = list(self._replicas)
        listed = await asyncio.gather(*(each.client.models() for each in replicas), return_exceptions=True)
        answers = {each.address: answer for each, answer in zip(replicas, listed, strict=True) if isinstance(answer, dict)}
        for each, answer in zip(replicas, listed, strict=True):
            if isinstance(answer, BaseException):
                if not answers or not isinstance(answer, OrchestratorError):
                    raise answer
                self._failed(each, answer)
        self._models = next(iter(answers.values()))
        for each in replicas:
            if each.address in answers:
                self._compare(each, answers[each.address])
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
        return dict(self._models)

    async def check_unchanged(self, models: Mapping[str, Model]) -> None:
        """Makes sure that a replica answers, with these models unchanged; calls go to those alone that were found to.

        Raises:
            UnreachableServiceError: none answers.
            ServiceChangedError: those that answer are not what the service was.
        """
        self._models = models
        for each in self._replicas:
            if each.state is State.READY:
                each.state = State.UNCHECKED
        probing = [self._task(self._probe(each)) for each in self._replicas]
        for probe in asyncio.as_completed(probing):
            await probe
            if any(each.state is State.READY for each in self._replicas):
                return  # the others are used as soon as they answer
        raise self._why_none()

    async def refresh(self) -> None:
        """Looks at the addresses, and at every replica that is not used."""
        try:
            self._adopt(await self._addresses())
            self._complaint = None
        except InputError as error:  # the list that was there before still is one
            if self._complaint != str(error):
                self._complaint = str(error)
                self._note(f"{error}; going on with the addresses that were there before")
        await asyncio.gather(*(self._probe(each) for each in self._replicas if each.state is not State.READY))

    async def close(self) -> None:
        """Closes all connections."""
        tasks = [*self._tasks, *([] if self._following is None else [self._following])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(each.client.close() for each in self._replicas))

    @asynccontextmanager
    async def calling(self, *, at: Replica[Client] | None = None) -> AsyncIterator[Replica[Client]]:
        """The least busy replica, or a certain one, for one call.

        Raises:
            UnreachableServiceError: none answers, or the one that was called does not.
            GalleryGoneError: the certain one is not used any more.
            OrchestratorError: what the call raises.
        """
        replica = self._least_busy() if at is None else at
        if replica.state in (State.AWAY, State.REFUSED):
            raise GalleryGoneError(f"{replica.client.name}: what was kept there is gone with it")
        replica.in_flight += 1
        replica.last_used = next(self._numbers)
        try:
            yield replica
        except ThrottledError as error:
            pushback_ms = THROTTLED_MS if error.retry_after_ms is None else error.retry_after_ms
            self._pass_over(replica, pushback_ms)
            if at is None and self._has_other(replica):
                raise ThrottledError(str(error), retry_after_ms=0) from error
            raise
        except GalleryGoneError:
            raise
        except CallError as error:
            if error.transient:
                self._pass_over(replica, FAILED_MS)
            raise
        except UnreachableServiceError as error:
            self._failed(replica, error)
            raise
        except ServiceChangedError as error:
            self._failed(replica, error)
            raise self._why_none(UnreachableServiceError(str(error))) from error
        finally:
            replica.in_flight -= 1
            if not replica.listed and not replica.in_flight:
                await replica.client.close()

    def _least_busy(self) -> Replica[Client]:
        ready = [each for each in self._replicas if each.state is State.READY]
        if not ready:
            raise self._why_none()
        now = self._clock()
        free = [each for each in ready if each.passed_over_until <= now]
        if not free:
            return min(ready, key=lambda each: each.passed_over_until)
        return min(free, key=lambda each: (each.in_flight, each.last_used))

    def _pass_over(self, replica: Replica[Client], milliseconds: int) -> None:
        replica.passed_over_until = self._clock() + milliseconds / 1000

    def _has_other(self, replica: Replica[Client]) -> bool:
        now = self._clock()
        return any(
            each is not replica and each.state is State.READY and each.passed_over_until <= now for each in self._replicas
        )

    def _why_none(self, otherwise: OrchestratorError | None = None) -> OrchestratorError:
        """Why no replica can be called: they are other than they were only if all are that answer."""
        errors = [each.error for each in self._replicas if each.error is not None]
        if errors and all(each.state is State.REFUSED for each in self._replicas):
            return ServiceChangedError(str(errors[0]))
        away = [error for error in errors if isinstance(error, UnreachableServiceError)]
        return otherwise or UnreachableServiceError(str(away[0]) if away else f"the {self.name} has no replica that answers")

    def _adopt(self, addresses: tuple[str, ...]) -> None:
        known = {each.address: each for each in self._replicas}
        for address in addresses:
            if address not in known:
                replica = Replica(address, self._open_client(address))
                replica.client.expect(self._models)
                self._replicas.append(replica)
                if self._following is not None:
                    self._note(f"{replica.client.name} is listed now")
        for address, replica in known.items():
            if address not in addresses:
                self._replicas.remove(replica)
                replica.listed, replica.state = False, State.AWAY
                self._note(f"{replica.client.name} is not listed any more")
                if not replica.in_flight:
                    self._task(replica.client.close())

    async def _probe(self, replica: Replica[Client]) -> None:
        replica.client.expect(self._models)
        try:
            await replica.client.check_unchanged(self._models)
        except OrchestratorError as error:
            self._failed(replica, error)
        else:
            self._answers(replica)

    def _compare(self, replica: Replica[Client], models: Mapping[str, Model]) -> None:
        expected, found = ({name: dict(each.card) for name, each in offer.items()} for offer in (self._models, models))
        differing = [f"{what}: {old!r} there, {new!r} here" for what, old, new in differences(expected, found)]
        if differing:
            self._failed(replica, ServiceChangedError(f"it offers other models than the first: {'; '.join(differing)}"))
        else:
            self._answers(replica)

    def _answers(self, replica: Replica[Client]) -> None:
        if not replica.listed:
            return
        if replica.state in (State.AWAY, State.REFUSED):
            self._note(f"{replica.client.name} is used again")
        replica.state, replica.error = State.READY, None

    def _failed(self, replica: Replica[Client], error: OrchestratorError) -> None:
        is_away = isinstance(error, UnreachableServiceError) or (isinstance(error, CallError) and error.transient)
        state = State.AWAY if is_away else State.REFUSED
        if replica.listed and replica.state is not state:
            left = sum(each.state is State.READY and each is not replica for each in self._replicas)
            others = f"; going on with {left} others" if left > 1 else "; going on with another" if left else ""
            self._note(f"{replica.client.name} is {'away' if is_away else 'refused'}: {error}{others}")
        replica.state, replica.error = state, error

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self.refresh()

    def _task(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
