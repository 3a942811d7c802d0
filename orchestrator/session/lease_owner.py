"""Who works on a run, and which of them are dead: a lock on a file lasts as long as the process that took it."""

import fcntl
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from orchestrator.errors import OrchestratorError
from orchestrator.files import LACKING

SUFFIX = ".lock"
UNLOCKED = ".unlocked"  # until the lock is taken


class LeaseOwner:
    """This process, as a holder of leases; while the context lasts its file in a folder is locked.

    The kernel gives the lock up when the process dies, however it dies. So another process that shares the folder need not
    wait until the leases of a dead one expire.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.can_lock = True  # whether the file system has locks; without them nobody is known to be dead
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:12]}"

    def __enter__(self) -> Self:
        """Takes the lock.

        Raises:
            OrchestratorError: the file cannot be made.
        """
        path = self._path(self.name)
        unlocked = path.with_suffix(UNLOCKED)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(unlocked, os.O_CREAT | os.O_RDWR, 0o600)
            try:
                self.can_lock = _locked(self._lock)
                if self.can_lock:
                    unlocked.rename(path)  # with the lock on it: nobody finds it without, and takes this process for dead
            except OSError:
                os.close(self._lock)
                with suppress(OSError):
                    unlocked.unlink()
                raise
        except OSError as error:
            raise OrchestratorError(f"{path}: cannot be locked: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            path = self._path(self.name)
            with suppress(OSError):  # one that stays is taken for a dead one's, and removed by the next
                (path if self.can_lock else path.with_suffix(UNLOCKED)).unlink()
        finally:
            os.close(self._lock)

    @property
    def since_ns(self) -> int:
        """When it took the lock, by the clock that the folder's files go by, in nanoseconds."""
        return os.fstat(self._lock).st_mtime_ns

    def dead(self, holders: Iterable[str]) -> frozenset[str]:
        """Those of the holders that shared the folder and are no more. Of one that works elsewhere nothing is known."""
        return frozenset(name for name in holders if name != self.name and self._is_dead(self._path(name)))

    def alone(self) -> bool:
        """Whether nobody else who is alive shares the folder; False where that cannot be told."""
        return self.can_lock and all(
            path == self._path(self.name) or self._is_dead(path) for path in self._folder.glob(f"*{SUFFIX}")
        )

    def forget(self, *, but: Iterable[str]) -> None:
        """Removes the files of the dead that no lease names any more."""
        kept = {self._path(name) for name in (*but, self.name)}
        for path in self._folder.glob(f"*{SUFFIX}"):
            if path not in kept and self._is_dead(path):
                with suppress(OSError):  # another was faster, or the folder became read-only
                    path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"

    def _is_dead(self, path: Path) -> bool:
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError:  # it never shared this folder, or ended in order
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True


def _locked(descriptor: int) -> bool:
    """Takes the lock; False where the file system has none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in LACKING:
            raise
        return False
    return True
