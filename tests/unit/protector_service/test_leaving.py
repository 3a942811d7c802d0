"""Jobs that are no longer wanted, sinks that fail, and an engine that is closed: each job ends once, and at once."""

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from protector_service.batched_model import BatchedModel
from protector_service.engine import Engine, EngineClosedError
from protector_service.job import CloakSink, CraftJob, FinishedCloak
from protector_service.methods.asks import Ask, Cost, Crafting, CrossEntropy
from protector_service.methods.method import MethodJob
from tests.support.engines import MODEL, QUICK, RecordingSink, ScriptedMethod, engine_of, job_of
from tests.support.networks import SmallRecognizer, probe

PHOTO = probe(side=8)


def model_of(recognizer: SmallRecognizer | None = None) -> BatchedModel:
    return BatchedModel(recognizer or SmallRecognizer(dtype=torch.float32), batch_rows=4)


class Closing(ScriptedMethod):
    """A method of the registry, of which it is known that its generators have come to an end, one way or the other."""

    def __init__(self, name: str) -> None:
        method = QUICK[name]
        self.opened, self.closed = 0, 0

        def craft(job: MethodJob) -> Crafting:
            self.opened += 1
            try:
                yield from method.craft(replace(job, method=name))
            finally:
                self.closed += 1

        super().__init__(craft, cost=method.cost, budgets=method.budgets, name=name)
        self.own_budget = method.own_budget  # type: ignore[misc]  # a class's own


def for_ever(job: MethodJob) -> Crafting:
    while True:
        yield Ask(job.probe, CrossEntropy(1))


ENDLESS = ScriptedMethod(for_ever, cost=lambda _: Cost(gradients=10**6))


def endless(*, client: str = "") -> CraftJob:
    return replace(job_of(PHOTO, [], (4,), client=client), methods=(ENDLESS,))


class Held(SmallRecognizer):
    """Answers nothing until it may go."""

    def __init__(self) -> None:
        super().__init__(dtype=torch.float32)
        self.entered, self.go = threading.Event(), threading.Event()

    def features(self, images: Tensor) -> Tensor:
        self.entered.set()
        assert self.go.wait(60)
        return super().features(images)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", sorted(QUICK))
def test_whoever_leaves_costs_no_batch_but_those_in_flight_whatever_the_method(name: str, workers: int) -> None:
    """What is wanted is asked before each batch: once nothing is, only those that other workers compute are left."""
    batches = 0
    counting = threading.Lock()

    def count(*_: object) -> None:
        nonlocal batches
        with counting:
            batches += 1

    method = Closing(name)
    for patience in (0, 1, 3):
        batches = 0
        leaving = RecordingSink(wanted=lambda: batches < patience)  # noqa: B023 - it has ended before the next begins
        with engine_of(model_of(), workers=workers, on_batch=count) as engine:
            engine.submit(replace(job_of(PHOTO, [], (16, 64)), methods=(method,)), leaving)
            assert leaving.ended.wait(60)
            assert engine.jobs == 0
        assert leaving.ends == [None]
        assert batches <= max(0, patience - 1) + workers
        assert method.closed == method.opened


def test_a_generator_ends_where_it_stands_and_only_once_nothing_of_its_job_is_in_flight() -> None:
    recognizer = Held()
    wanted = True
    closed_in_flight: list[bool] = []

    def craft(job: MethodJob) -> Crafting:
        try:
            yield Ask(job.probe, CrossEntropy(1))
        finally:
            closed_in_flight.append(not recognizer.go.is_set())

    leaving = RecordingSink(wanted=lambda: wanted)
    with engine_of(model_of(recognizer), workers=2) as engine:
        engine.submit(replace(job_of(PHOTO, [], (4,)), methods=(ScriptedMethod(craft),)), leaving)
        assert recognizer.entered.wait(60)
        wanted = False
        assert len(list(engine.craft(job_of(PHOTO, ["none"], ())))) == 1, "the other worker drops it meanwhile"
        assert not leaving.ends
        recognizer.go.set()
        assert leaving.ended.wait(60)
    assert closed_in_flight == [False]
    assert leaving.ends == [None]


def elsewhere(engine: Engine, did: list[bool]) -> None:
    """Asks the engine something in another thread, which waits as long as this one holds the engine's lock."""
    thread = threading.Thread(target=lambda: engine.jobs, daemon=True)
    thread.start()
    thread.join(timeout=20)
    did.append(not thread.is_alive())


def test_neither_a_method_nor_a_sink_that_is_told_to_end_holds_the_engine_s_lock() -> None:
    free: list[bool] = []

    class Asking(RecordingSink):
        def end(self, error: Exception | None) -> None:
            elsewhere(engine, free)
            super().end(error)

    def craft(job: MethodJob) -> Crafting:
        try:
            yield from for_ever(job)
        finally:
            elsewhere(engine, free)

    model = model_of()
    leaving = Asking(wanted=lambda: model.gradients < 2)
    with engine_of(model) as engine:
        engine.submit(replace(endless(), methods=(ScriptedMethod(craft, cost=ENDLESS.cost),)), leaving)
        assert leaving.ended.wait(60)
    assert free == [True, True]


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


