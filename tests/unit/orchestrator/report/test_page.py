"""What stands on a report's page, for whole runs and for those that are not."""

import json
import re
import shlex
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator.cli import cli
from orchestrator.commands.evaluate import evaluate_command
from orchestrator.commands.report import report
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.experiment.condition import NAMED_SETS
from orchestrator.experiment.grid import Grid
from orchestrator.report.drawing import quality_points
from orchestrator.report.measured import measure
from orchestrator.report.run import read_run
from orchestrator.run_folder.folder import RunFolder
from orchestrator.run_folder.pictures import kept_pictures
from orchestrator.store.store import Store
from tests.support.cells import paper_cell
from tests.support.pages import Element, by_id, parsed
from tests.support.reported import GRID, PEOPLE, changed, make_run, model, move_observations, recognised

pytestmark = pytest.mark.usefixtures("blank_figures")  # but for the run of a whole module
SHORT = paper_cell("compact-facenet", "bim", 4, "compact-resnet")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run with its report."""
    root = make_run(tmp_path_factory.mktemp("runs") / "whole")
    report(root)
    return root


def page_of(root: Path, **options: Any) -> Element:
    return parsed(report(root, **options).read_text())


def notices(page: Element) -> list[str]:
    return [each.text for each in page.all("p") if each.attributes.get("role") == "note"]


def pictures(page: Element) -> list[str]:
    return [source for image in page.all("img") if (source := image.attributes["src"] or "").startswith("data:image/jpeg")]


def test_the_page_needs_no_other_file(whole: Path) -> None:
    page = parsed((whole / "report" / "report.html").read_text())
    assert all((image.attributes["src"] or "").startswith("data:image/") for image in page.all("img"))
    assert [link.attributes["href"] for link in page.all("link")] == ["data:,"]
    assert [script.attributes for script in page.all("script")] == [{}]
    text = (whole / "report" / "report.html").read_text()
    assert "@import" not in text
    assert "url(" not in text


def test_every_link_leads_somewhere(whole: Path) -> None:
    page = parsed((whole / "report" / "report.html").read_text())
    targets = [link.attributes["href"] or "" for link in page.all("a")]
    assert {"psr.csv", "observations.parquet", "manifest.json", "figures/"} <= set(targets)
    for target in targets:
        if target.startswith("#"):
            by_id(page, target[1:])
        else:
            assert (whole / "report" / target).exists(), target


def test_every_picture_says_what_it_shows(whole: Path) -> None:
    page = parsed((whole / "report" / "report.html").read_text())
    assert len(page.all("img")) > 5
    assert all(image.attributes.get("alt") for image in page.all("img"))


def test_what_is_written_is_its_owner_s_alone(whole: Path) -> None:
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (whole / "report", *(whole / "report").rglob("*"))}
    assert len(found) > 10
    assert {mode & 0o077 for mode in found.values()} == {0}


def test_a_whole_run_has_no_notice_but_that_it_is_not_the_paper_s(whole: Path) -> None:
    page = parsed((whole / "report" / "report.html").read_text())
    (notice,) = notices(page)
    assert notice.startswith("Not the paper’s figures: embedded recognizers on synthetic faces.")


def test_psr_stands_with_its_interval_and_its_n(whole: Path) -> None:
    rows = by_id(parsed((whole / "report" / "report.html").read_text()), "psr").rows()
    assert len(rows) == GRID.observations_per_probe
    # Wilson's interval of 3 of 3 is 43.8..100; ranks 1, 2, 3 are two of three beyond the first, and none beyond five.
    assert ["compact FaceNet", "BIM", "4", "compact FaceNet", "3", "100.0 [44–100]", "100.0 [44–100]", "100.0"] in rows
    assert ["compact FaceNet", "BIM", "4", "compact ResNet", "3", "66.7 [21–94]", "0.0 [0–56]", "100.0"] in rows
    assert ["compact FaceNet", "BIM", "64", "compact ResNet", "3", "100.0 [44–100]", "33.3 [6–79]", "66.7"] in rows


def test_the_reproduction_asks_the_same_questions(whole: Path) -> None:
    page = parsed((whole / "report" / "report.html").read_text())
    command = shlex.split(by_id(page, "reproduce").all("code")[0].text.replace("\\", ""))
    assert command[:2] == ["orchestrator", "evaluate"]
    options = dict(zip(command[2::2], command[3::2], strict=True))
    assert options == {
        "--faces": "synthetic:identities=9,photographs=1,seed=0",
        "--precision": "float32",
        "--subjects": "3",
        "--seed": "0",
        "--source-models": "compact-facenet,compact-resnet",
        "--target-models": "compact-facenet,compact-resnet",
        "--methods": "bim,illc",
        "--epsilons": "4,64",
        "--k": "1,5",
        "--conditions": "jpeg:95",
        "--run": "NEW_FOLDER",
    }
    known = {option for parameter in evaluate_command.params for option in parameter.opts}
    assert options.keys() <= known


def test_queries_are_pictures_not_observations(whole: Path) -> None:
    facts = by_id(parsed((whole / "report" / "report.html").read_text()), "run").text
    # Three subjects, two source models, a control and two budgets of two methods and noise; two target models read each.
    assert "42 pictures were answered by the invader, 84 observations in all" in facts


def test_a_run_that_is_going_on_is_reported_as_far_as_it_is(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run", subjects=1, finished=False), allow_incomplete=True)
    assert notices(page)[0].startswith("This run is not finished. It was broken off: 28 of 84 observations")
    assert {row[4] for row in by_id(page, "psr").rows()} == {"1*"}


LOOKING = changed(subjects=9, until_halfwidth=47.0)


def test_a_page_says_how_far_a_run_was_to_draw_and_what_it_reached(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run", plan=LOOKING, subjects=3, outcome={"subjects_wanted": 3}))
    said = notices(page)[0]
    assert said.startswith(
        "N was not fixed beforehand. Subjects were drawn until the 95 % interval of PSR is at most ± 47 points in every "
        "cell and at every k, looked at after every 20: reached after 3, the widest is ± 46.45 points (PSR@1 of compact "
        "FaceNet, BIM, ε 4, jpeg:95, read by compact ResNet). The intervals of PSR and of faces found are confidence "
        "sequences"
    )
    assert "not corrected for looking" in said
    assert "at most 9 asked for" in by_id(page, "run").text
    command = shlex.split(by_id(page, "reproduce").all("code")[0].text.replace("\\", ""))
    options = dict(zip(command[2::2], command[3::2], strict=True))
    assert (options["--subjects"], options["--until-halfwidth"]) == ("9", "47.0")


@pytest.mark.parametrize(
    ("most", "said"),
    [
        (9, "not reached, because there are no more than 3; the widest is ± 46.45 points"),
        (3, "not reached with 3, the most that were to be drawn; the widest is ± 46.45 points"),
    ],
)
def test_a_page_says_why_a_run_stopped_before_its_intervals_were_narrow(tmp_path: Path, most: int, said: str) -> None:
    plan = changed(subjects=most, until_halfwidth=2.0)
    (first, _) = notices(page_of(make_run(tmp_path / "run", plan=plan, subjects=3, outcome={"subjects_wanted": 3})))
    assert said in first


def test_a_run_that_does_not_know_yet_how_many_it_wants_says_so(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run", plan=LOOKING, subjects=1, finished=False), allow_incomplete=True)
    unfinished, looking, _ = notices(page)
    assert "28 of at most 252 observations, of 1 of at most 9 subjects" in unfinished
    assert "looked at after every 20; that is not yet reached." in looking


def test_a_run_that_looked_shows_intervals_that_hold_at_all_looks_and_says_which_do_not(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run", plan=LOOKING, subjects=3, outcome={"subjects_wanted": 3}))
    # Of 3 of 3, Beta(4, 1) has a density of 0.05 at 23.2 %; Beta(3, 2), of 2 of 3, at 6.7 and 99.6 %; Beta(1, 4) at 76.8 %.
    row = ["compact FaceNet", "BIM", "4", "compact ResNet", "3", "66.7 [7–100]", "0.0 [0–77]", "100.0"]
    assert row in by_id(page, "psr").rows()
    assert "confidence sequences, each of which holds at all looks at once, for its own cell" in by_id(page, "psr-note").text
    for name in ("added", "methods", "claims-table"):
        assert "for a fixed N, and not corrected for looking" in by_id(page, f"{name}-note").text
    assert "Waudby-Smith and Ramdas 2020, Newcombe 1998" in page.all("footer")[0].text


def test_a_run_of_a_fixed_n_says_nothing_of_looks(whole: Path) -> None:
    text = (whole / "report" / "report.html").read_text()
    assert "confidence sequence" not in text
    assert "corrected for looking" not in text
    assert "Wilson 1927, Newcombe 1998" in text


def test_a_run_that_observed_nothing_yet_has_a_page(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run", subjects=0, finished=False), allow_incomplete=True)
    assert "0 of 84 observations" in notices(page)[0]
    assert {tuple(row[4:]) for row in by_id(page, "psr").rows()} == {("0*", "–", "–", "–")}


def test_a_short_cell_shows_its_own_n(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", answered=lambda n, cell: None if (n, cell) == (2, SHORT) else recognised(n, cell))
    page = page_of(root, allow_incomplete=True)
    assert notices(page)[0].startswith("This run is incomplete. 1 of 28 cells have fewer than 3 observations")
    ns = {tuple(row[:4]): row[4] for row in by_id(page, "psr").rows()}
    assert ns.pop(("compact FaceNet", "BIM", "4", "compact ResNet")) == "2*"
    assert set(ns.values()) == {"3"}


def test_an_incomplete_run_is_not_reported_on_unasked(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", answered=lambda n, cell: None if (n, cell) == (2, SHORT) else recognised(n, cell))
    refused = f"{root}: expected a complete run, got one with 1 cells of fewer than 3 observations, the fewest 2"
    with pytest.raises(InputError, match=re.escape(refused)):
        report(root)
    assert not (root / "report").exists()


def test_a_cell_without_observations_is_a_dash_and_never_a_zero(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", answered=lambda n, cell: None if cell == SHORT else recognised(n, cell))
    page = page_of(root, allow_incomplete=True)
    (row,) = [row for row in by_id(page, "psr").rows() if row[:4] == ["compact FaceNet", "BIM", "4", "compact ResNet"]]
    assert row[4:] == ["0*", "–", "–", "–"]


def test_a_single_subject_is_pointed_out(tmp_path: Path) -> None:
    assert any(
        each.startswith("A single subject.") for each in notices(page_of(make_run(tmp_path / "r", plan=changed(subjects=1))))
    )


def test_people_are_shown_only_when_asked_for(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", plan=changed(faces=PEOPLE))
    bare = page_of(root)
    assert pictures(bare) == []
    assert "Pictures of people are not shown unless they are asked for" in by_id(bare, "cloaks").text
    assert not list((root / "report" / "figures").glob("cloaks*"))
    shown = page_of(root, with_pictures=True)
    assert len(pictures(shown)) > 10
    assert list((root / "report" / "figures").glob("cloaks*"))
    assert pictures(page_of(root)) == [], "what was shown once is shown no more"
    assert not list((root / "report" / "figures").glob("cloaks*"))


def test_figures_are_files_of_what_the_page_shows_and_of_what_is_asked_for(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run")

    def kinds(name: str) -> set[str]:
        return {path.suffix for path in (root / "report" / "figures").glob(f"{name}.*")}

    asked = report(root, formats=("png", "pdf")).read_text()
    assert kinds("transfer") == {".svg", ".png", ".pdf"}
    assert kinds("cloaks-example") == {".png", ".pdf"}
    assert "transfer.pdf" in asked
    again = report(root).read_text()
    assert (kinds("transfer"), kinds("cloaks-example")) == ({".svg"}, {".png"}), "an earlier report's are no more"
    assert "transfer.pdf" not in again


def test_another_format_is_refused_by_its_name(whole: Path) -> None:
    refused = CliRunner().invoke(cli, ["report", str(whole), "--formats", "png,gif"])
    assert refused.exit_code == 2
    assert "'gif' is not one of 'pdf', 'png', 'svg'" in refused.output


def test_people_who_do_not_exist_are_always_shown(whole: Path) -> None:
    assert len(pictures(parsed((whole / "report" / "report.html").read_text()))) > 10


def test_the_page_says_what_each_target_model_answered_and_whom_it_took_a_cloak_for(whole: Path) -> None:
    shown = by_id(parsed((whole / "report" / "report.html").read_text()), "cloaks")
    first, second, _ = shown.all("table")
    own, other = (table.all("tr")[1].all("td")[1].text for table in (first, second))
    assert own == "compact FaceNet>5doracompact ResNet1"
    assert other == "compact FaceNet>5doracompact ResNet2dora"
    at_64 = first.all("tr")[1].all("td")[2].text
    assert at_64 == "no face found"


def test_a_run_without_cloaks_says_what_is_missing(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run", pictures=False))
    assert pictures(page) == []
    assert "Example cloaks are not shown: none are kept in this folder" in by_id(page, "figures").text
    assert "PSR against image quality is not drawn" in by_id(page, "figures").text
    assert "No pictures are kept" in by_id(page, "cloaks").text


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A run of two orchestrators with a folder each; this one had the cloaks of the last of three subjects crafted."""
    root = make_run(tmp_path / "run")
    move_observations(root, tmp_path / "team.sqlite")
    folder, last = RunFolder(root), read_run(root).matrix.probes[-1]
    store = Store(tmp_path / "team.sqlite", run=read_run(root).digest)
    own = {cloak.sha256 for cloak in store.cloaks(probe=last)}
    store.close()
    for path in kept_pictures(folder):
        if path.stem not in own:
            path.unlink()
    return root


