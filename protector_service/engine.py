"""The crafting engine: continuous batching over shared trajectories.

Rows of all orders for one source model share batches: BIM and ILLC, all budgets, all clients. New orders join at the next
step, finished cloaks leave at once, and an order that is no longer wanted costs nothing after the step under way.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import SimpleQueue

from torch import Tensor

from protector_service.gradients import BatchedGradients
from protector_service.methods.method import GradientMethod
from protector_service.methods.row import Row, rows_of
from protector_service.order import Cloak, Customer, Order, finished_cloak, image_of
from protector_service.outbox import Outbox
from protector_service.scheduler import Batch, Crafting, Scheduler, Start


class NonFiniteGradientError(Exception):
    """A source model answered with a gradient that is not a number."""


class EngineClosedError(Exception):
    """The engine stopped before the order was finished."""


class Engine:
    """Steps the rows of many orders, in `workers` threads of its own."""

    def __init__(
        self,
        gradients: Mapping[str, BatchedGradients],
        *,
        workers: int = 1,
        on_batch: Callable[[str, int], None] = lambda *_: None,
    ) -> None:
        """`gradients` are the source models', by name; `on_batch` is told the model and the rows of every batch."""
        self._gradients = gradients
        self._on_batch = on_batch
        self._scheduler = Scheduler({name: batched.batch_rows for name, batched in gradients.items()})
        self._changed = threading.Condition()  # guards the scheduler and all that craftings hold but their cloaks
        self._closing = False
        self._workers = [
            threading.Thread(target=self._work, name=f"worker-{worker}", daemon=True) for worker in range(workers)
        ]
        for worker in self._workers:
            worker.start()

    def submit(self, order: Order, customer: Customer) -> None:
        """Crafts an order's cloaks and delivers them to the customer as they are finished.

        Raises:
            EngineClosedError: it was closed.
        """
        with self._changed:
            if self._closing:
                raise EngineClosedError("the engine is closed")
            self._scheduler.add(Crafting(order, customer, Outbox(order, customer)))
            self._changed.notify()

    def craft(self, order: Order) -> Iterator[Cloak]:
        """Crafts an order's cloaks in the engine's threads and yields them here."""
        waiting = _Queue()
        self.submit(order, waiting)
        try:
            yield from waiting
        finally:
            waiting.gone.set()

    @property
    def orders(self) -> int:
        """Orders that are not over yet."""
        with self._changed:
            return len(self._scheduler.craftings)

    def close(self) -> None:
        """Waits for the steps under way and ends every order that is not finished."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()
        for crafting in self._scheduler.craftings:
            self._scheduler.remove(crafting)
            crafting.customer.end(EngineClosedError("the engine was closed before the order was finished"))

    def _work(self) -> None:
        while (work := self._next()) is not None:
            if isinstance(work, Start):
                self._start(work.crafting)
            else:
                self._step(work)

    def _next(self) -> Start | Batch | None:
        with self._changed:
            while not self._closing:
                self._drop_unwanted()
                if (work := self._scheduler.next_work()) is not None:
                    return work
                self._changed.wait()
        return None

    def _drop_unwanted(self) -> None:
        for crafting in self._scheduler.craftings:
            if not crafting.dropped and not crafting.customer.wants():
                self._drop(crafting)

    def _drop(self, crafting: Crafting, error: Exception | None = None) -> None:
        crafting.error = crafting.error or error
        self._scheduler.drop(crafting)
        if not crafting.away:
            self._end(crafting)

    def _start(self, crafting: Crafting) -> None:
        """Fixes the labels on the clean probe, and makes the rows."""
        rows: list[Row] = []
        error = None
        try:
            rows = self._first_rows(crafting.order)
        except Exception as failure:  # noqa: BLE001 - an order that fails must not take the worker with it
            error = failure
        self._come_back({crafting: rows}, {} if error is None else {crafting: error})

    def _first_rows(self, order: Order) -> list[Row]:
        batched = self._gradients[order.source_model]
        x_0 = image_of(order.probe, device=batched.device, dtype=batched.dtype)
        clean_logits = batched.clean_logits(x_0)
        # A copy for each method: what one does to its own does not reach another's cloaks.
        return [
            row
            for method in order.methods
            for row in rows_of(
                method,
                x_0.clone(),
                label=_label(method, clean_logits.clone(), order.y_true),
                epsilons=order.epsilons,
                seed=order.seed,
            )
        ]

    def _step(self, batch: Batch) -> None:
        """Steps every row of a batch, and the tails that are due with the gradient of the row they fork from."""
        self._on_batch(batch.source_model, len(batch.rows))
        stepped: dict[Crafting, list[Row]] = {crafting: [] for crafting, _ in batch.rows}
        errors: dict[Crafting, Exception] = {}
        gradients = _gradients(self._gradients[batch.source_model], batch.rows)
        for (crafting, row), gradient in zip(batch.rows, gradients, strict=True):
            try:
                stepped[crafting] += _take_step(row, gradient)
            except Exception as failure:  # noqa: BLE001 - one bad row fails its own order and no other
                errors[crafting] = failure
        self._come_back(stepped, errors)

    def _come_back(self, stepped: Mapping[Crafting, Sequence[Row]], errors: Mapping[Crafting, Exception]) -> None:
        """Lets unfinished rows go on, delivers the finished ones, and ends the orders that are over."""
        with self._changed:
            for crafting, rows in stepped.items():
                if crafting in errors:
                    self._drop(crafting, errors[crafting])
                elif not crafting.dropped:
                    self._scheduler.put(crafting, [row for row in rows if not row.finished])
            self._changed.notify_all()
        failures = {
            crafting: failure
            for crafting, rows in stepped.items()
            if crafting not in errors and (failure := _deliver(crafting, [row for row in rows if row.finished]))
        }
        with self._changed:
            for crafting in stepped:
                crafting.away -= 1
                if crafting in failures:
                    self._drop(crafting, failures[crafting])
                elif not crafting.away and not self._scheduler.waits(crafting):
                    self._end(crafting)

    def _end(self, crafting: Crafting) -> None:
        self._scheduler.remove(crafting)
        crafting.customer.end(crafting.error)


def _label(method: GradientMethod, clean_logits: Tensor, y_true: int) -> int:
    """The class that a method follows; one that there is not would fail a whole batch, and on a GPU the process."""
    label, classes = method.label(clean_logits, y_true), len(clean_logits)
    if not isinstance(label, int) or not 0 <= label < classes:
        raise method.broken(expected=f"a class of 0..{classes - 1}", actual=repr(label))
    return label


def _gradients(batched: BatchedGradients, rows: Sequence[tuple[Crafting, Row]]) -> Sequence[Tensor | Exception]:
    """Each row's gradient (3, S, S), or why it has none."""
    try:
        gradients = batched.of([row.x for _, row in rows], [row.label for _, row in rows])
    except Exception as failure:  # noqa: BLE001 - whatever a network raises is its order's end, not the engine's
        if len(rows) == 1:
            return [failure]
        # Which row is to blame is not known: each once more, alone. Batches of a fixed shape give the same gradients.
        return [gradient for row in rows for gradient in _gradients(batched, [row])]
    finite = gradients.sum(dim=(1, 2, 3)).isfinite().tolist()
    return [gradient if good else NonFiniteGradientError() for gradient, good in zip(gradients, finite, strict=True)]


