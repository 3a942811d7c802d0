"""Photos that are being embedded for calls of a client: whoever wants the same one waits for it."""

import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from gallery_service.layers import HeldPhoto

_Key = tuple[str, str]  # client, digest


class CallEndedError(Exception):
    """Nobody waits any more for what a call wanted."""


@dataclass(eq=False)
class _Wanted:
    made: "Future[HeldPhoto]" = field(default_factory=Future)
    begun: bool = False
    calls: int = 0


class PhotosInFlight:
    """What calls want that is not enrolled yet. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: dict[_Key, _Wanted] = {}

    @contextmanager
    def wanted(self, client: str, digests: Collection[str]) -> Iterator["PhotosOfCall"]:
        """What one call wants: it shares that with other calls of the client while the context lasts."""
        keys = [(client, digest) for digest in digests]
        with self._lock:
            found = {key: self._wanted.setdefault(key, _Wanted()) for key in keys}
            for each in found.values():
                each.calls += 1
        call = PhotosOfCall(self._lock, {digest: found[client, digest] for digest in digests})
        try:
            yield call
        finally:
            call.end()
            with self._lock:
                for key, each in found.items():
                    each.calls -= 1
                    if not each.calls:
                        del self._wanted[key]


class PhotosOfCall:
    """The photos of one call, for one thread that makes or waits for one after the other."""

    def __init__(self, lock: threading.Lock, wanted: dict[str, _Wanted]) -> None:
        self._lock = lock
        self._wanted = wanted
        self._ended = False

    def photo(self, digest: str, make: Callable[[], HeldPhoto]) -> HeldPhoto:
        """A photo by its digest, made here unless another call's thread has made it or is making it.

        Raises:
            CallEndedError: the call has ended.
            Exception: whatever `make` raises, here or there.
        """
        wanted = self._wanted[digest]
        with self._lock:
            if self._ended:
                raise CallEndedError
            is_mine, wanted.begun = not wanted.begun, True
        if is_mine:
            try:
                wanted.made.set_result(make())
            except BaseException as error:  # noqa: BLE001 - whoever waits for it is told, and so is the caller
                wanted.made.set_exception(error)
        return wanted.made.result()

    def end(self) -> None:
        """The call wants nothing any more: what its thread is making is finished, and nothing else begun."""
        with self._lock:
            self._ended = True
