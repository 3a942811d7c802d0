"""The protector over a real channel: what the conformance suite (test_conformance.py) cannot see from outside."""

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from torch import Tensor

from protector_service.call import Call
from protector_service.capacity import CapacityLimiter, Charge, crafting_charge, decoding_charge
from recognizers.extraction import EXTRACTION_RULE
from rpc.status import received
from tests.support.drawn_faces import jpeg
from tests.support.engines import METHODS, OWN_BUDGETS, QUICK
from tests.support.networks import SmallRecognizer, probe
from tests.support.services import PROTECTOR, Serving, serving_protector, small_recognizer

PHOTO = jpeg(probe(side=64))
BLANK = jpeg(np.full((64, 64, 3), 90, dtype=np.uint8))
PNG = protector_pb2.Storage(png=protector_pb2.PngStorage())
ENVELOPE = "at most 65536 bytes and 4096 fields beside its image"
JPEG_101 = protector_pb2.Storage(jpeg=protector_pb2.JpegStorage(quality=101))


def request(**changes: Any) -> protector_pb2.CraftRequest:
    fields: dict[str, Any] = {
        "photo": PHOTO,
        "identity": "identity_2",
        "source_model": "small",
        "methods": ["none", "noise", "bim", "illc"],
        "epsilons": [4, 8, 16],
        "storage": PNG,
    }
    return protector_pb2.CraftRequest(**(fields | changes))


async def craft(service: Serving, **changes: Any) -> list[protector_pb2.CraftResponse]:
    stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
    return [response async for response in stub.Craft(request(**changes), timeout=60)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"photo": b""}, "photo: expected a JPEG or PNG image, got nothing"),
        ({"photo": b"GIF89a"}, "photo: expected a JPEG or PNG image, got a GIF; convert it to JPEG or PNG"),
        ({"photo": PHOTO[:400]}, "photo: expected a whole image, got a truncated JPEG: it ends within its header"),
        ({"photo": bytes(200_001)}, "photo: expected at most 200000 bytes, got 200001 bytes"),
        ({"photo": BLANK}, "photo: expected a face that MTCNN finds, got none"),
        ({"epsilons": [256]}, "epsilons[0]: expected 0..255 levels, got 256"),
        ({"epsilons": [4, -1]}, "epsilons[1]: expected 0..255 levels, got -1"),
        ({"epsilons": [4, 8, 4]}, "epsilons: expected no repetition, got 4 twice"),
        ({"epsilons": []}, "epsilons: expected at least one budget, got none"),
        ({"methods": []}, "methods: expected at least one method, got none"),
        ({"methods": ["bim", "bim"]}, "methods: expected no repetition, got bim twice"),
        ({"methods": ["x"]}, "methods[0]: expected a name that the service lists, got 'x'"),
        ({"source_model": "vgg"}, "source_model: expected one of small, got 'vgg'"),
        ({"identity": "nobody"}, "identity: expected a name that the service lists, got 'nobody'"),
        ({"storage": None}, "storage: expected jpeg or png, got neither"),
        ({"storage": JPEG_101}, "storage.jpeg.quality: expected 1..100, got 101"),
        ({"epsilons": [1] * 60_000}, "epsilons: expected no repetition, got 1 twice"),
        ({"photo": b"", "epsilons": [1] * 10**6}, f"request: expected {ENVELOPE}, got 1000051 bytes"),
        ({"photo": b"", "methods": ["bim"] * 10**5}, f"request: expected {ENVELOPE}, got 500028 bytes in more fields"),
    ],
)
async def test_bad_input_is_told_what_was_expected_and_what_came(changes: dict[str, Any], message: str) -> None:
    async with serving_protector() as service:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await craft(service, **changes)
    assert received(failure.value).message == message


