"""What jobs hold while they wait: a few images each, whatever the method, and nothing once they are over."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from protector_service.batched_model import BatchedModel
from protector_service.methods.asks import Ask, Cost, Crafting
from protector_service.methods.method import MethodJob
from recognizers.networks.head import Head
from tests.support.engines import QUICK, RecordingSink, ScriptedMethod, engine_of, held, job_of
from tests.support.networks import SmallHead, SmallRecognizer, probe

SIDE = 12
IMAGE = 3 * SIDE * SIDE * 4  # bytes
ROWS = 16


class FewFeatures(SmallRecognizer):
    """Six features, so that it is images that take the memory, as with real networks."""

    def __init__(self) -> None:
        super().__init__(input_size=SIDE, dtype=torch.float32)
        weights = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
        self.head: Head = SmallHead(weights, self.label_set)

    def features(self, images: Tensor) -> Tensor:
        return super().features(images).view(len(images), 6, -1).mean(2)


def tensor_bytes() -> int:
    """Bytes of all storages that a tensor of floating-point numbers holds in this process: the pixels of cloaks are none."""
    storages = {}
    for each in gc.get_objects():
        if type(each) is Tensor and each.is_floating_point():
            storage = each.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


@contextmanager
def without_collector() -> Iterator[None]:
    """What is gone within is gone because nothing refers to it, not because the collector came by."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("jobs", [64, pytest.param(250, marks=pytest.mark.thorough("protector_service/"))])
def test_jobs_of_all_methods_hold_six_images_each_and_leave_none_behind(jobs: int) -> None:
    """Beside its state, a run holds the asks that wait and the answers that came last: of bsr 4 at a time, of si 5.

    Measured between batches, when no activations are. The bound is one on the mean over the methods, each with two budgets.
    """
    batches = 0
    peak = 0

    def measure(*_: object) -> None:
        nonlocal batches, peak
        batches += 1
        if batches % 20 == 0:
            peak = max(peak, tensor_bytes() - before)

    names = sorted(QUICK)
    sinks = [RecordingSink() for _ in range(jobs)]
    model = BatchedModel(FewFeatures(), batch_rows=ROWS)
    with without_collector(), engine_of(model, on_batch=measure) as engine:
        before = tensor_bytes()
        with held(engine):
            for seed, sink in enumerate(sinks):
                method = QUICK[names[seed % len(names)]]
                engine.submit(replace(job_of(probe(side=SIDE, seed=seed), [], (1, 2)), methods=(method,)), sink)
        for sink in sinks:
            assert sink.ended.wait(120)
        list(engine.craft(job_of(probe(side=SIDE), ["none"], ())))  # by then the last one is over
        after = tensor_bytes() - before
    assert [sink.ends for sink in sinks] == [[None]] * jobs
    assert jobs * IMAGE <= peak <= 6 * jobs * IMAGE
    assert after <= 4 * 2 * jobs + IMAGE, "a number a cloak: how many elements of its gradients were not 0"


def failing_objective(logits: Tensor, features: Tensor) -> Tensor:
    raise ZeroDivisionError


def scripted_objective(job: MethodJob) -> Crafting:
    yield Ask(job.probe, failing_objective)


def failing_method(job: MethodJob) -> Crafting:
    copies = [job.probe + step for step in range(100)]
    yield Ask(copies[0], gradient=False)
    raise ZeroDivisionError


@pytest.mark.parametrize("craft", [scripted_objective, failing_method])
def test_an_error_that_is_kept_keeps_nothing_of_what_it_was_raised_in(craft: Callable[[MethodJob], Crafting]) -> None:
    """Its traceback has frames, with the images, the batch, and all that was kept for the gradient."""
    method = ScriptedMethod(craft, cost=lambda _: Cost(gradients=1, forward_passes=1))
    sinks = [RecordingSink() for _ in range(4)]
    model = BatchedModel(FewFeatures(), batch_rows=ROWS)
    with without_collector(), engine_of(model) as engine:
        before = tensor_bytes()
        for sink in sinks:
            engine.submit(replace(job_of(probe(side=SIDE), [], (1, 2)), methods=(method,)), sink)
        for sink in sinks:
            assert sink.ended.wait(60)
        list(engine.craft(job_of(probe(side=SIDE), ["none"], ())))
        after = tensor_bytes() - before
    assert [type(sink.ends[0]) for sink in sinks] == [ZeroDivisionError] * 4
    assert after <= len(sinks) * 4 * IMAGE
