"""Aligned faces: similarity and warp against scikit-image, reduction against Pillow, adjoint against autograd."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import transform

from recognizers.alignment import MIN_SCALE, SIDE, TEMPLATE, Alignment, Similarity, align
from recognizers.extraction import CropBox, Extraction, MtcnnDetector, choose_face, extract_face
from tests.support.drawn_faces import draw_face
from tests.support.networks import probe

Points = NDArray[np.float64]


def landmarks_at(*, scale: float, degrees: float, centre: Sequence[float], noise: float = 0.0, seed: int = 0) -> Points:
    """The template's points, `scale` times as large, turned around a photo's `centre`, each shifted at random."""
    angle = np.deg2rad(degrees)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (np.array(TEMPLATE) - np.mean(TEMPLATE, axis=0)) @ turned.T * scale
    shifts = noise * np.random.default_rng(seed).standard_normal((5, 2))
    return np.asarray(points + np.array(centre) + shifts)


def pairs(points: Points) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points]


def skimages(points: Points) -> Any:
    """The similarity from a photo's points to the template, by scikit-image's singular value decomposition."""
    return transform.SimilarityTransform.from_estimate(points, np.array(TEMPLATE))


def warped(photo: NDArray[np.uint8], points: Points) -> Points:
    """A photo brought to the template by scikit-image: real numbers."""
    warp: Any = transform.warp
    inverse = skimages(points).inverse
    return np.asarray(warp(photo, inverse, output_shape=(SIDE, SIDE), order=1, cval=0, preserve_range=True))


POSES = [
    landmarks_at(scale=0.5, degrees=0, centre=(40, 45)),
    landmarks_at(scale=1.0, degrees=20, centre=(70, 60), noise=2),
    landmarks_at(scale=1.7, degrees=-35, centre=(90, 90), noise=5, seed=1),
    landmarks_at(scale=1.3, degrees=170, centre=(80, 80), noise=3, seed=2),
    landmarks_at(scale=1.1, degrees=10, centre=(5, 140)),  # partly beyond the photo
]
every_pose = pytest.mark.parametrize("points", POSES, ids=["small", "turned", "large", "upside down", "at the edge"])


@every_pose
def test_the_similarity_is_scikit_images(points: Points) -> None:
    ours = Similarity.between(pairs(points))
    theirs = skimages(points).params
    assert ours.a == pytest.approx(complex(theirs[0, 0], theirs[1, 0]), abs=1e-9)
    assert ours.b == pytest.approx(complex(theirs[0, 2], theirs[1, 2]), abs=1e-7)
    assert ours.scale == pytest.approx(skimages(points).scale)


@every_pose
def test_a_face_that_is_not_reduced_is_scikit_images_warp(points: Points) -> None:
    photo = probe(side=160)
    assert np.abs(align(photo, pairs(points)) - warped(photo, points)).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("times", [3, 7.3])
def test_a_large_face_is_pillows_reduced_photo_warped(times: float) -> None:
    photo = probe(side=900)
    points = landmarks_at(scale=times, degrees=15, centre=(430, 470))
    side = round(900 * 2 / times)
    reduced = np.asarray(Image.fromarray(photo).resize((side, side), Image.Resampling.BILINEAR))
    expected = warped(reduced, (points + 0.5) * side / 900 - 0.5)
    assert np.abs(align(photo, pairs(points)) - expected).max() <= 1.5  # Pillow rounds twice, and we once


def test_a_face_at_the_templates_own_points_is_the_photo_itself() -> None:
    photo = probe(side=SIDE)
    assert np.array_equal(align(photo, TEMPLATE), photo)


def test_beyond_the_photo_the_face_is_black() -> None:
    photo = np.full((60, 50, 3), 200, np.uint8)
    face = align(photo, [(x - 80, y) for x, y in TEMPLATE])
    assert (face[:59, 80:112] == 200).all()
    assert not face[:, :79].any()
    assert not face[61:].any()


@pytest.mark.parametrize("times", [0.7, 1.6, 4.5])
def test_the_adjoint_is_autograds(times: float) -> None:
    points = pairs(landmarks_at(scale=times, degrees=25, centre=(150, 140), noise=2))
    alignment = Alignment(points, (300, 280))
    height, width = alignment.bottom - alignment.top, alignment.right - alignment.left
    box = (torch.rand(3, height, width, dtype=torch.float64) * 255).requires_grad_(True)
    weights = torch.randn(3, SIDE, SIDE, dtype=torch.float64)
    (expected,) = torch.autograd.grad((alignment.image(box) * weights).sum(), box)
    pulled_back = alignment.pull_back(weights)
    assert pulled_back.abs().max() > 0.1
    assert float((pulled_back - expected).abs().max()) < 1e-12


def test_the_face_is_made_of_its_box_alone() -> None:
    photo = probe(side=600)
    points = pairs(landmarks_at(scale=1.5, degrees=30, centre=(300, 320)))
    alignment = Alignment(points, photo.shape)
    elsewhere = np.full_like(photo, 255)
    inside = np.s_[alignment.top : alignment.bottom, alignment.left : alignment.right]
    elsewhere[inside] = photo[inside]
    assert np.array_equal(align(elsewhere, points), align(photo, points))
    assert alignment.box(photo).size < photo.size / 2


@pytest.mark.parametrize(
    "points",
    [[(30.0, 30.0)] * 5, [(112 - x, y) for x, y in TEMPLATE], [(x * 1e5, y * 1e5) for x, y in TEMPLATE]],
    ids=["all in one point", "mirrored", "far away"],
)
def test_landmarks_that_no_face_has_give_some_face_all_the_same(points: list[tuple[float, float]]) -> None:
    """What a cloak makes of a detector's landmarks is not known beforehand."""
    assert Similarity.between(points).scale >= MIN_SCALE * 0.999
    assert align(probe(side=90), points).shape == (SIDE, SIDE, 3)


