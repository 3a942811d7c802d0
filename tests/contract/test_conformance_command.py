"""`orchestrator conformance` as it is typed: what it prints, writes, refuses, and ends with."""

import json
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conformance import client
from conformance.subjects import Subject, subjects
from orchestrator.__main__ import main
from orchestrator.faces.folder import read_face_folder
from rpc.certificates import Authority
from tests.support.certificates import material, of_elsewhere, written
from tests.support.conformance_runs import write_faces
from tests.support.conforming import ConformingInvader, ConformingProtector
from tests.support.mutants_protector import OneLevelOver
from tests.support.serving_in_a_thread import serving_in_a_thread


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A folder of photos of people whom the services know."""
    root = tmp_path / "faces"
    write_faces(root)
    return root


@pytest.fixture(scope="module")
def protector() -> Iterator[str]:
    """The address of an honest protector."""
    with serving_in_a_thread(ConformingProtector().serving()) as address:
        yield address


@pytest.fixture(scope="module")
def invader() -> Iterator[str]:
    """The address of an honest invader."""
    with serving_in_a_thread(ConformingInvader().serving()) as address:
        yield address


Conformance = Callable[..., tuple[int, str, str]]


@pytest.fixture
def conformance(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Conformance:
    """The command as it is typed: gives its exit status, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["orchestrator", "conformance", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capfd.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return run


def test_both_services_are_checked_and_the_outcomes_are_shown_and_written(
    conformance: Conformance, faces: Path, invader: str, tmp_path: Path
) -> None:
    files = (tmp_path / "outcomes.json", tmp_path / "junit.xml")
    chosen = ("--only", "protector.bud*", "--only", "invader.budget*", "--skip", "protector.budget-zero")
    with serving_in_a_thread(OneLevelOver().serving()) as protector:
        services = ("--faces", faces, "--protector", protector, "--invader", invader)
        status, output, errors = conformance(*services, *chosen, "--json", files[0], "--junit", files[1])
    assert (status, errors) == (1, "")
    assert "4 checks in" in output
    assert "the checks of the invader ask up to 13 queries; 300 are left" in output
    document = json.loads(files[0].read_text())
    assert document["conforms"] is False
    verdicts = {check["id"]: check["verdict"] for check in document["checks"]}
    assert verdicts == {
        "protector.budget": "failed",
        "invader.budget": "passed",
        "invader.budget-errors": "passed",
        "invader.budget-spent": "not applicable",
    }
    assert "expected at most 4 levels of change, got 5" in document["checks"][0]["evidence"]
    suites = ElementTree.parse(files[1]).getroot()
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("skipped")) for suite in suites] == [
        ("protector", "1", "1", "0"),
        ("invader", "3", "0", "1"),
    ]
    failure = suites.find("testsuite/testcase[@name='budget']/failure")
    assert failure is not None
    assert failure.get("message") == document["checks"][0]["evidence"]


def test_each_replica_is_checked_and_named(conformance: Conformance, faces: Path, protector: str, tmp_path: Path) -> None:
    files = (tmp_path / "outcomes.json", tmp_path / "junit.xml")
    with serving_in_a_thread(OneLevelOver().serving()) as other:
        listed = tmp_path / "protectors"
        listed.write_text(f"{protector}\n{other}\n")
        arguments = ("--faces", faces, "--protector", f"@{listed}", "--only", "protector.budget")
        status, output, _ = conformance(*arguments, "--json", files[0], "--junit", files[1])
    assert status == 1
    assert "2 checks in" in output
    checks = json.loads(files[0].read_text())["checks"]
    assert [(check["id"], check["at"], check["verdict"]) for check in checks] == [
        ("protector.budget", protector, "passed"),
        ("protector.budget", other, "failed"),
    ]
    suites = ElementTree.parse(files[1]).getroot()
    assert [(suite.get("name"), suite.get("failures")) for suite in suites] == [
        (f"protector at {protector}", "0"),
        (f"protector at {other}", "1"),
    ]


