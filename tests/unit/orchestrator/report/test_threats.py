"""The threat matrix of a run in which cloaks are enrolled, too: on its page and on a terminal, worked by hand."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from orchestrator.commands.report import report
from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import PAPERS, Condition
from orchestrator.experiment.grid import Cell
from orchestrator.metrics.intervals import PairedCounts, newcombe
from orchestrator.metrics.widest import widest
from orchestrator.report.claims import claims
from orchestrator.report.conditions import condition_panels, conditions_notices, conditions_table
from orchestrator.report.console_tables import answers, psr_tables
from orchestrator.report.facts import queries, reproduction
from orchestrator.report.gallery_facts import gallery_facts
from orchestrator.report.matchers import Matchers
from orchestrator.report.measured import Measured, measure
from orchestrator.report.run import Run, read_run
from orchestrator.report.sentences import limits as in_words
from orchestrator.report.sentences import signed
from orchestrator.report.tables import Table
from orchestrator.report.threat_sentences import threat_sentences
from orchestrator.report.threat_table import threat_table
from orchestrator.report.threats import carried, chains, threat_panels, threats
from tests.support.blank_figures import write_blank_figures
from tests.support.matched import CLASSIFIER, LOOSE, MATCHER, STRICT
from tests.support.observed import NO_FACE, Seen
from tests.support.pages import Element, by_id, parsed
from tests.support.threatened import OWN, SUBJECTS, answered, threat_plan, threatened_run

SOURCE, OF_OWN = "compact FaceNet", "compact FaceNet features"
IN_GALLERY = PAPERS.carried_by(Carrier.GALLERY)


@pytest.fixture(scope="module")
def threatened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's folder of a run with all carriers, read by a matcher of the source model's network and by another."""
    with pytest.MonkeyPatch.context() as patch:
        write_blank_figures(patch)
        return report(threatened_run(tmp_path_factory.mktemp("runs") / "threatened")).parent


@pytest.fixture(scope="module")
def of_gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of a run that only enrols cloaks, without a matcher of the source model's network."""
    root = threatened_run(tmp_path_factory.mktemp("runs") / "gallery", Carrier.GALLERY, own=False)
    with pytest.MonkeyPatch.context() as patch:
        write_blank_figures(patch)
        return report(root).parent


@pytest.fixture
def page(threatened: Path) -> Element:
    return parsed((threatened / "report.html").read_text())


def measured_of(run: Run) -> Measured:
    return measure(run.matrix, run.grid, run.interval_kind, matchers=Matchers.of(run.manifest), at=run.at)


def table_of(run: Run) -> Table | None:
    return threat_table(measured_of(run), run.matrix, run.at, k=1, kind=run.interval_kind)


def share(missed: int, n: int = SUBJECTS, *, mark: str = "", places: int = 1) -> str:
    low, high = proportion_confint(missed, n, method="wilson")
    return f"{100 * missed / n:.{places}f}{mark} [{100 * low:.0f}–{100 * high:.0f}]"


def rows_of(page: Element) -> Mapping[tuple[str, ...], list[str]]:
    return {tuple(row[:5]): row[5:] for row in by_id(page, "threats").rows()}


def sentences_of(page: Element) -> list[str]:
    return [each.text for each in by_id(page, "answers").all("li")]


def percent(missed: int) -> str:
    return share(missed).replace(" [", " % [")


def printed(run: Run) -> str:
    console = Console(file=io.StringIO(), width=200)
    for each in answers(measured_of(run), run.matrix, subjects=SUBJECTS, caveat=""):
        console.print(each)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_a_column_for_each_carrier_and_a_row_for_each_threshold(page: Element) -> None:
    headings = [each.text for each in by_id(page, "threats").all("th")]
    assert headings == [
        *("read by", "crafted with", "method", "ε", "threshold T", "N"),
        *("both clean", "cloaked probe", "cloaked gallery", "both cloaked", "adaptive"),
        *("gallery − probe", "p, Holm", "not enrolled"),
    ]
    rows = rows_of(page)
    assert len(rows) == 2 * (2 * 2 + 2) * 3, "of two matchers: two methods and noise, at two epsilons and three thresholds"
    zero, one = share(0), share(1)
    bim = rows[MATCHER, SOURCE, "BIM", "16", "none"]
    assert bim[:6] == ["9", zero, share(7, mark=" *"), one, share(7, mark=" *"), zero]
    noise = rows[MATCHER, SOURCE, "noise control", "16", "none"]
    assert noise[:6] == ["9", *[zero] * 5]
    assert noise[7] == "–", "noise is no cloak that a test would be of"


