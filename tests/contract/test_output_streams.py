"""What a command does is done whatever becomes of what it prints: each command, with each kind of output."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import orchestrator.__main__
import recognizers.__main__
import rpc.certificates
import synthetic_faces.__main__
from command_line.output import OUTPUT_LOST
from recognizers.checkpoints import embedded
from tests.support.bench import (
    IDENTITIES,
    write_photo,
)
from tests.support.fakes import FakeInvader, FakeProtector
from tests.support.output import ASCII, CLOSED, FULL, HEAD, LATIN, standard_output
from tests.support.reported import make_run
from tests.support.serving_in_a_thread import serving_in_a_thread


@dataclass(frozen=True)
class Place:
    """Where a command works."""

    folder: Path
    protector: str
    invader: str

    @property
    def run(self) -> Path:
        return self.folder / "runs" / "ε of Zoë"


@dataclass(frozen=True)
class Command:
    """A command, what it needs, and what it leaves."""

    arguments: Callable[[Place], Sequence[str | Path]]
    results: Callable[[Place], Sequence[Path]] = lambda _: ()
    prepare: Callable[[Place], object] = lambda _: None
    status: int = 0
    main: Callable[[], None] = orchestrator.__main__.main


def a_run(place: Place) -> None:
    make_run(place.run)


def two_runs(place: Place) -> None:
    make_run(place.run)
    make_run(place.folder / "runs" / "other")


def photos(place: Place) -> None:
    for level, identity in enumerate("abcd"):
        write_photo(place.folder / "faces" / identity / "0.jpg", level=40 * level)


COMMANDS = {
    "evaluate": Command(
        lambda place: (
            *("evaluate", "--faces", place.folder / "faces", "--run", place.run, "--subjects", "2", "--epsilons", "4"),
            *("--protector", place.protector, "--invader", place.invader, "--k", "1,5", "--methods", "bim"),
            *("--source-models", "facenet", "--target-models", "facenet,resnet50", "--conditions", "png"),
            *("--discard-cloaks",),
        ),
        lambda place: (place.run / "psr.csv", place.run / "report" / "report.html"),
        prepare=photos,
    ),
    "report": Command(
        lambda place: ("report", place.run), lambda place: (place.run / "report" / "report.html",), prepare=a_run
    ),
    "compare": Command(
        lambda place: ("compare", place.run, place.folder / "runs" / "other", "--csv", place.folder / "compared.csv"),
        lambda place: (place.folder / "compared.csv",),
        prepare=two_runs,
    ),
    "runs": Command(lambda place: ("runs", "--runs", place.folder / "runs"), prepare=two_runs),
    "purge": Command(lambda place: ("purge", place.run, "--yes"), prepare=a_run),
    "doctor": Command(lambda place: ("doctor", "--protector", place.protector, "--invader", place.invader), status=1),
    "conformance": Command(
        lambda place: (
            *("conformance", "--protector", place.protector, "--only", "protector.methods"),
            *("--json", place.folder / "outcomes.json", "--faces", place.folder / "faces"),
        ),
        lambda place: (place.folder / "outcomes.json",),
        prepare=photos,
        status=1,
    ),
    "convert": Command(
        lambda place: ("convert", embedded.FOLDER / "compact-facenet.safetensors", place.folder / "ε.safetensors"),
        lambda place: (place.folder / "ε.safetensors",),
        main=recognizers.__main__.main,
    ),
    "inspect": Command(lambda _: ("inspect", "nowhere ε"), status=2, main=recognizers.__main__.main),
    "synthetic faces": Command(
        lambda place: ("write", place.folder / "ε", "--identities", "1", "--photographs", "1"),
        lambda place: (place.folder / "ε" / "synthetic0-0001" / "0001_01.jpg",),
        main=synthetic_faces.__main__.main,
    ),
    "certificates": Command(
        lambda place: (place.folder / "ε",),
        lambda place: (place.folder / "ε" / "invader" / "tls.crt",),
        main=rpc.certificates.main,
    ),
    "help": Command(lambda _: ("evaluate", "--help")),
    "bad input": Command(lambda _: ("report", "nowhere ε"), status=2),
}


@asynccontextmanager
async def services() -> AsyncIterator[tuple[str, str]]:
    protector = FakeProtector({"facenet": IDENTITIES})
    invader = FakeInvader(dict.fromkeys(("facenet", "resnet50"), IDENTITIES))
    async with protector.serving() as protecting, invader.serving() as invading:
        yield protecting, invading


def exit_status(command: Command, place: Place, monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["orchestrator", *map(str, command.arguments(place))])
    with pytest.raises(SystemExit) as end:
        command.main()
    return end.value.code


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """With services in a thread of their own: commands run in the main one, to which signals come."""
    with serving_in_a_thread(services()) as addresses:
        yield Place(tmp_path, *addresses)


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize("output", [LATIN, ASCII, HEAD, FULL, CLOSED])
@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_does_is_done_whatever_becomes_of_its_output(
    place: Place, name: str, output: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place.folder}/no-engine")  # the doctor's findings are the same everywhere
    command = COMMANDS[name]
    command.prepare(place)
    with standard_output(output):
        status = exit_status(command, place, monkeypatch)
    errors = capfd.readouterr().err
    assert [path for path in command.results(place) if not path.stat().st_size] == []
    assert (status or 0) == (OUTPUT_LOST if output == FULL and not command.status else command.status), errors
    assert ("standard output cannot be written: No space left on device" in errors) == (output == FULL and status != 2)


async def test_an_evaluation_whose_reader_went_away_ends_with_its_outcome_and_its_report(tmp_path: Path) -> None:
    async with services() as (protector, invader):
        place = Place(tmp_path, protector, invader)
        photos(place)
        arguments = (sys.executable, "-P", "-m", "orchestrator", *map(str, COMMANDS["evaluate"].arguments(place)))
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", '"$@" | head -1; exit ${PIPESTATUS[0]}', "bash", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert printed.startswith(b"run folder ")
    assert json.loads((place.run / "manifest.json").read_bytes())["outcome"]["subjects_wanted"] == 2
    assert (place.run / "report" / "report.html").exists()
