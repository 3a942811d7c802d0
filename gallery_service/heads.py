"""What a matcher compares with in a client's gallery: made when it is first searched, and kept while there is room."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from weakref import WeakSet

from gallery_service.sealed import SealedGallery
from recognizers.galleries.matchers import Matcher
from recognizers.networks.gallery_head import GalleryHead

MAX_BYTES = 256 * 2**20
_BYTES_A_PHOTO = 512  # about what its identity and its digest take as objects

_Key = tuple[SealedGallery, str]


@dataclass(frozen=True, eq=False)
class _Kept:
    head: GalleryHead
    bytes: int


class HeadCache:
    """The heads of matchers for clients' galleries, those that were searched last. Any thread may ask."""

    def __init__(self, matchers: Mapping[str, Matcher], *, max_bytes: int = MAX_BYTES) -> None:
        self._matchers = matchers
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()  # that searched last at the end
        self._making: dict[_Key, Future[GalleryHead]] = {}
        self._forgotten: WeakSet[SealedGallery] = WeakSet()  # which searches under way may still have
        self.bytes = 0  # of those that are kept

    def head(self, gallery: SealedGallery, matcher: str) -> GalleryHead:
        """The head of a matcher, on its device. Takes milliseconds, of large galleries more: not for the event loop."""
        key = gallery, matcher
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key].head
            making, is_mine = self._making.get(key), False
            if making is None:
                making, is_mine = self._making.setdefault(key, Future()), True
        if is_mine:
            self._make(key, making)
        return making.result()

    def forget(self, gallery: SealedGallery) -> None:
        """Keeps nothing of a gallery from now on."""
        with self._lock:
            self._forgotten.add(gallery)
            for key in [key for key in self._kept if key[0] is gallery]:
                self.bytes -= self._kept.pop(key).bytes

    def _make(self, key: _Key, making: "Future[GalleryHead]") -> None:
        gallery, name = key
        try:
            matcher = self._matchers[name]
            own = matcher.head.embedded
            head = matcher.head_of(gallery.embedded(name, distance=own.distance, templates=own.templates))
        except BaseException as error:  # noqa: BLE001 - whoever waits for it is told, and so is the caller
            with self._lock:
                del self._making[key]
            making.set_exception(error)
            return
        with self._lock:
            del self._making[key]
            if gallery not in self._forgotten:
                self._keep(key, _Kept(head, _bytes_of(head)))
        making.set_result(head)

    def _keep(self, key: _Key, kept: _Kept) -> None:
        self._kept[key] = kept
        self.bytes += kept.bytes
        while self.bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self.bytes -= oldest.bytes


def _bytes_of(head: GalleryHead) -> int:
    tensors = [*head.parameters(), *head.buffers(), head.embedded.embeddings]
    return sum(tensor.nbytes for tensor in tensors) + _BYTES_A_PHOTO * len(head.embedded.gallery.photos)
