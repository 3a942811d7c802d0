"""The printed tables, read as a person reads them."""

import io

import pytest
from rich.console import Console

from orchestrator.experiment.grid import Cell, Grid
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.observation import Observation
from orchestrator.report.console_tables import psr_tables
from orchestrator.report.titles import title
from tests.support.observed import BEYOND, NO_FACE, observations, results

GRID = Grid(("facenet",), ("resnet50", "senet50"), ("bim",), (4, 8), (1, 5))


def printed(
    table: list[Observation], *, grid: Grid = GRID, subjects: int = 2, kind: IntervalKind = IntervalKind.WILSON
) -> str:
    console = Console(file=io.StringIO(), width=160)
    for renderable in psr_tables(results(table, ks=grid.ks, kind=kind), grid, subjects=subjects):
        console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def lines(text: str) -> list[list[str]]:
    """The cells of every line of a table."""
    return [[cell.strip() for cell in line.strip("│┃ ").replace("┃", "│").split("│")] for line in text.splitlines()]


def line(text: str, *beginning: str) -> list[str]:
    (found,) = (cells for cells in lines(text) if cells[: len(beginning)] == list(beginning))
    return found[len(beginning) :]


TABLE = [
    *observations(Cell("facenet", "none", 0, "resnet50"), a=1, b=2),
    *observations(Cell("facenet", "bim", 4, "resnet50"), a=3, b=BEYOND),
    *observations(Cell("facenet", "bim", 8, "resnet50"), a=NO_FACE),
    *observations(Cell("facenet", "noise", 4, "resnet50"), a=1, b=1),
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
    assert "(N=" not in printed(observations(Cell("facenet", "none", 0, "resnet50"), a=1), subjects=1)


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
