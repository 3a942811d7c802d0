"""A small honest GalleryService for the conforming services, of parts that a mutant can replace one by one.

It keeps photos where others keep embeddings: what is made of them is the matter of the service that it stands beside.
"""

import hashlib
import secrets
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from deid.gallery.v1 import gallery_pb2, gallery_pb2_grpc
from numpy.typing import NDArray

from rpc.errors import (
    ALREADY_ENROLLED,
    GALLERY_EMPTY,
    GALLERY_NOT_SEALED,
    GALLERY_SEALED,
    FieldViolation,
    ServiceError,
    invalid_argument,
    not_found,
)
from rpc.images.decoding import decode_image
from rpc.images.limits import ImageLimits

Context = grpc.aio.ServicerContext[Any, Any]
Pixels = NDArray[np.uint8]  # (H, W, 3) RGB
Outcome = gallery_pb2.Enrolment

DEFAULT = "default"
MAX_SECONDS = 600
LIMITS = ImageLimits()


@dataclass(frozen=True)
class EnrolledPhoto:
    """A photo in whose face an identity is recognised."""

    sha256: str  # of its file
    pixels: Pixels | None  # None: of the service's own gallery, whose templates are made up


@dataclass
class ClientGallery:
    """A gallery that a client created."""

    photos: dict[str, tuple[EnrolledPhoto, ...]]  # by identity, in the order of enrolment
    seconds: int
    used: float  # when it was used last, by the monotonic clock
    sealed: bool = False
    # By identity: what became of each photo that was sent of it, by the digest of its file.
    enrolled: dict[str, Mapping[str, "gallery_pb2.Enrolment.ValueType"]] = field(default_factory=dict)


