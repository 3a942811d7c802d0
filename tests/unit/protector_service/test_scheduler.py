"""Which asks share the next batch."""

from collections import Counter
from typing import Any, cast

import pytest
import torch

from protector_service.job import CraftJob
from protector_service.method_run import MethodRun
from protector_service.methods.asks import Answer, Ask, CrossEntropy
from protector_service.scheduler import MAX_LEFT_OUT, MAX_PASSED_OVER, Batch, Lane, Round, RunningJob, Scheduler, Start
from tests.support.engines import METHODS, RecordingSink
from tests.support.networks import probe

PLACES = 4
IMAGE = torch.zeros(3, 8, 8)
NO_RUN = cast("MethodRun", None)  # the scheduler looks at none


def running(*source_models: str, client: str = "") -> RunningJob:
    job = CraftJob(source_models or ("a",), probe(side=8), 0, (METHODS["bim"],), (4,), client=client)
    return RunningJob(job, RecordingSink())


def ask(model: str = "a", *, gradient: bool = True) -> Ask:
    return Ask(IMAGE, CrossEntropy(0), gradient=gradient, model=model)


def started(
    scheduler: Scheduler, *, rows: int, source_model: str = "a", client: str = "", gradient: bool = True
) -> RunningJob:
    """A job that was started and whose asks wait."""
    job = running(source_model, client=client)
    scheduler.add(job)
    for _ in range(1000):
        work = scheduler.next_work()
        if isinstance(work, Start):
            assert work.running is job
            break
        repeated(scheduler, batch(work))
    else:
        raise AssertionError("it was not started")
    scheduler.put(Round(job, NO_RUN, [ask(source_model, gradient=gradient) for _ in range(rows)]))
    return job


def scheduler_of(*models: str) -> Scheduler:
    return Scheduler(dict.fromkeys(models or ("a", "b"), PLACES))


def batch(work: Start | Batch | None) -> Batch:
    assert isinstance(work, Batch)
    return work


def owners(work: Start | Batch | None) -> list[RunningJob]:
    return [row.running for row in batch(work).rows]


def repeated(scheduler: Scheduler, work: Batch) -> None:
    """Every ask of a batch is answered, and its job asks the same once more."""
    for row in work.rows:
        row.running.batches_in_flight = 0
        scheduler.put(Round(row.running, NO_RUN, [row.ask]))


def test_nothing_waits_at_first() -> None:
    assert scheduler_of().next_work() is None


def test_the_asks_of_several_jobs_share_a_batch_and_no_more_than_fit() -> None:
    scheduler = scheduler_of()
    first, second = started(scheduler, rows=3), started(scheduler, rows=3)
    assert sorted(map(id, owners(scheduler.next_work()))) == sorted(map(id, [first] * 3 + [second]))
    assert owners(scheduler.next_work()) == [second, second]
    assert scheduler.next_work() is None, "the rest is being answered"


def test_a_job_is_started_before_a_batch_is_left_partly_empty() -> None:
    scheduler = scheduler_of()
    started(scheduler, rows=3)
    new = running()
    scheduler.add(new)
    assert scheduler.next_work() == Start(new)


def test_a_job_is_started_in_its_turn_though_its_client_s_other_asks_fill_every_batch() -> None:
    """The client whose turn it is asks one at a time, and leaves the rest of each batch to the other."""
    scheduler = scheduler_of()
    started(scheduler, rows=2 * PLACES, client="many")
    started(scheduler, rows=1, client="one")
    for _ in range(20):
        repeated(scheduler, batch(scheduler.next_work()))
    for source_model in ("a", "b"):
        new = running(source_model, client="many")
        scheduler.add(new)
        for _ in range(2 * PLACES):
            if isinstance(work := scheduler.next_work(), Start):
                break
            repeated(scheduler, batch(work))
        assert work == Start(new)


def test_a_lane_is_not_left_out_though_its_client_has_its_share_in_another() -> None:
    scheduler = scheduler_of()
    started(scheduler, rows=2 * PLACES, client="many")
    started(scheduler, rows=1, client="many", source_model="b")
    started(scheduler, rows=1, client="one")
    lanes = []
    for _ in range(3 * (MAX_LEFT_OUT + 1)):
        work = batch(scheduler.next_work())
        lanes.append(work.lane.source_model)
        repeated(scheduler, work)
    assert lanes.count("b") >= 3
    assert lanes.count("a") >= 3 * MAX_LEFT_OUT - 3 * MAX_PASSED_OVER, "the client whose turn it is hardly notices"


def test_a_full_batch_of_another_source_model_goes_first_but_not_for_ever() -> None:
    scheduler = scheduler_of()
    started(scheduler, rows=1, source_model="a")
    full = started(scheduler, rows=PLACES, source_model="b")
    models = []
    for _ in range(MAX_PASSED_OVER + 1):
        work = batch(scheduler.next_work())
        models.append(work.lane.source_model)
        repeated(scheduler, work)
    assert models == ["b"] * MAX_PASSED_OVER + ["a"]
    assert full.job.source_models == ("b",)


