"""A page says how crafting went, and warns where an attack stalled."""

from pathlib import Path

import pytest

from orchestrator.commands.report import report
from orchestrator.experiment.grid import CloakKey
from orchestrator.report.crafting import crafting_table
from orchestrator.store.crafting import CraftingSummary
from tests.support.pages import Element, by_id, parsed
from tests.support.reported import GRID, make_run

pytestmark = pytest.mark.usefixtures("blank_figures")


def page_of(root: Path) -> Element:
    return parsed(report(root).read_text())


def stalled_notices(page: Element) -> list[str]:
    notices = [each.text for each in page.all("p") if each.attributes.get("role") == "note"]
    return [each for each in notices if each.startswith("Attacks stalled:")]


def zeros(number: int, key: CloakKey) -> float:
    """BIM with compact FaceNet stalls for two subjects of three at 4 levels and for all at 64, with the other for one."""
    if key.method != "bim":
        return 1.0 if key.method in ("none", "noise") else 0.04
    if key.source_model == "compact-facenet":
        return 1.0 if number < 2 or key.epsilon == 64 else 0.1
    return 0.9 if number == 0 else 0.0


def test_a_stalled_attack_stands_on_top_and_no_other_does(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run", zero_gradients=zeros, pictures=False))
    assert stalled_notices(page) == [
        "Attacks stalled: BIM with compact FaceNet at ε 4, 64. In most of these cloaks more than 50 % of the gradients were "
        "exactly zero, so that the attack hardly moved: their PSR says little, and a low one is no sign of a strong "
        "recognizer. The shares stand under “How crafting went”."
    ]


def test_how_crafting_went_has_a_row_for_every_attack_and_none_for_controls(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run", zero_gradients=zeros, pictures=False))
    # Source model, method, epsilon, cloaks, iterations, gradients, forward passes, largest change, zero gradients, stalled.
    assert by_id(page, "crafting").rows() == [
        ["compact FaceNet", "BIM", "4", "3", "1", "4", "0", "0–4", "70.0", "2 of 3"],
        ["compact FaceNet", "BIM", "64", "3", "1", "64", "0", "0", "100.0", "3 of 3"],
        ["compact FaceNet", "ILLC", "4", "3", "1", "4", "1", "4", "4.0", "0 of 3"],
        ["compact FaceNet", "ILLC", "64", "3", "1", "64", "1", "64", "4.0", "0 of 3"],
        ["compact ResNet", "BIM", "4", "3", "1", "4", "0", "4", "30.0", "1 of 3"],
        ["compact ResNet", "BIM", "64", "3", "1", "64", "0", "64", "30.0", "1 of 3"],
        ["compact ResNet", "ILLC", "4", "3", "1", "4", "1", "4", "4.0", "0 of 3"],
        ["compact ResNet", "ILLC", "64", "3", "1", "64", "1", "64", "4.0", "0 of 3"],
    ]


@pytest.mark.parametrize(("share", "warned"), [(0.0, False), (0.04, False), (0.5, False), (0.51, True), (1.0, True)])
def test_more_than_half_of_the_gradients_must_be_zero(tmp_path: Path, share: float, *, warned: bool) -> None:
    root = make_run(tmp_path / "run", zero_gradients=lambda number, key: share, pictures=False)
    assert bool(stalled_notices(page_of(root))) is warned


def test_half_of_the_cloaks_are_not_most(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", subjects=2, zero_gradients=lambda number, key: float(number), pictures=False)
    page = parsed(report(root, allow_incomplete=True).read_text())
    assert stalled_notices(page) == []
    assert {row[-1] for row in by_id(page, "crafting").rows()} == {"1 of 2"}


def test_an_attack_that_has_no_cloak_yet_has_dashes() -> None:
    key = CloakKey("compact-facenet", "bim", 4)
    rows = crafting_table({key: CraftingSummary(key, 2, 5, 6, 9, 30, 19.5, 1, 2, 1.5, 3, 4, 0.04, 0)}, GRID).rows
    texts = [[value.text for value in row[3:]] for row in rows[:2]]
    assert texts == [["2", "5–6", "9–30", "1–2", "3–4", "4.0", "0 of 2"], ["0", *"––––––"]]


def test_a_run_that_crafted_nothing_yet_has_no_such_table(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", subjects=0, finished=False)
    page = parsed(report(root, allow_incomplete=True).read_text())
    assert "crafting" not in {table.attributes.get("id") for table in page.all("table")}
