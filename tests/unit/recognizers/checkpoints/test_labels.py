"""Labels files: what is read as identities, and what is refused with which line."""

import csv
import io
import unicodedata
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from recognizers.checkpoints.labels import find_labels_file, read_labels
from recognizers.errors import LabelSetError
from recognizers.networks.label_set import LabelSet

HEADER = "Class_ID, Name, Sample_Num, Flag, Gender\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labels")


def labels_file(folder: Path, content: str | bytes, *, name: str = "labels.txt") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(LabelSetError) as refused:
        read_labels(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("content", ["zoe\nanna\n", "zoe\nanna", "zoe\r\nanna\r\n", "\ufeffzoe\nanna\n", " zoe \n\tanna\n"])
def test_a_labels_file_keeps_its_order(folder: Path, content: str) -> None:
    assert read_labels(labels_file(folder, content)).identities == ("zoe", "anna")


def test_an_identity_may_be_of_any_script(folder: Path) -> None:
    assert read_labels(labels_file(folder, "Zoë\n李\n")).identities == ("Zoë", "李")


def is_identity(text: str) -> bool:
    return bool(text) and text == text.strip() and "\r" not in text and not text.startswith("\ufeff")


identities = st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=6).filter(is_identity)


@settings(deadline=None)
@given(st.lists(identities, min_size=1, max_size=5, unique_by=lambda name: unicodedata.normalize("NFC", name)))
def test_only_line_ends_separate_identities(folder: Path, names: list[str]) -> None:
    assert read_labels(labels_file(folder, "\n".join(names) + "\n")).identities == tuple(names)


@pytest.mark.parametrize("blank", ["", "  ", "\r", "\t"])
def test_an_empty_line_is_refused_with_its_number(folder: Path, blank: str) -> None:
    assert "line 2 is blank: expected the identity of class 1" in refusal(labels_file(folder, f"anna\n{blank}\nzoe\n"))


@pytest.mark.parametrize("end", ["\n", "\n\n", "\r\n\r\n\r\n", " \n", "\n  "])
def test_empty_lines_at_the_end_are_no_lines(folder: Path, end: str) -> None:
    assert read_labels(labels_file(folder, "zoe\nanna\n" + end)).identities == ("zoe", "anna")
    path = labels_file(folder, HEADER + "n000001, Anna, 3, 1, f\n" + end, name="identity_meta.csv")
    assert read_labels(path).identities == ("n000001",)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_file_in_utf_16_is_named_with_the_way_out(folder: Path, encoding: str) -> None:
    content = "\ufeff" * (encoding == "utf-16-be") + "anna\nzoe\n"
    assert "is text in UTF-16, as Excel and PowerShell write it; save it as UTF-8" in refusal(
        labels_file(folder, content.encode(encoding))
    )


def test_one_identity_in_two_spellings_of_unicode_stands_twice(folder: Path) -> None:
    """Folders are compared in NFC; what a file says stays as it is, and so does its digest."""
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    message = refusal(labels_file(folder, f"anna\n{composed}\nmax\n{decomposed}\n"))
    assert "classes 1 and 3, lines 2 and 4" in message
    assert r"'Zo\xeb' and as 'Zoe\u0308'" in message
    with pytest.raises(LabelSetError, match="classes 0 and 1"):
        LabelSet((composed, decomposed))
    assert read_labels(labels_file(folder, f"{decomposed}\n")).identities == (decomposed,)


@pytest.mark.parametrize("content", ["", "\ufeff", HEADER, HEADER + "n000001, Anna, 3, 0, f\n"])
def test_a_file_without_identities_is_refused(folder: Path, content: str) -> None:
    assert "at least one identity" in refusal(labels_file(folder, content))


def test_a_repeated_identity_is_refused_with_both_places(folder: Path) -> None:
    message = refusal(labels_file(folder, "anna\nzoe\nanna\n"))
    assert "'anna'" in message
    assert "classes 0 and 2, lines 1 and 3" in message


def test_a_file_that_is_not_utf_8_is_refused(folder: Path) -> None:
    assert "UTF-8" in refusal(labels_file(folder, "Zoë\n".encode("latin1")))


def test_a_missing_file_is_refused(folder: Path) -> None:
    assert "No such file" in refusal(folder / "absent.txt")


