"""A TCP proxy on loopback that fails as networks do: it cuts, freezes and refuses connections, whenever it is told to."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

_CHUNK = 65_536  # bytes
_BACKLOG = 128  # connections that wait to be accepted
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: whatever is unsent is dropped, and the peer is sent a reset

Act = Callable[[], object]


class Way(Enum):
    """Which way bytes go."""

    ASKED = "from clients to the service"
    ANSWERED = "from the service to clients"


@dataclass(eq=False)
class _Link:
    """A client's connection, and the one that was opened to the service for it."""

    client: socket.socket
    service: socket.socket
    pumps: list[asyncio.Task[None]] = field(default_factory=list)


@dataclass(frozen=True)
class _Hook:
    at: int  # bytes, counted from the proxy's start
    act: Act


class TcpProxy:
    """Forwards connections to a service until it is told otherwise; made by `tcp_proxy`.

    It runs in a thread of its own, so that nothing that holds the event loop of client or service holds it up. Every method
    may be called from any thread, from a hook too, and has had its effect when it returns.
    """

    def __init__(self, target: str) -> None:
        self.connections = 0  # that clients opened, in all
        self.bytes = dict.fromkeys(Way, 0)  # that passed, in all
        self._target = target
        self._links: set[_Link] = set()
        self._hooks: dict[Way, list[_Hook]] = {way: [] for way in Way}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp proxy", daemon=True)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._listening: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._port = 0

    @property
    def address(self) -> str:
        """`127.0.0.1:port`, the same for as long as the proxy lives."""
        return f"127.0.0.1:{self._port}"

    def cut(self) -> int:
        """Resets all connections, on both sides, and tells how many there were; new ones are accepted as before."""
        cut: int = self._run(self._cut())
        return cut

    def freeze(self) -> None:
        """From now on nothing passes, and no connection is closed: as if the service were stopped, or a cable pulled.

        New connections are still accepted, as a kernel does for a process that is stopped.
        """
        self._run(self._set_flowing(False))

    def thaw(self) -> None:
        """What was held back passes, and so does what follows."""
        self._run(self._set_flowing(True))

    def refuse(self) -> None:
        """From now on new connections are refused, as where nothing listens; those that there are stay."""
        self._run(self._refuse())

    def accept(self) -> None:
        """New connections are accepted again, at the same address."""
        self._run(self._accept())

    def point_at(self, target: str) -> None:
        """New connections go to another service: one that was started again on a port of its own."""
        self._target = target

    def when(self, way: Way, count: int, act: Act) -> None:
        """Calls `act` once, when `count` bytes more have passed one way, over all connections together.

        Not one byte more is forwarded before `act` returns. Where it cuts, the rest is lost; where it freezes, the rest is
        held back.
        """
        self._run(self._hook(way, count, act))

    def forget(self) -> None:
        """Nothing that `when` was told, and that has not come, comes any more."""
        self._run(self._forget())

    def passed(self, way: Way, count: int) -> threading.Event:
        """An event that is set when `count` bytes more have passed one way."""
        event = threading.Event()
        self.when(way, count, event.set)
        return event

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if threading.current_thread() is not self._thread:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        # A hook's: none of these coroutines ever waits, so that it runs to its end here and now.
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("it waited")

    async def _cut(self) -> int:
        links, self._links = self._links, set()
        for link in links:
            _close(link, reset=True)
        return len(links)

    async def _set_flowing(self, flowing: bool) -> None:
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _refuse(self) -> None:
        if self._accepting is not None and self._listening is not None:
            self._accepting.cancel()
            self._loop.remove_reader(self._listening)
            self._listening.close()
            self._listening = self._accepting = None

    async def _accept(self) -> None:
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self._port), backlog=_BACKLOG)
            self._listening.setblocking(False)
            self._port = self._listening.getsockname()[1]
            self._accepting = self._loop.create_task(self._accept_all(self._listening))

    async def _accept_all(self, listening: socket.socket) -> None:
        while True:
            client, _ = await self._loop.sock_accept(listening)
            self.connections += 1
            host, _, port = self._target.rpartition(":")
            service = socket.socket()
            service.setblocking(False)
            try:
                await self._loop.sock_connect(service, (host, int(port)))
            except OSError:  # the service is gone: the client learns it as it would without a proxy, if a little later
                _reset(client)
                service.close()
                continue
            link = _Link(client, service)
            self._links.add(link)
            link.pumps = [
                self._loop.create_task(self._pump(link, client, service, Way.ASKED)),
                self._loop.create_task(self._pump(link, service, client, Way.ANSWERED)),
            ]

    async def _pump(self, link: _Link, source: socket.socket, sink: socket.socket, way: Way) -> None:
        try:
            while chunk := await self._loop.sock_recv(source, _CHUNK):
                await self._forward(chunk, sink, way)
        except OSError:
            pass
        await self._flowing.wait()
        if link in self._links:  # it was not cut, and the other pump has not ended
            self._links.remove(link)
            _close(link, reset=False)

    async def _forward(self, chunk: bytes, sink: socket.socket, way: Way) -> None:
        rest = memoryview(chunk)
        while rest:
            await self._flowing.wait()
            most = min((hook.at - self.bytes[way] for hook in self._hooks[way]), default=len(rest))
            now, rest = rest[:most], rest[most:]
            await self._loop.sock_sendall(sink, now)
            self.bytes[way] += len(now)
            due = [hook for hook in self._hooks[way] if hook.at <= self.bytes[way]]
            self._hooks[way] = [hook for hook in self._hooks[way] if hook not in due]
            for hook in due:
                hook.act()

    async def _hook(self, way: Way, count: int, act: Act) -> None:
        if count < 1:
            raise ValueError(f"expected a count of at least 1 byte, got {count}")
        self._hooks[way].append(_Hook(self.bytes[way] + count, act))

    async def _forget(self) -> None:
        for hooks in self._hooks.values():
            hooks.clear()

    def _start(self) -> None:
        self._thread.start()
        self._run(self._accept())

    def _stop(self) -> None:
        self._run(self._refuse())
        self._run(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _close(link: _Link, *, reset: bool) -> None:
    loop = asyncio.get_event_loop()
    for pump in link.pumps:
        pump.cancel()
    for each in (link.client, link.service):
        loop.remove_reader(each)
        loop.remove_writer(each)
        _reset(each) if reset else each.close()


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    connection.close()


@contextmanager
def tcp_proxy(target: str) -> Iterator[TcpProxy]:
    """A proxy before the service at `host:port`, on a free port, while the context lasts."""
    proxy = TcpProxy(target)
    proxy._start()
    try:
        yield proxy
    finally:
        proxy._stop()