class ConformingGalleries(gallery_pb2_grpc.GalleryServiceServicer):
    """deid.gallery.v1.GalleryService, for one client."""

    def __init__(self, own: Iterable[str]) -> None:
        """`own` are the identities of the service's own gallery."""
        self.own = {identity: own_photos(identity) for identity in own}
        self.galleries: dict[str, ClientGallery] = {}

    # What is there

    def found(self, name: str, *, field: str) -> ClientGallery:
        gallery = self.galleries.get(name)
        if gallery is None or self.has_expired(gallery):
            raise self.unknown(name, field=field)
        gallery.used = time.monotonic()
        return gallery

    def has_expired(self, gallery: ClientGallery) -> bool:
        return time.monotonic() - gallery.used > gallery.seconds

    def unknown(self, name: str, *, field: str) -> ServiceError:
        return not_found(field, name)

    def sealed(self, name: str, *, field: str) -> ClientGallery:
        """One that can be searched, and be a base."""
        gallery = self.found(name, field=field)
        if not gallery.sealed:
            raise not_as_asked(field, "a sealed gallery", GALLERY_NOT_SEALED)
        return gallery

    def identities(self, name: str) -> Sequence[str]:
        """The label set of a sealed gallery."""
        return self.in_order(self.sealed(name, field="gallery").photos)

    def in_order(self, identities: Iterable[str]) -> Sequence[str]:
        return sorted(identities, key=str.encode)

    # How one begins

    async def CreateGallery(  # noqa: N802
        self, request: gallery_pb2.CreateGalleryRequest, context: Context
    ) -> gallery_pb2.CreateGalleryResponse:
        self.check_seconds(request.seconds)
        name, seconds = secrets.token_urlsafe(16), min(request.seconds or MAX_SECONDS, MAX_SECONDS)
        self.galleries[name] = ClientGallery(self.photos_of_base(request.base), seconds, time.monotonic())
        return gallery_pb2.CreateGalleryResponse(gallery=name, seconds=seconds)

    def check_seconds(self, seconds: int) -> None:
        if seconds < 0:
            raise invalid_argument("seconds", expected="0 or more", actual=str(seconds))

    def photos_of_base(self, base: str) -> dict[str, tuple[EnrolledPhoto, ...]]:
        if not base:
            return {}
        return dict(self.own if base == DEFAULT else self.base(base).photos)

    def base(self, name: str) -> ClientGallery:
        return self.sealed(name, field="base")

    # How it is filled

    async def Enrol(self, request: gallery_pb2.EnrolRequest, context: Context) -> gallery_pb2.EnrolResponse:  # noqa: N802
        gallery = self.unsealed(request.gallery)
        self.check_identity(request.identity)
        sent = self.decoded(request.photos)
        if request.identity in gallery.enrolled:
            self.check_again(gallery, request.identity, sent)
        else:
            self.enrol(gallery, request.identity, sent)
        return gallery_pb2.EnrolResponse(enrolments=self.enrolments(gallery, request))

    def unsealed(self, name: str) -> ClientGallery:
        gallery = self.found(name, field="gallery")
        if gallery.sealed:
            raise not_as_asked("gallery", "one that is not sealed", GALLERY_SEALED)
        return gallery

    def check_identity(self, identity: str) -> None:
        if not self.is_printable(identity) or not self.is_normal(identity):
            raise invalid_argument("identity", expected="printable text in normal form C", actual="another")

    def is_printable(self, identity: str) -> bool:
        return bool(identity) and identity.isprintable()

    def is_normal(self, identity: str) -> bool:
        return unicodedata.is_normalized("NFC", identity)

    def decoded(self, photos: Sequence[bytes]) -> Mapping[str, Pixels]:
        """By the digests of their files, each once."""
        if not photos:
            raise invalid_argument("photos", expected="at least one", actual="none")
        return {
            sha256(photo): decode_image(photo, field=f"photos[{place}]", limits=LIMITS) for place, photo in enumerate(photos)
        }

    def check_again(self, gallery: ClientGallery, identity: str, sent: Mapping[str, Pixels]) -> None:
        if gallery.enrolled[identity].keys() != sent.keys():
            raise not_as_asked(
                "identity", "the same photos as before", ALREADY_ENROLLED, code=grpc.StatusCode.ALREADY_EXISTS
            )

    def enrol(self, gallery: ClientGallery, identity: str, sent: Mapping[str, Pixels]) -> None:
        gallery.enrolled[identity] = {digest: self.outcome(pixels) for digest, pixels in sent.items()}
        faces = [digest for digest, outcome in gallery.enrolled[identity].items() if outcome == Outcome.ENROLMENT_ENROLLED]
        self.replace(gallery, identity, tuple(EnrolledPhoto(digest, sent[digest]) for digest in faces))

    def outcome(self, pixels: Pixels) -> "gallery_pb2.Enrolment.ValueType":
        return Outcome.ENROLMENT_ENROLLED if pixels.min() < pixels.max() else Outcome.ENROLMENT_NO_FACE

    def replace(self, gallery: ClientGallery, identity: str, photos: tuple[EnrolledPhoto, ...]) -> None:
        """Puts photos in place of those that the base has of an identity, who is not enrolled without any."""
        gallery.photos.pop(identity, None)
        if photos:
            gallery.photos[identity] = photos

    def enrolments(
        self, gallery: ClientGallery, request: gallery_pb2.EnrolRequest
    ) -> Sequence["gallery_pb2.Enrolment.ValueType"]:
        outcomes = gallery.enrolled[request.identity]
        return [outcomes[sha256(photo)] for photo in request.photos]

    # How it ends

    async def SealGallery(  # noqa: N802
        self, request: gallery_pb2.SealGalleryRequest, context: Context
    ) -> gallery_pb2.SealGalleryResponse:
        gallery = self.found(request.gallery, field="gallery")
        self.check_seal(gallery)
        gallery.sealed = True
        return gallery_pb2.SealGalleryResponse(
            identities=len(gallery.photos),
            label_set_sha256=sha256("\n".join(self.in_order(gallery.photos)).encode()),
            gallery_sha256=sha256("\n".join(self.lines(gallery)).encode()),
        )

    def check_seal(self, gallery: ClientGallery) -> None:
        if not gallery.photos:
            raise not_as_asked("gallery", "one with somebody in it", GALLERY_EMPTY)

    def lines(self, gallery: ClientGallery) -> Sequence[str]:
        lines = [f"{identity}\t{photo.sha256}" for identity, photos in gallery.photos.items() for photo in photos]
        return sorted(lines, key=str.encode)

    async def DeleteGallery(  # noqa: N802
        self, request: gallery_pb2.DeleteGalleryRequest, context: Context
    ) -> gallery_pb2.DeleteGalleryResponse:
        self.forget(request.gallery)
        return gallery_pb2.DeleteGalleryResponse()

    def forget(self, name: str) -> None:
        self.galleries.pop(name, None)


def not_as_asked(
    field: str, expected: str, reason: str, *, code: grpc.StatusCode = grpc.StatusCode.FAILED_PRECONDITION
) -> ServiceError:
    """A gallery, or an identity in it, is not in the state that a call needs."""
    violation = FieldViolation(field, expected, "another")
    return ServiceError(str(violation), code=code, reason=reason, violation=violation)


def own_photos(identity: str) -> tuple[EnrolledPhoto, ...]:
    """The two photos that the own gallery has of an identity."""
    return tuple(EnrolledPhoto(sha256(f"{identity} {number}".encode()), None) for number in (1, 2))


def sha256(content: bytes) -> str:
    """In lower-case hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