def test_of_vggface2s_metadata_the_training_identities_are_taken_sorted(folder: Path) -> None:
    rows = (
        'n000009, "Kim, Jr.", 424, 1, m\n'
        'n000001, "Anna_Example", 315, 0, f\n'
        'n000003, "Zoe ""Z"" Example", 88, 1, f\n'
        "n000002,Max_Example,120,1,m\n"
    )
    path = labels_file(folder, HEADER + rows, name="identity_meta.csv")
    assert read_labels(path).identities == ("n000002", "n000003", "n000009")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_metadata_may_be_quoted_and_separated_as_spreadsheets_do(
    folder: Path, delimiter: str, quoting: int, line_end: str
) -> None:
    content = io.StringIO()
    rows = csv.writer(content, delimiter=delimiter, quoting=quoting, lineterminator=line_end)  # type: ignore[arg-type]
    rows.writerow(["Class_ID", "Name", "Sample_Num", "Flag", "Gender"])
    rows.writerow(["n000003", 'Kim; Jr., "K"\tof that', 424, 1, "m"])
    rows.writerow(["n000002", "Anna", 315, 0, "f"])
    rows.writerow(["n000001", "Zoe", 88, 1, "f"])
    rows.writerow([""] * 5)  # as spreadsheets end it
    path = labels_file(folder, "\ufeff" + content.getvalue(), name="identity_meta.csv")
    assert read_labels(path).identities == ("n000001", "n000003")


def test_the_name_of_a_column_alone_is_an_identity(folder: Path) -> None:
    assert read_labels(labels_file(folder, "Class_ID\nn000001\n")).identities == ("Class_ID", "n000001")


def test_an_identity_repeated_in_the_metadata_is_refused_with_both_lines(folder: Path) -> None:
    rows = "n000002, A, 3, 1, f\nn000001, B, 3, 0, f\nn000002, C, 3, 1, f\n"
    assert "lines 2 and 4" in refusal(labels_file(folder, HEADER + rows, name="identity_meta.csv"))


def test_metadata_is_recognised_by_its_header_whatever_the_file_is_called(folder: Path) -> None:
    path = labels_file(folder, "\ufeff" + HEADER + "n000002, B, 2, 1, f\nn000001, A, 2, 1, f\n", name="labels.txt")
    assert read_labels(path).identities == ("n000001", "n000002")


def test_the_columns_of_the_metadata_may_stand_in_another_order(folder: Path) -> None:
    path = labels_file(folder, "Class_ID,Flag,Name\nn000002,1,B\nn000001,0,A\n", name="identity_meta.csv")
    assert read_labels(path).identities == ("n000002",)


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=6), min_size=1, max_size=4))
def test_the_names_in_the_metadata_do_not_matter(folder: Path, names: list[str]) -> None:
    rows = io.StringIO()
    csv.writer(rows, lineterminator="\n").writerows([f"n{place:06}", name, 1, 1, "f"] for place, name in enumerate(names))
    path = labels_file(folder, HEADER + rows.getvalue(), name="identity_meta.csv")
    assert read_labels(path).identities == tuple(f"n{place:06}" for place in range(len(names)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("Class_ID, Name, Gender\nn000001, Anna, f\n", "expected the columns Class_ID and Flag"),
        (HEADER + "n000001, Anna, 3, 1, f\nn000002, Zoe, 3, 1\n", "line 3: expected 5 columns"),
        (HEADER + "n000001, Anna, 3, 1, f, x\n", "line 2: expected 5 columns"),
        (HEADER + "n000001, Anna, 3, yes, f\n", "Flag 0 or 1"),
        (HEADER + "n000001, Anna, 3, 1, f\n\nn000002, Zoe, 3, 1, f\n", "line 3"),
        (HEADER + "n000001, Anna, 3, 1, f\nn000001, Zoe, 3, 1, f\n", "'n000001' stands twice"),
        (HEADER + ", Anna, 3, 1, f\n", "class 0"),
    ],
    ids=["no Flag", "too few", "too many", "bad Flag", "empty line", "repeated", "no identity"],
)
def test_metadata_with_wrong_columns_is_refused(folder: Path, content: str, reason: str) -> None:
    assert reason in refusal(labels_file(folder, content, name="identity_meta.csv"))


def test_an_unclosed_quote_in_the_metadata_is_refused(folder: Path) -> None:
    """It swallows the rest of the file as one field, longer than the csv module allows."""
    rows = "".join(f"n{place:06}, Name_of_an_example, 300, 1, f\n" for place in range(9000))
    refusal(labels_file(folder, HEADER + 'n999999, "Anna, 3, 1, f\n' + rows, name="identity_meta.csv"))


def test_labels_files_are_looked_for_beside_the_checkpoint_its_own_first(tmp_path: Path) -> None:
    checkpoint = tmp_path / "resnet50.v2.pth"
    candidates = [tmp_path / name for name in ("resnet50.v2.labels.txt", "labels.txt", "identity_meta.csv")]
    for path in (*candidates, tmp_path / "resnet50.labels.txt", tmp_path / "other.labels.txt"):
        path.touch()
    for path in candidates:
        assert find_labels_file(checkpoint) == path
        path.unlink()
    assert find_labels_file(checkpoint) is None


def test_a_folder_is_no_labels_file(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").mkdir()
    assert find_labels_file(tmp_path / "resnet50.pth") is None
