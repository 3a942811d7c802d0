"""Lists of pairs: what is read of a table and of LFW's form, and what is refused."""

import re
from hashlib import sha256
from pathlib import Path

import pytest

from orchestrator.cloaks.kept import SubjectsOfRun
from orchestrator.errors import InputError
from orchestrator.faces.data_set import DataSet
from orchestrator.faces.folder import read_face_folder
from orchestrator.faces.pairs import PairedProbes, PairList, read_pairs
from orchestrator.faces.split import SplitSizes
from orchestrator.store.records import Subject, SubjectStatus

PEOPLE = ("ann", "bob", "cleo", "dan")


@pytest.fixture
def faces(tmp_path: Path) -> DataSet:
    """Three photos of each of four people; the last of dan is a copy of his first."""
    for name in PEOPLE:
        for number in (1, 2, 3):
            path = tmp_path / "faces" / name / f"{name}_{number:04}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{name} {1 if (name, number) == ('dan', 3) else number}".encode())
    return read_face_folder(tmp_path / "faces")


def photo(name: str, number: int) -> str:
    return f"{name}/{name}_{number:04}.jpg"


def read(tmp_path: Path, faces: DataSet, *lines: str) -> PairList:
    path = tmp_path / "pairs"
    path.write_text("\n".join(lines) + "\n")
    return read_pairs(path, faces)


def names(pairs: PairList) -> list[tuple[str, str, str | None]]:
    return [
        (each.probe.name, each.reference.name, None if each.target is None else each.target.name) for each in pairs.pairs
    ]


def test_a_table_names_probe_reference_target_and_impostors(tmp_path: Path, faces: DataSet) -> None:
    pairs = read(
        tmp_path,
        faces,
        "reference,probe,target,impostor",
        f"{photo('ann', 2)}, {photo('ann', 1)},{photo('cleo', 1)},",
        "",
        f"{photo('bob', 2)},{photo('bob', 3)},{photo('cleo', 1)},",
        f",,,{photo('dan', 1)}",
        f",,,{photo('dan', 2)}",
    )
    assert names(pairs) == [
        (photo("ann", 1), photo("ann", 2), photo("cleo", 1)),
        (photo("bob", 3), photo("bob", 2), photo("cleo", 1)),
    ]
    assert [each.name for each in pairs.impostors] == [photo("dan", 1), photo("dan", 2)]
    assert pairs.people == {"ann", "bob", "cleo"}
    assert pairs.digests[photo("bob", 3)] == sha256(b"bob 3").hexdigest()
    assert len(pairs.digests) == 7
    assert pairs.left_out == ()


def test_started_services_enrol_references_and_calibrate_on_impostors(tmp_path: Path, faces: DataSet) -> None:
    pairs = read(
        tmp_path, faces, "probe,reference,impostor", f"{photo('ann', 1)},{photo('ann', 2)},", f",,{photo('dan', 1)}"
    )
    split = pairs.split(faces)
    assert split.sizes == SplitSizes(photos=1, impostors=1)
    assert {name: [each.name for each in photos] for name, photos in split.enrolled.items()} == {"ann": [photo("ann", 2)]}
    assert {name: [each.name for each in photos] for name, photos in split.impostors.items()} == {"dan": [photo("dan", 1)]}


def test_probes_are_those_of_the_list_alone(tmp_path: Path, faces: DataSet) -> None:
    pairs = read(tmp_path, faces, "probe,reference", f"{photo('ann', 3)},{photo('ann', 2)}")
    probes = PairedProbes(faces, pairs)
    assert probes.identities == {"ann"}
    assert [each.name for each in probes.photos("ann")] == [photo("ann", 3)]


def test_a_kept_cloak_is_of_the_probe_where_its_photo_is_the_same_file(tmp_path: Path, faces: DataSet) -> None:
    pairs = read(tmp_path, faces, "probe,reference", f"{photo('ann', 1)},{photo('ann', 2)}")
    for content, expected in ((b"ann 1", {"ann"}), (b"another", set())):
        subject = Subject("ann", photo("ann", 1), sha256(content).hexdigest(), SubjectStatus.SUBJECT)
        assert PairedProbes(SubjectsOfRun({"ann": subject}, {}), pairs).identities == expected


def test_of_several_pairs_of_a_person_the_first_counts(tmp_path: Path, faces: DataSet) -> None:
    pairs = read(tmp_path, faces, "probe,reference", *(f"{photo('ann', 1)},{photo('ann', number)}" for number in (2, 3, 2)))
    assert names(pairs) == [(photo("ann", 1), photo("ann", 2), None)]
    assert pairs.left_out == ("2 further pairs of people whose first pair counts: line 3 (ann), line 4 (ann)",)


