"""Runs of methods with budgets of their own, alone and beside methods that are run at every epsilon."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from orchestrator.commands.report import report
from orchestrator.experiment.condition import parse_conditions
from orchestrator.experiment.grid import ELSEWHERE, Cell, CloakKey, Grid, is_control
from orchestrator.experiment.model import Model
from orchestrator.metrics.intervals import PairedCounts
from orchestrator.report.claims import claims
from orchestrator.report.console_tables import answers, psr_tables
from orchestrator.report.figures.cloak_examples import cloak_examples
from orchestrator.report.figures.tradeoff import QualityPoint, series
from orchestrator.report.kept import decoded
from orchestrator.report.measured import measure
from orchestrator.report.run import Run, read_run
from orchestrator.report.sentences import headlines
from tests.support.blank_figures import write_blank_figures
from tests.support.observed import BEYOND, Seen
from tests.support.pages import Element, by_id, parsed
from tests.support.reported import MODELS, PLAN, changed, make_run, picture, recognised

SCHEMA = Path(__file__).parents[4] / "docs" / "manifest.schema.json"
CONDITIONS = parse_conditions("as-is,jpeg:95")
ALONE = Grid((ELSEWHERE,), MODELS, ("fog", "gan"), (), (1, 5), CONDITIONS, unbudgeted=("fog", "gan"), without_noise=("gan",))
MIXED = Grid(MODELS, MODELS, ("fog", "bim", "illc"), (4, 64), (1, 5), parse_conditions("jpeg:95,png"), unbudgeted=("fog",))
ELSEWHERE_CARD: dict[str, str | int] = {"cloaks_sha256": "d" * 64, "cloaks": 6, "extraction": "none"}
OF_ELSEWHERE = {ELSEWHERE: Model(ELSEWHERE, 0, "", None, ELSEWHERE_CARD)}
PLANS = {"alone": changed(grid=ALONE, source_models=OF_ELSEWHERE), "mixed": replace(PLAN, grid=MIXED)}


def answered(subject: int, cell: Cell) -> Seen | None:
    """Fog protects, the gan does not; all else as in other runs made by hand."""
    return (BEYOND if cell.method == "fog" else 1) if cell.method in ("fog", "gan") else recognised(subject, cell)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: read_run(make_run(folder / name, plan=plan, answered=answered)) for name, plan in PLANS.items()}


@pytest.fixture(scope="module")
def page(runs: dict[str, Run]) -> dict[str, Element]:
    with pytest.MonkeyPatch.context() as patch:
        write_blank_figures(patch)
        return {name: parsed(report(run.root).read_text()) for name, run in runs.items()}


def figures(page: Element) -> set[str]:
    links = [link.attributes["href"] or "" for link in page.all("a")]
    return {Path(link).stem for link in links if Path(link).parent.name == "figures"}


def printed(run: Run) -> str:
    measured = measure(run.matrix, run.grid, run.interval_kind)
    console = Console(file=io.StringIO(), width=200)
    tables = psr_tables(measured.headline.results, run.grid.under(run.grid.condition), subjects=run.subjects)
    for each in (*answers(measured, run.matrix, subjects=run.subjects, caveat=""), *tables):
        console.print(each)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return str(text)


def said(run: Run) -> list[str]:
    return headlines(measure(run.matrix, run.grid, run.interval_kind))


def test_their_manifests_are_as_the_schema_says(runs: dict[str, Run]) -> None:
    for run in runs.values():
        jsonschema.validate(json.loads((run.root / "manifest.json").read_text()), json.loads(SCHEMA.read_text()))


def test_headlines_speak_of_them_without_epsilon(runs: dict[str, Run]) -> None:
    sentences = said(runs["alone"])
    assert "fog, read by the target models: PSR@5 is 100.0 % [44–100]." in sentences
    assert "With random noise in place of a cloak, PSR@5 is 0.0 % [0–56] of the SSIM of fog." in sentences
    assert any(each.startswith("fog against noise of the same SSIM, at top-5: ") for each in sentences)
    assert any(each.startswith("Faces found: ") for each in sentences)
    assert not any("epsilon" in each for each in sentences)


def test_headlines_of_both_kinds_stand_beside_each_other(runs: dict[str, Run]) -> None:
    text = "\n".join(said(runs["mixed"]))
    assert "PSR@5 is 0.0 % [0–56] at epsilon 4, 0.0 % [0–56] at epsilon 64 and 0.0 % [0–56] of the SSIM of fog." in text
    assert "fog, read by another model: PSR@5 is 100.0 % [44–100]." in text
    assert "BIM, read by its own model: PSR@5 is 100.0 % [44–100] at epsilon 4; " in text
    assert "Faces found at epsilon 64: " in text
    assert "Faces found: 100.0 % [44–100] (fog), " in text


def test_claims_are_of_the_paper_s_methods_at_epsilons_only(runs: dict[str, Run]) -> None:
    for found in claims(runs["alone"].matrix, runs["alone"].grid, k=5):
        assert found.basis.startswith("Not in this run: ")
    named_like_the_papers = replace(ALONE, methods=("bim", "illc"), unbudgeted=("bim", "illc"), without_noise=())
    for found in claims(runs["alone"].matrix, named_like_the_papers, k=5):
        assert found.basis.startswith("Not in this run: ")


def test_the_console_has_a_column_for_both_kinds(runs: dict[str, Run]) -> None:
    alone, mixed = printed(runs["alone"]), printed(runs["mixed"])
    assert "ε" not in alone
    assert re.search(r"control +own budget +noise +found", alone)
    assert re.search(r"control +ε 4 +ε 64 +own budget +noise +found", mixed)
    row = next(line for line in mixed.splitlines() if re.search(r"compact FaceNet +compact ResNet +fog", line))
    assert re.split(r" {2,}", row.strip())[3:] == ["0", "100 [44–100]", "0", "100", "100"]


def test_figures_against_epsilon_are_of_methods_that_have_epsilons(page: dict[str, Element]) -> None:
    assert figures(page["alone"]) == {"conditions", "tradeoff", "cloaks-example"}
    assert figures(page["mixed"]) >= {"psr-compact-facenet", "transfer", "detection", "conditions", "tradeoff"}
    assert "by ε are not drawn of fog, gan: a method with a budget of its own has no ε" in page["alone"].text
    assert "by ε are not drawn of fog: " in page["mixed"].text


def test_tables_show_own_in_place_of_epsilon(page: dict[str, Element]) -> None:
    rows = by_id(page["alone"], "psr").rows()
    assert ["another tool", "noise control of fog", "own", "compact FaceNet"] in [row[:4] for row in rows]
    assert ["another tool", "control", "0", "compact FaceNet"] in [row[:4] for row in rows]
    assert len(rows) == 4 * 2
    added = {(row[1], row[3]): row[4:7] for row in by_id(page["alone"], "added").rows()}
    assert added["fog", "compact ResNet"] == ["100.0", "0.0", "0.0"]
    assert added["gan", "compact ResNet"] == ["0.0", "0.0", "–"], "noise cannot be matched to it"
    assert {row[1] for row in by_id(page["mixed"], "smallest-epsilon").rows()} == {"BIM", "ILLC"}
    assert ["fog", "own", "compact ResNet"] in [row[:3] for row in by_id(page["mixed"], "transfer").rows()]
    assert not [each for each in page["alone"].all("section") if each.attributes.get("id") == "smallest-epsilon"]


def test_the_page_says_where_cloaks_come_from_and_how_they_are_had_again(page: dict[str, Element]) -> None:
    text = page["alone"].text
    assert "Cloaks made elsewhere." in text
    assert "Without a noise control: gan." in text
    assert "own: fog, gan, which run once" in text
    command = by_id(page["alone"], "reproduce").all("code")[0].text
    assert "--cloaks CLOAKS" in command
    assert "--methods fog,gan" in command
    assert not re.search("--protector|--epsilons|--source-models", command)
    assert "Cloaks made elsewhere." not in page["mixed"].text


def test_methods_are_compared_with_their_like(runs: dict[str, Run]) -> None:
    alone, mixed = (measure(run.matrix, run.grid, run.interval_kind) for run in runs.values())
    assert (alone.first, alone.second) == ("fog", "gan")
    assert {pair.difference.counts for pair in alone.paired} == {PairedCounts(0, 3, 0, 0)}
    assert len(alone.paired) == 2, "a target model each"
    assert (mixed.first, mixed.second) == ("bim", "illc")


def test_they_are_single_points_against_quality(runs: dict[str, Run]) -> None:
    run = runs["mixed"]
    results = measure(run.matrix, run.grid, run.interval_kind).headline.results
    points = [QualityPoint(each.cell, 0.9, 30.0, 3, each.psr) for each in results if each.k == 5]
    panel = series(points, run.grid)[0][1]
    lengths = {(curve.source_model, curve.method): len(curve.points) for curve in panel.curves}
    expected = {"bim": 2, "illc": 2, "noise": 2, "fog": 1, "noise:fog": 1}
    assert lengths == {(model, method): number for model in MODELS for method, number in expected.items()}
    assert {point.label for point in panel.front} == {"fog"}


def test_example_cloaks_stand_in_the_column_of_their_budget() -> None:
    keys = [key for key in MIXED.cloaks(MODELS[0]) if not is_control(key.method)]
    cloaks = {key: image for key in keys if (image := decoded(picture(0, key, "PNG"))) is not None}
    probe = decoded(picture(0, CloakKey(MODELS[0], "none", 0), "PNG"))
    assert probe is not None
    grid = replace(MIXED, source_models=MODELS[:1])
    figure: Figure = cloak_examples({MODELS[0]: probe}, cloaks, grid, magnified=True)
    shown = [[bool(axes.images) for axes in figure.axes[start : start + 4]] for start in range(0, 24, 4)]
    of_epsilons, own = [True, True, True, False], [True, False, False, True]
    without_probe = [[False, *row[1:]] for row in (of_epsilons, own)]
    assert shown == [of_epsilons, without_probe[0], of_epsilons, without_probe[0], own, without_probe[1]]
    assert [axes.get_title() for axes in figure.axes[:4]] == ["probe", "ε\u00a04", "ε\u00a064", "own budget"]
