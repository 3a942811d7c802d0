"""How long a server that is away is waited for: not silently, and no longer than anybody wants to."""

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
MOMENT_SECONDS = 1.0  # which a wait has to last for to be told


class Patience:
    """With one database, for all threads that use it.

    Where it was spent, nobody waits any more until something succeeds: a database that stays away costs it once, however
    much there is left to ask.
    """

    def __init__(self, name: str, *, seconds: float, note: Callable[[str], None]) -> None:
        """`note` is called by whatever thread waits, at the beginning and at the end of a wait of more than a moment."""
        self.name = name
        self.seconds = seconds
        self.note = note
        self.spent = False
        self.hurried = threading.Event()
        self._hurrying = 0
        self._lock = threading.Lock()

    @contextmanager
    def none(self) -> Iterator[None]:
        """Within it nobody waits: what is waiting fails now, and what begins is tried once."""
        self.hurry()
        try:
            yield
        finally:
            with self._lock:
                self._hurrying -= 1
                if not self._hurrying:
                    self.hurried.clear()

    def hurry(self) -> None:
        """From now on nobody waits."""
        with self._lock:
            self._hurrying += 1
            self.hurried.set()


class Outage:
    """That of one operation, which asks here after each attempt."""

    def __init__(self, patience: Patience, *, seconds: float | None = None) -> None:
        """`seconds`: as of the patience, unless given."""
        self._patience = patience
        self._seconds = patience.seconds if seconds is None else seconds
        self._began, self._since = time.monotonic(), datetime.now(UTC)
        self._longest = MIN_WAIT_SECONDS
        self._noted = False

    def wait(self, error: SQLAlchemyError) -> None:
        """Returns when it is time to try again what failed.

        Raises:
            StoreUnavailableError: it is not worth it.
        """
        patience = self._patience
        waited = time.monotonic() - self._began
        if not self._seconds or patience.spent:
            raise StoreUnavailableError(f"{patience.name}: {explained(error)}") from error
        if waited >= self._seconds:
            patience.spent = True
            raise self._given_up(waited, error) from error
        # Drawn, so that not all come back at once.
        wait = min(random.uniform(0, self._longest), self._seconds - waited)  # noqa: S311
        self._longest = min(2 * self._longest, MAX_WAIT_SECONDS)
        if not self._noted and waited + wait >= MOMENT_SECONDS and not patience.hurried.is_set():
            self._noted = True
            patience.note(f"the store {patience.name} does not answer; waiting for it for up to {self._seconds:g} s")
        if patience.hurried.wait(wait):
            raise self._given_up(waited, error) from error

    def over(self) -> None:
        """The operation succeeded."""
        self._patience.spent = False
        if self._noted:
            self._patience.note(f"the store answers again after {time.monotonic() - self._began:.0f} s")

    def _given_up(self, waited: float, error: SQLAlchemyError) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"{self._patience.name}: no answer since {self._since:%Y-%m-%d %H:%M:%S} UTC, for {waited:.0f} s: "
            f"{explained(error)}: what was recorded before is safe; see to the server, and the same command goes on"
        )