class HeldRecognizer(SmallRecognizer):
    """Waits in its third batch until it is let go."""

    def __init__(self) -> None:
        super().__init__(dtype=torch.float32)
        self.held, self.go = threading.Event(), threading.Event()
        self.calls = 0

    def features(self, images: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 3:
            self.held.set()
            assert self.go.wait(30)
        return super().features(images)


async def until_set(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 30)


async def test_health_answers_while_a_crafting_call_is_running() -> None:
    recognizer = HeldRecognizer()
    async with serving_protector(recognizer) as service:
        crafting = asyncio.create_task(craft(service, methods=["bim"]))
        await until_set(recognizer.held)
        health = health_pb2_grpc.HealthStub(service.channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service=PROTECTOR), timeout=10)  # type: ignore[attr-defined]
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert not crafting.done()
        recognizer.go.set()
        assert len(await crafting) == 3


async def test_a_cancelled_call_costs_no_further_step() -> None:
    recognizer = HeldRecognizer()
    async with serving_protector(recognizer) as service:
        crafting = asyncio.create_task(craft(service, methods=["bim"], epsilons=[255]))
        await until_set(recognizer.held)
        crafting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await crafting
        stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
        await stub.ListMethods(protector_pb2.ListMethodsRequest())  # by then the cancellation has arrived, in order
        recognizer.go.set()
        await craft(service, methods=["none"], epsilons=[])  # waits for the worker
    assert recognizer.calls <= 4, "the step under way and at most the one begun before the cancellation arrived"


async def test_a_full_house_refuses_with_a_time_to_come_back_and_takes_calls_again_once_others_have_gone() -> None:
    recognizer = HeldRecognizer()
    held = crafting_charge(PHOTO, width=8, height=8, methods=1, cloaks=3).bytes
    decoding = decoding_charge(PHOTO, width=64, height=64).bytes
    capacity = CapacityLimiter(held + decoding - 1)
    async with serving_protector(recognizer, capacity=capacity) as service:
        crafting = asyncio.create_task(craft(service, methods=["bim"]))
        await until_set(recognizer.held)
        assert capacity.bytes == held, "the photo is decoded, and let go"
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await craft(service, methods=["none", "noise"], epsilons=[4])
        assert capacity.bytes == held
        recognizer.go.set()
        await crafting
        await until_free(service, capacity)
        assert len(await craft(service, methods=["bim", "none"])) == 4
    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failure.value.details() == (
        f"busy: other calls take {held} of {held + decoding - 1} bytes of memory, and this one {decoding} for a photo of "
        "64 x 64 pixels; try again later"
    )
    assert dict(failure.value.trailing_metadata() or ())["grpc-retry-pushback-ms"] == "1000"


@pytest.mark.parametrize(
    ("max_bytes", "changes", "message"),
    [
        (
            150_000,
            {"methods": ["none", "bim", "noise"], "epsilons": range(1, 256)},
            "epsilons: expected at most 150000 bytes of memory for a call, got {crafting} for 511 cloaks of 8 x 8 pixels by "
            "3 methods",
        ),
        (
            99_999,
            {"methods": ["none"]},
            "photo: expected at most 99999 bytes of memory for a call, got {decoding} for a photo of 64 x 64 pixels",
        ),
    ],
)
async def test_a_call_that_could_never_be_admitted_is_told_so(max_bytes: int, changes: dict[str, Any], message: str) -> None:
    taken = {
        "crafting": crafting_charge(PHOTO, width=8, height=8, methods=3, cloaks=511).bytes,
        "decoding": decoding_charge(PHOTO, width=64, height=64).bytes,
    }
    capacity = CapacityLimiter(max_bytes)
    async with serving_protector(capacity=capacity) as service:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await craft(service, **changes)
    told = received(failure.value)
    assert told.code is grpc.StatusCode.INVALID_ARGUMENT
    assert told.message == message.format(**taken)
    assert capacity.bytes == 0


