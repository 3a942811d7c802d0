"""`orchestrator compare`: the same cells of runs that differ in one field."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from statsmodels.stats.proportion import proportion_confint

from orchestrator.cli import cli
from orchestrator.errors import InputError
from orchestrator.experiment.condition import LOSSLESS, PAPERS, parse_conditions
from orchestrator.experiment.grid import Cell
from orchestrator.experiment.method import Cost, Method
from orchestrator.faces.split import SplitSizes
from orchestrator.metrics.intervals import PairedCounts, newcombe
from orchestrator.metrics.non_mated import NonMatedSearch
from orchestrator.report.comparison import compared, compared_false_positives, differing
from orchestrator.report.run import Run, read_run
from tests.support.cells import paper_cell
from tests.support.matched import LOOSE, MATCHER, PLAN, STRICT, THRESHOLDS, matched_run, matcher, reached
from tests.support.observed import BEYOND, Seen
from tests.support.reported import GRID, MODELS, PEOPLE, changed, make_run, model, move_observations, recognised

CELL = paper_cell("compact-facenet", "bim", 4, "compact-resnet")


def orchestrator(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def refusal(*arguments: str | Path) -> str:
    refused = orchestrator("compare", *arguments)
    assert isinstance(refused.exception, InputError), refused.output
    return str(refused.exception)


def first_protects(subject: int, cell: Cell) -> Seen:
    """In the cell, the first two of three are beyond the candidates; elsewhere all are recognised."""
    return BEYOND if cell == CELL and subject < 2 else 1


def second_protects(subject: int, cell: Cell) -> Seen:
    """In the cell as PNG, the last one is."""
    return BEYOND if cell == replace(CELL, condition=LOSSLESS) and subject == 2 else 1


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    return (
        make_run(tmp_path / "jpeg", answered=first_protects, pictures=False),
        make_run(tmp_path / "png", plan=changed(grid=GRID.under(LOSSLESS)), answered=second_protects, pictures=False),
    )


def test_how_many_subjects_are_drawn_is_one_thing_whatever_decides_it(tmp_path: Path) -> None:
    fixed = make_run(tmp_path / "fixed", pictures=False)
    narrow = changed(subjects=9, until_halfwidth=47.0)
    until = make_run(tmp_path / "until", plan=narrow, subjects=3, outcome={"subjects_wanted": 3}, pictures=False)
    assert differing([read_run(fixed), read_run(until)]) == {
        "protocol.subjects": [
            "protocol.subjects: 3 in fixed, 9 in until",
            "protocol.until_halfwidth: None in fixed, 47.0 in until",
        ]
    }


def test_cells_are_paired_by_probe(runs: tuple[Path, Path]) -> None:
    cells = {each.cell: each for each in compared([read_run(root) for root in runs], k=5)}
    assert set(cells) == set(GRID.cells())
    (difference,) = cells[CELL].differences
    assert difference is not None
    assert difference.counts == PairedCounts(both=0, first_only=1, second_only=2, neither=0)
    assert difference.points == pytest.approx(-100 / 3)
    assert [rate.percent for rate in cells[CELL].rates if rate] == pytest.approx([200 / 3, 100 / 3])
    low, _ = proportion_confint(2, 3, method="wilson")
    (first, _) = cells[CELL].rates
    assert first is not None
    assert first.interval.low == pytest.approx(100 * low)


def test_what_is_printed_names_what_differs_and_both_figures(runs: tuple[Path, Path]) -> None:
    output = orchestrator("compare", *runs).output
    assert "what differs: protocol.grid.conditions: ['jpeg:95'] in jpeg, ['png'] in png" in output
    (line,) = [
        line for line in output.splitlines() if "compact FaceNet │ BIM    │ 4 " in line and "│ compact ResNet" in line
    ]
    interval = newcombe(PairedCounts(0, 1, 2, 0))
    limits = f"[−{-100 * interval.low:.0f}, +{100 * interval.high:.0f}]"
    assert [cell.strip() for cell in line.strip("│").split("│")][5:] == ["66.7 (N=3)", "33.3 (N=3)", f"−33.3 {limits}"]


def test_the_database_that_a_run_names_can_be_given_with_its_password(runs: tuple[Path, Path]) -> None:
    database = move_observations(runs[1], runs[1].with_suffix(".sqlite"))
    assert orchestrator("compare", *runs, "--store", database).exit_code == 0
    assert refusal(*runs, "--store", "team").startswith("--store: expected "), "else it was not looked at"


def test_a_difference_whose_interval_excludes_zero_is_marked(tmp_path: Path) -> None:
    plan = changed(subjects=9)
    none = make_run(tmp_path / "none", plan=plan, answered=lambda n, cell: 1, pictures=False)
    all_ = make_run(tmp_path / "all", plan=plan, answered=lambda n, cell: BEYOND, pictures=False)
    lines = [line for line in orchestrator("compare", none, all_).output.splitlines() if line.startswith("│")]
    assert len(lines) == GRID.observations_per_probe
    assert all("+100.0 [" in line and "]*" in line for line in lines)


def test_only_probes_of_both_runs_count(tmp_path: Path) -> None:
    three = make_run(tmp_path / "three", pictures=False)
    five = make_run(tmp_path / "five", plan=changed(subjects=5), pictures=False)
    (cell, *_) = compared([read_run(five), read_run(three)], k=1)
    assert [rate.n for rate in cell.rates if rate] == [5, 3]
    assert cell.differences[0] is not None
    assert cell.differences[0].counts.n == 3


def test_other_methods_stand_for_each_other(tmp_path: Path) -> None:
    plans = [changed(grid=replace(GRID, methods=methods)) for methods in (("bim",), ("illc",))]
    ours, theirs = (
        make_run(tmp_path / str(place), plan=plan, answered=answered, pictures=False)
        for place, (plan, answered) in enumerate(zip(plans, (lambda n, cell: 1, recognised), strict=True))
    )
    runs = [read_run(ours), read_run(theirs)]
    assert list(differing(runs)) == ["protocol.grid.methods"]
    cells = {each.cell: each for each in compared(runs, k=1)}
    own = cells[paper_cell("compact-facenet", "bim", 4, "compact-facenet")]
    assert [rate.percent for rate in own.rates if rate] == [0, 100]
    assert own.differences[0] is not None
    assert own.differences[0].points == 100


def test_runs_that_differ_in_more_are_refused_by_all_of_it_unless_told(tmp_path: Path) -> None:
    first = make_run(tmp_path / "a", pictures=False)
    second = make_run(tmp_path / "b", plan=changed(grid=GRID.under(*parse_conditions("jpeg:75")), seed=1), pictures=False)
    said = refusal(first, second)
    assert "expected runs that differ in one field, got 2" in said
    assert "protocol.seed: 0 in a, 1 in b" in said
    assert "protocol.grid.conditions: ['jpeg:95'] in a, ['jpeg:75'] in b" in said
    assert orchestrator("compare", "--force", first, second).exit_code == 0


def test_three_qualities_differ_in_one_thing(tmp_path: Path) -> None:
    roots = [
        make_run(
            tmp_path / str(quality), plan=changed(grid=GRID.under(*parse_conditions(f"jpeg:{quality}"))), pictures=False
        )
        for quality in (95, 75, 50)
    ]
    output = orchestrator("compare", *roots)
    assert output.exit_code == 0, output.exception
    assert "['jpeg:75'] in 75" in output.output
    assert "['jpeg:50'] in 50" in output.output


def test_the_ks_of_runs_are_no_difference_and_the_largest_of_both_is_taken(tmp_path: Path) -> None:
    first = make_run(tmp_path / "a", pictures=False)
    second = make_run(tmp_path / "b", plan=changed(grid=replace(GRID, ks=(1,))), pictures=False)
    output = orchestrator("compare", first, second).output
    assert "what differs: nothing" in output
    assert "PSR@1 in %" in output


def test_a_k_beyond_the_candidates_is_refused(runs: tuple[Path, Path]) -> None:
    assert refusal("--k", "6", *runs) == "--k: expected at most 5, the candidates that jpeg asked for, got 6"


def test_one_run_is_none_to_compare(runs: tuple[Path, Path]) -> None:
    assert refusal(runs[0]) == "compare: expected two runs or more, got 1"


def test_runs_of_other_people_have_nothing_to_pair(tmp_path: Path) -> None:
    first = make_run(tmp_path / "a", pictures=False)
    second = make_run(tmp_path / "b", plan=changed(faces=PEOPLE), pictures=False)
    assert refusal(first, second) == "compare: expected runs with subjects in common, got none in a, b"


def test_runs_of_the_same_name_are_told_by_their_paths(tmp_path: Path) -> None:
    first = make_run(tmp_path / "a" / "run", pictures=False)
    second = make_run(tmp_path / "b" / "run", plan=changed(seed=1), pictures=False)
    assert f"0 in {first}, 1 in {second}" in "".join(orchestrator("compare", first, second).output.splitlines())


def test_the_csv_holds_what_is_printed(runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert orchestrator("compare", "--csv", tmp_path / "compared.csv", *runs).exit_code == 0
    with (tmp_path / "compared.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * GRID.observations_per_probe
    first, second = (
        row for row in rows if (row["source_model"], row["method"], row["epsilon"], row["target_model"]) == (
            "compact-facenet", "bim", "4", "compact-resnet")
    )  # fmt: skip
    assert (first["run"], first["n"], first["psr"], first["difference"]) == ("jpeg", "3", "66.6667", "")
    assert (second["run"], second["pairs"], second["psr"], second["difference"]) == ("png", "3", "33.3333", "-33.3333")


def test_methods_and_what_they_say_of_themselves_are_one_thing(tmp_path: Path) -> None:
    ten, nine = (Method({"alpha": "1 level", "n_iter": many}) for many in ("ten", "nine"))
    stated = dict.fromkeys(("bim", "illc", "pgd"), ten)
    first = make_run(tmp_path / "first", plan=changed(crafting=stated), pictures=False)
    other = make_run(
        tmp_path / "other",
        plan=changed(crafting=stated, grid=replace(GRID, methods=("bim", "pgd"))),
        pictures=False,
    )
    restated = make_run(tmp_path / "restated", plan=changed(crafting=stated | {"bim": nine}), pictures=False)
    assert list(differing([read_run(first), read_run(other)])) == ["protocol.grid.methods"]
    assert differing([read_run(first), read_run(restated)]) == {
        "protocol.grid.methods": ["protocol.crafting.bim.parameters.n_iter: 'ten' in first, 'nine' in restated"]
    }


def test_what_methods_cost_is_compared_at_the_budgets_that_runs_share(tmp_path: Path) -> None:
    def run(name: str, costs: dict[int, Cost]) -> Run:
        plan = changed(grid=replace(GRID, methods=("bim",), epsilons=tuple(costs)), crafting={"bim": Method(costs=costs)})
        return read_run(make_run(tmp_path / name, plan=plan, pictures=False))

    first = run("first", {4: Cost(5, 0), 64: Cost(68, 0)})
    assert list(differing([first, run("other", {4: Cost(5, 0), 8: Cost(10, 0)})])) == ["protocol.grid.epsilons"]
    assert differing([first, run("dearer", {4: Cost(50, 0), 64: Cost(68, 0)})]) == {
        "protocol.grid.methods": ["protocol.crafting.bim.costs.4.gradients: 5 in first, 50 in dearer"]
    }


def strangers(reached: str, *, photos: int = 4) -> list[NonMatedSearch]:
    """Of so many people who are not enrolled those with these digits reach the loose threshold, nobody the strict one."""
    return [
        NonMatedSearch(
            f"stranger{number}/1.jpg", PAPERS, MATCHER, threshold, face_found=True, reached=int(str(number) in chosen)
        )
        for number in range(photos)
        for threshold, chosen in ((STRICT, ""), (LOOSE, reached))
    ]


@pytest.fixture
def matched(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs of one gallery each; in the second subjects are missed at the strict threshold who are not in the first."""

    def missed(subject: int, cell: Cell) -> dict[str, int]:
        return {threshold: 0 if threshold == STRICT else count for threshold, count in reached(subject, cell).items()}

    smaller = replace(PLAN, gallery=SplitSizes(photos=1, non_mated=4, impostors=200))
    card = {"gallery_sha256": "e" * 64, "identities": 5, "label_set_sha256": "f" * 64}
    smaller = replace(smaller, target_models={**PLAN.target_models, MATCHER: matcher(MATCHER, **card)})
    return (
        matched_run(tmp_path / "two", non_mated=strangers("1")),
        matched_run(tmp_path / "one", plan=smaller, reached=missed, non_mated=strangers("013", photos=5)),
    )


