"""A run folder is read as it is, or refused by what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.experiment.condition import FULL, PAPERS
from orchestrator.experiment.grid import Cell, Grid
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.experiment.plan import digest_of
from orchestrator.metrics.non_mated import NonMatedSearch
from orchestrator.report.run import read_run
from tests.support.cells import paper_cell
from tests.support.postgres import Cluster
from tests.support.reported import GRID, MODELS, PEOPLE, changed, make_run, model, move_observations, recognised


def refusal(root: Path) -> str:
    with pytest.raises(InputError) as refused:
        read_run(root)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def rewrite(root: Path, *, digest: bool = True, **changes: Any) -> None:
    """Changes the manifest; with its digest, as another version would have written it."""
    path = root / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    if digest:
        manifest["digest"] = digest_of(manifest)
    path.write_text(json.dumps(manifest))


def test_a_run_is_read_with_its_grid_and_its_ranks(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run"))
    assert run.grid == GRID
    assert (run.name, run.subjects) == ("run", 3)
    assert (run.synthetic, run.complete, run.going_on) == (True, True, False)
    assert run.matrix.observations == 3 * GRID.observations_per_probe
    assert run.caveat == "embedded recognizers on synthetic faces: not the paper's figures"
    own, other = (paper_cell("compact-facenet", "bim", 4, target) for target in GRID.target_models)
    assert run.matrix.row(own).tolist() == [0, 0, 0]
    assert run.matrix.row(other).tolist() == [1, 2, 3]


def test_real_faces_are_not_synthetic_and_other_conditions_are_kept(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", plan=changed(faces=PEOPLE, grid=GRID.under(FULL))))
    assert (run.synthetic, run.grid.conditions) == (False, (FULL,))


def test_a_short_cell_makes_a_run_incomplete(tmp_path: Path) -> None:
    short = paper_cell("compact-facenet", "bim", 4, "compact-resnet")
    root = make_run(tmp_path / "run", answered=lambda n, cell: None if (n, cell) == (2, short) else recognised(n, cell))
    assert not read_run(root).complete


def test_a_run_without_an_outcome_is_going_on(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", subjects=1, finished=False))
    assert (run.going_on, run.complete, len(run.matrix.probes)) == (True, False, 1)


def test_a_run_that_draws_until_its_intervals_are_narrow_has_the_n_that_it_wanted_in_the_end(tmp_path: Path) -> None:
    plan = changed(subjects=9, until_halfwidth=45.0)
    run = read_run(make_run(tmp_path / "run", plan=plan, subjects=3, outcome={"subjects_wanted": 3}))
    assert (run.subjects, run.until_halfwidth, run.interval_kind) == (3, 45.0, IntervalKind.CONFIDENCE_SEQUENCE)
    assert (run.complete, run.going_on) == (True, False)
    assert not read_run(make_run(tmp_path / "short", plan=plan, subjects=2, outcome={"subjects_wanted": 3})).complete


@pytest.mark.parametrize("outcome", [{}, {"subjects_wanted": None}])
def test_while_it_does_not_know_how_many_it_wants_it_is_going_on(tmp_path: Path, outcome: dict[str, Any]) -> None:
    plan = changed(subjects=3, until_halfwidth=1.0)
    run = read_run(make_run(tmp_path / "run", plan=plan, outcome=outcome))
    assert (run.subjects, run.complete, run.going_on) == (3, False, True)


def test_a_run_that_observed_nothing_yet_is_read(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", subjects=0, finished=False))
    assert (run.matrix.observations, run.complete) == (0, False)


def test_reading_changes_nothing(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and "sqlite-" not in path.name}
    read_run(root)
    assert {path: path.read_bytes() for path in before} == before


def test_no_folder_an_empty_one_and_another_s_are_refused_by_what_is_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent") == f"{tmp_path / 'absent'}: expected the folder of a run, got nothing there"
    assert refusal(tmp_path) == f"{tmp_path}: expected the folder of a run, got an empty folder"
    (tmp_path / "holiday.jpg").write_bytes(b"")
    assert refusal(tmp_path).endswith("got one without manifest.json, with holiday.jpg")
    assert refusal(tmp_path / "holiday.jpg").endswith("expected the folder of a run, got a file")


@pytest.mark.parametrize("text", ['{"format": 1, "proto', "", "\x00\x01"])
def test_a_half_written_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'manifest.json'}: half written or damaged: ")


@pytest.mark.parametrize(("text", "said"), [("[]", "expected an object, got list"), ("{}", "got one without format, ")])
def test_a_manifest_of_something_else_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert said in refusal(tmp_path)


def test_a_run_without_its_observations_is_half_a_run(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run")
    (root / "observations.sqlite").unlink()
    assert "half a run: expected observations.sqlite beside manifest.json" in refusal(root)


def test_observations_that_are_no_database_are_an_error_of_one_line(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run")
    (root / "observations.sqlite").write_bytes(b"not a database, and longer than a header would be" * 9)
    with pytest.raises(OrchestratorError, match=r"observations\.sqlite: file is not a database: expected"):
        read_run(root)


def test_observations_are_read_where_the_manifest_says_that_they_are(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", pictures=False)
    url = move_observations(root, tmp_path / "team.sqlite")
    assert (read_run(root).store, read_run(root).complete) == (url, True)


def test_there_may_be_another_way_to_the_same_database(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", pictures=False)
    move_observations(root, tmp_path / "team.sqlite")
    (tmp_path / "link").symlink_to(tmp_path)
    assert read_run(root, store=f"sqlite:///{tmp_path / 'link' / 'team.sqlite'}").complete


def test_a_store_that_does_not_hold_the_run_is_refused_by_both_names(tmp_path: Path) -> None:
    root, other = (make_run(tmp_path / str(seed), plan=changed(seed=seed), pictures=False) for seed in (1, 2))
    with pytest.raises(InputError) as refused:
        read_run(root, store=f"sqlite:///{other / 'observations.sqlite'}")
    assert str(refused.value) == (
        f"--store: {root} keeps its observations in {root / 'observations.sqlite'}, got "
        f"sqlite:///{other / 'observations.sqlite'}, which holds none of them"
    )


def test_a_database_that_the_run_was_removed_from_is_refused(tmp_path: Path) -> None:
    root, other = (make_run(tmp_path / str(seed), plan=changed(seed=seed), pictures=False) for seed in (1, 2))
    move_observations(root, tmp_path / "team.sqlite")
    (other / "observations.sqlite").rename(tmp_path / "team.sqlite")
    assert refusal(root).endswith("which holds none of them")


def test_reading_makes_no_store(tmp_path: Path, postgres: Cluster) -> None:
    root = make_run(tmp_path / "run", pictures=False)
    server = postgres.new_database()
    for nowhere in (f"sqlite:///{tmp_path / 'team.sqlite'}", server):
        with pytest.raises(InputError) as refused:
            read_run(root, store=nowhere)
        own = root / "observations.sqlite"
        assert str(refused.value) == (
            f"--store: {root} keeps its observations in {own}, got {nowhere}, which holds none of them"
        )
    assert not (tmp_path / "team.sqlite").exists()
    with psycopg.connect(server.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall() == []


def test_a_database_that_is_offered_is_taken_where_the_manifest_names_it(tmp_path: Path) -> None:
    root, own = (make_run(tmp_path / name, pictures=False) for name in ("run", "own"))
    named = move_observations(root, tmp_path / "team.sqlite")
    same, another = named.replace("sqlite:", "sqlite+pysqlite:"), f"sqlite:///{tmp_path / 'another.sqlite'}"
    assert read_run(root, offered=same).store == same
    assert read_run(root, offered=another).store == named
    assert read_run(own, offered=same).store == own / "observations.sqlite"


def test_a_run_is_read_at_the_thresholds_of_its_target_models(tmp_path: Path) -> None:
    stated = [{"name": each, "comparisons": 0, "false_positives": 0} for each in ("fpir:0.01", "given")]
    targets = {MODELS[0]: model(MODELS[0], thresholds=stated), MODELS[1]: model(MODELS[1], thresholds=stated[1:])}

    def reached(subject: int, cell: Cell) -> dict[str, int]:
        return {each.name: 5 if each.name == "given" else subject for each in targets[cell.target_model].thresholds}

    searches = [NonMatedSearch("eve/e.jpg", PAPERS, MODELS[0], "given", face_found=True, reached=1)]
    root = make_run(
        tmp_path / "run",
        plan=changed(target_models=targets),
        answered=lambda subject, cell: 2,
        reached=reached,
        non_mated=searches,
        pictures=False,
    )
    run = read_run(root)
    assert run.thresholds == ("fpir:0.01", "given")
    cell = paper_cell(MODELS[1], "bim", 4, MODELS[0])
    assert [run.at[each].row(cell).tolist() for each in run.thresholds] == [[0, 0, 2], [2, 2, 2]]
    assert {each.target_model for each in run.at["fpir:0.01"].cells} == {MODELS[0]}
    assert run.non_mated == searches


def test_a_run_of_classifiers_has_no_thresholds(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", pictures=False))
    assert (run.thresholds, run.at, run.non_mated) == ((), {}, [])


@pytest.mark.parametrize("version", [4, 6, "5"])
def test_a_manifest_of_another_format_is_refused_as_that(tmp_path: Path, version: object) -> None:
    root = make_run(tmp_path / "run")
    rewrite(root, format=version)
    assert refusal(root).endswith(f"format: expected 5, got {version!r}: read it with the release that wrote it")


def test_another_protocol_is_refused_by_what_differs(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run")
    protocol = json.loads((root / "manifest.json").read_text())["protocol"]
    rewrite(root, protocol=protocol | {"no_face_is_protected": False})
    assert refusal(root).endswith("of another protocol: protocol.no_face_is_protected: False there, True here")


@pytest.mark.parametrize("field", ["crafting", "placement", "seed", "until_halfwidth"])
def test_a_manifest_that_does_not_state_what_every_run_states_is_refused(tmp_path: Path, field: str) -> None:
    root = make_run(tmp_path / "run")
    protocol = json.loads((root / "manifest.json").read_text())["protocol"]
    del protocol[field]
    rewrite(root, protocol=protocol)
    assert refusal(root).endswith(f"expected protocol.{field}, got none")


def test_a_manifest_with_a_placement_that_is_none_is_refused(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run")
    protocol = json.loads((root / "manifest.json").read_text())["protocol"]
    rewrite(root, protocol=protocol | {"placement": ["wall"]})
    assert refusal(root).endswith("protocol.placement: expected crop or photo, got ['wall']")


def test_a_manifest_with_a_condition_that_is_none_is_refused(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run")
    protocol = json.loads((root / "manifest.json").read_text())["protocol"]
    rewrite(root, protocol=protocol | {"grid": protocol["grid"] | {"conditions": ["gif"]}})
    assert "gif: expected a storage first, jpeg:QUALITY, png or as-is, got 'gif'" in refusal(root)


def test_a_grid_with_an_axis_of_its_own_is_refused(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run")
    protocol = json.loads((root / "manifest.json").read_text())["protocol"]
    rewrite(root, protocol=protocol | {"grid": protocol["grid"] | {"lightings": [1]}})
    assert "protocol.grid: another than this version knows" in refusal(root)


def test_a_manifest_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run")
    protocol = json.loads((root / "manifest.json").read_text())["protocol"]
    rewrite(root, digest=False, protocol=protocol | {"seed": 7})
    assert "changed since the run began" in refusal(root)


def test_a_run_of_one_method_and_one_model_is_read(tmp_path: Path) -> None:
    grid = Grid(GRID.source_models[:1], GRID.target_models[:1], ("bim",), (4,), (1,))
    assert read_run(make_run(tmp_path / "run", plan=changed(grid=grid))).grid == grid
