"""Draws and observes the subjects of a run, alone or beside other orchestrators, until they are enough."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from orchestrator.errors import QueryBudgetSpentError, first_of
from orchestrator.faces.data_set import drawn_identities
from orchestrator.metrics.completeness import short_cells
from orchestrator.metrics.widest import widest
from orchestrator.session.adaptive import AdaptiveSearcher
from orchestrator.session.context import RunContext
from orchestrator.session.non_mated import NonMatedSearcher
from orchestrator.session.stopping_rule import first_look, next_look
from orchestrator.session.subject import SubjectObserver
from orchestrator.store.errors import StoreError
from orchestrator.store.leases import LEASE_SECONDS
from orchestrator.store.records import SubjectStatus

RENEWAL_SECONDS = LEASE_SECONDS / 3
POLL_SECONDS = 1.0  # for subjects that others work on


@dataclass(frozen=True)
class StopDecision:
    """The end of a run."""

    subjects: int  # number that was wanted at the last look
    decided: bool  # whether they are enough; False where that depends on missing answers


class Runner:
    """Observes the subjects of a run.

    Each identity of the draw is leased before it is worked on, so that several orchestrators can work on one run. A subject
    in whose photo the protector finds no face is replaced by the next in the draw, so the subjects are the first N of the
    draw that have a face, whoever works on them and in whatever order the answers come.
    """

    def __init__(
        self,
        run: RunContext,
        observer: SubjectObserver,
        searcher: NonMatedSearcher,
        adaptive: AdaptiveSearcher,
        *,
        subjects_in_flight: Callable[[], int],
    ) -> None:
        """`subjects_in_flight` tells how many subjects are to be worked on at a time, as it is now."""
        self._run = run
        self._plan = run.plan
        self._draw = drawn_identities(run.resolved.eligible, seed=self._plan.seed)
        self._observer = observer
        self._searcher = searcher
        self._adaptive = adaptive
        self._leases = run.store.leases
        self._in_flight = subjects_in_flight
        self._observers = 0  # tasks that work on one subject after another
        self._last_done: Callable[[], object] = lambda: None  # is called when the last of them ends
        self._working: dict[str, asyncio.Task[SubjectStatus]] = {}
        self._ended = asyncio.Event()  # set when the work on any subject ends
        self._asking = asyncio.Lock()  # held by the task that asks for the next subject
        self._left = True  # whether some of the subjects of this look are not done
        self._waiting_noted = False

    async def run(self) -> StopDecision | None:
        """Observes every cell of every subject, and searches for people who are not enrolled meanwhile.

        None if the invader's query budget was spent before the end.

        Raises:
            OrchestratorError: a service is gone or has changed, or the store cannot be used; what was observed is recorded.
        """
        try:
            await self._run.journal.run(partial(self._leases.draw, self._draw))
            await self._run.journal.run(self._reopen_short)
            async with self._leases_renewed(), asyncio.TaskGroup() as group:
                group.create_task(self._searcher.search())  # while the protector crafts the first cloaks
                decision = await self._look_by_look()
                await self._adaptive.search()  # which needs the cloaks of all subjects
                return decision
        except ExceptionGroup as errors:
            error = first_of(errors)
            if not isinstance(error, QueryBudgetSpentError):
                raise error from errors
            self._run.progress.note(str(error))  # what was observed is a result, if a short one
            return None

    def _reopen_short(self) -> None:
        self._leases.reopen_short(per_probe=self._plan.grid.observations_per_probe)

    async def _look_by_look(self) -> StopDecision:
        wanted = first_look(self._plan)
        while True:
            await self._show_progress(wanted)
            self._left = True
            async with asyncio.TaskGroup() as group:
                self._add_observers(group, wanted)
                following = group.create_task(self._follow_capacity(group, wanted))
                self._last_done = following.cancel
            further = await self._wanted_after(wanted)
            if further is None or further <= wanted:
                return StopDecision(further or wanted, decided=further is not None)
            wanted = further

    async def _wanted_after(self, wanted: int) -> int | None:
        """How many subjects are wanted after a look at the first `wanted` of the draw only; None if answers are missing."""
        if self._plan.until_halfwidth is None:
            return wanted
        matrix = await self._run.journal.run(self._run.store.rank_matrix)
        subjects = {subject.identity: subject for subject in await self._run.journal.run(self._run.store.subjects)}
        drawn = [subjects[identity] for identity in self._draw if identity in subjects]
        photos = [subject.photo for subject in drawn if subject.status is SubjectStatus.SUBJECT][:wanted]
        matrix = matrix.only(photos)
        if short_cells(matrix, self._plan.grid, subjects=len(photos)):
            self._run.progress.note(f"after {len(photos)} subjects cells are short: whether these are enough cannot be told")
            return None
        further = next_look(self._plan, wanted, matrix)
        going_on = f"; going on until ± {self._plan.until_halfwidth:g}" if further > wanted else ""
        cell, k, points = widest(matrix, self._plan.grid)
        self._run.progress.note(
            f"after {len(photos)} subjects the widest interval is ± {points:.1f} points (PSR@{k} of {cell.source_model}, "
            f"{cell.method} at {cell.epsilon}, {cell.condition}, read by {cell.target_model}){going_on}"
        )
        return further

    def _add_observers(self, group: asyncio.TaskGroup, wanted: int) -> None:
        """As many as are to work at a time now; those beyond that end with their subjects."""
        while self._observers < min(self._in_flight(), self._plan.subjects):
            self._observers += 1
            group.create_task(self._observe(wanted))

    async def _follow_capacity(self, group: asyncio.TaskGroup, wanted: int) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self._add_observers(group, wanted)

    async def _observe(self, wanted: int) -> None:
        try:
            await self._observe_subjects(wanted)
        finally:
            self._observers -= 1
            if not self._observers:
                self._last_done()

    async def _observe_subjects(self, wanted: int) -> None:
        while (identity := await self._next(wanted)) is not None:
            await self._work_on(identity)

    async def _next(self, wanted: int) -> str | None:
        """Leases the next subject, once there is one; None where none will be, or fewer are to be worked on now.

        One task asks for all that wait: at the end of a run each would ask whenever any subject is done.
        """
        async with self._asking:
            while self._left and self._observers <= max(1, self._in_flight()):
                ended = self._ended
                identity = await self._run.journal.run(partial(self._leases.claim, wanted=wanted))
                if identity is not None:
                    return identity
                self._left = await self._run.journal.run(partial(self._leases.outstanding, wanted=wanted)) > 0
                if self._left:
                    await self._wait_for_others(ended)
        return None

    async def _work_on(self, identity: str) -> None:
        task = self._working[identity] = asyncio.create_task(self._observer.observe(identity))
        try:
            await asyncio.wait({task})
            if not task.cancelled():  # otherwise its lease was lost
                task.result()
        finally:
            del self._working[identity]
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
                task.cancelled() or task.exception()  # which followed from what ends the run, and is looked at by nobody
            self._ended.set()
            self._ended = asyncio.Event()
        await self._run.journal.run(partial(self._leases.release, identity))

    async def _wait_for_others(self, ended: asyncio.Event) -> None:
        """Waits until this process is done with some subject, or it is time to ask for the subjects of others again."""
        if not self._working and not self._waiting_noted:
            self._waiting_noted = True
            self._run.progress.note(
                f"waiting for subjects that another orchestrator has leased; those of one that was killed are free within "
                f"{LEASE_SECONDS:.0f} s"
            )
        with suppress(TimeoutError):  # not `wait_for`, which before Python 3.12 may lose a cancellation
            async with asyncio.timeout(POLL_SECONDS):
                await ended.wait()

    @asynccontextmanager
    async def _leases_renewed(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(self._renew())
            try:
                yield
            finally:
                renewing.cancel()
                with self._run.store.without_waiting(), suppress(StoreError):  # the leases then expire
                    await self._run.journal.run(self._leases.release)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            held = await self._run.journal.run(self._leases.renew)
            for identity, task in self._working.items():
                if identity not in held and not task.done():
                    self._run.progress.note(f"{identity}: another orchestrator has taken this subject over")
                    task.cancel()

    async def _show_progress(self, wanted: int) -> None:
        counts = await self._run.journal.run(self._run.store.observation_counts)
        self._run.progress.stands_at(
            subjects=counts.subjects, observations=counts.observations + counts.non_mated, wanted=wanted
        )
