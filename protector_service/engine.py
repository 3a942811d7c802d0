"""The crafting engine: continuous batching of what methods ask.

Asks of all jobs for one source model share batches, whatever the method, the budget and the client. New jobs join at the
next step, finished cloaks leave at once, and a job that is no longer wanted costs nothing after the step under way. It
knows nothing of any method.
"""

import logging
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue

from protector_service.batched_model import BatchedModel, BrokenObjectiveError, NonFiniteAnswerError, as_exception
from protector_service.candidates import KnownIdentities
from protector_service.ensemble import views_of
from protector_service.job import CloakSink, CraftJob, FinishedCloak, image_of
from protector_service.method_run import MethodRun
from protector_service.methods.method import BrokenMethodError, MethodJob
from protector_service.scheduler import Batch, Round, RunningJob, Scheduler, Start

logger = logging.getLogger(__name__)


class EngineClosedError(Exception):
    """The engine stopped before the job was finished."""


class Engine:
    """Crafts the cloaks of many jobs, in `workers` threads of its own."""

    def __init__(
        self,
        models: Mapping[str, BatchedModel],
        *,
        workers: int = 1,
        on_batch: Callable[[str, int], None] = lambda *_: None,
    ) -> None:
        """`models` are the source models, by name; `on_batch` is told the model and the asks of every batch."""
        self._models = models
        self._on_batch = on_batch
        self._scheduler = Scheduler({name: model.batch_rows for name, model in models.items()})
        self._changed = threading.Condition()  # guards the scheduler, rounds, and all that running jobs hold but their runs
        self._closing = False
        self._workers = [
            threading.Thread(target=self._work, name=f"worker-{worker}", daemon=True) for worker in range(workers)
        ]
        for worker in self._workers:
            worker.start()

    def submit(self, job: CraftJob, sink: CloakSink) -> None:
        """Crafts a job's cloaks and delivers them to the sink as they are finished.

        Raises:
            EngineClosedError: it was closed.
        """
        with self._changed:
            if self._closing:
                raise EngineClosedError("the engine is closed")
            self._scheduler.add(RunningJob(job, sink))
            self._changed.notify()

    def craft(self, job: CraftJob) -> Iterator[FinishedCloak]:
        """Crafts a job's cloaks in the engine's threads and yields them here."""
        waiting = _Queue()
        self.submit(job, waiting)
        try:
            yield from waiting
        finally:
            waiting.gone.set()

    @property
    def jobs(self) -> int:
        """Jobs that are not over yet."""
        with self._changed:
            return len(self._scheduler.jobs)

    def close(self) -> None:
        """Waits for the steps under way and ends every job that is not finished."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()
        with self._changed:
            left = self._scheduler.jobs
            for running in left:
                self._scheduler.remove(running)
        for running in left:
            running.error = running.error or EngineClosedError("the engine was closed before the job was finished")
            _end(running)

    def _work(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        """Does one thing of all that is to do, and keeps hold of nothing of it; False once the engine closes."""
        unwanted, work = self._next()
        for running in unwanted:
            _end(running)
        if isinstance(work, Start):
            self._start(work.running)
        elif work is not None:
            self._answer(work)
        return bool(unwanted or work)

    def _next(self) -> tuple[Sequence[RunningJob], Start | Batch | None]:
        """Jobs to end, if there are any, or else what to do next; neither once the engine closes."""
        with self._changed:
            while not self._closing:
                if unwanted := self._drop_unwanted():
                    return unwanted, None
                if (work := self._scheduler.next_work()) is not None:
                    return (), work
                self._changed.wait()
        return (), None

    def _drop_unwanted(self) -> Sequence[RunningJob]:
        """Drops the jobs that are no longer wanted, and removes those that nobody is at work on."""
        dropped = [running for running in self._scheduler.jobs if not running.dropped and not _is_wanted(running)]
        for running in dropped:
            self._scheduler.drop(running)
        return self._removed(dropped)

    def _removed(self, jobs: Collection[RunningJob]) -> Sequence[RunningJob]:
        """Removes those of some jobs that are over; whoever removes a job ends it."""
        over = [running for running in jobs if not running.batches_in_flight and not self._scheduler.waits(running)]
        for running in over:
            self._scheduler.remove(running)
        return over

    def _start(self, running: RunningJob) -> None:
        """Makes the run of each method, and lets it ask for the first time."""
        try:
            running.runs = self._runs(running.job)
        except BaseException as error:  # noqa: BLE001 - a job that fails must not take the worker with it
            self._fail(running, error)
        for run in running.runs:
            self._advance(Round(running, run, ()))
        self._come_back([running])

    def _runs(self, job: CraftJob) -> list[MethodRun]:
        models = {name: self._models[name] for name in job.source_models}
        first = next(iter(models.values()))
        views = views_of(
            {name: model.recognizer.input_size for name, model in models.items()},
            shape=job.probe.shape[:2],
            device=first.device,
            dtype=first.dtype,
            heads=job.heads,
        )
        all_heads = {name: job.heads.get(name) or model.recognizer.head for name, model in models.items()}
        candidates = KnownIdentities(all_heads)
        # An image for each method: what one does to its own does not reach another's cloaks.
        return [
            MethodRun(
                method,
                MethodJob(
                    method.name,
                    image_of(job.probe, device=first.device, dtype=first.dtype),
                    method.budgets(job.epsilons),
                    job.y_true,
                    job.seed,
                    job.source_models,
                    candidates,
                ),
                probe=job.probe,
                views=views,
                classes=min(len(head.label_set) for head in all_heads.values()),
            )
            for method in job.methods
        ]

    def _answer(self, batch: Batch) -> None:
        """Answers the asks of a batch, and lets the methods go on that waited for nothing else."""
        self._on_batch(batch.lane.source_model, len(batch.rows))
        answers = self._models[batch.lane.source_model].answers([row.ask for row in batch.rows])
        complete: list[Round] = []
        for row, answer in zip(batch.rows, answers, strict=True):
            if isinstance(answer, Exception):
                self._fail(row.running, answer, run=row.round.run)
                continue
            with self._changed:
                row.round.answers[row.place] = answer
                if row.round.complete:
                    complete.append(row.round)
        for asked in complete:
            self._advance(asked)
        self._come_back(dict.fromkeys(row.running for row in batch.rows))

    def _advance(self, asked: Round) -> None:
        """Lets a method go on, delivers the cloaks it hands out, and puts what it asks next in the queue."""
        running = asked.running
        if running.dropped:
            return
        try:
            progress = asked.run.advance([asked.answers[place] for place in range(len(asked.asks))])
            with running.delivering:
                for cloak in progress.cloaks:
                    running.sink.deliver(cloak)
        except BaseException as error:  # noqa: BLE001 - one job's method, or sink, fails its own job and no other
            self._fail(running, error, run=asked.run)
            return
        if progress.asks:
            with self._changed:
                if not running.dropped:
                    self._scheduler.put(Round(running, asked.run, progress.asks))
                    self._changed.notify_all()

    def _fail(self, running: RunningJob, error: BaseException, *, run: MethodRun | None = None) -> None:
        """Drops a job that is at work, because of an error. No signal reaches a worker: whatever is raised is the job's."""
        if not (running.dropped or isinstance(error, BrokenMethodError)):  # which has said it
            reason = str(error) if isinstance(error, BrokenObjectiveError | NonFiniteAnswerError) else ""  # ours: no secrets
            facts = {"method": run.name if run else "", "error": type(error).__qualname__, "reason": reason}
            logger.error("job failed", extra=facts)
        _clear_frames(error)
        with self._changed:
            running.error = running.error or as_exception(error)
            self._scheduler.drop(running)

    def _come_back(self, jobs: Collection[RunningJob]) -> None:
        """A batch is done: ends the jobs that are over."""
        with self._changed:
            for running in jobs:
                running.batches_in_flight -= 1
            over = self._removed(jobs)
        for running in over:
            _end(running)


