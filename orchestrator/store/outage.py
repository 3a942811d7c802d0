"""How long a database server that is away is waited for: not silently, and no longer than anybody wants to."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from orchestrator.store.errors import StoreUnavailableError
from orchestrator.store.faults import explained

MIN_WAIT_SECONDS, MAX_WAIT_SECONDS = 0.1, 5.0  # between two attempts, before jitter
NOTED_SECONDS = 1.0  # which a wait has to last for to be worth a word


class OutageTimeout:
    """Of one database, for all threads that use it.

    Once it ran out, nobody waits any more until something succeeds: a server that stays away costs it once, however much
    there is left to ask.
    """

    def __init__(self, name: str, *, seconds: float, note: Callable[[str], None]) -> None:
        """`note` is called by whatever thread waits, at the beginning and at the end of a longer wait."""
        self.name = name
        self.seconds = seconds
        self.note = note
        self.ran_out = False
        self.suspended = threading.Event()  # nobody waits while it is set
        self._suspensions = 0
        self._lock = threading.Lock()

    @contextmanager
    def suspension(self) -> Iterator[None]:
        """Within it nobody waits: what is waiting fails now, and what begins is tried once."""
        self.suspend()
        try:
            yield
        finally:
            with self._lock:
                self._suspensions -= 1
                if not self._suspensions:
                    self.suspended.clear()

    def suspend(self) -> None:
        """From now on nobody waits."""
        with self._lock:
            self._suspensions += 1
            self.suspended.set()


class Outage:
    """That of one operation, which asks here after each attempt that failed."""

    def __init__(self, timeout: OutageTimeout) -> None:
        self._timeout = timeout
        self._began, self._since = time.monotonic(), datetime.now(UTC)
        self._longest = MIN_WAIT_SECONDS
        self._waited = self._noted = False

    def wait(self, error: SQLAlchemyError) -> None:
        """Returns when it is time to try again what failed.

        Raises:
            StoreUnavailableError: it is not worth it.
        """
        timeout, elapsed = self._timeout, time.monotonic() - self._began
        timeout.ran_out = timeout.ran_out or elapsed >= timeout.seconds
        if timeout.ran_out or timeout.suspended.is_set():
            raise self._given_up(elapsed, error) from error
        # Drawn, so that not all come back at once.
        wait = min(random.uniform(0, self._longest), timeout.seconds - elapsed)  # noqa: S311
        self._longest = min(2 * self._longest, MAX_WAIT_SECONDS)
        if not self._noted and elapsed + wait >= NOTED_SECONDS:
            self._noted = True
            timeout.note(f"the store {timeout.name} does not answer; waiting for it for up to {timeout.seconds:g} s")
        self._waited = True
        if timeout.suspended.wait(wait):
            raise self._given_up(elapsed, error) from error

    def end(self) -> None:
        """The operation succeeded."""
        self._timeout.ran_out = False
        if self._noted:
            self._timeout.note(f"the store answers again after {time.monotonic() - self._began:.0f} s")

    def _given_up(self, elapsed: float, error: SQLAlchemyError) -> StoreUnavailableError:
        name = self._timeout.name
        if not self._waited:
            return StoreUnavailableError(f"{name}: {explained(error)}")
        return StoreUnavailableError(
            f"{name}: no answer since {self._since:%Y-%m-%d %H:%M:%S} UTC, for {elapsed:.0f} s: {explained(error)}: "
            f"what was recorded before is safe; see to the server, and the same command goes on"
        )