def test_at_a_threshold_who_does_not_reach_it_is_missed_by_all_carriers(page: Element) -> None:
    rows = rows_of(page)
    strict = rows[MATCHER, SOURCE, "BIM", "16", STRICT]
    assert strict[:6] == ["9", share(1), share(8, mark=" *"), share(2), share(8, mark=" *"), share(1)]
    assert rows[MATCHER, SOURCE, "BIM", "16", LOOSE] == rows[MATCHER, SOURCE, "BIM", "16", "none"]


def test_gallery_and_probe_are_compared_on_the_same_subjects(page: Element) -> None:
    rows = rows_of(page)
    interval = newcombe(PairedCounts(both=1, first_only=0, second_only=6, neither=2))
    ends = f"[{signed(100 * interval.low, places=0)}, {signed(100 * interval.high, places=0)}]"
    found = rows[MATCHER, SOURCE, "BIM", "16", "none"]
    assert found[6] == f"−66.7 {ends}"
    # Without a threshold: by each matcher BIM at two epsilons, and ILLC, of which nothing differs but who was not enrolled.
    p_values = [binomtest(0, discordant).pvalue if discordant else 1.0 for discordant in (1, 1, 0, 1, 6, 6, 0, 1)]
    _, corrected, *_ = multipletests(p_values, method="holm")
    assert found[7] == f"{corrected[4]:.4f}"


def test_rows_of_the_source_models_own_network_come_first_and_are_marked(page: Element) -> None:
    rows = by_id(page, "threats").rows()
    own = [row for row in rows if row[0] == OF_OWN]
    assert rows[: len(own)] == own
    assert {(row[1], row[2]) for row in own} == {
        *((f"{SOURCE} white box", method) for method in ("BIM", "ILLC")),
        (SOURCE, "noise control"),
    }
    assert not [row for row in rows if row[0] == MATCHER and "white box" in row[1]]


def test_who_was_not_enrolled_counts_as_missed_and_stands_apart(page: Element, threatened: Path) -> None:
    rows = rows_of(page)
    assert rows[MATCHER, SOURCE, "ILLC", "64", "none"][1:6] == [share(0), share(0), share(1), share(1), share(1)]
    assert [rows[MATCHER, SOURCE, "ILLC", epsilon, "none"][8] for epsilon in ("16", "64")] == [share(0), share(1)]
    run = read_run(threatened.parent)
    pictures = SUBJECTS * run.grid.cloaks_per_probe * len(run.grid.conditions)
    assert queries(run) == pictures - 3, "nothing is searched for who is not enrolled, by three carriers"


def test_a_sentence_says_for_each_cloak_and_matcher_which_pictures_it_protects(page: Element) -> None:
    sentences = sentences_of(page)
    of = f"of {SOURCE}, read by"
    left = [newcombe(PairedCounts(0, missed, 0, SUBJECTS - missed)) for missed in (8, 2)]
    points = [f"[{in_words(replace(each, low=100 * each.low, high=100 * each.high))}]" for each in left]
    sentence = (
        f"searched pictures that wear it are missed in {percent(9)}, people whose enrolled photos wear it "
        f"in {percent(8)}: protects both."
    )
    adaptive = (
        f" Among cloaked copies of others {percent(2)} are missed: of +88.9 points {points[0]} over the "
        f"control +22.2 {points[1]} are left."
    )
    assert f"BIM at 16 {of} {OF_OWN}, which has its network: {sentence}{adaptive}" in sentences
    assert [
        each.partition(": protects ")[2].partition(". ")[0]
        for each in sentences
        if each.startswith(f"BIM at 16 {of} {MATCHER}")
    ] == ["the searched pictures; not shown to protect the enrolled people"]
    (illc,) = (each for each in sentences if each.startswith(f"ILLC at 16 {of} {MATCHER}"))
    assert ": not shown to protect either. Among cloaked copies of others 0.0 %" in illc
    assert "over the control" not in illc, "of no protection nothing is left"
    assert not [each for each in sentences if each.startswith("No matcher")]


