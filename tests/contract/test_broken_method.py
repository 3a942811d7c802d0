"""What a client sees of a method that is broken: an incident, and no cloak; the service goes on."""

import re
from collections.abc import Sequence

import grpc
import pytest
from deid.protector.v1 import protector_pb2, protector_pb2_grpc

from protector_service.methods.asks import Ask, Cloak, Cost, Crafting
from protector_service.methods.method import Method, MethodJob
from rpc.images.decoding import encode_png
from tests.support.engines import METHODS
from tests.support.networks import probe
from tests.support.services import serving_protector


class Broken(Method):
    """Breaks its promises after its first answer."""

    description = "Broken."

    def cost(self, epsilon: int) -> Cost:
        return Cost(forward_passes=1)

    def craft(self, job: MethodJob) -> Crafting:
        yield Ask(job.probe, gradient=False)
        yield from self.go_on(job)

    def go_on(self, job: MethodJob) -> Crafting:
        raise NotImplementedError


class Raising(Broken):
    name = "raising"

    def go_on(self, job: MethodJob) -> Crafting:
        raise ZeroDivisionError("/secret/path")


class Exiting(Broken):
    name = "exiting"

    def go_on(self, job: MethodJob) -> Crafting:
        raise SystemExit("/secret/path")


class OutOfRange(Broken):
    name = "out-of-range"

    def go_on(self, job: MethodJob) -> Crafting:
        for epsilon in job.epsilons:
            yield Cloak(epsilon, job.probe - 256)


class Loud(Broken):
    """A control that leaves its budget."""

    name = "loud"
    control = True

    def go_on(self, job: MethodJob) -> Crafting:
        for epsilon in job.epsilons:
            yield Cloak(epsilon, 255 - job.probe)


class Priceless(Broken):
    name = "priceless"

    def cost(self, epsilon: int) -> Cost:
        raise ZeroDivisionError("/secret/path")


class Unbudgeted(Broken):
    name = "unbudgeted"

    def budgets(self, epsilons: Sequence[int]) -> tuple[int, ...]:
        raise ZeroDivisionError("/secret/path")


BROKEN = (Raising(), Exiting(), OutOfRange(), Loud(), Priceless(), Unbudgeted())


def request(methods: Sequence[str]) -> protector_pb2.CraftRequest:
    return protector_pb2.CraftRequest(
        photo=encode_png(probe(side=32)),
        identity="identity_1",
        source_model="small",
        methods=methods,
        epsilons=[3],
        storage=protector_pb2.Storage(png=protector_pb2.PngStorage()),
    )


@pytest.mark.parametrize("name", [method.name for method in BROKEN])
async def test_a_broken_method_ends_its_own_call_with_an_incident(name: str) -> None:
    async with serving_protector(methods=dict(METHODS) | {method.name: method for method in BROKEN}) as service:
        stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
        received: list[protector_pb2.CraftResponse] = []
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            received.extend([response async for response in stub.Craft(request([name]))])
        good = [response async for response in stub.Craft(request(["bim", "noise"]))]
    assert not received
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert re.fullmatch("internal error, incident [0-9a-f]{16}", failed.value.details() or "")
    assert sorted(response.method for response in good) == ["bim", "noise"]