def test_the_gallery_is_one_thing_with_all_that_comes_of_it(matched: tuple[Path, Path]) -> None:
    assert list(differing([read_run(root) for root in matched])) == ["protocol.gallery"]


def test_an_ensemble_of_matchers_has_the_gallery_of_its_members(tmp_path: Path) -> None:
    name = f"{MATCHER}+mine"
    plans = [
        replace(
            PLAN,
            grid=replace(PLAN.grid, source_models=(name,)),
            source_models={
                member: model(member, kind="matcher", input_size=150, gallery_sha256=digest) for member in (MATCHER, "mine")
            },
        )
        for digest in ("d" * 64, "e" * 64)
    ]
    runs = [read_run(matched_run(tmp_path / str(n), plan=plan, subjects=0)) for n, plan in enumerate(plans)]
    assert list(differing(runs)) == ["protocol.gallery"]


def test_matchers_are_compared_at_each_threshold_of_both(matched: tuple[Path, Path]) -> None:
    runs = [read_run(root) for root in matched]
    found = {(each.cell, each.threshold): each for each in compared(runs, k=1)}
    assert {cell.target_model for cell, threshold in found if threshold is not None} == {MATCHER}
    assert {threshold for _, threshold in found} == {None, STRICT, LOOSE}
    read = paper_cell("compact-facenet", "none", 0, MATCHER)
    assert [rate.percent for rate in found[read, STRICT].rates if rate] == pytest.approx([200 / 3, 100])
    (strict,), (loose,), (none,) = (found[read, each].differences for each in (STRICT, LOOSE, None))
    assert strict is not None
    assert strict.counts == PairedCounts(both=2, first_only=1, second_only=0, neither=0)
    assert (loose and loose.points, none and none.points) == (0, 0)


