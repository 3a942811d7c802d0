"""What is enrolled of a subject, and which conditions share a gallery."""

import numpy as np
import pytest

from orchestrator.experiment.cloak import Cloak, CloakRecord
from orchestrator.experiment.condition import Condition, parse_conditions
from orchestrator.experiment.grid import CloakKey
from orchestrator.pictures.conditions import under_condition
from orchestrator.session.enrolling import alike, worn
from orchestrator.session.photos import EncodedPhoto, SubjectPhotos
from rpc.images.bare_image import BadImageError
from rpc.images.decoding import encode_jpeg, encode_png

CLOAKS = [encode_png(np.full((8, 8, 3), level, dtype=np.uint8)) for level in (10, 200)]
CLEAN = encode_jpeg(np.full((20, 30, 3), 77, dtype=np.uint8), quality=90)
PHOTOS = SubjectPhotos(
    EncodedPhoto("alice", "alice/0", b"probe", ""),
    cloaked=(EncodedPhoto("alice", "alice/1", b"one", ""), EncodedPhoto("alice", "alice/2", b"two", "")),
    clean=(EncodedPhoto("alice", "alice/3", CLEAN, ""),),
)


def crop(encoded: bytes) -> Cloak:
    return Cloak(CloakRecord("alice/1", CloakKey("facenet", "bim", 8), 1, 1, 0, 8, 0.0, "", ""), encoded)


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


def test_conditions_that_differ_in_carrier_and_region_alone_are_alike() -> None:
    conditions = parse_conditions("png/both,png@full/both,png/gallery,jpeg:95/gallery,jpeg:95+jpeg:50/both")
    found = {str(way): [str(each) for each in together] for way, together in alike(conditions).items()}
    assert found == {
        "png": ["png/both", "png/gallery", "png@full/both"],
        "jpeg:95": ["jpeg:95/gallery"],
        "jpeg:95+jpeg:50": ["jpeg:95+jpeg:50/both"],
    }