def test_forward_passes_never_share_a_batch_with_gradients() -> None:
    scheduler = scheduler_of()
    climbing, searching = started(scheduler, rows=2), started(scheduler, rows=1, gradient=False)
    scheduler.put(Round(climbing, NO_RUN, [ask(), ask(gradient=False), ask()]))
    first, second = batch(scheduler.next_work()), batch(scheduler.next_work())
    assert (first.lane, second.lane) == (Lane("a", gradient=True), Lane("a", gradient=False))
    assert [row.ask.gradient for row in first.rows] == [True] * 4
    assert [row.ask.gradient for row in second.rows] == [False] * 2
    assert owners(second) == [searching, climbing]
    assert scheduler.next_work() is None


@pytest.mark.parametrize("gradient", [True, False])
def test_neither_gradients_nor_forward_passes_starve_where_the_others_fill_every_batch(gradient: bool) -> None:
    scheduler = scheduler_of()
    started(scheduler, rows=1, gradient=gradient)
    started(scheduler, rows=PLACES, gradient=not gradient)
    lanes = []
    for _ in range(2 * (MAX_PASSED_OVER + 1)):
        work = batch(scheduler.next_work())
        lanes.append(work.lane.gradient)
        repeated(scheduler, work)
    assert lanes == ([not gradient] * MAX_PASSED_OVER + [gradient]) * 2


def test_of_many_lanes_none_is_passed_over_for_long() -> None:
    models = [f"m{place}" for place in range(5)]
    scheduler = scheduler_of("full", *models)
    for model in models:
        started(scheduler, rows=1, source_model=model, gradient=False)
        started(scheduler, rows=1, source_model=model)
    started(scheduler, rows=2 * PLACES, source_model="full")
    last: dict[Lane, int] = {}
    longest: Counter[Lane] = Counter()
    for turn in range(400):
        work = batch(scheduler.next_work())
        longest[work.lane] = max(longest[work.lane], turn - last.get(work.lane, 0))
        last[work.lane] = turn
        repeated(scheduler, work)
    assert len(longest) == 11
    # Each may be passed over so often, and then by all that are overdue as well.
    assert max(longest.values()) <= MAX_PASSED_OVER + len(longest)


def test_clients_are_served_alike_whatever_they_ask_and_in_whichever_lanes() -> None:
    """One asks for forward passes of 4, another for gradients one at a time, a third has three jobs of many asks."""
    scheduler = scheduler_of()
    started(scheduler, rows=4, client="searching", gradient=False)
    started(scheduler, rows=1, client="climbing")
    for _ in range(3):
        started(scheduler, rows=9, client="many")
    served: Counter[str] = Counter()
    in_batches: Counter[str] = Counter()
    for _ in range(600):
        work = batch(scheduler.next_work())
        clients = [row.running.job.client for row in work.rows]
        served.update(clients)
        in_batches.update(set(clients))
        repeated(scheduler, work)
    assert served["climbing"] == in_batches["climbing"] >= 400, "one ask at a time: in nearly every batch of gradients"
    assert served["searching"] >= 0.9 * served["climbing"]
    assert served["many"] > served["climbing"], "it fills what the others leave free"


def test_a_client_that_comes_back_starts_level_with_the_others() -> None:
    scheduler = scheduler_of("a")
    started(scheduler, rows=PLACES, client="staying")
    for _ in range(50):
        repeated(scheduler, batch(scheduler.next_work()))
    started(scheduler, rows=3 * PLACES, client="coming")
    served: Counter[str] = Counter()
    for _ in range(10):
        work = batch(scheduler.next_work())
        served.update(row.running.job.client for row in work.rows)
        repeated(scheduler, work)
    assert served["staying"] >= 4 * PLACES


def test_a_new_client_s_job_is_started_though_another_s_asks_fill_every_batch() -> None:
    scheduler = scheduler_of()
    started(scheduler, rows=3 * PLACES, client="many")
    new = running(client="one")
    scheduler.add(new)
    for _ in range(3):
        work = scheduler.next_work()
        if isinstance(work, Start):
            assert work.running is new
            return
    raise AssertionError("it was not started")


def test_a_dropped_job_s_asks_are_gone_at_once() -> None:
    scheduler = scheduler_of()
    gone, staying = started(scheduler, rows=3), started(scheduler, rows=2)
    new = running()
    scheduler.add(new)
    scheduler.drop(gone)
    scheduler.drop(new)
    assert not scheduler.waits(gone)
    assert not scheduler.waits(new)
    assert owners(scheduler.next_work()) == [staying, staying]
    assert scheduler.next_work() is None


def test_a_round_is_complete_once_all_is_answered_in_whichever_order() -> None:
    asked = Round(running(), NO_RUN, [ask(), ask(), ask()])
    for place in (2, 0):
        asked.answers[place] = Answer()
        assert not asked.complete
    asked.answers[1] = Answer()
    assert asked.complete


def test_batches_in_flight_are_counted_by_job_and_not_by_ask() -> None:
    scheduler = scheduler_of()
    job = started(scheduler, rows=PLACES + 1)
    before = job.batches_in_flight
    batch(scheduler.next_work())
    batch(scheduler.next_work())
    assert job.batches_in_flight == before + 2
    assert not scheduler.waits(job)


def test_a_removed_job_is_forgotten_and_its_client_with_the_last() -> None:
    scheduler = scheduler_of()
    first, second = started(scheduler, rows=1, client="x"), started(scheduler, rows=1, client="x")
    scheduler.drop(first)
    scheduler.remove(first)
    assert scheduler.jobs == (second,)
    scheduler.drop(second)
    scheduler.remove(second)
    assert not scheduler.jobs
    served: Any = vars(scheduler)["_served"]
    assert not served