@pytest.mark.usefixtures("_soon_given_up")
def test_a_replica_that_is_not_there_keeps_none_of_the_others_from_being_checked(
    conformance: Conformance, faces: Path, protector: str, tmp_path: Path
) -> None:
    outcomes = tmp_path / "outcomes.json"
    arguments = ("--faces", faces, "--protector", f"127.0.0.1:1,{protector}", "--only", "protector.budget")
    status, _, errors = conformance(*arguments, "--json", outcomes)
    assert (status, errors) == (1, "error: the protector at 127.0.0.1:1 does not answer: nothing listens there\n")
    assert [(check["id"], check["at"], check["verdict"]) for check in json.loads(outcomes.read_text())["checks"]] == [
        ("protector.answers", "127.0.0.1:1", "error"),
        ("protector.budget", "127.0.0.1:1", "not run"),
        ("protector.budget", protector, "passed"),
    ]


def test_replicas_by_mutual_tls_show_certificates_of_one_name(conformance: Conformance, faces: Path, tmp_path: Path) -> None:
    authority = Authority.create()
    files = written(tmp_path / "client", material(authority))
    tls = ("--tls-certificate", files.certificate, "--tls-key", files.key, "--tls-authority", files.authority)
    server = of_elsewhere(authority, material(authority, "protector", server=True))
    with serving_in_a_thread(ConformingProtector().serving(server)) as address:
        arguments = ("--faces", faces, "--protector", f"{address},", *tls, "--only", "protector.budget")
        assert conformance(*arguments)[0] == 1
        assert conformance(*arguments, "--protector-tls-name", "elsewhere")[0] == 0


def test_by_mutual_tls_a_conforming_service_ends_with_0(conformance: Conformance, faces: Path, tmp_path: Path) -> None:
    authority = Authority.create()
    files = written(tmp_path / "client", material(authority))
    tls = ("--tls-certificate", files.certificate, "--tls-key", files.key, "--tls-authority", files.authority)
    with serving_in_a_thread(ConformingProtector().serving(material(authority, "protector", server=True))) as address:
        status, output, errors = conformance("--faces", faces, "--protector", address, *tls, "--only", "protector.budget")
    assert (status, errors) == (0, "")
    assert "1 check in" in output
    assert "1 passed" in output


def test_all_checks_can_be_listed_without_a_service(conformance: Conformance) -> None:
    status, output, _ = conformance("--list")
    assert status == 0
    assert "protector.whole-levels" in output
    assert "invader.error-texts" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--protector, --invader: expected the address of at least one running service"),
        (
            ("--protector", "127.0.0.1:1", "--only", "protector.budgets"),
            "--only: expected checks, their beginnings or patterns, got",
        ),
        (
            ("--protector", "127.0.0.1:1", "--only", "invader"),
            "--only, --skip: expected checks of the services that are given",
        ),
        (("--protector", "nowhere"), "--protector: "),
        (("--protector", "127.0.0.1:1,nowhere"), "--protector: 127.0.0.1:1,nowhere: "),
        (("--protector", "127.0.0.1:1", "--faces", "no-such-folder"), "--faces: no-such-folder: cannot be read"),
    ],
)
def test_what_cannot_be_checked_is_refused_with_the_option(
    conformance: Conformance, arguments: tuple[str, ...], message: str
) -> None:
    status, _, errors = conformance(*arguments)
    assert status == 2
    assert errors.startswith(f"error: {message}")
    assert errors.count("\n") == 1


@pytest.fixture
def strangers(faces: Path) -> Path:
    """A folder of a photo of somebody whom the services do not know."""
    stranger = faces.parent / "strangers" / "a_stranger"
    stranger.mkdir(parents=True)
    (faces / "identity_0" / "a.jpg").rename(stranger / "a.jpg")
    return stranger.parent


