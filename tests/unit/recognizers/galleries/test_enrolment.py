"""Who is enrolled of a folder, and what is embedded again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from recognizers.errors import GalleryError
from recognizers.galleries.embedding_cache import FILE
from recognizers.galleries.enrolment import Enrolled, Enroller, NotEnrolled
from recognizers.galleries.folder import read_photo_folder
from recognizers.networks.network import Distance
from rpc.images.decoding import encode_png
from tests.support.galleries import enroller_of, network_of, photo_of, write_people

BLANK = np.full((8, 8, 3), 7, dtype=np.uint8)


def enrol(folder: Path, enroller: Enroller, told: list[NotEnrolled] | None = None) -> Enrolled:
    photos = read_photo_folder(folder, option="--gallery")
    return enroller.enrol(photos, option="--gallery", on_not_enrolled=(told if told is not None else []).append)


def people(folder: Path, names: str = "ab") -> Path:
    return write_people(folder, {name: [photo_of(ord(name), number) for number in range(2)] for name in names})


@pytest.mark.parametrize("workers", [1, 3])
def test_each_photo_is_embedded_as_it_is_alone(tmp_path: Path, workers: int) -> None:
    networks = {"tiny": network_of(), "other": network_of(Distance.EUCLIDEAN)}
    enrolled = enrol(people(tmp_path), enroller_of(networks, workers=workers))
    assert [photo.identity for photo in enrolled.photos] == ["a", "a", "b", "b"]
    alone = {
        name: sorted(tuple(each.embed(photo_of(ord(person), number)).tolist()) for person in "ab" for number in range(2))
        for name, each in networks.items()
    }
    assert {name: sorted(map(tuple, rows.tolist())) for name, rows in enrolled.embeddings.items()} == alone


def test_photos_without_a_face_and_no_photos_are_named_and_so_is_who_has_no_other(tmp_path: Path) -> None:
    people(tmp_path, "a")
    write_people(tmp_path, {"blank": [BLANK], "half": [photo_of(1, 1), BLANK + 1]})
    (tmp_path / "half" / "broken.png").write_bytes(b"no photo")
    told: list[NotEnrolled] = []
    enrolled = enrol(tmp_path, enroller_of(), told)
    assert {photo.identity for photo in enrolled.photos} == {"a", "half"}
    assert sorted((each.identity, each.photo and each.photo.name, each.reason) for each in told if each.photo) == [
        ("blank", "0.png", "no face was found in it"),
        ("half", "1.png", "no face was found in it"),
        ("half", "broken.png", "expected a JPEG or PNG image, got 8 other bytes"),
    ]
    assert [each for each in told if not each.photo] == [
        NotEnrolled("blank", None, "none of its photos has a face that is found")
    ]


def test_a_gallery_without_any_face_is_refused(tmp_path: Path) -> None:
    write_people(tmp_path, {"blank": [BLANK]})
    with pytest.raises(GalleryError, match="--gallery: expected photos with a face that MTCNN finds, got 1 with none"):
        enrol(tmp_path, enroller_of())


def test_one_photo_of_two_people_is_refused_and_both_are_named(tmp_path: Path) -> None:
    people(tmp_path)
    (tmp_path / "b" / "1.png").write_bytes((tmp_path / "a" / "0.png").read_bytes())
    with pytest.raises(GalleryError) as refusal:
        enrol(tmp_path, enroller_of())
    assert f"{tmp_path / 'a' / '0.png'} and {tmp_path / 'b' / '1.png'} are the same photo, of two identities" in str(
        refusal.value
    )


def test_one_photo_twice_of_one_person_counts_once(tmp_path: Path) -> None:
    people(tmp_path, "a")
    (tmp_path / "a" / "again.png").write_bytes((tmp_path / "a" / "0.png").read_bytes())
    assert len(enrol(tmp_path, enroller_of()).photos) == 2


def test_what_was_embedded_before_is_not_again(tmp_path: Path) -> None:
    folder, cache = people(tmp_path / "people"), tmp_path / "cache"
    write_people(folder, {"blank": [BLANK]})
    first = enrol(folder, enroller_of(cache=cache))
    decoded: list[bytes] = []
    again = enroller_of(cache=cache)

    def decode(encoded: bytes) -> NDArray[np.uint8]:
        decoded.append(encoded)
        return again.decode(encoded)

    counting = replace(again, decode=decode)
    second = enrol(folder, counting)
    assert not decoded
    assert second.photos == first.photos
    assert torch.equal(second.embeddings["tiny"], first.embeddings["tiny"])
    (folder / "a" / "new.png").write_bytes(encode_png(photo_of(ord("a"), 9)))
    assert len(enrol(folder, counting).photos) == 5
    assert len(decoded) == 1
    assert (cache.stat().st_mode & 0o777, (cache / FILE).stat().st_mode & 0o777) == (0o700, 0o600)


def test_other_weights_have_embeddings_of_their_own(tmp_path: Path) -> None:
    folder, cache = people(tmp_path / "people"), tmp_path / "cache"
    enrol(folder, enroller_of(cache=cache))
    other = replace(network_of(), checkpoint_sha256="d" * 64)
    with torch.no_grad():
        next(other.embedder.parameters()).mul_(2)
    doubled = enrol(folder, enroller_of({"tiny": other}, cache=cache))
    assert torch.equal(doubled.embeddings["tiny"], enrol(folder, enroller_of({"tiny": other})).embeddings["tiny"])


def test_a_cache_that_is_none_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(
        GalleryError, match=r"--embedding-cache: .* cannot be used: .*; delete it, or name another folder, or off"
    ):
        enroller_of(cache=tmp_path)


def test_progress_ends_with_all_of_them(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    photos = read_photo_folder(people(tmp_path), option="--gallery")
    enroller_of().enrol(photos, option="--gallery", on_progress=lambda *counts: told.append(counts))
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
