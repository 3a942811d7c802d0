"""Galleries: the photos of enrolled people, and the templates that a network makes of them."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize

from recognizers.networks.label_set import LabelSet
from recognizers.networks.network import Distance


@dataclass(frozen=True, order=True)
class EnrolledPhoto:
    """A photo of an enrolled identity, in which a face was found."""

    identity: str
    sha256: str  # of the file, lower-case hexadecimal


@dataclass(frozen=True)
class Gallery:
    """The enrolled photos, sorted; at least one."""

    photos: tuple[EnrolledPhoto, ...]

    @cached_property
    def label_set(self) -> LabelSet:
        """The enrolled identities, in bytewise order."""
        return LabelSet(tuple(sorted({photo.identity for photo in self.photos}, key=str.encode)))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of a line for each photo, sorted bytewise: the identity, a tab, the file's own digest."""
        lines = sorted(f"{photo.identity}\t{photo.sha256}".encode() for photo in self.photos)
        return hashlib.sha256(b"\n".join(lines)).hexdigest()


class Templates(StrEnum):
    """How an identity's photos become its templates."""

    MEAN = "mean"  # one: the mean of their embeddings
    NEAREST = "nearest"  # one a photo, of which the best counts


DEFAULT_TEMPLATES = {Distance.COSINE: Templates.MEAN, Distance.EUCLIDEAN: Templates.NEAREST}


@dataclass(frozen=True, eq=False)
class EmbeddedGallery:
    """A gallery as one network sees it."""

    gallery: Gallery
    embeddings: Tensor  # (photos, F), a row for each photo in the gallery's order, as the network gives them
    distance: Distance
    templates: Templates

    @cached_property
    def owners(self) -> Tensor:
        """The class of each photo, (photos,), int64."""
        label_set = self.gallery.label_set
        return torch.tensor([label_set.index(photo.identity) for photo in self.gallery.photos])

    def template_vectors(self) -> Tensor:
        """The templates (T, F), those of an identity next to each other, in the order of the label set.

        By cosine, embeddings have unit length before they are averaged, and so has their mean; by Euclidean distance neither
        is normalised.
        """
        cosine = self.distance is Distance.COSINE
        embeddings = normalize(self.embeddings, dim=1) if cosine else self.embeddings
        if self.templates is Templates.NEAREST:
            return embeddings
        photos = self.owners.bincount()
        sums = torch.zeros(len(photos), embeddings.shape[1], dtype=embeddings.dtype).index_add(0, self.owners, embeddings)
        means = sums / photos.unsqueeze(1)
        return normalize(means, dim=1) if cosine else means

    @property
    def templates_each(self) -> Tensor:
        """How many templates each identity has (C,), int64."""
        photos = self.owners.bincount()
        return photos if self.templates is Templates.NEAREST else torch.ones_like(photos)

    def without(self, identity: str, sha256: str) -> "EmbeddedGallery":
        """The same gallery without a photo, if its identity has another; else as it is."""
        photos = self.gallery.photos
        kept = [row for row, photo in enumerate(photos) if photo != EnrolledPhoto(identity, sha256)]
        if len(kept) == len(photos) or all(photos[row].identity != identity for row in kept):
            return self
        return EmbeddedGallery(
            Gallery(tuple(photos[row] for row in kept)), self.embeddings[kept], self.distance, self.templates
        )

    @property
    def in_words(self) -> str:
        """How templates are made and compared."""
        if self.templates is Templates.NEAREST:
            made = "one template a photo, of which an identity's best counts"
        elif self.distance is Distance.COSINE:
            made = "one template an identity, the normalised mean of its photos' normalised embeddings"
        else:
            made = "one template an identity, the mean of its photos' embeddings"
        return f"{made}; {'cosine similarity' if self.distance is Distance.COSINE else 'Euclidean distance'}"