def test_a_protector_that_knows_none_of_the_people_is_not_checked(
    conformance: Conformance, strangers: Path, protector: str
) -> None:
    status, _, errors = conformance("--faces", strangers, "--protector", protector)
    assert status == 2
    assert errors == (
        "error: --faces: expected photos of people whom the service knows, got 1 others; give a folder with a folder of "
        "photos for each of some identities of its label set: the service knows none of them, but 12 others (identity_0, "
        "identity_1, identity_10, ...)\n"
    )


def test_people_are_known_to_a_service_whatever_normal_form_their_folders_names_have(tmp_path: Path) -> None:
    photos = read_face_folder(write_photo_of(tmp_path / unicodedata.normalize("NFD", "Zoë") / "a.jpg"))
    (subject,) = subjects(photos, known={"Zoë", "nobody"})
    assert subject == Subject("Zoë", b"a photo")
    (subject,) = subjects(photos, known={unicodedata.normalize("NFD", "Zoë")})
    assert subject.identity == unicodedata.normalize("NFD", "Zoë")


def write_photo_of(file: Path) -> Path:
    """The data set that the file is all of."""
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a photo")
    return file.parents[1]


def test_an_invader_with_too_little_budget_is_asked_nothing(conformance: Conformance, faces: Path) -> None:
    invader = ConformingInvader()
    invader.budget = 5
    with serving_in_a_thread(invader.serving()) as address:
        status, _, errors = conformance("--faces", faces, "--invader", address)
    assert status == 2
    assert "and 5 are left of our budget there: raise it, or choose fewer by --only or --skip" in errors
    assert invader.used == 0


@pytest.fixture
def _soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that says nothing is waited for half a second."""
    monkeypatch.setattr(client, "ALIVE_SECONDS", 0.5)


@pytest.mark.usefixtures("_soon_given_up")
def test_a_service_that_is_not_there_ends_with_1_and_why(conformance: Conformance, faces: Path) -> None:
    status, output, errors = conformance("--faces", faces, "--invader", "127.0.0.1:1")
    assert status == 1
    assert errors == "error: the invader at 127.0.0.1:1 does not answer: nothing listens there\n"
    assert "not run" in output


@pytest.mark.usefixtures("_soon_given_up")
def test_what_was_found_of_one_service_is_written_though_the_other_is_not_there(
    conformance: Conformance, faces: Path, protector: str, tmp_path: Path
) -> None:
    files = (tmp_path / "outcomes.json", tmp_path / "junit.xml")
    files[1].write_text("<old/>")
    only = ("--only", "protector.budget", "--only", "invader.k", "--json", files[0], "--junit", files[1])
    services = ("--faces", faces, "--protector", protector, "--invader", "127.0.0.1:1")
    status, _, errors = conformance(*services, *only)
    assert (status, errors) == (1, "error: the invader at 127.0.0.1:1 does not answer: nothing listens there\n")
    document = json.loads(files[0].read_text())
    assert document["conforms"] is False
    assert [(check["id"], check["verdict"]) for check in document["checks"]] == [
        ("protector.budget", "passed"),
        ("invader.answers", "error"),
        ("invader.k", "not run"),
    ]
    suites = ElementTree.parse(files[1]).getroot()
    assert [(suite.get("name"), suite.get("errors")) for suite in suites] == [("protector", "0"), ("invader", "2")]


@pytest.mark.parametrize("option", ["--json", "--junit"])
def test_a_file_that_cannot_be_written_is_refused_before_anybody_is_asked(
    conformance: Conformance, faces: Path, option: str
) -> None:
    service = ("--faces", faces, "--invader", "127.0.0.1:1")
    status, output, errors = conformance(*service, option, faces / "nowhere" / "file")
    assert (status, output) == (2, "")
    assert errors == f"error: {option}: {faces / 'nowhere' / 'file'}: cannot be written: No such file or directory\n"