def test_subjects_whose_cloaks_lie_elsewhere_do_not_hide_those_whose_are_here(shared: Path) -> None:
    page, last = page_of(shared), read_run(shared).matrix.probes[-1]
    shown = by_id(page, "cloaks").text
    assert "1 of 3 subjects" in shown
    assert last in shown
    assert "Example cloaks are not shown" not in by_id(page, "figures").text
    assert len(pictures(page)) > 10


def test_quality_says_of_how_many_subjects_it_is(shared: Path, whole: Path) -> None:
    said = (
        "Quality is the mean of 1 of 3 subjects: of the first 100 at most whose cloaks are in this folder or were measured"
    )
    assert said in by_id(page_of(shared), "figures").text
    assert "the mean of" not in by_id(parsed((whole / "report" / "report.html").read_text()), "figures").text
    for root, photographs in ((shared, 1), (whole, 3)):
        run = read_run(root)
        store = Store(run.store, run=run.digest)
        assert {
            point.photographs
            for point in quality_points(run, measure(run.matrix, run.grid, run.interval_kind).results, store, k=1)
        } == {photographs}
        store.close()


def test_where_no_cloaks_are_here_they_may_be_elsewhere(shared: Path) -> None:
    for path in kept_pictures(RunFolder(shared)):
        path.unlink()
    page = page_of(shared)
    why = "the run discarded its cloaks, or they were removed since, or they lie in the folder of another orchestrator."
    assert f"No pictures are kept in this folder: {why}" in by_id(page, "cloaks").text
    assert f"none are kept in this folder; {why}" in by_id(page, "figures").text
    assert "PSR against image quality is not drawn" in by_id(page, "figures").text


