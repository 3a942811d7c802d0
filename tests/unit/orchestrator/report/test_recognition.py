"""Runs with matchers: their figures at thresholds, in files, on the page and on a terminal."""

import csv
import io
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as parquet
import pytest
from rich.console import Console
from statsmodels.stats.proportion import proportion_confint

from orchestrator.commands.report import report
from orchestrator.metrics.intervals import PairedCounts, newcombe
from orchestrator.report.console_tables import answers
from orchestrator.report.matchers import Matchers
from orchestrator.report.measured import measure
from orchestrator.report.recognition import false_positives_table, recognition_table
from orchestrator.report.run import read_run
from orchestrator.report.sentences import signed
from tests.support.blank_figures import write_blank_figures
from tests.support.matched import CLASSIFIER, LOOSE, MATCHER, PLAN, STRICT, THRESHOLDS, matched_run, matcher
from tests.support.pages import Element, by_id, parsed
from tests.support.reported import GRID, make_run

AT = (STRICT, LOOSE)


@pytest.fixture(scope="module")
def matched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's folder of a run with a matcher."""
    with pytest.MonkeyPatch.context() as patch:
        write_blank_figures(patch)
        return report(matched_run(tmp_path_factory.mktemp("runs") / "matched")).parent


@pytest.fixture
def page(matched: Path) -> Element:
    return parsed((matched / "report.html").read_text())


def test_an_observation_says_at_which_thresholds_the_true_identity_is_reached(matched: Path) -> None:
    table = pd.read_parquet(matched / "observations.parquet").sort_values("probe")
    assert {str(parquet.read_schema(matched / "observations.parquet").field(f"reached_{each}").type) for each in AT} == {
        "bool"
    }
    cell = (
        (table.source_model == CLASSIFIER) & (table.method == "bim") & (table.epsilon == 4) & (table.condition == "jpeg:95")
    )
    read = table[cell & (table.target_model == MATCHER)]
    assert read["reached_fpir:0.01"].tolist() == [True, False, False]
    assert read["reached_given"].tolist() == [True, True, False]
    assert table[table.target_model == CLASSIFIER]["reached_given"].isna().all(), "a classifier has no threshold"


def test_psr_at_a_threshold_computed_from_the_observations_is_the_psr_of_the_table(matched: Path) -> None:
    observations, psr = pd.read_parquet(matched / "observations.parquet"), pd.read_csv(matched / "psr.csv")
    keys = ["source_model", "method", "epsilon", "condition", "target_model"]
    for threshold in AT:
        of_threshold = observations[observations[f"reached_{threshold}"].notna()]
        for k in GRID.ks:
            missed = ~((of_threshold["rank"] <= k) & of_threshold[f"reached_{threshold}"].astype(bool))
            means = (100 * missed).groupby([of_threshold[key] for key in keys]).mean()
            stated = psr[(psr.k == k) & (psr.threshold == threshold)].set_index(keys).psr
            assert len(stated) == len(PLAN.grid.conditions) * GRID.cloaks_per_probe
            assert means.to_dict() == pytest.approx(stated.to_dict(), abs=1e-4)


def test_searches_of_people_who_are_not_enrolled_are_a_row_each_and_fpir_is_theirs(matched: Path) -> None:
    searches, fpir = pd.read_parquet(matched / "non_mated.parquet"), pd.read_csv(matched / "fpir.csv")
    assert len(searches) == 4 * 2 * 2
    first = searches.iloc[0]
    assert (first.photo, first.identity, first.condition) == ("stranger0/1.jpg", "stranger0", "jpeg:95")
    assert (first.target_model, first.threshold, first.face_found, first.reached) == (MATCHER, STRICT, True, 0)
    keys = ["condition", "target_model", "threshold"]
    means = (100 * (searches.reached > 0)).groupby([searches[key] for key in keys]).mean()
    assert means.to_dict() == pytest.approx(fpir.set_index(keys).fpir.to_dict(), abs=1e-4)
    assert means.to_dict() == {
        ("jpeg:95", MATCHER, STRICT): 0,
        ("jpeg:95", MATCHER, LOOSE): 25,
        ("png", MATCHER, STRICT): 0,
        ("png", MATCHER, LOOSE): 50,
    }


