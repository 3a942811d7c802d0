"""Enrolled photos in layers: a gallery that is derived from another has that one's layers below its own few entries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from recognizers.networks.gallery import EmbeddedGallery


@dataclass(frozen=True, eq=False, slots=True)
class HeldPhoto:
    """A photo that was enrolled, and its embedding by each matcher: one row of a tensor that others may share."""

    sha256: str  # of the file, lower-case hexadecimal
    rows: Mapping[str, Tensor] | None  # (photos, F) by matcher; None: no face was found
    row: int = 0

    @property
    def has_face(self) -> bool:
        return self.rows is not None

    def embedding(self, matcher: str) -> Tensor:
        """The embedding (F,) by a matcher."""
        assert self.rows is not None
        return self.rows[matcher][self.row]


class Layer:
    """All photos of some identities, which hide those that layers below have of these; without a face, all of them."""

    def __init__(self, photos: dict[str, tuple[HeldPhoto, ...]] | None = None, *, shared: bool = False) -> None:
        """`shared`: the service's own, which counts for no client."""
        self.photos = {} if photos is None else photos
        self.shared = shared
        self.holders = 0  # galleries that stand on it; the store's


def own_gallery(embedded: Mapping[str, EmbeddedGallery]) -> Layer:
    """The service's own gallery as a layer, whose embeddings stay where its matchers have them.

    Args:
        embedded: the gallery as each matcher sees it: the same photos.
    """
    photos: dict[str, tuple[HeldPhoto, ...]] = {}
    rows = {matcher: each.embeddings for matcher, each in embedded.items()}
    for row, photo in enumerate(next(iter(embedded.values())).gallery.photos):
        photos[photo.identity] = (*photos.get(photo.identity, ()), HeldPhoto(photo.sha256, rows, row))
    return Layer(photos, shared=True)


def faces_of(layers: Sequence[Layer], identity: str) -> Sequence[HeldPhoto]:
    """The photos with a face that layers, the topmost first, have of an identity."""
    for layer in layers:
        if (photos := layer.photos.get(identity)) is not None:
            return [photo for photo in photos if photo.has_face]
    return ()


def all_faces(layers: Sequence[Layer]) -> Iterator[tuple[str, HeldPhoto]]:
    """Every photo with a face that counts in layers, the topmost first, with its identity."""
    above: set[str] = set()
    for layer in layers:
        for identity, photos in layer.photos.items():
            if identity not in above:
                yield from ((identity, photo) for photo in photos if photo.has_face)
        above.update(layer.photos)


def merged(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The same photos in fewer layers: each is less than half of the next, so that there are few, however long the chain.

    Only references are copied, and of a layer more than twice as large as what stands on it none. The shared one stays.
    """
    top, *below = layers
    photos = top.photos
    while below and photos and not below[0].shared and len(below[0].photos) <= 2 * len(photos):
        photos = below.pop(0).photos | photos
    if not photos and below:
        return tuple(below)
    return (top if photos is top.photos else Layer(photos), *below)
