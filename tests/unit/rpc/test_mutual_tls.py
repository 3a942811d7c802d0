"""Real servers and channels: who has a certificate of the authority is answered, and nobody else."""

import asyncio

import grpc
import pytest
from deid.invader.v1 import invader_pb2

from rpc.certificates import Authority
from rpc.channel import open_channel
from rpc.images.limits import ImageLimits
from rpc.server import Server
from rpc.tls import TlsMaterial, certified_name
from tests.support.certificates import certificate_of, expired, material, nameless, not_yet_valid, of_elsewhere
from tests.support.serving import Context, ask, started

AUTHORITY, OTHER = Authority.create(), Authority.create()
PROTECTOR = material(AUTHORITY, "protector", server=True)
CLIENT = material(AUTHORITY)


class Naming:
    """Answers, and keeps the name that every caller is certified by."""

    def __init__(self) -> None:
        self.names: list[str | None] = []

    async def __call__(self, request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        self.names.append(certified_name(context))
        return invader_pb2.ClassifyResponse(face_found=True)


def a_server(tls: TlsMaterial | None = PROTECTOR) -> Server:
    return Server(address="127.0.0.1:0", limits=ImageLimits(), tls=tls)


async def code_of(channel: grpc.aio.Channel) -> str:
    """How a call over a channel ends."""
    async with channel:
        try:
            await ask(channel)
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return "OK"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_client_of_the_authority_is_answered_and_known_by_its_name(host: str) -> None:
    classify = Naming()
    async with started(a_server(), classify=classify) as server:
        assert await code_of(open_channel(f"{host}:{server.port}", tls=CLIENT)) == "OK"
        assert await code_of(open_channel(f"{host}:{server.port}", tls=material(AUTHORITY, "a visitor"))) == "OK"
    assert classify.names == ["orchestrator", "a visitor"]


async def test_a_client_of_the_authority_whose_certificate_has_no_name_is_told_from_plain_text() -> None:
    classify = Naming()
    async with started(a_server(), classify=classify) as server:
        assert await code_of(open_channel(server.address, tls=nameless(AUTHORITY, CLIENT))) == "OK"
    assert classify.names == [""]


async def test_in_plain_text_nobody_is_known_by_name() -> None:
    classify = Naming()
    async with started(a_server(tls=None), classify=classify) as server:
        assert await code_of(open_channel(server.address)) == "OK"
    assert classify.names == [None]


async def test_a_client_without_a_good_certificate_is_refused_before_it_can_ask() -> None:
    classify = Naming()
    async with started(a_server(), classify=classify) as server:
        without = grpc.ssl_channel_credentials(certificate_of(AUTHORITY))
        channels = {
            "no certificate": grpc.aio.secure_channel(server.address, without),
            "plain text": open_channel(server.address),
            "expired": open_channel(server.address, tls=expired(AUTHORITY, CLIENT)),
            "not yet valid": open_channel(server.address, tls=not_yet_valid(AUTHORITY, CLIENT)),
            "another authority's": open_channel(server.address, tls=material(OTHER, trusting=AUTHORITY)),
            "a server's": open_channel(server.address, tls=material(AUTHORITY, "invader", server=True)),
            "a good one": open_channel(server.address, tls=CLIENT),
        }
        # Together, because each asks five times before it gives up.
        codes = await asyncio.gather(*map(code_of, channels.values()))
    refused = dict.fromkeys(channels, "UNAVAILABLE")
    assert dict(zip(channels, codes, strict=True)) == refused | {"a good one": "OK"}
    assert classify.names == ["orchestrator"]


async def test_a_server_without_a_good_certificate_is_not_asked() -> None:
    classify = Naming()
    shown = {
        "expired": expired(AUTHORITY, PROTECTOR),
        "not yet valid": not_yet_valid(AUTHORITY, PROTECTOR),
        "another authority's": material(OTHER, "protector", server=True, trusting=AUTHORITY),
        "another host's": of_elsewhere(AUTHORITY, PROTECTOR),
        "a client's": material(AUTHORITY, "localhost"),
        "plain text": None,
        "a good one": PROTECTOR,
    }

    async def outcome(tls: TlsMaterial | None) -> str:
        async with started(a_server(tls), classify=classify) as server:
            return await code_of(open_channel(f"localhost:{server.port}", tls=CLIENT))

    codes = await asyncio.gather(*map(outcome, shown.values()))
    assert dict(zip(shown, codes, strict=True)) == dict.fromkeys(shown, "UNAVAILABLE") | {"a good one": "OK"}
    assert classify.names == ["orchestrator"]
