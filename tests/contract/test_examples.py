"""The examples in Python, asked wrongly: they will be copied, so which field they blame matters."""

import asyncio
import runpy
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status
from torch import nn

from rpc.addresses import LISTENING
from rpc.images.limits import ImageLimits
from rpc.server import Server
from tests.support.drawn_faces import jpeg
from tests.support.networks import probe

EXAMPLES = Path(__file__).parents[2] / "examples"
IDENTITIES = ["Ann Lee", "Bob", "Zoë Núñez", "one\u2028two"]
PHOTO = jpeg(probe(side=64))
SECONDS = 60


@pytest.fixture(scope="module")
def protector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the example, a process of its own."""
    labels = tmp_path_factory.mktemp("labels") / "labels.txt"
    labels.write_text("".join(f"{identity}\n" for identity in IDENTITIES), encoding="utf-8")
    command = [sys.executable, str(EXAMPLES / "minimal_protector.py"), "--labels", str(labels)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(LISTENING)
        yield line.removeprefix(LISTENING).strip()
        process.terminate()


@pytest.fixture(params=["minimal_invader", "minimal_matcher"])
async def invader(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, str]]:
    """The address of an example, in this process, and its target model, which is never asked."""
    example = runpy.run_path(str(EXAMPLES / f"{request.param}.py"))
    enrolled = SimpleNamespace(identities=IDENTITIES, sha256="a" * 64)
    made = example["Invader"](*((enrolled, 0.8) if "Matcher" in example else (nn.Identity(), IDENTITIES)))
    server = Server(address="127.0.0.1:0", limits=ImageLimits())
    invader_pb2_grpc.add_InvaderServiceServicer_to_server(made, server.grpc)
    await server.start([])
    yield server.address, example["MODEL"]
    await server.stop(None)


def field_at_fault(failure: Any) -> str:
    status = rpc_status.from_call(failure)
    assert status is not None
    bad_request = BadRequest()
    assert any(detail.Unpack(bad_request) for detail in status.details)
    (violation,) = bad_request.field_violations
    assert failure.details() == f"{violation.field}: {violation.description}"
    return str(violation.field)


def test_the_protector_takes_every_line_for_one_identity(protector: str) -> None:
    with grpc.insecure_channel(protector) as channel:
        stub: Any = protector_pb2_grpc.ProtectorServiceStub(channel)
        listed = stub.ListIdentities(protector_pb2.ListIdentitiesRequest(source_model="lens"), timeout=SECONDS)
    assert listed.identities == IDENTITIES


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source_model": "mirror"}, "source_model"),
        ({"identity": "Ann"}, "identity"),
        ({"methods": ["blur", "noise", "paint"]}, "methods[2]"),
        ({"methods": []}, "methods"),
        ({"methods": ["blur", "blur"]}, "methods"),
        ({"epsilons": [8, 256]}, "epsilons[1]"),
        ({"epsilons": [-1, 8]}, "epsilons[0]"),
        ({"epsilons": [8, 4, 8]}, "epsilons"),
        ({"epsilons": []}, "epsilons"),
        ({"storage": None}, "storage"),
        ({"storage": protector_pb2.Storage(jpeg=protector_pb2.JpegStorage(quality=101))}, "storage.jpeg.quality"),
        ({"storage": protector_pb2.Storage(jpeg=protector_pb2.JpegStorage())}, "storage.jpeg.quality"),
    ],
)
def test_the_protector_names_the_field_that_it_refuses(protector: str, changes: dict[str, Any], field: str) -> None:
    fields: dict[str, Any] = {"photo": PHOTO, "identity": "Ann Lee", "source_model": "lens", "methods": ["blur"]}
    fields |= {"epsilons": [8], "storage": protector_pb2.Storage(png=protector_pb2.PngStorage())}
    with grpc.insecure_channel(protector) as channel:
        stub: Any = protector_pb2_grpc.ProtectorServiceStub(channel)
        (cloak,) = stub.Craft(protector_pb2.CraftRequest(**fields), timeout=SECONDS)
        assert cloak.epsilon == 8
        with pytest.raises(grpc.RpcError) as failure:
            list(stub.Craft(protector_pb2.CraftRequest(**fields | changes), timeout=SECONDS))
    assert field_at_fault(failure.value) == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"target_models": ["MODEL", "another"]}, "target_models[1]"),
        ({"target_models": []}, "target_models"),
        ({"target_models": ["MODEL", "MODEL"]}, "target_models"),
        ({"k": 0}, "k"),
        ({"k": 5}, "k"),
        ({"region": -1}, "region"),
        ({"region": 2}, "region"),
        ({"region": 99}, "region"),
        ({"image": b""}, "image"),
    ],
)
async def test_an_invader_names_the_field_that_it_refuses(
    invader: tuple[str, str], changes: dict[str, Any], field: str
) -> None:
    address, model = invader
    fields: dict[str, Any] = {"image": PHOTO, "target_models": ["MODEL"], "k": 1} | changes
    fields["target_models"] = [name.replace("MODEL", model) for name in fields["target_models"]]

    def ask() -> None:
        with grpc.insecure_channel(address) as channel:
            stub: Any = invader_pb2_grpc.InvaderServiceStub(channel)
            stub.Classify(invader_pb2.ClassifyRequest(**fields), timeout=SECONDS)

    with pytest.raises(grpc.RpcError) as failure:
        await asyncio.to_thread(ask)
    assert field_at_fault(failure.value) == field
