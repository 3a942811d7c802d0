"""The galleries of clients: who has which, what is enrolled in them, how much may be held, and for how long."""

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from gallery_service.errors import ClientGalleryError, Reason, not_found
from gallery_service.layers import HeldPhoto, Layer, faces_of, merged
from gallery_service.sealed import SealedGallery
from recognizers.errors import shorten

DEFAULT = "default"  # as a base: the service's own gallery
NONE = ""


@dataclass(frozen=True)
class GalleryLimits:
    """What clients may have at most."""

    galleries: int = 256  # of each client at a time
    identities: int = 100_000  # of one gallery
    pictures: int = 10_000  # of each client that are held at a time
    seconds: int = 3600  # for which a gallery is kept unused


@dataclass
class _Held:
    photo: HeldPhoto
    times: int = 0  # that layers have it


@dataclass(eq=False)
class _Client:
    name: str
    galleries: int = 0
    photos: dict[str, _Held] = field(default_factory=dict)  # by digest


@dataclass(eq=False)
class _Gallery:
    client: _Client
    layers: tuple[Layer, ...]  # the topmost first, which is its own until it is sealed
    identities: int  # with a face
    seconds: int
    used: float
    sealed: SealedGallery | None = None


class GalleryStore:
    """Galleries by client and name, in memory. For one thread.

    A photo is held once for each client, for as long as a layer of a gallery of that client has it. A gallery that is
    deleted leaves behind the layers that others are derived from.
    """

    def __init__(
        self,
        own: Layer,
        *,
        limits: GalleryLimits,
        clock: Callable[[], float] = time.monotonic,
        new_name: Callable[[], str] = secrets.token_urlsafe,
        on_forgotten: Callable[[SealedGallery], None] = lambda _: None,
    ) -> None:
        """`own` is the service's gallery; `on_forgotten` is told of each sealed gallery that is deleted or has expired."""
        self.limits = limits
        self._own = own
        self._own_identities = sum(1 for identity in own.photos if faces_of((own,), identity))
        self._clock = clock
        self._new_name = new_name
        self._on_forgotten = on_forgotten
        self._galleries: dict[str, _Gallery] = {}
        self._clients: dict[str, _Client] = {}
        self.enrolled = self.without_face = 0  # pictures so far

    @property
    def galleries(self) -> int:
        """How many are held, of all clients. Any thread may ask."""
        return len(self._galleries)

    def pictures(self, client: str) -> int:
        """How many different pictures of a client are held."""
        known = self._clients.get(client)
        return len(known.photos) if known else 0

    def create(self, client: str, *, base: str = NONE, seconds: int = 0) -> tuple[str, int]:
        """Begins a gallery.

        Args:
            client: whose it will be.
            base: whose photos it begins with: `DEFAULT`, a sealed one of the client, or none.
            seconds: for which it is to be kept unused; 0, or more than the limit, means the limit.

        Returns:
            its name, and the seconds.

        Raises:
            ClientGalleryError: the base is not there or not sealed; or the client has as many galleries as it may.
        """
        self.forget_expired()
        layers, identities = self._base(client, base)
        owner = self._clients.get(client) or _Client(client)
        if owner.galleries >= self.limits.galleries:
            raise _beyond(f"{self.limits.galleries} galleries of a client at a time", f"{owner.galleries} already")
        if identities > self.limits.identities:
            raise _beyond(f"{self.limits.identities} identities in a gallery", f"a base of {identities}")
        seconds = min(seconds or self.limits.seconds, self.limits.seconds)
        name = self._new_name()
        self._galleries[name] = _Gallery(owner, (Layer(), *layers), identities, seconds, self._clock())
        self._clients[client] = owner
        owner.galleries += 1
        _hold(owner, self._galleries[name].layers)
        return name, seconds

    def held(self, client: str, gallery: str, identity: str, digests: Collection[str]) -> Mapping[str, HeldPhoto]:
        """Of the photos with which an identity is to be enrolled, those that need not be embedded, by digest.

        Raises:
            ClientGalleryError: it cannot be enrolled; see `enrol`.
        """
        found = self._open(client, gallery)
        self._check(found, identity, digests)
        held = found.client.photos
        return {digest: held[digest].photo for digest in digests if digest in held}

    def enrol(self, client: str, gallery: str, identity: str, photos: Sequence[HeldPhoto]) -> None:
        """Enrols an identity with all of its photos, different ones; again with the same ones changes nothing.

        Raises:
            ClientGalleryError: the gallery is not there, or sealed; the identity was enrolled with other photos; or there
                would be more identities in the gallery, or pictures of the client, than there may be.
        """
        found = self._open(client, gallery)
        own, owner = found.layers[0], found.client
        self._check(found, identity, [photo.sha256 for photo in photos])
        if identity in own.photos:
            return
        before = bool(faces_of(found.layers, identity))
        own.photos[identity] = tuple(_held(owner, photo) for photo in photos)
        found.identities += bool(faces_of(found.layers, identity)) - before
        self.enrolled += sum(photo.has_face for photo in photos)
        self.without_face += sum(not photo.has_face for photo in photos)

    def seal(self, client: str, gallery: str) -> SealedGallery:
        """Ends the enrolment; what can be searched from then on.

        Raises:
            ClientGalleryError: the gallery is not there, or holds nobody.
        """
        found = self._use(client, gallery)
        if found.sealed is None:
            if not found.identities:
                raise ClientGalleryError(
                    Reason.EMPTY,
                    expected="a gallery with an identity that has a face (Enrol enrols them)",
                    actual="one that holds nobody",
                )
            layers, before = merged(found.layers), found.layers
            _hold(found.client, layers)
            _release(found.client, before)
            found.layers = layers
            found.sealed = SealedGallery(layers, found.identities)
        return found.sealed

    def search(self, client: str, gallery: str) -> SealedGallery:
        """What is to be searched. It stays whole for as long as anybody has it.

        Raises:
            ClientGalleryError: the gallery is not there, or not sealed.
        """
        found = self._use(client, gallery)
        if found.sealed is None:
            raise ClientGalleryError(
                Reason.NOT_SEALED, expected="a sealed gallery (SealGallery seals it)", actual="one that is not sealed"
            )
        return found.sealed

    def delete(self, client: str, gallery: str) -> None:
        """Forgets a gallery, if the client has it."""
        self.forget_expired()
        found = self._galleries.get(gallery)
        if found is not None and found.client.name == client:
            self._forget(gallery)

    def forget_expired(self) -> None:
        """Forgets the galleries that have not been used for as long as they are kept."""
        now = self._clock()
        for name in [name for name, each in self._galleries.items() if now - each.used >= each.seconds]:
            self._forget(name)

    def _base(self, client: str, base: str) -> tuple[tuple[Layer, ...], int]:
        if base == NONE:
            return (), 0
        if base == DEFAULT:
            return (self._own,), self._own_identities
        sealed = self.search(client, base)
        return sealed.layers, sealed.identities

    def _use(self, client: str, gallery: str) -> _Gallery:
        self.forget_expired()
        found = self._galleries.get(gallery)
        if found is None or found.client.name != client:
            raise not_found()
        found.used = self._clock()
        return found

    def _open(self, client: str, gallery: str) -> _Gallery:
        found = self._use(client, gallery)
        if found.sealed is not None:
            raise ClientGalleryError(
                Reason.SEALED,
                expected="a gallery that is not sealed (CreateGallery begins another, with this one as its base)",
                actual="a sealed one",
            )
        return found

    def _check(self, gallery: _Gallery, identity: str, digests: Collection[str]) -> None:
        """Whether an identity may be enrolled with photos of these digests."""
        enrolled = gallery.layers[0].photos.get(identity)
        if enrolled is not None:
            if {photo.sha256 for photo in enrolled} != set(digests):
                raise ClientGalleryError(
                    Reason.ALREADY_ENROLLED,
                    expected="an identity that is not enrolled yet, or the photos that it was enrolled with",
                    actual=f"other photos of {shorten(repr(identity))}",
                )
            return
        if gallery.identities >= self.limits.identities and not faces_of(gallery.layers, identity):
            raise _beyond(f"{self.limits.identities} identities in a gallery", "one more")
        pictures = len(gallery.client.photos) + len(set(digests) - gallery.client.photos.keys())
        if pictures > self.limits.pictures:
            raise _beyond(f"{self.limits.pictures} pictures of a client at a time", f"{pictures}")

    def _forget(self, name: str) -> None:
        gallery = self._galleries.pop(name)
        _release(gallery.client, gallery.layers)
        gallery.client.galleries -= 1
        if not gallery.client.galleries:
            del self._clients[gallery.client.name]
        if gallery.sealed is not None:
            self._on_forgotten(gallery.sealed)


def _beyond(limit: str, actual: str) -> ClientGalleryError:
    return ClientGalleryError(
        Reason.LIMIT,
        expected=f"at most {limit} (delete galleries by DeleteGallery, or ask the operator for more)",
        actual=actual,
    )


def _hold(client: _Client, layers: Sequence[Layer]) -> None:
    for layer in layers:
        layer.holders += 1
        if layer.holders == 1 and not layer.shared:
            for photos in layer.photos.values():
                for photo in photos:
                    _held(client, photo)


def _held(client: _Client, photo: HeldPhoto) -> HeldPhoto:
    """A photo as the client has it already, or else from now on, once more."""
    held = client.photos.setdefault(photo.sha256, _Held(photo))
    held.times += 1
    return held.photo


def _release(client: _Client, layers: Sequence[Layer]) -> None:
    for layer in layers:
        layer.holders -= 1
        if not layer.holders and not layer.shared:
            for photos in layer.photos.values():
                for photo in photos:
                    held = client.photos[photo.sha256]
                    held.times -= 1
                    if not held.times:
                        del client.photos[photo.sha256]
