"""`--faces synthetic:`: the population as a data set like any other."""

from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.faces.data_set import drawn_identities, drawn_photos
from orchestrator.faces.folder import read_face_folder
from orchestrator.faces.synthetic import read_synthetic_faces
from synthetic_faces import Population
from synthetic_faces.population import write_folder


def test_without_more_it_is_the_default_population() -> None:
    faces = read_synthetic_faces("synthetic:")
    assert (faces.population, faces.photographs, faces.synthetic) == (Population(300, 0), 4, True)
    assert len(faces.identities) == 300


def test_every_number_can_be_chosen() -> None:
    faces = read_synthetic_faces("synthetic:seed=7,photographs=2,identities=5")
    assert (faces.population, faces.photographs) == (Population(5, 7), 2)
    assert dict(faces.card()) == {"synthetic": True, "renderer": 1, "identities": 5, "photographs": 2, "seed": 7}


def test_the_written_folder_is_the_same_data_set(tmp_path: Path) -> None:
    faces = read_synthetic_faces("synthetic:identities=3,photographs=2")
    assert sum(1 for _ in write_folder(tmp_path, faces.population, photographs=2)) == 6
    folder = read_face_folder(tmp_path)
    assert folder.identities == faces.identities
    for identity in drawn_identities(faces.identities, seed=4):
        rendered, stored = (list(drawn_photos(each, identity, seed=4)) for each in (faces, folder))
        assert [photo.name for photo in rendered] == [photo.name for photo in stored]
        assert [photo.read() for photo in rendered] == [photo.read() for photo in stored]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("synthetic:identities=0", "identities: expected 1..9999, got 0"),
        ("synthetic:photographs=0", "photographs: expected 1..9999, got 0"),
        ("synthetic:seed=2147483648", "seed: expected 0..2147483647, got 2147483648"),
        ("synthetic:seed=-1", "seed: expected a whole number, got '-1'"),
        ("synthetic:identities=many", "identities: expected a whole number, got 'many'"),
        ("synthetic:people=3", "expected identities, photographs, seed, each at most once, got 'people=3'"),
        ("synthetic:seed=1,seed=2", "expected identities, photographs, seed, each at most once, got 'seed=2'"),
        ("synthetic:300", "expected identities, photographs, seed, each at most once, got '300'"),
    ],
)
def test_a_population_that_cannot_be_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(InputError) as refused:
        read_synthetic_faces(text)
    assert str(refused.value) == f"--faces: {text}: {complaint}"


def test_finding_everyone_s_photos_names_each_of_a_population_as_often_however_large_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named: list[int] = []
    name_of = Population.name

    def counted(population: Population, number: int) -> str:
        named.append(number)
        return name_of(population, number)

    monkeypatch.setattr(Population, "name", counted)

    def names_made(identities: int) -> int:
        named.clear()
        faces = read_synthetic_faces(f"synthetic:identities={identities},photographs=1")
        for identity in faces.identities:
            assert len(faces.photos(identity)) == 1
        return len(named)

    assert names_made(80) <= 4 * names_made(20)
