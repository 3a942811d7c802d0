"""The printed tables, read as a person reads them."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from orchestrator.experiment.grid import EMBEDDED_MODELS, MODELS, Grid
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.experiment.plan import SUBJECTS
from orchestrator.metrics.matrix import BEYOND as BEYOND_CANDIDATES
from orchestrator.metrics.matrix import NO_FACE as MISSING_FACE
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.observation import Observation
from orchestrator.report.claims import Claim, Verdict
from orchestrator.report.console_tables import answers, claim_lines, psr_tables, summary_table
from orchestrator.report.matchers import Matchers
from orchestrator.report.measured import measure
from orchestrator.report.titles import title
from tests.support.cells import paper_cell
from tests.support.observed import BEYOND, NO_FACE, Seen, observation, observations, rank_matrix, results

GRID = Grid(("facenet",), ("resnet50", "senet50"), ("bim",), (4, 8), (1, 5))


def printed(
    table: list[Observation], *, grid: Grid = GRID, subjects: int = 2, kind: IntervalKind = IntervalKind.WILSON
) -> str:
    console = Console(file=io.StringIO(), width=160)
    for renderable in psr_tables(results(table, ks=grid.ks, kind=kind), grid, subjects=subjects):
        console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def summary(
    table: list[Observation],
    *,
    grid: Grid = GRID,
    subjects: int = 2,
    kind: IntervalKind = IntervalKind.WILSON,
    caveat: str = "",
) -> str:
    console = Console(file=io.StringIO(), width=160)
    found = list(results(table, ks=grid.ks, kind=kind))
    console.print(summary_table(found, grid, subjects=subjects, caveat=caveat))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(text: str, *beginning: str) -> list[str]:
    """A row of the summary, whose cells two spaces part."""
    rows = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    (found,) = (cells for cells in rows if cells[: len(beginning)] == list(beginning))
    return found[len(beginning) :]


def lines(text: str) -> list[list[str]]:
    """The cells of every line of a table."""
    return [[cell.strip() for cell in line.strip("│┃ ").replace("┃", "│").split("│")] for line in text.splitlines()]


def line(text: str, *beginning: str) -> list[str]:
    (found,) = (cells for cells in lines(text) if cells[: len(beginning)] == list(beginning))
    return found[len(beginning) :]


TABLE = [
    *observations(paper_cell("facenet", "none", 0, "resnet50"), a=1, b=2),
    *observations(paper_cell("facenet", "bim", 4, "resnet50"), a=3, b=BEYOND),
    *observations(paper_cell("facenet", "bim", 8, "resnet50"), a=NO_FACE),
    *observations(paper_cell("facenet", "noise", 4, "resnet50"), a=1, b=1),
]


def test_a_cell_shows_psr_and_its_interval() -> None:
    # Wilson's intervals of 1 of 2, 2 of 2 and 0 of 2.
    assert line(printed(TABLE), "1", "ResNet-50", "BIM")[:2] == ["50.0 [9–91]", "100.0 [34–100]"]


def test_a_table_says_which_interval_it_shows() -> None:
    text = printed(TABLE, kind=IntervalKind.CONFIDENCE_SEQUENCE)
    words = " ".join(text.split())
    # Confidence sequences of 1 of 2 and 2 of 2: Beta(2, 2) and Beta(3, 1) have a density of 0.05 there.
    assert line(text, "1", "ResNet-50", "BIM")[:2] == ["50.0 [1–99]", "100.0 [13–100]"]
    assert "by BIM [95 % confidence sequence]" in text
    assert "intervals hold at all looks at once, each for its own cell" in words
    assert "by BIM [95 % interval]" in printed(TABLE)


def test_the_noise_control_stands_below_its_method_without_a_control_of_its_own() -> None:
    table = lines(printed(TABLE))
    (place,) = (place for place, cells in enumerate(table) if cells[:3] == ["1", "ResNet-50", "BIM"])
    assert table[place + 1][-4:] == ["noise", "", "0.0 [0–66]", "–"]


def test_a_short_cell_shows_its_own_n() -> None:
    assert line(printed(TABLE), "1", "ResNet-50", "BIM")[2] == "100.0 [21–100] (N=1)"
    assert "N = 2 in every cell, unless it says otherwise" in printed(TABLE)
    assert "(N=" not in printed(observations(paper_cell("facenet", "none", 0, "resnet50"), a=1), subjects=1)


def test_a_cell_that_was_not_observed_shows_a_dash_and_no_number() -> None:
    senet = [cells for cells in lines(printed(TABLE)) if "SENet-50" in cells]
    assert senet
    assert all(cells[-3:] == ["–", "–", "–"] for cells in senet)


def test_every_k_has_its_lines() -> None:
    table = printed(TABLE)
    assert line(table, "5", "ResNet-50", "BIM") == ["0.0 [0–66]", "50.0 [9–91]", "100.0 [21–100] (N=1)"]


def test_the_faces_found_stand_below() -> None:
    found = [cells for cells in lines(printed(TABLE)) if "faces found, %" in cells]
    assert [cells[-4:] for cells in found] == [["BIM", "100.0", "100.0", "0.0"], ["noise", "100.0", "100.0", "–"]]


def test_there_is_a_table_for_each_source_model_and_method() -> None:
    grid = Grid(("facenet", "senet50"), ("resnet50",), ("bim", "illc"), (4,), (1,))
    text = printed([], grid=grid)
    places = [
        text.find(f"PSR in %, crafted with {model} by {method}")
        for model in ("FaceNet", "SENet-50")
        for method in ("BIM", "ILLC")
    ]
    assert places[0] == 0
    assert places == sorted(set(places))
    assert text.count("PSR in %") == 4


def test_columns_are_the_control_and_every_epsilon() -> None:
    heading = next(cells for cells in lines(printed(TABLE)) if "target model" in cells)
    assert heading[-3:] == ["control", "ε 4", "ε 8"]


@pytest.mark.parametrize(
    ("name", "printed_as"), [("senet50", "SENet-50"), ("illc", "ILLC"), ("my-model", "my-model"), ("[x]", "[x]")]
)
def test_a_model_that_is_not_the_paper_s_keeps_its_name(name: str, printed_as: str) -> None:
    assert title(name) == printed_as


def test_a_name_in_brackets_is_printed_as_it_is() -> None:
    grid = Grid(("[bold]",), ("[red]x",), ("bim",), (4, 8), (1,))
    text = printed([], grid=grid)
    assert "crafted with [bold] by BIM" in text
    assert "[red]x" in text


def test_the_summary_has_psr_at_the_smallest_k_by_epsilon_and_at_the_largest_noise_and_faces_found() -> None:
    table = [
        *observations(paper_cell("facenet", "none", 0, "resnet50"), a=1, b=2),
        *observations(paper_cell("facenet", "bim", 4, "resnet50"), a=3, b=BEYOND),
        *observations(paper_cell("facenet", "bim", 8, "resnet50"), a=NO_FACE, b=1),
        *observations(paper_cell("facenet", "noise", 8, "resnet50"), a=1, b=1),
    ]
    columns = ["50", "100 [34–100]", "50 [9–91]", "0", "50", "0"]  # Wilson's intervals
    assert row(summary(table), "FaceNet", "ResNet-50", "BIM") == columns


def test_the_summary_says_where_a_cell_is_short_or_was_not_observed() -> None:
    text = summary(TABLE)
    assert row(text, "FaceNet", "ResNet-50", "BIM") == ["50", "100 [34–100]", "100 [21–100] (N=1)", "–", "0", "–"]
    assert row(text, "FaceNet", "SENet-50", "BIM") == ["–"] * 6
    assert "N = 2 in every cell, unless it says otherwise" in text


@pytest.mark.parametrize(("protected", "mark"), [(5, ""), (6, "*"), (9, "*")])
def test_the_summary_marks_what_is_shown_to_be_more_than_noise_of_the_same_size(protected: int, mark: str) -> None:
    """Of so many discordant probes that all fall on one side, p is 2 / 2^n: 0.0625 for five, 0.031 for six."""
    probes = [f"p{place}" for place in range(9)]
    seen: dict[str, Seen] = {probe: BEYOND if place < protected else 1 for place, probe in enumerate(probes)}
    table = [
        *observations(paper_cell("facenet", "noise", 4, "resnet50"), **dict.fromkeys(probes, 1)),
        *(observation(probe, paper_cell("facenet", "bim", 4, "resnet50"), each) for probe, each in seen.items()),
    ]
    assert row(summary(table, subjects=9), "FaceNet", "ResNet-50", "BIM")[1].endswith(f"]{mark}")


def test_the_summary_says_once_what_its_intervals_are_and_why_it_cannot_be_compared() -> None:
    text = summary(TABLE, kind=IntervalKind.CONFIDENCE_SEQUENCE, caveat="on drawn faces")
    assert "PSR@1 in % [95 % confidence sequence]; no face found counts as protected; on drawn faces" in text
    assert "intervals hold at all looks at once, each for its own cell" in " ".join(text.split())
    assert "[95 % interval]" in summary(TABLE)


def test_a_name_in_brackets_stands_in_the_summary_as_it_is() -> None:
    grid = Grid(("[bold]",), ("[red]x",), ("[i]",), (4, 8), (1, 5))
    assert row(summary([], grid=grid), "[bold]", "[red]x", "[i]") == ["–"] * 6


def test_a_claim_is_a_line_with_its_verdict_first() -> None:
    said = [
        Claim("A is so: it means this.", "cells", "+1.0 points", "0.5–2.0", Verdict.SUPPORTED, "basis"),
        Claim("B needs C.", "cells", "", "", Verdict.UNDECIDED, "Not in this run: much else."),
    ]
    assert [line.plain for line in claim_lines(said)] == [
        "supported    A is so: +1.0 points [0.5–2.0]",
        "undecided    B needs C: not in this run",
    ]
    assert [line.plain for line in claim_lines(said[1:])] == [
        "The paper's claims: nothing in this run says anything of them."
    ]


def drawn_at_random(grid: Grid, *, subjects: int) -> RankMatrix:
    random = np.random.default_rng(0)
    cells = tuple(sorted(grid.cells()))
    ranks = random.choice([MISSING_FACE, BEYOND_CANDIDATES, 1, 20], size=(len(cells), subjects)).astype(np.int16)
    return RankMatrix(cells, tuple(map(str, range(subjects))), ranks, 50)


@pytest.mark.parametrize("models", [MODELS, EMBEDDED_MODELS])
def test_the_answers_of_the_default_run_are_short(models: tuple[str, ...]) -> None:
    grid = Grid(models, models)
    matrix = drawn_at_random(grid, subjects=SUBJECTS)
    console = Console(file=io.StringIO(), width=160)
    for each in answers(
        measure(matrix, grid, IntervalKind.WILSON), matrix, subjects=SUBJECTS, caveat="on drawn faces: not the paper's"
    ):
        console.print(each)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert len(text.splitlines()) <= 43, "with where the results and the report are no more than 45"
    places = [text.index(each) for each in ("Without a cloak", "FaceNet is the best", "PSR@1 in %", "N = 16 in")]
    assert places == sorted(places)
    assert text.count("not the paper's") == 1


def test_the_answers_of_a_run_with_a_matcher_have_a_table_of_its_thresholds_more() -> None:
    grid = Grid(EMBEDDED_MODELS, (*EMBEDDED_MODELS, "dlib"))
    matrix = drawn_at_random(grid, subjects=SUBJECTS)
    of_dlib = [row for row, cell in enumerate(matrix.cells) if cell.target_model == "dlib"]
    at = RankMatrix(tuple(matrix.cells[row] for row in of_dlib), matrix.probes, matrix.ranks[of_dlib], matrix.candidates)
    matchers = Matchers(galleries={"dlib": 250})
    measured = measure(matrix, grid, IntervalKind.WILSON, matchers=matchers, at={"given": at})
    console = Console(file=io.StringIO(), width=160)
    for each in answers(measured, matrix, subjects=SUBJECTS, caveat=""):
        console.print(each)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert len(text.splitlines()) <= 43 + len(EMBEDDED_MODELS) * 2 + 5 + 12, "rows of PSR, sentences, and the table"
    assert text.index("PSR@1 in %") < text.index("Recognition by a gallery, in %")


def test_of_nothing_there_is_a_table_of_dashes_and_no_sentence() -> None:
    matrix = rank_matrix([])
    measured = measure(matrix, GRID, IntervalKind.WILSON)
    assert len(answers(measured, matrix, subjects=2, caveat="")) == 1