@pytest.mark.parametrize(
    ("failed", "short", "said"),
    [
        (0, False, "No call failed for good"),
        (1, False, "In all sessions 1 call failed for good; no observation is missing"),
        (2, True, "In all sessions 2 calls failed for good; 1 observation is missing"),
    ],
)
def test_calls_that_failed_stand_with_what_is_missing_still(tmp_path: Path, failed: int, short: bool, said: str) -> None:
    root = make_run(
        tmp_path / "run",
        answered=lambda n, cell: None if short and (n, cell) == (2, SHORT) else recognised(n, cell),
        pictures=False,
        outcome={"failed_calls": failed},
    )
    assert f"crafting calls in 2 s. {said}" in by_id(page_of(root, allow_incomplete=True), "run").text


def test_names_from_a_data_set_are_text_and_no_markup(tmp_path: Path) -> None:
    root = make_run(
        tmp_path / "run", plan=changed(faces=PEOPLE), outcome={"excluded": ["<script>alert(1)</script>"], "replaced": {}}
    )
    report(root, with_pictures=True)
    text = (root / "report" / "report.html").read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<b>bob" not in text


def test_whoever_was_left_out_is_named_with_the_reason(tmp_path: Path) -> None:
    excluded = [f"stranger-{number}" for number in range(8631)]
    outcome = {"excluded": excluded, "replaced": {"dave": "no_face", "erin": "unreadable"}, "skipped_files": ["notes.txt"]}
    page = page_of(make_run(tmp_path / "run", outcome=outcome))
    rows = {row[1]: (row[0], row[2]) for row in by_id(page, "left-out").rows()}
    assert rows["the protector found no face in the photograph; replaced by the next"] == ("1", "dave")
    assert rows["no photograph could be read; replaced by the next"] == ("1", "erin")
    assert rows["not a JPEG or PNG file, or not to be listed, or a cloak or photo without the other"] == ("1", "notes.txt")
    count, names = rows["some model does not know the identity: it would count as protected for nothing"]
    assert count == "8631"
    assert names.startswith("stranger-0, stranger-1, ")
    assert names.endswith(", and 8,611 more")


