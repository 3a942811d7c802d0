"""What a client sees of a method that is broken: an incident, and no cloak; the service goes on."""

import re
from collections.abc import Sequence

import grpc
import pytest
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from torch import Tensor

from protector_service.methods.bim import BasicIterativeMethod
from protector_service.methods.method import Control
from rpc.images.decoding import encode_png
from tests.support.engines import METHODS
from tests.support.networks import probe
from tests.support.services import serving_protector


class Raising(BasicIterativeMethod):
    """Raises at its first step."""

    name = "raising"
    description = "Raises."

    def step(self, x: Tensor, gradient: Tensor, *, alpha: int) -> Tensor:
        raise ZeroDivisionError("/secret/path")


class Fractional(BasicIterativeMethod):
    """Ends between two levels."""

    name = "fractional"
    description = "Steps by halves."

    def step(self, x: Tensor, gradient: Tensor, *, alpha: int) -> Tensor:
        return x + gradient.sign() / 2


class Loud(Control):
    """A control that leaves its budget."""

    name = "loud"
    description = "Too loud."

    def cloak(self, probe: Tensor, *, epsilon: int, seed: int) -> Tensor:
        return 255 - probe


BROKEN = (Raising(), Fractional(), Loud())


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
