"""`python -P -m synthetic_faces`: data sets and contact sheets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from command_line.output import OUTPUT_LOST
from synthetic_faces import Population
from synthetic_faces.__main__ import run


def test_a_population_is_written_in_vggface2_s_layout(tmp_path: Path) -> None:
    assert run(["write", str(tmp_path / "faces"), "--identities", "2", "--photographs", "2", "--seed", "5"]) == 0
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
    assert run(["write", str(tmp_path), "--identities", "1", "--photographs", "2"]) == 0
    assert kept.read_bytes() == b"from before"
    assert (kept.parent / "0002_01.jpg").exists()


def test_a_contact_sheet_has_everyone(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    assert run(["sheet", str(out), "--identities", "5", "--photographs", "2", "--side", "32"]) == 0
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
    assert run(["write", str(tmp_path / "faces"), *arguments]) == 2
    assert capsys.readouterr().err == complaint + "\n"
    assert not (tmp_path / "faces").exists()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run(["write", str(tmp_path / "file"), "--identities", "1"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'file'}: cannot be written: ")


def test_a_tilde_is_the_user_s_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["write", "~/faces", "--identities", "1", "--photographs", "1"]) == 0
    assert (tmp_path / "faces" / "synthetic0-0001" / "0001_01.jpg").exists()


def test_the_home_of_nobody_is_refused_by_what_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["write", "~nobody-of-that-name/faces"])
    assert ended.value.code == 2
    assert "~nobody-of-that-name/faces" in capsys.readouterr().err


def written(out: Path, *, stdout: int | None, stderr: int | None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-P", "-m", "synthetic_faces", "write", str(out), "--identities", "2", "--photographs", "1"]
    return subprocess.run(command, stdout=stdout, stderr=stderr, env=os.environ | environment, timeout=120, check=False)


def test_an_output_that_is_not_utf_8_is_printed_to_with_escapes(tmp_path: Path) -> None:
    out = tmp_path / "Gesichter-äß"
    run = written(out, stdout=subprocess.PIPE, stderr=subprocess.PIPE, PYTHONIOENCODING="ascii:strict")
    assert (run.returncode, run.stdout) == (0, f"{tmp_path}/Gesichter-\\xe4\\xdf\n".encode())
    assert len(list(out.rglob("*.jpg"))) == 2


def test_a_pipe_that_nobody_reads_and_a_full_disk_under_the_output_keep_nothing_from_being_written(tmp_path: Path) -> None:
    reader, pipe = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("wb") as full, os.fdopen(pipe, "wb") as closed:
        for name, output, status in (("full", full, OUTPUT_LOST), ("closed", closed, 0)):
            run = written(tmp_path / name, stdout=output.fileno(), stderr=output.fileno())
            assert run.returncode == status
            assert len(list((tmp_path / name).rglob("*.jpg"))) == 2
