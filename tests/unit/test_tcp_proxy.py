"""The proxy by which tests break connections does what it says, to an echo."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest

from tests.support.tcp_proxy import TcpProxy, Way, tcp_proxy

SECONDS = 30.0  # until a test that hangs fails


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while received := await reader.read(65_536):
        writer.write(received)
    writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[TcpProxy]:
    """Before an echo in this loop."""
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as listening:
        with tcp_proxy(f"127.0.0.1:{listening.sockets[0].getsockname()[1]}") as running:
            yield running


class Talk:
    """One connection; every step waits in a thread, because the echo is in this one."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(SECONDS)
        self.connection = connection

    async def send(self, sent: bytes) -> None:
        await asyncio.to_thread(self.connection.sendall, sent)

    async def receive(self, count: int) -> bytes:
        received = b""
        while len(received) < count and (more := await asyncio.to_thread(self.connection.recv, count - len(received))):
            received += more
        return received


@pytest.fixture
def talk(proxy: TcpProxy) -> Iterator[Talk]:
    with closing(connect(proxy)) as connection:
        yield Talk(connection)


def connect(proxy: TcpProxy) -> socket.socket:
    host, _, port = proxy.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=SECONDS)


async def test_what_is_sent_passes_both_ways_and_is_counted(proxy: TcpProxy, talk: Talk) -> None:
    sent = bytes(range(256)) * 1000
    await talk.send(sent)
    assert await talk.receive(len(sent)) == sent
    assert proxy.bytes == {Way.ASKED: len(sent), Way.ANSWERED: len(sent)}
    assert proxy.connections == 1


async def test_a_connection_that_is_cut_is_reset(proxy: TcpProxy, talk: Talk) -> None:
    await talk.send(b"a")
    assert await talk.receive(1) == b"a"
    assert proxy.cut() == 1
    with pytest.raises(ConnectionResetError):
        await talk.receive(1)
    with closing(connect(proxy)) as again:
        await Talk(again).send(b"b")
        assert await Talk(again).receive(1) == b"b"


async def test_a_cut_at_a_byte_lets_the_bytes_before_it_pass_and_no_other(proxy: TcpProxy, talk: Talk) -> None:
    proxy.when(Way.ANSWERED, 5, proxy.cut)
    await talk.send(b"0123456789")
    assert await talk.receive(5) == b"01234"
    with pytest.raises(ConnectionResetError):
        await talk.receive(1)
    assert proxy.bytes[Way.ANSWERED] == 5


async def test_a_frozen_proxy_keeps_connections_and_what_is_sent_until_it_thaws(proxy: TcpProxy, talk: Talk) -> None:
    frozen = proxy.passed(Way.ASKED, 1)
    proxy.when(Way.ASKED, 1, proxy.freeze)
    await talk.send(b"0123456789")
    assert await asyncio.to_thread(frozen.wait, SECONDS)
    with closing(connect(proxy)) as another:
        await Talk(another).send(b"x")
        assert proxy.bytes == {Way.ASKED: 1, Way.ANSWERED: 0}
        proxy.thaw()
        assert await talk.receive(10) == b"0123456789"
        assert await Talk(another).receive(1) == b"x"


async def test_new_connections_are_refused_until_they_are_accepted_again_and_old_ones_stay(
    proxy: TcpProxy, talk: Talk
) -> None:
    await talk.send(b"a")
    assert await talk.receive(1) == b"a"
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    await talk.send(b"b")
    assert await talk.receive(1) == b"b"
    proxy.accept()
    connect(proxy).close()


async def test_new_connections_go_where_the_proxy_points(proxy: TcpProxy, talk: Talk) -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read(1)).upper())
        writer.close()

    await talk.send(b"a")
    assert await talk.receive(1) == b"a"
    async with await asyncio.start_server(shout, "127.0.0.1", 0) as other:
        proxy.point_at(f"127.0.0.1:{other.sockets[0].getsockname()[1]}")
        with closing(connect(proxy)) as new:
            await Talk(new).send(b"b")
            assert await Talk(new).receive(1) == b"B"
            assert await Talk(new).receive(1) == b""


async def test_a_service_that_is_gone_resets_what_connects(proxy: TcpProxy) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as bound:
        proxy.point_at(f"127.0.0.1:{bound.getsockname()[1]}")
    with pytest.raises(ConnectionResetError), closing(connect(proxy)) as connection:
        await Talk(connection).receive(1)


def test_a_hook_before_the_first_byte_is_refused() -> None:
    with tcp_proxy("127.0.0.1:1") as proxy, pytest.raises(ValueError, match="at least 1 byte, got 0"):
        proxy.when(Way.ASKED, 0, proxy.cut)