def _clear_frames(error: BaseException) -> None:
    """Lets go of what the frames of an error hold, and those they were called from: a batch, and what its gradient needs."""
    traceback.clear_frames(error.__traceback__)
    frame = error.__traceback__.tb_frame.f_back if error.__traceback__ else None
    while frame is not None:
        with suppress(RuntimeError):  # it is executing
            frame.clear()
        frame = frame.f_back


def _is_wanted(running: RunningJob) -> bool:
    try:
        return running.sink.wants()
    except BaseException as error:  # noqa: BLE001 - one job's sink is not the others'
        running.error = as_exception(error)
        return False


def _end(running: RunningJob) -> None:
    """Ends a job that was removed. What a plug-in or a sink does when it is told to end is nobody else's."""
    ends: list[Callable[[], None]] = [run.close for run in running.runs]
    ends.append(partial(running.sink.end, running.error))
    for end in ends:
        try:
            end()
        except BaseException as error:  # noqa: BLE001 - see above
            logger.warning("job did not end", extra={"error": type(error).__qualname__})
    running.error = None  # its traceback refers to this job


class _Queue(CloakSink):
    """A sink that is read in another thread."""

    def __init__(self) -> None:
        self._cloaks: SimpleQueue[FinishedCloak | Exception | None] = SimpleQueue()
        self.gone = threading.Event()

    def wants(self) -> bool:
        return not self.gone.is_set()

    def deliver(self, cloak: FinishedCloak) -> None:
        self._cloaks.put(cloak)

    def end(self, error: Exception | None) -> None:
        self._cloaks.put(error)

    def __iter__(self) -> Iterator[FinishedCloak]:
        while (cloak := self._cloaks.get()) is not None:
            if isinstance(cloak, Exception):
                raise cloak
            yield cloak
