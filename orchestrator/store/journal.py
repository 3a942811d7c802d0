"""Changes of a store that are waiting at the same time are committed together.

A commit waits for the disk, which may take longer than writing a thousand rows. Whoever writes waits until the change is on
it, so that a crash can cost only what nobody was told is recorded: at most as many changes as there are callers waiting.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from orchestrator.store.changes import Change
from orchestrator.store.errors import StoreUnavailableError
from orchestrator.store.store import Store

MAX_AT_ONCE = 256  # changes in a transaction; longer ones would keep other processes waiting

T = TypeVar("T")


class Journal:
    """A store as coroutines see it: one thread does all that it is asked, so that the event loop never waits for a disk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._waiting: list[tuple[Change, asyncio.Future[None]]] = []
        self._committing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends after what is waiting is committed; after an error, no server is waited for. The store stays open."""
        with nullcontext() if error is None else self._store.without_waiting():
            if self._committing is not None:
                await self._committing
            await asyncio.to_thread(self._thread.shutdown)

    async def write(self, change: Change) -> None:
        """Returns when a change is durable. One that is cancelled may be made all the same.

        Raises:
            StoreError: it is not made.
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((change, written))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_what_waits())
        await written

    async def run(self, call: Callable[[], T]) -> T:
        """What another call of the store returns.

        Raises:
            StoreError: see the call.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _commit_what_waits(self) -> None:
        while self._waiting:
            together, self._waiting = self._waiting[:MAX_AT_ONCE], self._waiting[MAX_AT_ONCE:]
            errors = await self.run(partial(self._store.commit, [change for change, _ in together]))
            away = next((error for error in errors if isinstance(error, StoreUnavailableError)), None)
            if away is not None:  # what waits behind would only fail likewise, and take as long
                together, self._waiting = together + self._waiting, []
                errors += [away] * (len(together) - len(errors))
            for (_, written), error in zip(together, errors, strict=True):
                if written.done():  # cancelled
                    continue
                if error is None:
                    written.set_result(None)
                else:
                    written.set_exception(error)
