"""`orchestrator runs` lists runs, and `orchestrator purge` removes their pictures and nothing else."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import cli
from orchestrator.commands.report import report
from orchestrator.errors import InputError
from orchestrator.report.run import read_run
from orchestrator.store.store import Store
from tests.support.pages import by_id, parsed
from tests.support.reported import PEOPLE, PLAN, changed, make_run, move_observations

pytestmark = pytest.mark.usefixtures("blank_figures")


def orchestrator(*arguments: str | Path, answer: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)), input=answer)


def listed(folder: Path) -> dict[str, str]:
    """A line's text by its run; cells that are broken over several lines are joined."""
    done = orchestrator("runs", "--runs", folder)
    assert done.exit_code == 0, done.output
    lines: dict[str, str] = {}
    name = ""
    for line in done.output.splitlines():
        if line.startswith("│"):
            cells = [cell.strip() for cell in line.strip("│").split("│")]
            name = cells[0] or name
            lines[name] = " ".join([lines.get(name, ""), *cells[1:]])
    return {name: " ".join(text.split()) for name, text in lines.items()}


def hold(root: Path) -> None:
    """As an orchestrator that is working on the run."""
    store = Store(root / "observations.sqlite", run=PLAN.digest())
    store.leases.draw(sorted(PLAN.faces.identities))
    assert store.leases.claim(wanted=3) is not None
    store.close()


def test_runs_are_listed_with_how_far_they_are(tmp_path: Path) -> None:
    make_run(tmp_path / "whole", pictures=False)
    make_run(tmp_path / "begun", subjects=1, finished=False, pictures=False)
    make_run(tmp_path / "short", subjects=2, pictures=False)
    make_run(tmp_path / "stopped", subjects=2, pictures=False, outcome={"stopped_by": "interrupted"})
    make_run(tmp_path / "held", subjects=2, finished=False, pictures=False)
    hold(tmp_path / "held")
    (tmp_path / "notes").mkdir()
    found = listed(tmp_path)
    assert list(found) == ["begun", "held", "short", "stopped", "whole"]
    assert found["whole"].startswith("3 of 3 compact-facenet, compact-resnet bim, illc jpeg:95 complete none")
    assert "1 of 3" in found["begun"]
    assert "broken off" in found["begun"]
    assert "going on" in found["held"]
    assert "stopped: interrupted" in found["stopped"]
    assert "2 of 3" in found["short"]
    assert "short cells" in found["short"]


def test_a_run_that_its_manifest_calls_complete_is_listed_as_one_that_was_counted(tmp_path: Path) -> None:
    make_run(tmp_path / "said", pictures=False, outcome={"complete": True})
    make_run(tmp_path / "counted", pictures=False)
    make_run(tmp_path / "lost", pictures=False, outcome={"complete": True})
    (tmp_path / "lost" / "observations.sqlite").unlink()
    found = listed(tmp_path)
    assert found["said"] == found["counted"]
    assert "half a run" in found["lost"]


def test_a_run_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    make_run(tmp_path / "whole", pictures=False)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text('{"form')
    found = listed(tmp_path)
    assert "complete" in found["whole"]
    assert "half written or damaged" in found["broken"]


def test_a_database_that_is_meant_for_other_runs_hides_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "whole", pictures=False)
    shared = make_run(tmp_path / "shared", pictures=False)
    move_observations(shared, tmp_path / "team.sqlite")
    monkeypatch.setenv("DEID_ORCHESTRATOR_STORE", f"sqlite:///{tmp_path / 'another.sqlite'}")
    found = listed(tmp_path)
    assert all("3 of 3" in line and "complete" in line for line in found.values())
    assert not (tmp_path / "another.sqlite").exists()


def test_the_database_that_a_run_names_can_be_given_with_its_password(tmp_path: Path) -> None:
    shared = make_run(tmp_path / "shared", pictures=False)
    move_observations(shared, tmp_path / "team.sqlite")
    said = orchestrator("runs", "--runs", tmp_path, "--store", "team").output
    assert "cannot be read: --store:" in " ".join(said.replace("│", " ").split()), "else it was not looked at"


