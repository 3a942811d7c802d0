"""`python -P -m synthetic_faces`: data sets and contact sheets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from command_line.output import OUTPUT_LOST
from synthetic_faces import Population
from synthetic_faces.__main__ import main
from tests.support.programs import Program


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    return Program(main, monkeypatch, capfd)


def test_a_population_is_written_in_vggface2_s_layout(tmp_path: Path, run: Program) -> None:
    assert run("write", tmp_path / "faces", "--identities", "2", "--photographs", "2", "--seed", "5").status == 0
    written = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    population = Population(2, 5)
    assert written == {
        f"faces/synthetic5-{identity:04d}/{photograph:04d}_01.jpg": population.jpeg(identity, photograph)
        for identity in (1, 2)
        for photograph in (1, 2)
    }


def test_what_is_there_already_is_not_written_again(tmp_path: Path, run: Program) -> None:
    kept = tmp_path / "synthetic0-0001" / "0001_01.jpg"
    kept.parent.mkdir()
    kept.write_bytes(b"from before")
    assert run("write", tmp_path, "--identities", "1", "--photographs", "2").status == 0
    assert kept.read_bytes() == b"from before"
    assert (kept.parent / "0002_01.jpg").exists()


def test_a_contact_sheet_has_everyone(tmp_path: Path, run: Program) -> None:
    out = tmp_path / "sheet.png"
    assert run("sheet", out, "--identities", "5", "--photographs", "2", "--side", "32").status == 0
    with Image.open(out) as sheet:
        assert sheet.size == (4 * 2 * 32, 2 * 32)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--identities", "0"], "error: identities: expected 1..9999, got 0"),
        (["--seed", "-1"], "error: seed: expected 0..2147483647, got -1"),
    ],
)
def test_a_bad_number_is_one_line(tmp_path: Path, run: Program, arguments: list[str], complaint: str) -> None:
    answer = run("write", tmp_path / "faces", *arguments)
    assert (answer.status, answer.err) == (2, f"{complaint}\n")
    assert not (tmp_path / "faces").exists()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, run: Program) -> None:
    (tmp_path / "file").touch()
    answer = run("write", tmp_path / "file", "--identities", "1")
    assert answer.status == 2
    assert answer.err.startswith(f"error: {tmp_path / 'file'}: cannot be written: ")


def test_a_picture_of_an_unknown_kind_is_one_line(tmp_path: Path, run: Program) -> None:
    out = tmp_path / "sheet.unknown"
    answer = run("sheet", out, "--identities", "1", "--photographs", "1", "--side", "16")
    assert (answer.status, answer.err) == (2, f"error: {out}: cannot be written: unknown file extension: .unknown\n")


def test_a_tilde_is_the_user_s_home(tmp_path: Path, run: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run("write", "~/faces", "--identities", "1", "--photographs", "1").status == 0
    assert (tmp_path / "faces" / "synthetic0-0001" / "0001_01.jpg").exists()


def test_the_home_of_nobody_is_refused_by_what_was_given(run: Program) -> None:
    answer = run("write", "~nobody-of-that-name/faces")
    assert answer.status == 2
    assert "~nobody-of-that-name/faces" in answer.err


def written(out: Path, *, stdout: int | None, stderr: int | None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-P", "-m", "synthetic_faces", "write", str(out), "--identities", "2", "--photographs", "1"]
    return subprocess.run(command, stdout=stdout, stderr=stderr, env=os.environ | environment, timeout=120, check=False)


def test_an_output_that_is_not_utf_8_is_printed_to_with_escapes(tmp_path: Path) -> None:
    out = tmp_path / "Gesichter-äß"
    finished = written(out, stdout=subprocess.PIPE, stderr=subprocess.PIPE, PYTHONIOENCODING="ascii:strict")
    assert (finished.returncode, finished.stdout) == (0, f"{tmp_path}/Gesichter-\\xe4\\xdf\n".encode())
    assert len(list(out.rglob("*.jpg"))) == 2


def test_a_pipe_that_nobody_reads_and_a_full_disk_under_the_output_keep_nothing_from_being_written(tmp_path: Path) -> None:
    reader, pipe = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("wb") as full, os.fdopen(pipe, "wb") as closed:
        for name, output, status in (("full", full, OUTPUT_LOST), ("closed", closed, 0)):
            finished = written(tmp_path / name, stdout=output.fileno(), stderr=output.fileno())
            assert finished.returncode == status
            assert len(list((tmp_path / name).rglob("*.jpg"))) == 2
