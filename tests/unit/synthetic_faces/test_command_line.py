"""`python -m synthetic_faces`: data sets and contact sheets."""

from pathlib import Path

import pytest
from PIL import Image

from synthetic_faces import Population
from synthetic_faces.__main__ import main


def test_a_population_is_written_in_vggface2_s_layout(tmp_path: Path) -> None:
    assert main(["write", str(tmp_path / "faces"), "--identities", "2", "--photographs", "2", "--seed", "5"]) == 0
    written = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    population = Population(2, 5)
    assert written == {
        f"faces/synthetic5-{identity:04d}/{photograph:04d}_01.jpg": population.jpeg(identity, photograph)
        for identity in (1, 2)
        for photograph in (1, 2)
    }


def test_what_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    kept = tmp_path / "synthetic0-0001" / "0001_01.jpg"
    kept.parent.mkdir()
    kept.write_bytes(b"from before")
    assert main(["write", str(tmp_path), "--identities", "1", "--photographs", "2"]) == 0
    assert kept.read_bytes() == b"from before"
    assert (kept.parent / "0002_01.jpg").exists()


def test_a_contact_sheet_has_everyone(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    assert main(["sheet", str(out), "--identities", "5", "--photographs", "2", "--side", "32"]) == 0
    with Image.open(out) as sheet:
        assert sheet.size == (4 * 2 * 32, 2 * 32)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--identities", "0"], "error: identities: expected 1..9999, got 0"),
        (["--seed", "-1"], "error: seed: expected 0..2147483647, got -1"),
    ],
)
def test_a_bad_number_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert main(["write", str(tmp_path / "faces"), *arguments]) == 2
    assert capsys.readouterr().err == complaint + "\n"
    assert not (tmp_path / "faces").exists()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["write", str(tmp_path / "file"), "--identities", "1"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'file'}: cannot be written: ")