def test_the_size_of_kept_pictures_is_shown(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run")
    size = sum(path.stat().st_size for path in root.rglob("*") if path.suffix in (".jpg", ".png"))
    assert f"{size / 1e6:.1f} MB" in listed(tmp_path)["run"]


def test_no_runs_are_said_and_no_folder_is_refused(tmp_path: Path) -> None:
    assert orchestrator("runs", "--runs", tmp_path).output == f"no runs in {tmp_path}\n"
    refused = orchestrator("runs", "--runs", tmp_path / "absent").exception
    assert isinstance(refused, InputError)
    assert str(refused) == f"--runs: expected a folder of run folders, got {tmp_path / 'absent'}, which is none"


def pictures_of(root: Path) -> list[Path]:
    kept = [path for path in (root / "cloaks").rglob("*") if path.is_file()]
    return [*kept, *(root / "report" / "figures").glob("cloaks*")]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of people, whose report shows them."""
    root = make_run(tmp_path / "run", plan=changed(faces=PEOPLE))
    report(root, with_pictures=True, formats=("pdf", "svg"))
    return root


def test_purging_removes_every_picture_and_says_so(run: Path) -> None:
    # Three subjects and two source models: seven cloaks each, and a lossless control.
    before = read_run(run).matrix.ranks.copy()
    done = orchestrator("purge", run, "--yes")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{run}: removed 42 cloaks, 3 figures made of them (")
    assert "the cloaks on its page; what was observed stays" in done.output
    assert pictures_of(run) == []
    assert "data:image/jpeg" not in (run / "report" / "report.html").read_text()
    assert (read_run(run).matrix.ranks == before).all()


def test_the_page_of_a_purged_run_is_whole_but_for_its_pictures(run: Path) -> None:
    before = parsed((run / "report" / "report.html").read_text())
    orchestrator("purge", run, "--yes")
    after = parsed((run / "report" / "report.html").read_text())
    assert by_id(after, "cloaks").text.endswith("The pictures of this run were removed.")
    assert by_id(after, "psr").rows() == by_id(before, "psr").rows()
    assert {link.attributes["href"] for link in after.all("a")} < {link.attributes["href"] for link in before.all("a")}


def test_a_purged_run_can_be_reported_on_again(run: Path) -> None:
    orchestrator("purge", run, "--yes")
    page = parsed(report(run, with_pictures=True).read_text())
    assert "No pictures are kept" in by_id(page, "cloaks").text


def test_a_run_without_pictures_has_none_to_remove(run: Path) -> None:
    orchestrator("purge", run, "--yes")
    assert orchestrator("purge", run).output == f"{run} holds no pictures\n"


def test_photos_that_a_killed_run_left_behind_are_removed_and_not_what_they_link_to(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", pictures=False)
    photo = tmp_path / "ada.jpg"
    photo.write_bytes(b"ada")
    person = run / "gallery-abc" / "gallery" / "ada"
    person.mkdir(parents=True)
    (person / "1.jpg").symlink_to(photo)
    assert ", the photos that were enrolled (" in orchestrator("purge", run, "--yes").output
    assert not (run / "gallery-abc").exists()
    assert photo.read_bytes() == b"ada"
    assert orchestrator("purge", run).output == f"{run} holds no pictures\n"


@pytest.mark.parametrize(("answer", "left"), [("n\n", True), ("\n", True), ("y\n", False)])
def test_purging_asks_first(tmp_path: Path, answer: str, left: bool) -> None:
    root = make_run(tmp_path / "run")
    done = orchestrator("purge", root, answer=answer)
    assert "remove 42 cloaks" in done.output
    assert bool(pictures_of(root)) is left
    assert (done.exit_code != 0) is left


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "cloaks").mkdir()
    (tmp_path / "cloaks" / "holiday.jpg").write_bytes(b"mine")
    refused = orchestrator("purge", tmp_path, "--yes").exception
    assert isinstance(refused, InputError)
    assert str(refused) == f"{tmp_path}: expected the folder of a run, got another folder"
    assert (tmp_path / "cloaks" / "holiday.jpg").read_bytes() == b"mine"


def test_a_run_whose_manifest_is_damaged_can_be_purged(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run")
    (root / "manifest.json").write_text("{")
    assert orchestrator("purge", root, "--yes").exit_code == 0
    assert pictures_of(root) == []