def test_a_higher_psr_than_the_control_is_no_protection_where_noise_does_as_well(tmp_path: Path) -> None:
    def noisy(subject: int, cell: Cell) -> Seen:
        return answered(subject, replace(cell, method="bim") if cell.method == "noise" else cell)

    run = read_run(threatened_run(tmp_path / "run", answered=noisy))
    found = threat_sentences(measured_of(run))
    assert len(found) == 4
    assert all(": not shown to protect either." in each for each in found)
    table = table_of(run)
    assert table is not None
    assert not [value for row in table.rows for value in row[:-3] if value.text.endswith("*")]


def test_a_sentence_names_who_was_not_enrolled(tmp_path: Path) -> None:
    plan = threat_plan(*Carrier)
    plan = replace(plan, grid=replace(plan.grid, epsilons=(64,)))
    sentences = threat_sentences(measured_of(read_run(threatened_run(tmp_path / "run", plan=plan))))
    named = [each for each in sentences if "Not enrolled" in each]
    assert [each.partition(",")[0] for each in named] == [f"ILLC at 64 of {SOURCE}"] * 2
    assert f" Not enrolled, and counted as missed: {percent(1)}, in whose photos no face" in named[0]


def test_that_there_is_no_white_box_is_said(of_gallery: Path) -> None:
    page = parsed((of_gallery / "report.html").read_text())
    said = f"No matcher of this run has the network of {SOURCE}: without such a white-box cell"
    assert [each for each in sentences_of(page) if each.startswith(said)]
    assert said in by_id(page, "threats-note").text
    assert "white box" not in str(by_id(page, "threats").rows())


def test_a_run_that_only_enrols_says_what_it_lacks(of_gallery: Path) -> None:
    page = parsed((of_gallery / "report.html").read_text())
    assert "Not in this run: both clean, cloaked probe, both cloaked, adaptive." in by_id(page, "threats-note").text
    rows = rows_of(page)
    assert rows[MATCHER, SOURCE, "BIM", "16", "none"] == [
        *("9", "–", "–", share(1), "–", "–"),
        *("–", "–", share(0)),
    ]
    sentences = sentences_of(page)
    assert sentences[0].startswith(
        "Headlines are of jpeg:95/gallery: the cloak is worn by the person’s photos in the gallery"
    )
    (bim,) = (each for each in sentences if each.startswith(f"BIM at 16 of {SOURCE}, read by {MATCHER}"))
    assert bim.endswith(f"enrolled photos wear it are missed in {percent(1)}: not shown to protect them.")


def test_where_only_matchers_read_no_table_speaks_of_classifiers(of_gallery: Path) -> None:
    page = parsed((of_gallery / "report.html").read_text())
    assert len(by_id(page, "psr").rows()) == 1 + 2 + 2 * 2, "the control, noise and two methods at two epsilons"
    assert {row[3] for row in by_id(page, "psr").rows()} == {MATCHER}
    readers = [each.text for each in by_id(page, "transfer").all("th")][3:]
    assert readers == [f"read by {MATCHER}"]
    assert {row[0] for row in by_id(page, "recognition").rows()} == {MATCHER}
    assert {path.stem for path in (of_gallery / "figures").glob("*.svg")} == {
        *("psr-compact-facenet", "transfer", "detection", "effort", "threats"),
    }


def test_where_cloaks_are_only_enrolled_the_papers_claims_say_what_they_need(of_gallery: Path) -> None:
    run = read_run(of_gallery.parent)
    found = claims(run.matrix, run.grid, k=5, matchers=Matchers.of(run.manifest))
    assert {each.estimate for each in found} == {""}
    assert all("in which the picture that is searched wears the cloak" in each.basis for each in found)
    (without,) = {each.cells.rpartition("; ")[2] for each in found}
    assert without == "without dlib, not the paper's"