def test_a_threshold_that_only_one_run_has_is_not_compared(matched: tuple[Path, Path], tmp_path: Path) -> None:
    stated = {**PLAN.target_models, MATCHER: matcher(MATCHER, thresholds=[THRESHOLDS[1]])}
    root = matched_run(
        tmp_path / "loose",
        plan=replace(PLAN, target_models=stated),
        reached=lambda subject, cell: {LOOSE: 1} if cell.target_model == MATCHER else {},
        non_mated=[],
    )
    runs = [read_run(each) for each in (matched[0], root)]
    assert {each.threshold for each in compared(runs, k=1)} == {None, LOOSE}
    assert list(compared_false_positives(runs)) == []


def test_fpir_is_paired_by_photo(matched: tuple[Path, Path]) -> None:
    strict, loose = compared_false_positives([read_run(root) for root in matched])
    assert (loose.condition, loose.target_model, loose.threshold) == (PAPERS, MATCHER, LOOSE)
    assert [(rate.successes, rate.n) for rate in loose.rates if rate] == [(1, 4), (3, 5)]
    (difference,) = loose.differences
    assert difference is not None
    assert difference.counts == PairedCounts(both=1, first_only=2, second_only=0, neither=1), "one was searched in one alone"
    assert [rate.percent for rate in strict.rates if rate] == [0, 0]


