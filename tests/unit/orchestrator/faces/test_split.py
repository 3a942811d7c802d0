"""Who of a data set is enrolled, searched, and neither: by the draw, and nobody and nothing twice."""

import re
from hashlib import sha256
from itertools import product
from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.faces.data_set import drawn_identities, drawn_photos
from orchestrator.faces.folder import FaceFolder, read_face_folder
from orchestrator.faces.split import Split, SplitSizes, default_sizes, split
from orchestrator.faces.synthetic import read_synthetic_faces
from tests.support.plans import write_faces

PEOPLE = tuple(f"person {number}" for number in range(20))


def folder(photos: int = 4, people: tuple[str, ...] = PEOPLE) -> FaceFolder:
    names = tuple(f"{number}.jpg" for number in range(photos))
    return FaceFolder(Path("faces"), dict.fromkeys(people, names), (), {each: each for each in people})


FACES = folder()


def files(found: Split, identity: str) -> list[str]:
    return [photo.file for photo in found.enrolled[identity]]


@pytest.mark.parametrize(("non_mated", "impostors"), list(product((0, 1, 6), (0, 3))))
def test_people_are_divided_in_the_order_of_the_draw_and_nobody_is_in_two_parts(non_mated: int, impostors: int) -> None:
    found = split(FACES, SplitSizes(2, non_mated, impostors), seed=3)
    drawn = drawn_identities(FACES.identities, seed=3)
    assert [*found.enrolled, *found.impostors, *found.non_mated] == drawn
    assert (len(found.impostors), len(found.non_mated)) == (impostors, non_mated)


def test_the_first_photo_is_the_probe_and_the_next_are_enrolled() -> None:
    found = split(FACES, SplitSizes(2, 2), seed=1)
    probes = found.probes(FACES)
    assert probes.identities == FACES.identities - set(found.non_mated)
    for identity in probes.identities:
        drawn = [photo.file for photo in drawn_photos(FACES, identity, seed=1)]
        assert files(found, identity) == drawn[1:3]
        assert {photo.file for photo in probes.photos(identity)} == {drawn[0], drawn[3]}
        assert next(drawn_photos(probes, identity, seed=1)).file == drawn[0]
    assert (probes.card(), probes.skipped, probes.synthetic) == (FACES.card(), (), False)


def test_impostors_have_one_photo_each_the_first() -> None:
    found = split(FACES, SplitSizes(2, 0, 3), seed=1)
    assert {identity: [photo.file for photo in photos] for identity, photos in found.impostors.items()} == {
        identity: [next(drawn_photos(FACES, identity, seed=1)).file] for identity in found.impostors
    }


def test_who_has_too_few_photos_is_neither_enrolled_nor_a_subject() -> None:
    names = {"alone": ("1.jpg",), "two": ("1.jpg", "2.jpg"), "three": ("1.jpg", "2.jpg", "3.jpg")}
    faces = FaceFolder(Path("faces"), names, (), {each: each for each in names})
    found = split(faces, SplitSizes(2), seed=0)
    assert set(found.enrolled) == {"three"}
    assert found.too_few == ("alone", "two")
    assert found.probes(faces).identities == {"three"}


def test_another_seed_divides_otherwise() -> None:
    first, second = (split(FACES, SplitSizes(2, 5), seed=seed) for seed in (0, 1))
    assert first.non_mated != second.non_mated
    assert {each: files(first, each) for each in first.enrolled} != {each: files(second, each) for each in second.enrolled}


def test_where_few_photos_can_be_probes_the_first_of_these_is_and_is_not_enrolled() -> None:
    last = {identity: list(drawn_photos(FACES, identity, seed=0))[-1].file for identity in PEOPLE[:5]}
    searched = FaceFolder(Path("faces"), {each: (file,) for each, file in last.items()}, (), {each: each for each in last})
    found = split(FACES, SplitSizes(2, 3), seed=0, searched=searched)
    for identity in found.enrolled:
        drawn = [photo.file for photo in drawn_photos(FACES, identity, seed=0)]
        assert files(found, identity) == (drawn[:2] if identity in last else drawn[1:3])
    probes = found.probes(searched)
    assert {each: [photo.file for photo in probes.photos(each)] for each in probes.identities} == {
        each: [file] for each, file in last.items() if each in found.enrolled
    }


def test_labels_in_another_normal_form_change_nothing_of_who_is_enrolled() -> None:
    composed, decomposed = "Ren\N{LATIN SMALL LETTER E WITH ACUTE}e", "Rene\N{COMBINING ACUTE ACCENT}e"
    faces = folder(people=(composed, "Bob"))
    found = split(faces, SplitSizes(3), seed=0)
    (probe,) = found.probes(faces).photos(composed)
    spelt = found.probes(faces).spelt({composed: decomposed})
    assert spelt.identities == {decomposed, "Bob"}
    assert [photo.file for photo in spelt.photos(decomposed)] == [probe.file]


def test_a_name_that_no_gallery_can_have_is_in_no_part() -> None:
    faces = folder(people=("Bob", "Eve", "\udcff", "a\nb"))
    found = split(faces, SplitSizes(1, 1), seed=0)
    assert {*found.enrolled, *found.non_mated} == {"Bob", "Eve"}


@pytest.mark.parametrize(
    ("sizes", "photos", "complaint"),
    [
        (
            SplitSizes(2, 20),
            4,
            "--non-mated: expected fewer people than the 20 of --faces, so that .* is left to enrol, got 20",
        ),
        (SplitSizes(2, 0, 25), 4, "--impostors: expected fewer people than the 20 of --faces, so that .* got 25"),
        (
            SplitSizes(2, 10, 10),
            4,
            "--non-mated, --impostors: expected fewer people than the 20 of .* got 20",
        ),
        (SplitSizes(1), 1, "--gallery-photos: expected people with at least 2 photos, .* got 20 who have 1 at most"),
        (SplitSizes(4, 3), 4, "--gallery-photos: expected people with at least 5 photos, 4 to .* got 17 who have 4 at most"),
    ],
)
def test_what_cannot_be_divided_so_is_refused(sizes: SplitSizes, photos: int, complaint: str) -> None:
    with pytest.raises(InputError) as refused:
        split(folder(photos), sizes, seed=0)
    assert re.fullmatch(complaint, str(refused.value))


def test_the_digest_of_a_gallery_is_that_of_the_protocol(tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        write_faces(tmp_path / name, ("zoe", "bob"))
    for name, identity in product(("1", "2", "3"), ("zoe", "bob")):
        target = tmp_path / "faces" / identity / f"{name}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(name.encode() + (tmp_path / name / identity / "0.jpg").read_bytes())
    found = split(read_face_folder(tmp_path / "faces"), SplitSizes(2), seed=0)
    lines = [
        f"{identity}\t{sha256((tmp_path / 'faces' / identity / file).read_bytes()).hexdigest()}"
        for identity in ("bob", "zoe")
        for file in files(found, identity)
    ]
    assert found.gallery_sha256() == sha256("\n".join(sorted(lines)).encode()).hexdigest()


@pytest.mark.parametrize(
    ("faces", "sizes"),
    [
        ("synthetic:", SplitSizes(2, 50)),
        ("synthetic:identities=299", SplitSizes(2, 0)),
        ("synthetic:identities=300,photographs=2", SplitSizes(1, 50)),
        ("synthetic:photographs=1", None),
    ],
)
def test_synthetic_people_are_enrolled_by_default_and_others_are_not(faces: str, sizes: SplitSizes | None) -> None:
    assert default_sizes(read_synthetic_faces(faces)) == sizes
    assert default_sizes(FACES) is None