def test_nobody_left_out_is_said(whole: Path) -> None:
    page = parsed((whole / "report" / "report.html").read_text())
    assert by_id(page, "excluded").text.endswith("every identity drawn took part.")


def test_one_method_and_one_model_make_a_page(tmp_path: Path) -> None:
    grid = Grid(("facenet",), ("senet50",), ("bim",), (8,), (1,))
    page = page_of(
        make_run(tmp_path / "run", plan=changed(grid=grid, subjects=1, source_models={"facenet": model("facenet")}))
    )
    assert len(by_id(page, "psr").rows()) == 3
    assert not [table for table in page.all("table") if table.attributes.get("id") == "methods"]


def test_a_report_goes_where_it_is_asked_to(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", pictures=False)
    assert report(root, out=tmp_path / "elsewhere") == tmp_path / "elsewhere" / "report.html"
    assert not (root / "report").exists()
    assert report(root, out=tmp_path / "elsewhere").exists(), "a report is replaced"


def test_a_folder_that_holds_something_else_is_not_written_into(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", pictures=False)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"")
    with pytest.raises(InputError) as refused:
        report(root, out=tmp_path / "photos")
    assert str(refused.value).endswith(f"got {tmp_path / 'photos'} with holiday.jpg")
    with pytest.raises(InputError, match="--out: expected a folder, got the file"):
        report(root, out=tmp_path / "photos" / "holiday.jpg")


def test_a_report_that_cannot_be_written_is_said_by_its_folder(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", pictures=False)
    (tmp_path / "file").touch()
    with pytest.raises(OrchestratorError) as failed:
        report(root, out=tmp_path / "file" / "report")
    assert str(failed.value) == f"{tmp_path / 'file' / 'report'}: cannot be written: Not a directory"


def test_conditions_of_one_run_answer_the_claims_about_them(tmp_path: Path) -> None:
    conditions = NAMED_SETS["paper"]
    alone = make_run(tmp_path / "alone", pictures=False)
    three = make_run(tmp_path / "three", plan=changed(grid=GRID.under(*conditions)), pictures=False)
    missing = [
        ["Not in this run" in row[-1] for row in by_id(page_of(root), "claims-table").rows()[-2:]] for root in (alone, three)
    ]
    assert missing == [[True, True], [False, False]]


def test_the_command_prints_where_the_page_is_and_refuses_in_one_line(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", pictures=False)
    done = CliRunner().invoke(cli, ["report", str(root)])
    assert (done.exit_code, done.output) == (0, f"report: {root / 'report' / 'report.html'}\n")
    assert isinstance(CliRunner().invoke(cli, ["report", str(tmp_path)]).exception, InputError)


def test_a_database_of_the_environment_is_not_taken_for_that_of_a_run_that_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEID_ORCHESTRATOR_STORE", f"sqlite:///{tmp_path / 'team.sqlite'}")
    root = make_run(tmp_path / "run", pictures=False)
    assert CliRunner().invoke(cli, ["report", str(root)]).exit_code == 0
    refused = CliRunner().invoke(cli, ["report", str(root), "--store", f"sqlite:///{tmp_path / 'team.sqlite'}"])
    assert isinstance(refused.exception, InputError)
    assert not (tmp_path / "team.sqlite").exists()


def test_the_manifest_beside_the_page_is_the_run_s(whole: Path) -> None:
    beside, own = (json.loads((folder / "manifest.json").read_text()) for folder in (whole / "report", whole))
    assert beside == own


def test_an_ensemble_is_named_readably_and_its_files_by_its_own_name(tmp_path: Path) -> None:
    grid = Grid(("compact-facenet+compact-resnet",), ("compact-facenet", "compact-senet"), ("bim",), (8,), (1,))
    page = page_of(make_run(tmp_path / "run", plan=changed(grid=grid, subjects=1)))
    assert {row[0] for row in by_id(page, "psr").rows()} == {"compact FaceNet + compact ResNet"}
    assert (tmp_path / "run" / "report" / "figures" / "psr-compact-facenet+compact-resnet.svg").is_file()
    assert "embedded recognizers" in page.text