def test_lfw_s_pairs_are_read(tmp_path: Path, faces: DataSet) -> None:
    pairs = read(
        tmp_path,
        faces,
        "1\t3",
        "ann\t1\t2",
        "bob\t3\t1",
        "ann\t2\t3",
        "ann\t1\tcleo\t2",
        "bob\t2\tdan\t1",
        "cleo\t2\tdan\t2",
    )
    assert names(pairs) == [(photo("ann", 2), photo("ann", 1), None), (photo("bob", 1), photo("bob", 3), None)]
    assert {each.name for each in pairs.impostors} == {photo("cleo", 2), photo("dan", 1), photo("dan", 2)}
    assert pairs.left_out == (
        "1 further pairs of people whose first pair counts: line 4 (ann)",
        "2 pictures of people who are in a pair of one person, too: no impostors",
    )
    assert not pairs.has_targets


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1\t1", "ann\t1\t2"], "expected 2 pairs, as its first line says, got 1"),
        (["1", "ann\t1\t2", "ann\t1\tbob"], "line 3: expected the number of a picture of ann, got bob"),
        (
            ["1", "ann\t1", "ann\t1\tbob\t1"],
            "line 2: expected a name and two numbers, or two names with a number",
        ),
        (["1", "ann\t1\tx", "ann\t1\tbob\t1"], "line 2: expected the number of a picture of ann, got x"),
        (
            ["1", "ann\t1\t9", "ann\t1\tbob\t1"],
            "line 2: probe: expected a photo of --faces, IDENTITY/PHOTO, got ann/",
        ),
    ],
)
def test_lfw_s_lists_that_cannot_be_are_refused(tmp_path: Path, faces: DataSet, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read(tmp_path, faces, *lines)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "line 1: expected the columns probe and reference, and if wanted target and impostor, each once, got none"),
        (["probe,reference,label"], "line 1: expected the columns probe and reference,"),
        (["probe,target"], "line 1: expected the columns probe and reference,"),
        (["probe,probe,reference"], "each once, got probe, probe, reference"),
        (["probe,reference"], "expected at least one pair of pictures of one person, got none"),
        (["probe,reference", "a,b,c"], "line 2: expected 2 values, got 3"),
        (
            ["probe,reference", "a,"],
            "line 2: expected probe and reference, with or without target, or impostor",
        ),
        (["probe,reference,impostor", "a,b,c"], "line 2: expected probe and reference, with or without target, or impostor"),
        (["probe,reference", '"a,b'], "line 2: expected a CSV table"),
        (
            ["probe,reference", "eve/1.jpg,ann/2.jpg"],
            "line 2: probe: expected a photo of --faces, IDENTITY/PHOTO, got eve/",
        ),
        (["probe,reference", f"{photo('ann', 1)},ann/9.jpg"], "line 2: reference: expected a photo of --faces"),
        (["probe,reference", "ann.jpg,ann.jpg"], "line 2: probe: expected a photo of --faces, IDENTITY/PHOTO, got ann.jpg"),
        (
            ["probe,reference", f"{photo('ann', 1)},{photo('bob', 1)}"],
            "line 2: reference: expected another picture of ann, the person of the probe, got bob/bob_0001.jpg",
        ),
        (
            ["probe,reference", f"{photo('ann', 1)},{photo('ann', 1)}"],
            "line 2: reference: expected another picture than the probe, got the same file: ann/ann_0001.jpg",
        ),
        (
            ["probe,reference", f"{photo('dan', 1)},{photo('dan', 3)}"],  # a copy under another name
            "line 2: reference: expected another picture than the probe, got the same file: dan/dan_0003.jpg",
        ),
        (
            ["probe,reference,target", f"{photo('ann', 1)},{photo('ann', 2)},{photo('ann', 3)}"],
            "line 2: target: expected a picture of somebody else than ann, got ann/ann_0003.jpg",
        ),
        (
            [
                "probe,reference,target",
                f"{photo('ann', 1)},{photo('ann', 2)},{photo('bob', 3)}",
                f"{photo('cleo', 1)},{photo('cleo', 2)},",
            ],
            "expected a target in every pair or in none, got 1 of 2 without one",
        ),
        (
            ["probe,reference,impostor", f"{photo('ann', 1)},{photo('ann', 2)},", f",,{photo('ann', 3)}"],
            "line 3: impostor: expected somebody who is in no pair, got ann/ann_0003.jpg",
        ),
    ],
)
def test_tables_that_cannot_be_are_refused(tmp_path: Path, faces: DataSet, lines: list[str], message: str) -> None:
    with pytest.raises(InputError) as refused:
        read(tmp_path, faces, *lines)
    assert str(refused.value).startswith(f"--pairs: {tmp_path / 'pairs'}")
    assert message in str(refused.value)


def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path, faces: DataSet) -> None:
    with pytest.raises(InputError, match=r"--pairs: .*missing\.csv: cannot be read: No such file"):
        read_pairs(tmp_path / "missing.csv", faces)
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"bytes\.csv: expected text in UTF-8"):
        read_pairs(tmp_path / "bytes.csv", faces)


def test_a_picture_that_changes_or_goes_under_a_run_is_named(tmp_path: Path, faces: DataSet) -> None:
    pairs = read(tmp_path, faces, "probe,reference", f"{photo('ann', 1)},{photo('ann', 2)}")
    reference = pairs.pairs[0].reference
    assert reference.path is not None
    reference.path.write_bytes(b"another")
    with pytest.raises(InputError, match=r"ann/ann_0002\.jpg: expected the picture that the run began with, got another"):
        pairs.read(reference)
    reference.path.unlink()
    with pytest.raises(InputError, match=r"ann/ann_0002\.jpg: cannot be read"):
        pairs.read(reference)