def _take_step(row: Row, gradient: Tensor | Exception) -> list[Row]:
    """The row and, where one is due, the tail it forks, each a step further."""
    if isinstance(gradient, Exception):
        raise gradient
    tail = row.fork_due_tail()
    rows = [row] if tail is None else [tail, row]
    for sharer in rows:
        if not sharer.finished:  # a tail of a budget that has as many steps as levels is born finished
            sharer.step(gradient)
    return rows


def _deliver(crafting: Crafting, finished: Sequence[Row]) -> Exception | None:
    """Hands finished cloaks over; returns what went wrong, if anything."""
    try:
        for row in finished:
            crafting.outbox.add(finished_cloak(row, crafting.order.probe))
    except Exception as failure:  # noqa: BLE001 - one customer's fault is not the others'
        return failure
    return None


class _Queue(Customer):
    """A customer that waits in another thread."""

    def __init__(self) -> None:
        self._cloaks: SimpleQueue[Cloak | Exception | None] = SimpleQueue()
        self.gone = threading.Event()

    def wants(self) -> bool:
        return not self.gone.is_set()

    def deliver(self, cloak: Cloak) -> None:
        self._cloaks.put(cloak)

    def end(self, error: Exception | None) -> None:
        self._cloaks.put(error)

    def __iter__(self) -> Iterator[Cloak]:
        while (cloak := self._cloaks.get()) is not None:
            if isinstance(cloak, Exception):
                raise cloak
            yield cloak
