"""Where a face is cropped, by hand and by invariants, and what MTCNN is asked."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.typing import NDArray
from PIL import Image

from recognizers import extraction
from recognizers.extraction import CropBox, Face, MtcnnDetector, choose_face, crop, crop_box, extract_face
from tests.support.drawn_faces import draw_face
from tests.support.networks import probe


def face(left: float, top: float, right: float, bottom: float, probability: float = 0.99) -> Face:
    return Face(left, top, right, bottom, probability)


class ListedFaces:
    """A detector that finds the faces it was given."""

    def __init__(self, *faces: Face) -> None:
        self._faces = faces

    def detect(self, photo: NDArray[np.uint8]) -> tuple[Face, ...]:
        return self._faces


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        # 20 pixels wide: a side of 26, so 13 to each side of the centre.
        (face(80, 30, 100, 50), CropBox(77, 27, 103, 53)),
        (face(80, 30, 90, 50), CropBox(72, 27, 98, 53)),  # the longer side counts, here the height
        (face(80, 30, 100, 40), CropBox(77, 22, 103, 48)),  # and here the width
        (face(-4, 30, 16, 50), CropBox(0, 27, 26, 53)),
        (face(190, 30, 210, 50), CropBox(174, 27, 200, 53)),
        (face(80, -10, 100, 10), CropBox(77, 0, 103, 26)),
        (face(80, 90, 100, 110), CropBox(77, 74, 103, 100)),
        (face(-4, -10, 16, 10), CropBox(0, 0, 26, 26)),
        (face(190, 90, 210, 110), CropBox(174, 74, 200, 100)),
        (face(50, 10, 150, 90), CropBox(50, 0, 150, 100)),  # 130 would not fit: limited to the photo's height
        (face(120, 0, 220, 100), CropBox(100, 0, 200, 100)),
        # 10 pixels wide: a side of 13 around (50, 40) begins at 43.5 and 33.5, ends at 56.5 and 46.5.
        (face(45, 35, 55, 45), CropBox(44, 34, 57, 47)),
    ],
    ids=[
        "inside",
        "tall box",
        "wide box",
        "left edge",
        "right edge",
        "top edge",
        "bottom edge",
        "top left corner",
        "bottom right corner",
        "larger than the photo",
        "larger than the photo, at an edge",
        "halves",
    ],
)
def test_the_square_is_the_one_worked_by_hand(box: Face, expected: CropBox) -> None:
    assert crop_box(box, width=200, height=100) == expected


def test_the_square_turns_with_the_photo() -> None:
    assert crop_box(face(10, 50, 90, 150), width=100, height=200) == CropBox(0, 50, 100, 150)
    assert crop_box(face(30, -4, 50, 16), width=100, height=200) == CropBox(27, 0, 53, 26)


@st.composite
def boxes_in_photos(draw: st.DrawFn) -> tuple[Face, int, int]:
    width, height = draw(st.integers(20, 2000)), draw(st.integers(20, 2000))
    left, top = draw(st.floats(-width, 2 * width)), draw(st.floats(-height, 2 * height))
    return (
        face(left, top, left + draw(st.floats(4, 2 * width)), top + draw(st.floats(4, 2 * height))),
        width,
        height,
    )


@settings(deadline=None)
@given(boxes_in_photos())
def test_the_square_lies_inside_the_photo_and_is_square_up_to_rounding(case: tuple[Face, int, int]) -> None:
    box, width, height = case
    square = crop_box(box, width=width, height=height)
    assert 0 <= square.left < square.right <= width
    assert 0 <= square.top < square.bottom <= height
    side = min(1.3 * max(box.right - box.left, box.bottom - box.top), width, height)
    assert square.right - square.left == pytest.approx(side, abs=1)
    assert square.bottom - square.top == pytest.approx(side, abs=1)


@settings(deadline=None)
@given(boxes_in_photos())
def test_the_square_leaves_the_faces_centre_only_at_the_photos_edge(case: tuple[Face, int, int]) -> None:
    box, width, height = case
    square = crop_box(box, width=width, height=height)
    for centre, first, last, extent in (
        ((box.left + box.right) / 2, square.left, square.right, width),
        ((box.top + box.bottom) / 2, square.top, square.bottom, height),
    ):
        middle = (first + last) / 2
        if first > 0 and last < extent:
            assert middle == pytest.approx(centre, abs=1)
        elif first > 0:
            assert middle <= centre + 1
        elif last < extent:
            assert middle >= centre - 1


SMALL, LARGE = face(0, 0, 30, 30), face(50, 50, 90, 80)


def test_the_largest_face_is_chosen_whatever_the_order() -> None:
    assert choose_face([SMALL, LARGE]) == choose_face([LARGE, SMALL]) == LARGE


def test_size_is_area_not_a_side() -> None:
    long, broad = face(0, 0, 10, 60), face(0, 0, 30, 30)
    assert choose_face([long, broad]) == broad


def test_a_face_below_the_least_probability_is_none() -> None:
    doubtful, certain = face(0, 0, 90, 90, 0.8999), face(0, 0, 30, 30, 0.9)
    assert choose_face([doubtful, certain]) == certain
    assert choose_face([doubtful]) is None


def test_of_two_faces_of_one_size_the_more_probable_is_chosen() -> None:
    first, second = face(0, 0, 30, 40, 0.95), face(60, 60, 100, 90, 0.97)
    assert choose_face([first, second]) == choose_face([second, first]) == second


def test_no_face_is_chosen_where_there_is_none() -> None:
    assert choose_face([]) is None
    assert extract_face(np.zeros((40, 60, 3), np.uint8), ListedFaces()) is None


def test_extraction_takes_the_square_of_the_chosen_face() -> None:
    photo = np.zeros((100, 200, 3), np.uint8)  # 200 wide, 100 high
    detector = ListedFaces(face(10, 10, 20, 20), face(190, 30, 210, 50))
    assert extract_face(photo, detector) == CropBox(174, 27, 200, 53)


CROPPED = CropBox(30, 10, 130, 110)


@pytest.mark.parametrize("side", [37, 100, 160, 224])
def test_a_crop_is_pillows_bilinear_resize_of_the_region(side: int) -> None:
    photo = probe(side=140)
    face_pixels = crop(photo, CROPPED, side=side)
    region = Image.fromarray(np.ascontiguousarray(photo[10:110, 30:130]))
    assert face_pixels.dtype == np.uint8
    assert face_pixels.shape == (side, side, 3)
    assert np.array_equal(face_pixels, np.asarray(region.resize((side, side), Image.Resampling.BILINEAR)))


@pytest.mark.parametrize("side", [37, 160])
def test_a_crop_is_antialiased(side: int) -> None:
    """As PyTorch resizes with its antialias filter; without, shrinking would skip pixels."""
    photo = probe(side=140)
    region = torch.from_numpy(photo[10:110, 30:130].copy()).permute(2, 0, 1).float()[None]
    resized = torch.nn.functional.interpolate(region, (side, side), mode="bilinear", antialias=True)
    expected = resized[0].permute(1, 2, 0).numpy()
    assert np.abs(crop(photo, CROPPED, side=side) - expected).max() <= 1


def test_a_crop_at_its_own_size_is_the_region_itself() -> None:
    photo = probe(side=140)
    assert np.array_equal(crop(photo, CROPPED, side=100), photo[10:110, 30:130])


@pytest.fixture(scope="module")
def mtcnn() -> MtcnnDetector:
    return MtcnnDetector(torch.device("cpu"))


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize(("height", "width"), [(240, 180), (64, 64), (20, 300)])
def test_a_blank_photo_shows_no_face(mtcnn: MtcnnDetector, height: int, width: int, level: int) -> None:
    photo = np.full((height, width, 3), level, np.uint8)
    assert len(mtcnn.detect(photo)) == 0
    assert extract_face(photo, mtcnn) is None


@pytest.mark.parametrize(("height", "width"), [(1, 1), (19, 19), (12, 300)])
def test_a_photo_smaller_than_the_smallest_face_shows_none(mtcnn: MtcnnDetector, height: int, width: int) -> None:
    assert extract_face(np.full((height, width, 3), 128, np.uint8), mtcnn) is None


def test_a_drawn_face_is_found_where_it_was_drawn(mtcnn: MtcnnDetector) -> None:
    photo = np.full((300, 500, 3), 128, np.uint8)
    photo[30:270, 230:470] = draw_face(1)  # an ellipse of about half its width and two thirds of its height, in the middle
    (found,) = mtcnn.detect(photo)
    assert found.probability >= 0.9
    assert (found.left + found.right) / 2 == pytest.approx(350, abs=25)
    assert (found.top + found.bottom) / 2 == pytest.approx(150, abs=30)
    square = extract_face(photo, mtcnn)
    assert square == crop_box(found, width=500, height=300)
    assert square.landmarks == found.landmarks


class RecordingMtcnn:
    """Stands in for facenet-pytorch's MTCNN: notes what it is asked and answers as that one does."""

    made_with: dict[str, Any]
    asked: list[tuple[tuple[int, int], float]]  # (width, height) and the least face size at that moment
    answer: tuple[Any, Any, Any]
    min_face_size = 20.0

    def __init__(self, **made_with: Any) -> None:
        type(self).made_with = made_with

    def to(self, *, memory_format: torch.memory_format) -> "RecordingMtcnn":
        return self

    def detect(self, photo: NDArray[np.uint8], *, landmarks: bool) -> tuple[Any, Any, Any]:
        assert landmarks
        height, width, _ = photo.shape
        self.asked.append(((width, height), self.min_face_size))
        return self.answer


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> type[RecordingMtcnn]:
    monkeypatch.setattr(RecordingMtcnn, "asked", [], raising=False)
    monkeypatch.setattr(RecordingMtcnn, "answer", (None, [None], None), raising=False)
    monkeypatch.setattr(extraction, "MTCNN", RecordingMtcnn)
    return RecordingMtcnn