def test_a_terminal_shows_the_matrix_in_a_row_for_each_matcher_and_method(threatened: Path, of_gallery: Path) -> None:
    text = printed(read_run(threatened.parent))
    start = text.index("PSR@1 in % by which pictures wear the cloak")
    (row,) = (line for line in text[start:].splitlines() if line.startswith(f"{MATCHER} ") and " BIM " in line)
    cells = [part.strip() for part in row.split("  ") if part.strip()]
    interval = newcombe(PairedCounts(1, 0, 6, 2))
    ends = f"{signed(100 * interval.low, places=0)} to {signed(100 * interval.high, places=0)}"
    assert cells[3:] == [
        share(0, places=0),
        *(f"{share(7, places=0)}*", share(1, places=0), f"{share(7, places=0)}*", share(0, places=0)),
        *(f"−67 [{ends}]", "0"),
    ]
    alone = printed(read_run(of_gallery.parent))
    lines = alone[alone.index("PSR@1 in % by which") :].splitlines()
    columns = next(line for line in lines if line.startswith("read by")).split("  ")
    assert [each.strip() for each in columns if each.strip()][3:] == ["cloaked gallery", "not enrolled"]


def test_the_tables_of_all_cells_have_a_row_for_readers_alone(of_gallery: Path) -> None:
    run = read_run(of_gallery.parent)
    console = Console(file=io.StringIO(), width=160)
    for each in psr_tables(measured_of(run).results, run.grid, subjects=SUBJECTS):
        console.print(each)
    assert isinstance(console.file, io.StringIO)
    targets = [line.split("│")[2].strip() for line in console.file.getvalue().splitlines() if line.count("│") > 5]
    assert {each for each in targets if each} == {MATCHER, "faces found, %"}


def test_conditions_are_compared_by_the_searched_picture_alone(threatened: Path, page: Element) -> None:
    run = read_run(threatened.parent)
    assert conditions_table(run.matrix, run.grid, k=1, kind=run.interval_kind) is None
    assert list(conditions_notices(run.matrix, run.grid, k=1)) == []
    assert "conditions" not in {each.attributes.get("id") for each in page.all("table")}
    assert "PSR@1 in % by condition" not in printed(run)
    two = run.grid.under(*sorted({*run.grid.conditions, Condition.parse("png")}))
    table = conditions_table(run.matrix, two, k=1, kind=run.interval_kind)
    assert table is not None
    assert {row[0].text for row in table.rows} == {"jpeg:95", "png"}
    searched = two.under(PAPERS, Condition.parse("png"))
    assert {str(each) for panel in condition_panels(run.matrix, searched, k=1) for each in panel.rows} == {"jpeg:95", "png"}


def test_a_run_without_cloaks_in_a_gallery_has_no_matrix(tmp_path: Path) -> None:
    run = read_run(threatened_run(tmp_path / "run", Carrier.PROBE))
    assert table_of(run) is None
    assert threat_sentences(measured_of(run)) == []
    assert chains(run.grid) == ()
    assert "wear the cloak" not in printed(run)


def test_a_whole_picture_has_the_same_gallery_as_the_face_that_is_cut_out() -> None:
    whole = Condition.parse("png@full")
    cell = Cell(CLASSIFIER, "bim", 16, whole, MATCHER)
    assert [str(carried(cell, carrier).condition) for carrier in Carrier] == [
        *("png@full", "png/gallery", "png@full/both", "png/adaptive"),
    ]
    grid = replace(
        threat_plan(*Carrier).grid,
        conditions=tuple(sorted(map(Condition.parse, ("jpeg:95", "png@full/both", "png/gallery")))),
    )
    assert list(map(str, chains(grid))) == ["png", "png@full"]
    assert list(map(str, chains(replace(grid, conditions=(*grid.conditions, IN_GALLERY))))) == ["jpeg:95", "png", "png@full"]


