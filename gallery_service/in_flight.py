"""Photos that are being embedded for calls of a client: whoever wants the same one waits for it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from gallery_service.layers import HeldPhoto

_Key = tuple[str, str]  # client, digest


class CallEndedError(Exception):
    """Nobody waits any more for what a call wanted."""


class PhotosInFlight:
    """What calls have embedded and not enrolled yet, or are embedding. Any thread may ask."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.photos: dict[_Key, Future[HeldPhoto]] = {}

    @contextmanager
    def call(self, client: str) -> Iterator["CallInFlight"]:
        """What one call wants; its photos are known to others while the context lasts."""
        call = CallInFlight(self, client)
        try:
            yield call
        finally:
            call.end()


class CallInFlight:
    """The photos of one call. Its thread waits for another call's only between photos of its own, so never in a circle."""

    def __init__(self, shared: PhotosInFlight, client: str) -> None:
        self._shared = shared
        self._client = client
        self._mine: set[_Key] = set()
        self._ended = False

    def photo(self, digest: str, make: Callable[[], HeldPhoto]) -> HeldPhoto:
        """A photo by its digest: another call's where one has it, or else made here.

        Raises:
            CallEndedError: the call has ended.
            Exception: whatever `make` raises, here or in the other call.
        """
        key = self._client, digest
        with self._shared.lock:
            if self._ended:
                raise CallEndedError
            found = self._shared.photos.get(key)
            making = found or self._shared.photos.setdefault(key, Future())
            if found is None:
                self._mine.add(key)
        if found is None:
            self._make(key, making, make)
        return making.result()

    def end(self) -> None:
        """The call needs nothing any more: what it is making is finished, and nothing else begun."""
        with self._shared.lock:
            self._ended = True
            for key in self._mine:
                self._shared.photos.pop(key, None)

    def _make(self, key: _Key, making: "Future[HeldPhoto]", make: Callable[[], HeldPhoto]) -> None:
        try:
            making.set_result(make())
        except BaseException as error:  # noqa: BLE001 - whoever waits for it is told, and so is the caller
            with self._shared.lock:
                if key in self._mine:
                    self._mine.remove(key)
                    self._shared.photos.pop(key, None)
            making.set_exception(error)