def test_the_least_face_size_is_a_fifth_of_the_photos_shorter_side_but_20_pixels_at_least(
    recording: type[RecordingMtcnn],
) -> None:
    detector = MtcnnDetector(torch.device("cpu"))
    for height, width in ((500, 800), (800, 400), (90, 90), (102, 300), (500, 800)):
        detector.detect(np.zeros((height, width, 3), np.uint8))
    assert recording.asked == [
        ((800, 500), 100),
        ((400, 800), 80),
        ((90, 90), 20),
        ((300, 102), 20.4),
        ((800, 500), 100),
    ]


def test_mtcnn_is_asked_for_all_faces_at_the_protocols_thresholds(recording: type[RecordingMtcnn]) -> None:
    MtcnnDetector(torch.device("cpu"))
    assert recording.made_with == {"thresholds": [0.6, 0.7, 0.7], "keep_all": True, "device": torch.device("cpu")}


def test_mtcnns_none_is_no_face(recording: type[RecordingMtcnn]) -> None:
    detector = MtcnnDetector(torch.device("cpu"))
    assert len(detector.detect(np.zeros((50, 50, 3), np.uint8))) == 0


def test_mtcnns_boxes_become_faces(recording: type[RecordingMtcnn], monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = np.array([[1, 2, 31, 42], [-3.5, 5, 20, 30]], np.float32)
    points = np.arange(20, dtype=np.float32).reshape(2, 5, 2)
    monkeypatch.setattr(recording, "answer", (boxes, np.array([0.75, 0.5], np.float32), points))
    found = MtcnnDetector(torch.device("cpu")).detect(np.zeros((50, 50, 3), np.uint8))
    first, second = (tuple((float(x), float(x + 1)) for x in range(start, start + 10, 2)) for start in (0, 10))
    assert list(found) == [Face(1, 2, 31, 42, 0.75, first), Face(-3.5, 5, 20, 30, 0.5, second)]
    assert [(box.width, box.height) for box in found] == [(30, 40), (23.5, 25)]
