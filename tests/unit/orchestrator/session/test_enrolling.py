"""What is enrolled of a subject, and which conditions share a gallery."""

import numpy as np
import pytest

from orchestrator.experiment.cloak import Cloak, CloakRecord, PhotoBox
from orchestrator.experiment.condition import LOSSLESS, Condition, parse_conditions
from orchestrator.experiment.grid import CloakKey
from orchestrator.pictures.conditions import under_condition
from orchestrator.session.enrolling import alike, worn
from orchestrator.session.photos import EncodedPhoto, SubjectPhotos
from rpc.images.bare_image import BadImageError
from rpc.images.decoding import decoded_image, encode_jpeg, encode_png
from rpc.images.limits import ImageLimits

CLOAKS = [encode_png(np.full((8, 8, 3), level, dtype=np.uint8)) for level in (10, 200)]
CLEAN = encode_jpeg(np.full((20, 30, 3), 77, dtype=np.uint8), quality=90)
PHOTOS = SubjectPhotos(
    EncodedPhoto("alice", "alice/0", b"probe", ""),
    cloaked=(EncodedPhoto("alice", "alice/1", b"one", ""), EncodedPhoto("alice", "alice/2", b"two", "")),
    clean=(EncodedPhoto("alice", "alice/3", CLEAN, ""),),
)


def crop(encoded: bytes, box: PhotoBox | None = None) -> Cloak:
    return Cloak(CloakRecord("alice/1", CloakKey("facenet", "bim", 8), 1, 1, 0, 8, 0.0, "", "", box=box), encoded)


def plain(level: int, *, width: int, height: int) -> bytes:
    return encode_png(np.full((height, width, 3), level, dtype=np.uint8))


@pytest.mark.parametrize("chain", ["png", "jpeg:30", "jpeg:95+resize:8+bits:2"])
def test_cloaks_go_through_the_chain_and_clean_photos_stay_the_files_that_they_are(chain: str) -> None:
    condition = Condition.parse(chain)
    assert worn(PHOTOS, list(map(crop, CLOAKS)), condition) == [
        *(under_condition(cloak, condition) for cloak in CLOAKS),
        CLEAN,
    ]


def test_a_cloak_that_is_no_picture_is_an_error() -> None:
    with pytest.raises(BadImageError):
        worn(PHOTOS, [crop(b"no picture"), crop(CLOAKS[0])], Condition.parse("jpeg:95"))


def test_whole_photos_are_enrolled_each_with_its_own_box() -> None:
    photos = [EncodedPhoto("alice", f"alice/{level}", plain(level, width=30, height=20), "") for level in (50, 100)]
    box = PhotoBox(3, 4, 5, 6, 30, 20)
    cloaks = [crop(plain(level + 5, width=5, height=6), box) for level in (50, 100)]
    enrolled = worn(SubjectPhotos(PHOTOS.probe, cloaked=tuple(photos), clean=()), cloaks, LOSSLESS)
    for encoded, level in zip(enrolled, (50, 100), strict=True):
        pixels = decoded_image(encoded, limits=ImageLimits())
        assert pixels.shape == (20, 30, 3)
        assert (pixels[4:10, 3:8] == level + 5).all()
        assert int((pixels == level).sum()) == 3 * (20 * 30 - 5 * 6)


def test_conditions_that_differ_in_carrier_and_region_alone_are_alike() -> None:
    conditions = parse_conditions("png/both,png@full/both,png/gallery,jpeg:95/gallery,jpeg:95+jpeg:50/both")
    found = {str(chain): [str(each) for each in together] for chain, together in alike(conditions).items()}
    assert found == {
        "png": ["png/both", "png/gallery", "png@full/both"],
        "jpeg:95": ["jpeg:95/gallery"],
        "jpeg:95+jpeg:50": ["jpeg:95+jpeg:50/both"],
    }