async def test_a_client_that_never_reads_holds_nobody_up() -> None:
    capacity = CapacityLimiter(2**30)
    held = crafting_charge(PHOTO, width=8, height=8, methods=4, cloaks=10).bytes
    async with serving_protector(capacity=capacity) as service:
        stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
        unread = [stub.Craft(request(storage=PNG)) for _ in range(3)]
        for _ in range(3):
            assert len(await craft(service)) == 10
        await until(service, lambda: capacity.bytes <= 3 * held)
        for call in unread:
            call.cancel()
        await until_free(service, capacity)


async def until_free(service: Serving, capacity: CapacityLimiter) -> None:
    """Gives the service turns until its last call is over."""
    await until(service, lambda: not capacity.bytes)


async def until(service: Serving, reached: Callable[[], bool]) -> None:
    """Gives the service turns until it has come to something."""
    stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
    for _ in range(1000):
        if reached():
            return
        await stub.ListMethods(protector_pb2.ListMethodsRequest())
    pytest.fail("the service has not come to that")


class Watched(CapacityLimiter):
    """Notes the most bytes that were ever admitted."""

    peak = 0

    def exchange(self, charge: Charge, *, held: int) -> int:
        taken = super().exchange(charge, held=held)
        self.peak = max(self.peak, self.bytes)
        return taken


async def test_five_hundred_requests_stay_within_the_bound_and_leave_nothing_behind() -> None:
    bound = 4 * decoding_charge(PHOTO, width=64, height=64).bytes
    capacity = Watched(bound)
    served = 0
    refused: list[grpc.StatusCode] = []
    memory: list[int] = []
    async with serving_protector(capacity=capacity, max_waiting=50) as service:

        async def ask(seed: int) -> None:
            nonlocal served
            try:
                assert len(await craft(service, seed=seed, methods=["bim", "noise"], epsilons=[4, 8, 16])) == 6
                served += 1
            except grpc.aio.AioRpcError as error:
                refused.append(error.code())

        for first in range(0, 500, 10):
            await asyncio.gather(*(ask(seed) for seed in range(first, first + 10)))
            memory.append(resident_mebibytes())
        await until_free(service, capacity)
    assert served + len(refused) == 500
    assert served >= 200
    assert set(refused) == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert 0 < capacity.peak <= bound
    assert memory[-1] - memory[9] < 32, f"MiB: {memory}"


def resident_mebibytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


async def test_a_call_is_wanted_until_its_deadline_and_its_client_s_leaving() -> None:
    now = 100.0
    expiring = Call(lambda cloak: protector_pb2.CraftResponse(), seconds_left=5, clock=lambda: now)
    patient = Call(lambda cloak: protector_pb2.CraftResponse(), seconds_left=None, clock=lambda: now)
    assert expiring.wants()
    now = 105.0
    assert not expiring.wants()
    assert patient.wants()
    patient.leave()
    assert not patient.wants()


async def test_an_expired_call_is_not_crafted_on() -> None:
    recognizer = HeldRecognizer()
    capacity = CapacityLimiter(2**30)
    async with serving_protector(recognizer, capacity=capacity) as service:
        stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
        call = stub.Craft(request(methods=["bim"], epsilons=[255]), timeout=1)
        await until_set(recognizer.held)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            _ = [response async for response in call]
        recognizer.go.set()
        await craft(service, methods=["bim"], epsilons=[4])  # its start comes after the expired call's asks are gone
        await until_free(service, capacity)
    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert recognizer.calls <= 3 + 1 + 5, "the step under way, one more at most, and the other call's five steps"