@pytest.fixture(scope="module")
def mtcnn() -> MtcnnDetector:
    return MtcnnDetector(torch.device("cpu"))


@pytest.mark.parametrize("degrees", [0, 15])
def test_the_landmarks_of_an_aligned_face_are_found_at_the_template(mtcnn: MtcnnDetector, degrees: int) -> None:
    drawn = Image.fromarray(draw_face(1, side=400)).rotate(degrees, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128))
    photo = np.asarray(drawn)
    box = extract_face(photo, mtcnn)
    assert box is not None
    found = choose_face(mtcnn.detect(Extraction.ALIGNED.cut_out(photo, box, side=SIDE)))
    assert found is not None
    assert found.landmarks is not None
    assert np.abs(np.array(found.landmarks) - np.array(TEMPLATE)).max() < 8  # pixels; its eyes are 35 apart


@pytest.mark.parametrize(("box", "side"), [(CropBox(0, 0, 9, 9), SIDE), (CropBox(0, 0, 9, 9, TEMPLATE), 160)])
def test_a_face_without_landmarks_or_of_another_size_cannot_be_aligned(box: CropBox, side: int) -> None:
    with pytest.raises(ValueError, match="an aligned face: expected landmarks and 112 pixels, got "):
        Extraction.ALIGNED.cut_out(probe(side=90), box, side=side)


def test_the_square_crop_takes_no_notice_of_landmarks() -> None:
    photo = probe(side=90)
    bare, marked = CropBox(10, 20, 60, 70), CropBox(10, 20, 60, 70, TEMPLATE)
    assert bare == marked
    assert np.array_equal(Extraction.SQUARE.cut_out(photo, bare, side=37), Extraction.SQUARE.cut_out(photo, marked, side=37))
    assert Extraction.SQUARE.takes_crops
    assert not Extraction.ALIGNED.takes_crops


def test_rules_are_stated_in_a_line_that_the_wire_takes() -> None:
    texts = {rule.in_words for rule in Extraction}
    assert len(texts) == 2
    assert all(len(text) <= 500 and text.isprintable() for text in texts)
