"""Small embedding networks, and galleries of small photos."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recognizers.extraction import CropBox
from recognizers.galleries.embedding_cache import EmbeddingCache
from recognizers.galleries.enrolment import EmbeddingNetwork, Enroller
from recognizers.networks.gallery import EmbeddedGallery, EnrolledPhoto, Gallery, Templates
from recognizers.networks.network import Distance, Network
from recognizers.networks.recognizer import Embedder
from recognizers.precision import Precision
from rpc.images.decoding import decoded_image, encode_png
from rpc.images.limits import ImageLimits
from tests.support.networks import probe

FEATURES = 6


class TinyNetwork(Network):
    """A linear map of 8 x 8 pixels, for a distance of choice."""

    name = "tiny"
    input_size = 8
    feature_size = FEATURES
    head_name: ClassVar[str | None] = None
    formats = ()

    def __init__(self, distance: Distance = Distance.COSINE, *, usual_threshold: float | None = None) -> None:
        super().__init__()
        self.distance = distance
        self.usual_threshold = usual_threshold
        linear = nn.Linear(3 * 8 * 8, FEATURES)
        with torch.no_grad():
            linear.weight.copy_(torch.randn(linear.weight.shape, generator=torch.Generator().manual_seed(0)) / 10)
            linear.bias.zero_()
        self.backbone = nn.Sequential(nn.Flatten(), linear)

    def normalise(self, images: Tensor) -> Tensor:
        return (images - 127.5) / 128


class ClassifyingNetwork(TinyNetwork):
    """One whose checkpoints have a classifier."""

    name = "classifying"
    head_name = "fc"


def whole_photo(photo: NDArray[np.uint8]) -> CropBox | None:
    """Takes all of a photo for its face, unless it is of one colour."""
    height, width = photo.shape[:2]
    return CropBox(0, 0, width, height) if photo.min() != photo.max() else None


def network_of(distance: Distance = Distance.COSINE, *, usual_threshold: float | None = None) -> EmbeddingNetwork:
    """A tiny one, as a service has it."""
    embedder = Embedder(TinyNetwork(distance, usual_threshold=usual_threshold))
    return EmbeddingNetwork(embedder, "c" * 64, Precision.FLOAT32, torch.device("cpu"))


def enroller_of(
    networks: Mapping[str, EmbeddingNetwork] | None = None, *, cache: Path | None = None, workers: int = 1
) -> Enroller:
    """One that takes whole photos for faces."""
    return Enroller(
        networks or {"tiny": network_of()},
        lambda encoded: decoded_image(encoded, limits=ImageLimits()),
        whole_photo,
        EmbeddingCache(cache),
        workers,
    )


def photo_of(person: int, number: int, *, side: int = 8) -> NDArray[np.uint8]:
    """A photo of somebody: all of theirs are much alike, and others' are not."""
    base, noise = probe(side=side, seed=person).astype(int), probe(side=side, seed=1000 + 97 * person + number).astype(int)
    return np.asarray((9 * base + noise) // 10, dtype=np.uint8)


def write_people(folder: Path, photos: Mapping[str, Sequence[NDArray[np.uint8]]]) -> Path:
    """A folder of photos by identity, as PNG."""
    for identity, each in photos.items():
        (folder / identity).mkdir(parents=True)
        for number, photo in enumerate(each):
            (folder / identity / f"{number}.png").write_bytes(encode_png(photo))
    return folder


def embedded_gallery(
    counts: Sequence[int], *, distance: Distance, templates: Templates, seed: int = 0, features: int = FEATURES
) -> EmbeddedGallery:
    """Random embeddings, float64, of so many photos of each of some identities."""
    photos = tuple(
        EnrolledPhoto(f"identity_{person:02}", hashlib.sha256(f"{person} {number}".encode()).hexdigest())
        for person, count in enumerate(counts)
        for number in range(count)
    )
    gallery = Gallery(tuple(sorted(photos)))
    generator = torch.Generator().manual_seed(seed)
    return EmbeddedGallery(
        gallery, torch.randn(len(photos), features, generator=generator, dtype=torch.float64), distance, templates
    )
