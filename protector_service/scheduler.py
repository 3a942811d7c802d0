"""Decides which asks share the next batch: pure bookkeeping, without threads, tensors or clocks."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protector_service.job import CloakSink, CraftJob
from protector_service.method_run import MethodRun
from protector_service.methods.asks import Answer, Ask

MAX_PASSED_OVER = 8  # batches in a row that a lane of the client whose turn it is may wait for others
MAX_LEFT_OUT = 64  # that any client's may


@dataclass(eq=False)
class RunningJob:
    """A job that is being crafted."""

    job: CraftJob
    sink: CloakSink
    runs: list[MethodRun] = field(default_factory=list)  # one for each method
    batches_in_flight: int = 0  # its start among them
    dropped: bool = False  # no longer wanted, or failed
    error: Exception | None = None  # why it failed
    delivering: threading.Lock = field(default_factory=threading.Lock)


@dataclass(eq=False)
class Round:
    """What a method asked together. It goes on once all is answered."""

    running: RunningJob
    run: MethodRun
    asks: Sequence[Ask]
    answers: dict[int, Answer] = field(default_factory=dict)  # by place

    @property
    def complete(self) -> bool:
        return len(self.answers) == len(self.asks)


@dataclass(frozen=True)
class Start:
    """A job to begin with: its methods are to be asked for their first asks."""

    running: RunningJob


@dataclass(frozen=True)
class Lane:
    """What can share a batch: asks of one source model, with a gradient or without, which runs other code."""

    source_model: str
    gradient: bool


@dataclass(frozen=True, eq=False)
class Row:
    """An ask that waits, or has its place in a batch."""

    round: Round
    place: int

    @property
    def ask(self) -> Ask:
        return self.round.asks[self.place]

    @property
    def running(self) -> RunningJob:
        return self.round.running

    @property
    def lane(self) -> Lane:
        return Lane(self.ask.model, self.ask.gradient)


@dataclass(frozen=True)
class Batch:
    """Asks to answer together, at most as many as the source model's batches have places."""

    lane: Lane
    rows: Sequence[Row]


class Scheduler:
    """Continuous batching: each batch is put together anew from all the asks that wait.

    Clients take turns: the one that has had the fewest asks answered chooses, and what it leaves free the next may fill.
    What has waited longest comes first, unless its batch would be left partly empty and another lane can fill one; a lane
    is not passed over for long, nor for ever where its clients have had their share in another.
    """

    def __init__(self, batch_rows: Mapping[str, int]) -> None:
        """`batch_rows` is the number of places in a batch, by source model."""
        self._batch_rows = batch_rows
        self._jobs: list[RunningJob] = []  # not over yet
        self._waiting: list[Row | Start] = []  # longest first
        self._served: Counter[str] = Counter()  # asks, by client
        self._passed_over: Counter[Lane] = Counter()  # batches since a lane could have had one

    @property
    def jobs(self) -> Sequence[RunningJob]:
        """The jobs that are not over yet, oldest first."""
        return tuple(self._jobs)

    def add(self, running: RunningJob) -> None:
        """Takes a job on."""
        client = running.job.client
        if client not in self._clients():
            # Whoever comes new or comes back starts level with the others: time away is no credit.
            self._served[client] = min((self._served[other] for other in self._clients()), default=0)
        self._jobs.append(running)
        self._waiting.append(Start(running))

    def put(self, asked: Round) -> None:
        """Lets the asks of a round wait for their answers."""
        self._waiting += [Row(asked, place) for place in range(len(asked.asks))]

    def waits(self, running: RunningJob) -> bool:
        """Whether there is something to do for a job that nobody is doing."""
        return any(waiting.running is running for waiting in self._waiting)

    def drop(self, running: RunningJob) -> None:
        """Does nothing further for a job."""
        running.dropped = True
        self._waiting = [waiting for waiting in self._waiting if waiting.running is not running]

    def remove(self, running: RunningJob) -> None:
        """Forgets a job, and the client with its last one."""
        self._jobs.remove(running)
        if running.job.client not in self._clients():
            del self._served[running.job.client]

    def next_work(self) -> Start | Batch | None:
        """What to do next; None where all that can be done is being done."""
        if not self._waiting:
            return None
        turns = sorted(self._waiting, key=lambda waiting: self._served[_client(waiting)])  # stable: the longest wait first
        if isinstance(turns[0], Start):
            return self._start(turns[0])
        lane = self._lane(turns)
        sharing = [waiting for waiting in turns if isinstance(waiting, Start) or waiting.lane == lane]
        rows: list[Row] = []
        for waiting in sharing[: self._batch_rows[lane.source_model]]:
            if isinstance(waiting, Start):
                return self._start(waiting)  # it is its turn, and its asks may fill the batch
            rows.append(waiting)
        self._passed_over = Counter({other: self._passed_over[other] + 1 for other in _lanes(turns) if other != lane})
        return self._batch(lane, rows)

    def _lane(self, turns: Sequence[Row | Start]) -> Lane:
        """The lane that has the next batch: of the client whose turn it is, unless another has waited for too long."""
        lanes = _lanes(turns)
        own = _lanes([waiting for waiting in turns if _client(waiting) == _client(turns[0])])
        overdue = [lane for lane in lanes if self._passed_over[lane] >= (MAX_PASSED_OVER if lane in own else MAX_LEFT_OUT)]
        full = [lane for lane in own if lanes[lane] >= self._batch_rows[lane.source_model]]
        return (overdue or full or list(own))[0]

    def _start(self, start: Start) -> Start:
        self._waiting.remove(start)
        self._served[_client(start)] += 1
        start.running.batches_in_flight += 1
        return start

    def _batch(self, lane: Lane, rows: Sequence[Row]) -> Batch:
        for row in rows:
            self._waiting.remove(row)
            self._served[_client(row)] += 1
        for running in {row.running for row in rows}:
            running.batches_in_flight += 1
        return Batch(lane, rows)

    def _clients(self) -> set[str]:
        return {running.job.client for running in self._jobs}


def _client(waiting: Row | Start) -> str:
    return waiting.running.job.client


def _lanes(turns: Sequence[Row | Start]) -> Counter[Lane]:
    """How many asks wait in each lane, those first whose turn comes first."""
    return Counter(waiting.lane for waiting in turns if isinstance(waiting, Row))
