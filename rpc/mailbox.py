"""The way from computing threads to a call on the event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    error: Exception | None


class Mailbox(Generic[T]):
    """Takes items from any thread and gives them, in order, to one reader on the event loop that made it.

    Unbounded, so that a slow reader never holds a computing thread up: whoever lets writers in bounds what they may write.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[T | _End] = asyncio.Queue()

    def put(self, item: T) -> None:
        self._put(item)

    def end(self, error: Exception | None = None) -> None:
        """Nothing more will come; with an error, the reader raises it once it has read all items."""
        self._put(_End(error))

    def _put(self, item: T | _End) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to read
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)

    async def __aiter__(self) -> AsyncIterator[T]:
        while not isinstance(item := await self._items.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
