"""A sealed gallery: what can be searched, and never changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from gallery_service.layers import HeldPhoto, Layer, all_faces, faces_of
from recognizers.networks.gallery import EmbeddedGallery, EnrolledPhoto, Gallery, Templates
from recognizers.networks.network import Distance


@dataclass(frozen=True)
class Digests:
    """What tells a sealed gallery from others; both SHA-256, lower-case hexadecimal."""

    label_set_sha256: str
    gallery_sha256: str


@dataclass(frozen=True, eq=False)
class SealedGallery:
    """The photos of a client's sealed gallery. Any thread may read it, also once the store has forgotten it."""

    layers: tuple[Layer, ...]  # the topmost first
    identities: int  # how many have a face

    def __contains__(self, identity: str) -> bool:
        return bool(faces_of(self.layers, identity))

    @cached_property
    def digests(self) -> Digests:
        """Takes a while for many photos: not for the event loop."""
        gallery = _gallery(self._faces())
        return Digests(gallery.label_set.sha256, gallery.sha256)

    def embedded(self, matcher: str, *, distance: Distance, templates: Templates) -> EmbeddedGallery:
        """The gallery as a matcher sees it, in tensors of its own. Not for the event loop."""
        faces = self._faces()
        embeddings = torch.stack([photo.embedding(matcher) for _, photo in faces])
        return EmbeddedGallery(_gallery(faces), embeddings, distance, templates)

    def _faces(self) -> list[tuple[str, HeldPhoto]]:
        return sorted(all_faces(self.layers), key=lambda face: (face[0], face[1].sha256))


def _gallery(faces: Sequence[tuple[str, HeldPhoto]]) -> Gallery:
    return Gallery(tuple(EnrolledPhoto(identity, photo.sha256) for identity, photo in faces))