def test_a_table_of_several_chains_says_which(tmp_path: Path) -> None:
    plan = threat_plan(Carrier.PROBE, Carrier.GALLERY, own=False)
    more = (*plan.grid.conditions, Condition.parse("png/gallery"))
    run = read_run(threatened_run(tmp_path / "run", plan=replace(plan, grid=plan.grid.under(*sorted(more)))))
    table = table_of(run)
    assert table is not None
    assert table.columns[4] == "condition"
    rows = {tuple(value.text for value in row[:6]): [value.text for value in row[6:]] for row in table.rows}
    assert rows[MATCHER, SOURCE, "BIM", "16", "jpeg:95", "none"][:4] == ["9", "0.0", "77.8 *", "11.1"]
    assert rows[MATCHER, SOURCE, "BIM", "16", "png", "none"][:4] == ["9", "–", "–", "11.1"]
    assert threat_sentences(measured_of(run))[0].startswith(f"BIM at 16 of {SOURCE}, read by {MATCHER} (jpeg:95): ")


def test_a_gap_is_a_dash_and_another_n_is_shown(tmp_path: Path) -> None:
    def gaps(subject: int, cell: Cell) -> Seen | None:
        if cell.epsilon == 16 and cell.method == "bim" and cell.condition == IN_GALLERY:
            return None if subject < 2 else NO_FACE
        return None if cell.epsilon == 64 and cell.method == "bim" else answered(subject, cell)

    run = read_run(threatened_run(tmp_path / "run", Carrier.PROBE, Carrier.GALLERY, answered=gaps))
    table = table_of(run)
    assert table is not None
    rows = {tuple(value.text for value in row[:5]): [value.text for value in row[5:]] for row in table.rows}
    assert rows[MATCHER, SOURCE, "BIM", "16", "none"][:5] == ["7–9", "0.0", "77.8 *", "100.0 *", "–"]
    assert rows[MATCHER, SOURCE, "BIM", "64", "none"] == ["9", "0.0", *["–"] * 7]
    found = {
        each.cell.epsilon: each.subjects for each in threats(measured_of(run), PAPERS, k=1) if each.cell.method == "bim"
    }
    assert found == {16: [7, 9], 64: [9]}


def test_what_a_figure_shows_of_a_pair_is_a_row_for_each_carrier(threatened: Path) -> None:
    own, other = threat_panels(measured_of(read_run(threatened.parent)), PAPERS, k=1)
    assert (own.target_model, own.is_white_box) == (OWN, True)
    assert (other.target_model, other.is_white_box) == (MATCHER, False)
    shown = {row: {name: rate and rate.successes for name, rate in rates.items()} for row, rates in other.rows.items()}
    assert shown == {
        "both clean": {"none": 0},
        **{
            row: {"none": 0, "noise": 0, "bim": missed, "illc": 0}
            for row, missed in (("cloaked probe", 7), ("cloaked gallery", 1), ("both cloaked", 7), ("adaptive", 0))
        },
    }


def test_what_matchers_alone_read_is_not_wanted_of_others(of_gallery: Path) -> None:
    run = read_run(of_gallery.parent)
    assert run.complete
    assert widest(run.matrix, run.grid).cell.target_model == MATCHER
    assert np.isfinite(widest(run.matrix, run.grid).halfwidth)
    assert widest(run.matrix, run.grid).halfwidth < 50, "no cell is wanted that nobody reads"


def test_photos_that_stay_clean_stand_in_the_command_and_in_the_facts(tmp_path: Path) -> None:
    plan = threat_plan(*Carrier)
    assert plan.gallery is not None
    run = read_run(threatened_run(tmp_path / "run", plan=replace(plan, gallery=replace(plan.gallery, clean=1)), subjects=1))
    assert "--clean-gallery-photos 1" in reproduction(run).command
    enrolled = next(fact.text for fact in gallery_facts(run.manifest) if fact.term == "Enrolled")
    assert enrolled.startswith("of each identity 2 photos beside the probe, of which 1 never wear a cloak; ")


def test_the_command_has_the_carriers_and_the_facts_say_what_they_are(threatened: Path, page: Element) -> None:
    command = reproduction(read_run(threatened.parent)).command
    assert "--conditions jpeg:95,jpeg:95/adaptive,jpeg:95/both,jpeg:95/gallery" in command
    section = by_id(page, "run")
    facts = dict(zip((each.text for each in section.all("dt")), (each.text for each in section.all("dd")), strict=True))
    assert facts["Cloak worn: gallery"].startswith("by the person’s photos in the gallery")
    assert sum(term.startswith("Cloak worn") for term in facts) == len(Carrier)