def test_thresholds_and_fpir_are_printed_and_written(matched: tuple[Path, Path], tmp_path: Path) -> None:
    done = orchestrator("compare", *matched, "--k", "1", "--csv", tmp_path / "compared.csv")
    assert done.exit_code == 0, done.output
    assert "what differs: protocol.gallery.split.photos: 2 in two, 1 in one" in " ".join(done.output.split()).replace(
        "\n", " "
    )
    assert "FPIR of people who are not enrolled in %" in done.output
    with (tmp_path / "compared.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    control = [
        row for row in rows if (row["source_model"], row["method"], row["target_model"]) == (MODELS[1], "none", MATCHER)
    ]
    psr = {(row["condition"], row["threshold"], row["run"]): (row["psr"], row["fpir"]) for row in control}
    assert psr["jpeg:95", STRICT, "one"] == ("100.0000", "")
    assert psr["jpeg:95", "", "one"] == ("0.0000", "")
    low = newcombe(PairedCounts(both=1, first_only=2, second_only=0, neither=1)).low
    last = rows[-1]
    assert (last["source_model"], last["method"], last["k"], last["psr"]) == ("", "", "", "")
    assert (last["threshold"], last["run"], last["n"], last["fpir"], last["pairs"]) == (LOOSE, "one", "5", "60.0000", "4")
    assert (last["difference"], last["difference_low"]) == ("50.0000", f"{100 * low:.4f}")


def test_what_is_compared_of_classifiers_has_no_column_of_thresholds(runs: tuple[Path, Path]) -> None:
    done = orchestrator("compare", *runs)
    assert "threshold" not in done.output
    assert "FPIR" not in done.output
