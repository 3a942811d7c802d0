"""What is enrolled of a subject: cloaks as they are published, and photos that stay clean."""

import numpy as np

from orchestrator.experiment.cloak import Cloak, CloakRecord, PhotoBox
from orchestrator.experiment.condition import LOSSLESS
from orchestrator.experiment.grid import CloakKey
from orchestrator.session.enrolling import worn
from orchestrator.session.photos import EncodedPhoto, SubjectPhotos
from rpc.images.decoding import decoded_image, encode_png
from rpc.images.limits import ImageLimits

SIZE = (20, 30, 3)


def photo(level: int) -> EncodedPhoto:
    return EncodedPhoto("alice", f"alice/{level}.png", encode_png(np.full(SIZE, level, np.uint8)), "d" * 64)


def box(level: int) -> Cloak:
    key = CloakKey("facenet", "bim", 8)
    where = PhotoBox(3, 4, 5, 6, 30, 20)
    record = CloakRecord("alice/a.png", key, 1, 1, 0, 8, 0.0, "p" * 64, "c" * 64, box=where)
    return Cloak(record, encode_png(np.full((6, 5, 3), level, np.uint8)))


def test_whole_photos_are_enrolled_each_with_its_own_box_and_clean_ones_as_they_are() -> None:
    photos = SubjectPhotos(photo(1), cloaked=(photo(50), photo(100)), clean=(photo(200),))
    first, second, clean = worn(photos, [box(55), box(105)], LOSSLESS)
    for enrolled, outside, inside in ((first, 50, 55), (second, 100, 105)):
        pixels = decoded_image(enrolled, limits=ImageLimits())
        assert pixels.shape == SIZE
        assert (pixels[4:10, 3:8] == inside).all()
        assert int((pixels == outside).sum()) == 3 * (20 * 30 - 5 * 6)
    assert clean == photos.clean[0].encoded
