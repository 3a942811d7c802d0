"""Services in a thread of their own, so that a command can run in the main one, to which signals come."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from queue import Queue
from typing import TypeVar

Served = TypeVar("Served")


@contextmanager
def serving_in_a_thread(services: AbstractAsyncContextManager[Served]) -> Iterator[Served]:
    """What an asynchronous context gives, which lasts meanwhile in another thread's event loop."""
    given: Queue[Served | BaseException] = Queue()
    loop, ended = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        try:
            async with services as served:
                given.put(served)
                await ended.wait()
        except BaseException as error:
            given.put(error)
            raise

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    served = given.get()
    try:
        if isinstance(served, BaseException):
            raise served
        yield served
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
