"""Two photos of one person and one of another: what a network makes of them, and who is told."""

import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recognizers.errors import GalleryError
from recognizers.extraction import CropBox
from recognizers.galleries.self_test import photos_of, run_self_test, warn_of_failure
from recognizers.networks.network import Distance
from recognizers.networks.recognizer import Embedder
from rpc.images.decoding import decoded_image, encode_png
from rpc.images.limits import ImageLimits
from tests.support.galleries import TinyNetwork, photo_of, whole_photo

SAME, AGAIN, OTHER = "same.png", "again.png", "other.png"
HOW: dict[str, Any] = {
    "device": torch.device("cpu"),
    "decode": partial(decoded_image, limits=ImageLimits()),
    "find_face": whole_photo,
}


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Path, ...]:
    """Of two people."""
    for name, person, number in ((SAME, 1, 0), (AGAIN, 1, 1), (OTHER, 2, 0)):
        (tmp_path / name).write_bytes(encode_png(photo_of(person, number)))
    return tmp_path / SAME, tmp_path / AGAIN, tmp_path / OTHER


def card(folder: Path, *names: str) -> Path:
    path = folder / "file.card.json"
    path.write_text(json.dumps({"sha256": "0" * 64, "self_test": names}))
    return path


@pytest.mark.parametrize("distance", list(Distance))
def test_photos_of_one_person_are_more_alike_than_those_of_two(photos: tuple[Path, ...], distance: Distance) -> None:
    embedder = Embedder(TinyNetwork(distance))
    result = run_self_test(embedder, photos, **HOW)
    exchanged = run_self_test(embedder, (photos[0], photos[2], photos[1]), **HOW)
    assert result.passed
    assert result.in_words.startswith("passed: ")
    assert not exchanged.passed
    assert exchanged.in_words.startswith("FAILED: ")


class Known(TinyNetwork):
    """Whose features of three photos are known by their level."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([[[3.0, 4.0], [4.0, 3.0], [1.0, 0.0]][int(images[0, 0, 0, 0])]])


@pytest.mark.parametrize(
    ("distance", "same", "other"), [(Distance.COSINE, 24 / 25, 4 / 5), (Distance.EUCLIDEAN, 2**0.5, 18**0.5)]
)
def test_the_more_alike_of_the_two_others_counts(tmp_path: Path, distance: Distance, same: float, other: float) -> None:
    photos = [tmp_path / str(level) for level in range(3)]
    for level, photo in enumerate(photos):
        photo.write_bytes(encode_png(np.full((8, 8, 3), level, np.uint8)))
    result = run_self_test(Embedder(Known(distance)), photos, **{**HOW, "find_face": lambda photo: CropBox(0, 0, 8, 8)})
    assert result.same == pytest.approx(same)
    assert result.other == pytest.approx(other)


@pytest.mark.parametrize(("content", "expected"), [(None, "cannot be read"), (b"text", "expected")])
def test_a_photo_that_is_none_is_named(photos: tuple[Path, ...], content: bytes | None, expected: str) -> None:
    photos[1].unlink()
    if content is not None:
        photos[1].write_bytes(content)
    with pytest.raises(GalleryError, match=expected) as refused:
        run_self_test(Embedder(TinyNetwork()), photos, **HOW)
    assert str(photos[1]) in str(refused.value)


def test_a_photo_without_a_face_is_named(photos: tuple[Path, ...]) -> None:
    photos[2].write_bytes(encode_png(photo_of(1, 0) * 0))
    with pytest.raises(GalleryError, match=r"other\.png: expected a face that MTCNN finds, got none"):
        run_self_test(Embedder(TinyNetwork()), photos, **HOW)


def test_a_card_names_photos_beside_it(tmp_path: Path) -> None:
    assert photos_of(card(tmp_path, SAME, AGAIN, "/elsewhere.png")) == (
        tmp_path / SAME,
        tmp_path / AGAIN,
        Path("/elsewhere.png"),
    )
    assert photos_of(tmp_path / "absent.card.json") is None


def test_a_card_that_names_no_three_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r'self_test: expected 3 photos, .*, got \["one.png"\]'):
        photos_of(card(tmp_path, "one.png"))


def test_a_service_is_warned_where_it_fails_and_where_it_cannot_be_made(
    photos: tuple[Path, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    embedder = Embedder(TinyNetwork())
    warn_of_failure(embedder, card(tmp_path, SAME, AGAIN, OTHER), **HOW)
    assert caplog.records == []
    warn_of_failure(embedder, card(tmp_path, SAME, OTHER, AGAIN), **HOW)
    warn_of_failure(embedder, card(tmp_path, SAME, AGAIN, "absent.png"), **HOW)
    assert [record.message for record in caplog.records] == ["self-test failed", "self-test not made"]
    assert {vars(record)["model"] for record in caplog.records} == {"tiny"}
