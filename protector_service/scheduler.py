"""Decides which rows share the next batch: pure bookkeeping, without threads, tensors or clocks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from protector_service.methods.row import Row
from protector_service.order import Customer, Order
from protector_service.outbox import Outbox

MAX_PASSED_OVER = 8


@dataclass(eq=False)
class Crafting:
    """An order that is being crafted."""

    order: Order
    customer: Customer
    outbox: Outbox
    away: int = 0  # its batches that are being stepped now, its start among them
    dropped: bool = False  # no longer wanted, or failed
    error: Exception | None = None  # why it failed


@dataclass(frozen=True)
class Start:
    """An order to begin with: its labels are to be found and its rows made."""

    crafting: Crafting


@dataclass(frozen=True)
class Batch:
    """Rows to step together, at most as many as the source model's batches have places."""

    source_model: str
    rows: Sequence[tuple[Crafting, Row]]


@dataclass(frozen=True, eq=False)
class _Waiting:
    crafting: Crafting
    row: Row | None  # None: the order's start

    @property
    def client(self) -> str:
        return self.crafting.order.client

    @property
    def source_model(self) -> str:
        return self.crafting.order.source_model


class Scheduler:
    """Continuous batching: each batch is put together anew from all the rows that wait.

    Clients take turns: the one that has had the fewest rows stepped chooses, and what it leaves free the next may fill.
    What has waited longest comes first, unless its batch would be left partly empty and another source model can fill one;
    a source model is not passed over for long.
    """

    def __init__(self, batch_rows: Mapping[str, int]) -> None:
        """`batch_rows` is the number of places in a batch, by source model."""
        self._batch_rows = batch_rows
        self._craftings: list[Crafting] = []  # not over yet
        self._waiting: list[_Waiting] = []  # longest first
        self._served: Counter[str] = Counter()  # rows, by client
        self._passed_over: Counter[str] = Counter()  # batches since a source model could have had one

    @property
    def craftings(self) -> Sequence[Crafting]:
        """The orders that are not over yet, oldest first."""
        return tuple(self._craftings)

    @property
    def rows(self) -> int:
        """Rows that wait for their next gradient."""
        return sum(waiting.row is not None for waiting in self._waiting)

    def add(self, crafting: Crafting) -> None:
        """Takes an order on."""
        client = crafting.order.client
        if client not in self._clients():
            # Whoever comes new or comes back starts level with the others: time away is no credit.
            self._served[client] = min((self._served[other] for other in self._clients()), default=0)
        self._craftings.append(crafting)
        self._waiting.append(_Waiting(crafting, None))

    def put(self, crafting: Crafting, rows: Iterable[Row]) -> None:
        """Lets rows of an order wait for their next gradient."""
        self._waiting += [_Waiting(crafting, row) for row in rows]

    def waits(self, crafting: Crafting) -> bool:
        """Whether there is something to do for an order that nobody is doing."""
        return any(waiting.crafting is crafting for waiting in self._waiting)

    def drop(self, crafting: Crafting) -> None:
        """Does nothing further for an order."""
        crafting.dropped = True
        self._waiting = [waiting for waiting in self._waiting if waiting.crafting is not crafting]

    def remove(self, crafting: Crafting) -> None:
        """Forgets an order, and the client with its last one."""
        self._craftings.remove(crafting)
        if crafting.order.client not in self._clients():
            del self._served[crafting.order.client]

    def next_work(self) -> Start | Batch | None:
        """What to do next; None where all that can be done is being done."""
        if not self._waiting:
            return None
        turns = sorted(self._waiting, key=lambda waiting: self._served[waiting.client])  # stable: the longest wait first
        leads = [waiting for waiting in turns if waiting.client == turns[0].client]
        if leads[0].row is None:
            return self._start(leads[0])
        source_model = self._source_model(leads)
        sharing = [waiting for waiting in turns if waiting.source_model == source_model]
        starts = [waiting for waiting in sharing if waiting.row is None]
        if starts and len(sharing) - len(starts) < self._batch_rows[source_model]:
            return self._start(starts[0])  # its rows may fill the batch
        return self._batch(source_model, sharing)

    def _source_model(self, leads: Sequence[_Waiting]) -> str:
        rows = Counter(waiting.source_model for waiting in self._waiting if waiting.row is not None)
        candidates = list(dict.fromkeys(waiting.source_model for waiting in leads if waiting.row is not None))
        overdue = [name for name in candidates if self._passed_over[name] >= MAX_PASSED_OVER]
        full = [name for name in candidates if rows[name] >= self._batch_rows[name]]
        chosen = (overdue or full or candidates)[0]
        for name in candidates[: candidates.index(chosen)]:
            self._passed_over[name] += 1
        self._passed_over[chosen] = 0
        return chosen

    def _start(self, waiting: _Waiting) -> Start:
        self._waiting.remove(waiting)
        self._served[waiting.client] += 1
        waiting.crafting.away += 1
        return Start(waiting.crafting)

    def _batch(self, source_model: str, sharing: Sequence[_Waiting]) -> Batch:
        rows: list[tuple[Crafting, Row]] = []
        for waiting in sharing:
            if waiting.row is not None and len(rows) < self._batch_rows[source_model]:
                rows.append((waiting.crafting, waiting.row))
                self._waiting.remove(waiting)
                self._served[waiting.client] += 1
        for crafting in {crafting for crafting, _ in rows}:
            crafting.away += 1
        return Batch(source_model, rows)

    def _clients(self) -> set[str]:
        return {crafting.order.client for crafting in self._craftings}