class FailingToEnd(RecordingSink):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def end(self, error: Exception | None) -> None:
        super().end(error)
        raise self._error


@pytest.mark.parametrize("error", [OSError("nobody takes it"), SystemExit(1), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("at", ["wants", "deliver", "end"])
def test_a_sink_that_raises_ends_its_own_job_and_no_other(at: str, error: BaseException) -> None:
    sinks: dict[str, RecordingSink] = {
        "wants": RecordingSink(wanted=failing(error)),
        "deliver": RecordingSink(on_delivery=failing(error)),
        "end": FailingToEnd(error),
    }
    bad, good = sinks[at], RecordingSink()
    with engine_of(model_of()) as engine:
        engine.submit(job_of(PHOTO, ["bim", "noise"], (4, 8)), bad)
        engine.submit(job_of(PHOTO, ["bim"], (4, 8)), good)
        assert bad.ended.wait(60)
        assert good.ended.wait(60)
        assert len(list(engine.craft(job_of(PHOTO, ["bim"], (4,))))) == 1, "the worker survives"
    expected = [type(error) if isinstance(error, Exception) else RuntimeError]
    assert [type(end) for end in bad.ends] == (expected if at != "end" else [type(None)])
    assert good.ends == [None]
    assert len(good.cloaks) == 2


def test_closing_waits_for_the_step_under_way_and_ends_each_job_once_with_rounds_half_answered() -> None:
    recognizer = Held()
    closed: list[str] = []

    def craft(job: MethodJob) -> Crafting:
        try:
            yield [Ask(job.probe, CrossEntropy(1))] * 6  # two batches' worth
        finally:
            closed.append(threading.current_thread().name)

    model = model_of(recognizer)
    engine = Engine({MODEL: model})
    halfway, unstarted = RecordingSink(), [RecordingSink() for _ in range(3)]
    method = ScriptedMethod(craft, cost=lambda _: Cost(gradients=9))
    engine.submit(replace(job_of(PHOTO, [], (4,)), methods=(method,)), halfway)
    assert recognizer.entered.wait(60)
    for sink in unstarted:
        engine.submit(endless(), sink)
    closers = [threading.Thread(target=engine.close) for _ in range(2)]
    for closer in closers:
        closer.start()
    while True:  # until the engine refuses jobs, it has not begun to close
        try:
            engine.submit(endless(), late := RecordingSink())
            unstarted.append(late)
        except EngineClosedError:
            break
    assert not halfway.ends, "its step is under way"
    recognizer.go.set()
    for closer in closers:
        closer.join(60)
    for sink in (halfway, *unstarted):
        (error,) = sink.ends
        assert isinstance(error, EngineClosedError)
    assert len(closed) == 1
    assert model.gradients == 4, "no further batch"
    assert engine.jobs == 0
    engine.close()
    assert len(halfway.ends) == 1


class Strict(CloakSink):
    """Leaves after some cloaks, and notes what may not happen to it."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._at_work = threading.Lock()
        self.cloaks: list[tuple[str, int]] = []
        self.ends: list[Exception | None] = []
        self.faults: list[str] = []

    def wants(self) -> bool:
        return len(self.cloaks) < self._patience

    def deliver(self, cloak: FinishedCloak) -> None:
        with self._alone():
            if self.ends:
                self.faults.append("a cloak after the end")
            self.cloaks.append((cloak.method, cloak.epsilon))

    def end(self, error: Exception | None) -> None:
        with self._alone():
            self.ends.append(error)

    def _alone(self) -> threading.Lock:
        if self._at_work.locked():
            self.faults.append("two at a time")
        return self._at_work


@pytest.mark.parametrize("workers", [1, 4])
def test_whatever_jobs_do_each_ends_once_and_in_order(workers: int) -> None:
    """Jobs of all methods come, leave, fail and share batches; the engine is closed before all are finished."""
    drawn = random.Random(workers)
    names = [*sorted(QUICK), "failing"]
    methods = {name: Closing(name) for name in sorted(QUICK)} | {
        "failing": ScriptedMethod(lambda job: iter(()), name="failing")  # type: ignore[arg-type, return-value]
    }
    sinks: list[Strict] = []
    engine = Engine({MODEL: model_of()}, workers=workers)
    for seed in range(60):
        chosen = drawn.sample(names[:-1], 3) if seed % 7 else ["failing", *drawn.sample(names[:-1], 2)]
        job = job_of(probe(side=8, seed=seed), [], (2, 4), client=str(seed % 3))
        sinks.append(Strict(patience=drawn.choice([1, 3, 100])))
        engine.submit(replace(job, methods=tuple(methods[name] for name in chosen)), sinks[-1])
    last = RecordingSink()
    engine.submit(job_of(PHOTO, ["bim"], (4,)), last)
    assert last.ended.wait(60)
    engine.close()
    for sink in sinks:
        assert len(sink.ends) == 1
        assert not sink.faults
        for name in methods:
            budgets = [epsilon for method, epsilon in sink.cloaks if method == name]
            assert budgets == sorted(set(budgets))
    for method in methods.values():
        if isinstance(method, Closing):
            assert method.closed == method.opened