def test_fpir_stands_with_its_interval_and_with_the_size_of_the_gallery(matched: Path) -> None:
    with (matched / "fpir.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    low, high = (f"{100 * limit:.4f}" for limit in proportion_confint(1, 4, method="wilson"))
    assert list(rows[1].items()) == [
        ("condition", "jpeg:95"),
        ("target_model", MATCHER),
        ("threshold", LOOSE),
        ("gallery", "6"),
        ("searches", "4"),
        ("faces_found", "3"),
        ("false_positives", "1"),
        ("fpir", "25.0000"),
        ("fpir_low", low),
        ("fpir_high", high),
        ("caveat", "embedded recognizers on synthetic faces: not the paper's figures"),
    ]


@pytest.mark.usefixtures("blank_figures")
def test_where_nobody_was_searched_who_is_not_enrolled_there_is_no_table_of_it(matched: Path, tmp_path: Path) -> None:
    root, out = matched_run(tmp_path / "run", non_mated=()), tmp_path / "out"
    shutil.copytree(matched, out)
    page = report(root, out=out)
    assert {path.name for path in out.iterdir()}.isdisjoint({"fpir.csv", "non_mated.parquet"}), "another run's are gone"
    assert "fpir.csv" not in page.read_text()


def limits(successes: int, n: int) -> str:
    low, high = proportion_confint(successes, n, method="wilson")
    return f"[{100 * low:.0f}–{100 * high:.0f}]"


def test_fnir_and_fpir_stand_side_by_side_without_a_threshold_and_at_each(page: Element) -> None:
    table = by_id(page, "recognition")
    assert [each.text for each in table.all("th")] == [
        *("target model", "source model", "method", "ε", "threshold T", "PSR@1: FNIR(N, 1, T)", "control", "PSR − control"),
        "FPIR(N, T)",
    ]
    rows = {tuple(row[:5]): row[5:] for row in table.rows()}
    assert len(rows) == 2 * (2 * 2 + 2) * 3, "of the matcher alone: two source models, two methods and noise at two epsilons"
    low, high = (
        newcombe(PairedCounts(both=2 - first_only, first_only=first_only, second_only=0, neither=1)) for first_only in (0, 1)
    )
    paired = [f"[{signed(100 * each.low, places=0)}, {signed(100 * each.high, places=0)}]" for each in (low, high)]
    cell = (MATCHER, "compact FaceNet", "BIM", "64")
    two, one, none = (f"{100 * n / 3:.1f} {limits(n, 3)}" for n in (2, 1, 0))
    assert rows[(*cell, "none")][:2] == [two, none]
    assert rows[(*cell, "none")][3] == "–", "without a threshold everybody is taken for somebody"
    assert rows[(*cell, STRICT)] == [two, two, f"0.0 {paired[0]}", f"0.0 {limits(0, 4)}"]
    assert rows[(*cell, LOOSE)] == [two, one, f"+33.3 {paired[1]}", f"25.0 {limits(1, 4)}"]
    noise = (MATCHER, "compact FaceNet", "noise control", "4")
    assert [rows[(*noise, each)][0] for each in ("none", STRICT, LOOSE)] == [none, f"100.0 {limits(3, 3)}", one]


def test_fpir_stands_under_every_condition(page: Element) -> None:
    assert by_id(page, "false-positives").rows() == [
        [MATCHER, STRICT, "jpeg:95", "6", "4", "3", "0", f"0.0 {limits(0, 4)}"],
        [MATCHER, STRICT, "png", "6", "4", "3", "0", f"0.0 {limits(0, 4)}"],
        [MATCHER, LOOSE, "jpeg:95", "6", "4", "3", "1", f"25.0 {limits(1, 4)}"],
        [MATCHER, LOOSE, "png", "6", "4", "3", "2", f"50.0 {limits(2, 4)}"],
    ]


def test_a_matcher_stands_with_its_gallery_and_with_what_its_thresholds_were_calibrated_on(page: Element) -> None:
    section = by_id(page, "run")
    facts = dict(zip((each.text for each in section.all("dt")), (each.text for each in section.all("dd")), strict=True))
    assert facts["Enrolled"] == (
        "of each identity 2 photos beside the probe; 4 identities that are not enrolled are searched; thresholds are "
        "calibrated on 200 others"
    )
    assert facts["Target model dlib"] == (
        "a matcher with a gallery of 6 identities, digest dddddddddddd; one template a photo; Euclidean distance; at the "
        "thresholds fpir:0.01 (reached by 2 of 200 in calibration, 1 % [0.27–3.6]) and given (not calibrated)"
    )
    assert not [term for term in facts if "compact" in term], "of classifiers there is nothing to say"


def test_the_answers_name_matchers_apart_and_say_whom_they_miss_and_mistake(page: Element) -> None:
    sentences = [each.text for each in by_id(page, "answers").all("li")]
    both = f"33.3 % {limits(1, 3)} to 100.0 % {limits(3, 3)} at epsilon 4"
    assert f"BIM, read by another model: PSR@5 is {both}; 95 % is reached in 1 of 3 pairs, from epsilon 4 on." in sentences
    alone = f"33.3 % {limits(1, 3)} at epsilon 4"
    assert f"BIM, read by a matcher: PSR@5 is {alone}; 95 % is reached in none of 2 pairs." in sentences
    missed = f"33.3 % {limits(1, 3)}"
    assert (
        f"At the threshold given, matchers miss {missed} without a cloak, {missed} with BIM and {missed} with ILLC (PSR@5, "
        f"cloaks of epsilon 4 of another model), and take 25.0 % {limits(1, 4)} of 4 people who are not enrolled for "
        "somebody who is (FPIR)."
    ) in sentences


def test_the_claims_say_that_they_are_without_the_matcher(page: Element) -> None:
    rows = by_id(page, "claims-table").rows()
    assert all(row[3].endswith("; without dlib, not the paper's") for row in rows)


def test_a_run_of_classifiers_has_no_section_on_galleries(tmp_path: Path) -> None:
    plain = Console(file=io.StringIO(), width=200)
    run = read_run(make_run(tmp_path / "run", pictures=False))
    measured = measure(run.matrix, run.grid, run.interval_kind, matchers=Matchers.of(run.manifest), at=run.at)
    for each in answers(measured, run.matrix, subjects=3, caveat=""):
        plain.print(each)
    assert isinstance(plain.file, io.StringIO)
    assert "gallery" not in plain.file.getvalue()


def test_a_terminal_shows_thresholds_with_fpir_beside_them(matched: Path) -> None:
    run = read_run(matched.parent)
    console = Console(file=io.StringIO(), width=160)
    matchers = Matchers.of(run.manifest)
    measured = measure(run.matrix, run.grid, run.interval_kind, matchers=matchers, at=run.at, non_mated=run.non_mated)
    for each in answers(measured, run.matrix, subjects=3, caveat=""):
        console.print(each)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "PSR@1 = FNIR(N, 1, T) at thresholds T, and FPIR(N, T)" in text
    (row,) = (
        line for line in text.splitlines() if line.startswith(f"{MATCHER} ") and "compact FaceNet" in line and "BIM" in line
    )
    cells = [part for part in row.split("  ") if part.strip()]
    assert [part.strip() for part in cells[3:]] == [
        *(f"67 {limits(2, 3)}", f"67 {limits(2, 3)}", f"0 {limits(0, 4)}"),
        *(f"33 {limits(1, 3)}", f"67 {limits(2, 3)}", f"25 {limits(1, 4)}"),
    ]


def test_a_search_that_failed_is_marked_by_its_n(matched: Path) -> None:
    run = read_run(matched.parent)
    measured = measure(run.matrix, run.grid, run.interval_kind, matchers=Matchers.of(run.manifest), non_mated=run.non_mated)
    for asked, shown in ((4, "4"), (5, "4*")):
        table = false_positives_table(measured, asked=asked)
        assert table is not None
        assert {row[4].text for row in table.rows} == {shown}


def test_a_threshold_that_a_matcher_does_not_have_has_no_row(tmp_path: Path) -> None:
    other = matcher("other", thresholds=[THRESHOLDS[1]])
    plan = replace(
        PLAN,
        grid=replace(PLAN.grid, target_models=(MATCHER, "other")),
        target_models={MATCHER: PLAN.target_models[MATCHER], "other": other},
    )
    root = matched_run(
        tmp_path / "run",
        plan=plan,
        reached=lambda subject, cell: {LOOSE: 1} | ({STRICT: 0} if cell.target_model == MATCHER else {}),
    )
    run = read_run(root)
    measured = measure(run.matrix, run.grid, run.interval_kind, matchers=Matchers.of(run.manifest), at=run.at)
    table = recognition_table(measured, k=1)
    assert table is not None
    found = {(row[0].text, row[4].text) for row in table.rows}
    assert found == {(MATCHER, "none"), (MATCHER, STRICT), (MATCHER, LOOSE), ("other", "none"), ("other", LOOSE)}
    assert {row[8].text for row in table.rows} == {"–"}, "no people who are not enrolled were measured"
