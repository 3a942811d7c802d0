"""What the channel does by itself, and what it leaves to its caller."""

import asyncio
from contextlib import suppress

import grpc
import pytest
from deid.invader.v1 import invader_pb2

from rpc.certificates import Authority
from rpc.channel import open_channel
from rpc.errors import PlainTextError, ServiceError
from rpc.images.limits import ImageLimits
from rpc.server import Server
from tests.support.certificates import material
from tests.support.serving import Context, ask, serving, started
from tests.support.tcp_proxy import Way, tcp_proxy

REASON = "BUSY"


class Refusing:
    """Fails so often, then answers; counts what it was asked."""

    def __init__(self, error: ServiceError, *, times: int) -> None:
        self._error = error
        self._times = times
        self.calls = 0

    async def __call__(self, request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return invader_pb2.ClassifyResponse(face_found=True)


def error(code: grpc.StatusCode, retry_after_ms: int | None = None) -> ServiceError:
    return ServiceError("not now", code=code, reason=REASON, retry_after_ms=retry_after_ms)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_a_call_that_fails_is_not_made_again(code: grpc.StatusCode) -> None:
    classify = Refusing(error(code, retry_after_ms=1), times=1)
    async with serving(classify=classify) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="not now"):
            await ask(channel)
    assert classify.calls == 1


class Leaving:
    """Speaks as much HTTP/2 as it takes to say, whenever a call comes, that it leaves and has looked at none."""

    HEADERS, SETTINGS, GOAWAY = 1, 4, 7

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readexactly(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
            writer.write(self._frame(self.SETTINGS, b""))
            kind = None
            while kind != self.HEADERS:
                header = await reader.readexactly(9)
                await reader.readexactly(int.from_bytes(header[:3]))
                kind = header[3]
            self.calls += 1
            writer.write(self._frame(self.GOAWAY, bytes(8)))  # the last stream was 0; no error
            await reader.read()
        writer.close()

    @staticmethod
    def _frame(kind: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3) + bytes([kind, 0]) + bytes(4) + payload


async def test_a_call_that_no_server_has_looked_at_is_not_made_again_either() -> None:
    leaving = Leaving()
    listening = await asyncio.start_server(leaving, "127.0.0.1", 0)
    async with listening, open_channel(f"127.0.0.1:{listening.sockets[0].getsockname()[1]}") as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(channel)
    assert leaving.calls == 1


@pytest.mark.parametrize(
    "address", ["192.0.2.1:5000", "protector:5000", "0.0.0.0:5000", "[::]:5000", "dns:///protector:5000"]
)
async def test_plain_text_goes_to_this_machine_only(address: str) -> None:
    with pytest.raises(PlainTextError, match="plain text is for loopback only") as refused:
        open_channel(address)
    assert str(refused.value).startswith(f"{address}: ")


async def test_with_certificates_a_channel_goes_further() -> None:
    async with open_channel("protector:5000", tls=material(Authority.create())) as channel:
        assert channel.get_state() is grpc.ChannelConnectivity.IDLE


class Proxy:
    """An HTTP proxy that forwards nothing, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readline())
        writer.close()


async def test_plain_text_does_not_pass_through_a_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy()
    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as listening:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        classify = Refusing(error(grpc.StatusCode.UNAVAILABLE), times=0)
        server = Server(address="127.0.0.1:0", limits=ImageLimits())
        async with started(server, classify=classify), open_channel(server.address) as channel:
            assert (await ask(channel)).face_found
    assert proxy.asked == []


_A_PING = 17  # bytes: nine of a frame's header, eight of its own


async def test_our_servers_permit_the_pings_of_a_client_that_waits() -> None:
    may_answer = asyncio.Event()

    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        asked.set()
        await may_answer.wait()
        return invader_pb2.ClassifyResponse(face_found=True)

    asked = asyncio.Event()
    # As ours, but for the time between pings, which would make this test take longer still.
    pinging = [("grpc.keepalive_time_ms", 2_200), ("grpc.http2.max_pings_without_data", 0), ("grpc.enable_retries", 0)]
    async with started(Server(address="127.0.0.1:0", limits=ImageLimits()), classify=classify) as server:
        with tcp_proxy(server.address) as proxy:
            async with grpc.aio.insecure_channel(proxy.address, options=pinging) as channel:
                call = asyncio.create_task(ask(channel))
                await asked.wait()
                # gRPC's own default closes the connection at the fourth.
                pinged = proxy.passed(Way.ASKED, 5 * _A_PING)
                assert await asyncio.to_thread(pinged.wait, 60)
                may_answer.set()
                assert (await call).face_found
        assert proxy.connections == 1
