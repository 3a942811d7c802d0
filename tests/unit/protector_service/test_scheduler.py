"""Which rows share the next batch."""

import torch

from protector_service.methods.method import GradientMethod
from protector_service.methods.row import Row
from protector_service.order import Cloak, Customer, Order
from protector_service.outbox import Outbox
from protector_service.scheduler import MAX_PASSED_OVER, Batch, Crafting, Scheduler, Start
from tests.support.engines import METHODS
from tests.support.networks import probe

PLACES = 4


class Nobody(Customer):
    def wants(self) -> bool:
        return True

    def deliver(self, cloak: Cloak) -> None:
        pass

    def end(self, error: Exception | None) -> None:
        pass


def crafting(source_model: str = "a", client: str = "") -> Crafting:
    method = METHODS["bim"]
    assert isinstance(method, GradientMethod)
    order = Order(source_model, probe(side=8), 0, (method,), (4,), client=client)
    return Crafting(order, Nobody(), Outbox(order, Nobody()))


def row() -> Row:
    method = METHODS["bim"]
    assert isinstance(method, GradientMethod)
    image = torch.zeros(3, 8, 8)
    return Row(method, image, image, label=0, epsilon=4, steps_left=5)


def started(scheduler: Scheduler, *, rows: int, source_model: str = "a", client: str = "") -> Crafting:
    """An order that was started and whose rows wait."""
    order = crafting(source_model, client)
    scheduler.add(order)
    while not (isinstance(work := scheduler.next_work(), Start) and work.crafting is order):
        assert work is not None
        if isinstance(work, Batch):
            for owner, taken in work.rows:
                scheduler.put(owner, [taken])
    scheduler.put(order, [row() for _ in range(rows)])
    return order


def scheduler_of(*models: str) -> Scheduler:
    return Scheduler(dict.fromkeys(models or ("a", "b"), PLACES))


def owners(work: Start | Batch | None) -> list[Crafting]:
    assert isinstance(work, Batch)
    return [owner for owner, _ in work.rows]


def test_nothing_waits_at_first() -> None:
    assert scheduler_of().next_work() is None


def test_the_rows_of_several_orders_share_a_batch_and_no_more_than_fit() -> None:
    scheduler = scheduler_of()
    first, second = started(scheduler, rows=3), started(scheduler, rows=3)
    assert sorted(map(id, owners(scheduler.next_work()))) == sorted(map(id, [first] * 3 + [second]))
    assert owners(scheduler.next_work()) == [second, second]
    assert scheduler.next_work() is None, "the rest is being stepped"


def test_an_order_is_started_before_a_batch_is_left_partly_empty() -> None:
    scheduler = scheduler_of()
    started(scheduler, rows=3)
    new = crafting()
    scheduler.add(new)
    assert scheduler.next_work() == Start(new)


def test_a_full_batch_of_another_source_model_goes_first_but_not_for_ever() -> None:
    scheduler = scheduler_of()
    started(scheduler, rows=1, source_model="a")
    full = started(scheduler, rows=PLACES, source_model="b")
    models = []
    for _ in range(MAX_PASSED_OVER + 1):
        work = scheduler.next_work()
        assert isinstance(work, Batch)
        models.append(work.source_model)
        for owner, taken in work.rows:
            scheduler.put(owner, [taken])
    assert models == ["b"] * MAX_PASSED_OVER + ["a"]
    assert full.order.source_model == "b"


def test_a_new_client_s_order_is_started_though_another_s_rows_fill_every_batch() -> None:
    scheduler = scheduler_of()
    started(scheduler, rows=3 * PLACES, client="many")
    new = crafting(client="one")
    scheduler.add(new)
    for _ in range(3):
        work = scheduler.next_work()
        if isinstance(work, Start):
            assert work.crafting is new
            return
    raise AssertionError("it was not started")


def test_a_dropped_order_s_rows_are_gone_at_once() -> None:
    scheduler = scheduler_of()
    gone, staying = started(scheduler, rows=3), started(scheduler, rows=2)
    scheduler.drop(gone)
    assert scheduler.rows == 2
    assert owners(scheduler.next_work()) == [staying, staying]