async def test_it_lists_models_as_they_are_and_methods_with_their_descriptions() -> None:
    async with serving_protector() as service:
        stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
        (model,) = (await stub.ListSourceModels(protector_pb2.ListSourceModelsRequest())).source_models
        methods = (await stub.ListMethods(protector_pb2.ListMethodsRequest())).methods
    assert model == protector_pb2.SourceModel(
        name="small",
        input_size=8,
        identities=7,
        label_set_sha256=small_recognizer().label_set.sha256,
        checkpoint_sha256="c" * 64,
        batch_rows=2,
        precision="float32",
        threads=1,
        extraction=EXTRACTION_RULE,
        kind=protector_pb2.MODEL_KIND_CLASSIFIER,
    )
    assert {method.name: method.description for method in methods} == {
        name: method.description for name, method in METHODS.items()
    }
    assert {method.name: (method.control, method.needs_label_set) for method in methods} == {
        name: (method.control, method.needs_label_set) for name, method in METHODS.items()
    }
    rule = "floor(min(epsilon + 4, 1.25 epsilon))"
    stated = {method.name: dict(method.parameters) for method in methods}
    assert stated == {name: method.parameters() for name, method in METHODS.items()}
    trajectory = {"alpha": "1 level", "n_iter": rule, "start": "the probe"}
    start = "the probe, a whole number of levels drawn uniformly from -epsilon..epsilon added to each sample, clipped"
    assert {name: stated[name] for name in ("bim", "fgsm", "illc", "noise", "none", "pgd")} == {
        "bim": trajectory,
        "fgsm": {"alpha": "epsilon", "n_iter": "min(1, epsilon)", "start": "the probe"},
        "illc": trajectory,
        "noise": {},
        "none": {},
        "pgd": trajectory | {"start": start},
    }
    assert {method.name: [cost.epsilon for cost in method.costs] for method in methods} == {
        name: [] if method.own_budget is None else [0] for name, method in METHODS.items()
    }
    budgets = {
        method.name: (method.own_budget.in_words, method.own_budget.largest_change)
        for method in methods
        if method.HasField("own_budget")
    }
    assert budgets == {
        "fawkes-high": ("DSSIM 0.017 (at most 1.1 times as much)", 15),
        "fawkes-low": ("DSSIM 0.004 (at most 1.1 times as much)", 15),
        "fawkes-mid": ("DSSIM 0.012 (at most 1.1 times as much)", 15),
        "fawkes-targeted": ("DSSIM 0.005 (at most 1.1 times as much)", 255),
        "lowkey": ("50 steps of 0.64 levels, weighed against LPIPS", 33),
        "lowkey-dssim": ("50 steps of 0.64 levels, weighed against DSSIM", 33),
    }
    carriers = {carrier: {each.name for each in methods if each.carrier == carrier} for carrier in ("", "gallery")}
    assert carriers == {"": {"noise", "none"}, "gallery": budgets.keys()}


async def test_it_lists_what_each_budget_costs_in_the_order_of_the_request() -> None:
    async with serving_protector() as service:
        stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
        listed = (await stub.ListMethods(protector_pb2.ListMethodsRequest(epsilons=[128, 4]))).methods
    costs = {
        method.name: [(cost.epsilon, cost.gradients, cost.forward_passes) for cost in method.costs] for method in listed
    }
    assert costs.keys() == METHODS.keys()
    assert costs["bim"] == [(128, 132, 0), (4, 5, 0)]
    assert costs["illc"] == [(128, 132, 1), (4, 5, 1)]
    assert costs["bsr"] == [(128, 20 * 132, 0), (4, 20 * 5, 0)]
    assert costs["noise"] == [(128, 0, 0), (4, 0, 0)]


async def test_methods_on_features_cloak_people_whom_no_recognizer_knows_once_whatever_the_budgets() -> None:
    names = sorted(OWN_BUDGETS)
    quick = {name: QUICK[name] for name in (*names, "none")}
    async with serving_protector(methods=quick) as service:
        for epsilons in ([], [4, 8]):
            row = await craft(service, identity="", methods=["none", *names], epsilons=epsilons)
            assert sorted((each.method, each.epsilon) for each in row) == [*((name, 0) for name in names), ("none", 0)]
            for each in row[1:]:
                own = OWN_BUDGETS[each.method].own_budget
                assert own is not None
                assert each.largest_change <= own.largest_change
                assert each.n_iter == 4
