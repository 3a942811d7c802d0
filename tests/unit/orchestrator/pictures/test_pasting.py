"""What is published of a cloak: the crop itself, or its photo with the box in it."""

import io

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from PIL import Image

from orchestrator.experiment.cloak import Cloak, CloakRecord, PhotoBox
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import CloakKey
from orchestrator.pictures.conditions import under_conditions
from orchestrator.pictures.pasting import published
from rpc.images.bare_image import BadImageError
from rpc.images.decoding import encode_png

Pixels = NDArray[np.uint8]
PHOTO = np.random.default_rng(0).integers(0, 256, (30, 41, 3)).astype(np.uint8)


def cloak(pixels: Pixels, box: PhotoBox | None) -> Cloak:
    key = CloakKey("facenet", "bim", 8)
    record = CloakRecord("alice/a.jpg", key, 1, 1, 0, 8, 0.0, "p" * 64, "c" * 64, box=box)
    return Cloak(record, encode_png(pixels))


@given(left=st.integers(0, 40), top=st.integers(0, 29), width=st.integers(1, 41), height=st.integers(1, 30))
def test_a_box_is_pasted_where_it_lies_and_nowhere_else(left: int, top: int, width: int, height: int) -> None:
    width, height = min(width, 41 - left), min(height, 30 - top)
    box = PhotoBox(left, top, width, height, 41, 30)
    cloaked = 255 - PHOTO[top : top + height, left : left + width]
    pasted = published(encode_png(PHOTO), cloak(cloaked, box))
    assert not isinstance(pasted, bytes)
    expected = PHOTO.copy()
    expected[top : top + height, left : left + width] = cloaked
    np.testing.assert_array_equal(pasted, expected)


def test_a_crop_is_published_as_it_is() -> None:
    crop = cloak(PHOTO, None)
    assert published(b"no photo at all", crop) == crop.encoded


def test_a_box_lies_in_the_upright_photo() -> None:
    exif, lying = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(PHOTO).transpose(Image.Transpose.ROTATE_90).save(lying, "PNG", exif=exif)
    whole = cloak(PHOTO[:5, :6], PhotoBox(0, 0, 6, 5, 41, 30))
    np.testing.assert_array_equal(published(lying.getvalue(), whole), PHOTO)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (PhotoBox(0, 0, 6, 5, 40, 30), "expected a photo of 40 x 30 pixels, got one of 41 x 30"),
        (PhotoBox(0, 0, 5, 6, 41, 30), "expected a cloaked box of 5 x 6 pixels, got one of 6 x 5"),
    ],
)
def test_a_box_of_another_photo_is_refused(box: PhotoBox, message: str) -> None:
    with pytest.raises(BadImageError) as failure:
        published(encode_png(PHOTO), cloak(PHOTO[:5, :6], box))
    assert str(failure.value) == message


def test_pixels_go_through_conditions_as_their_png_does() -> None:
    conditions = [Condition.parse(text) for text in ("png", "jpeg:95", "png+jpeg:80", "jpeg:95+resize:20", "png+bits:3")]
    assert under_conditions(PHOTO, conditions) == under_conditions(encode_png(PHOTO), conditions)
