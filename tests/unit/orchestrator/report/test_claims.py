"""The paper's claims on runs made by hand, which support, refute and leave open each of them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.experiment.condition import FULL, LOSSLESS, NAMED_SETS, PAPERS, Condition
from orchestrator.experiment.grid import EMBEDDED_MODELS, Cell, Grid
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.matrix import BEYOND, MISSING, NO_FACE, RankMatrix
from orchestrator.report.claims import Claim, Verdict, claims
from orchestrator.report.matchers import Matchers
from orchestrator.report.measured import measure

GRID = Grid(epsilons=(8, 32, 64), ks=(1, 25))
OWN_MODEL, BEST_SOURCE, BIM_OVER_ILLC, LARGE_EPSILON, RESIZING, COMPRESSION = range(6)
N = 100

Share = Callable[[Cell], float]


def run(share: Share, *, n: int = N, grid: Grid = GRID, candidates: int = 50) -> RankMatrix:
    """A run in which so large a share of the probes is protected in a cell: always the first ones."""
    cells = tuple(sorted(grid.cells()))
    ranks = np.array([np.where(np.arange(n) < round(share(cell) * n), BEYOND, 1) for cell in cells], dtype=np.int16)
    return RankMatrix(cells, tuple(f"p{place}" for place in range(n)), ranks, candidates)


def uncloaked(cell: Cell) -> bool:
    return cell.method in ("none", "noise")


def claim(
    place: int, matrix: RankMatrix, *, grid: Grid = GRID, png: RankMatrix | None = None, whole: RankMatrix | None = None
) -> Claim:
    """`png` and `whole` have the ranks of the same cells under these conditions."""
    others = {LOSSLESS: png, FULL: whole}
    for condition, other in others.items():
        if other is not None:
            matrix, grid = with_condition(matrix, condition, other), grid.under(*sorted({*grid.conditions, condition}))
    return claims(matrix, grid, k=25)[place]


def with_condition(matrix: RankMatrix, condition: Condition, other: RankMatrix) -> RankMatrix:
    cells = [*matrix.cells, *(replace(cell, condition=condition) for cell in other.cells)]
    order = sorted(range(len(cells)), key=cells.__getitem__)
    ranks = np.concatenate([matrix.ranks, other.ranks])[order]
    return RankMatrix(tuple(cells[row] for row in order), matrix.probes, ranks, matrix.candidates)


def own_model(same: float, other: float) -> Share:
    return lambda cell: 0 if uncloaked(cell) else same if cell.source_model == cell.target_model else other


def by_source(facenet: float, resnet50: float, senet50: float) -> Share:
    shares = {"facenet": facenet, "resnet50": resnet50, "senet50": senet50}
    return lambda cell: 0 if uncloaked(cell) else shares[cell.source_model]


def by_method(bim: float, illc: float) -> Share:
    return lambda cell: {"bim": bim, "illc": illc}.get(cell.method, 0)


def by_epsilon(**shares: float) -> Share:
    return lambda cell: 0 if uncloaked(cell) else shares[f"e{cell.epsilon}"]


def constant(share: float) -> Share:
    return lambda cell: 0 if uncloaked(cell) else share


@pytest.mark.parametrize(
    ("place", "share", "verdict"),
    [
        pytest.param(OWN_MODEL, own_model(0.9, 0.2), Verdict.SUPPORTED, id="own model above others"),
        pytest.param(OWN_MODEL, own_model(0.2, 0.9), Verdict.REFUTED, id="own model below others"),
        pytest.param(OWN_MODEL, own_model(0.5, 0.49), Verdict.UNDECIDED, id="own model like others"),
        pytest.param(BEST_SOURCE, by_source(0.8, 0.3, 0.4), Verdict.SUPPORTED, id="FaceNet above both"),
        pytest.param(BEST_SOURCE, by_source(0.5, 0.3, 0.8), Verdict.REFUTED, id="FaceNet below one, above the other"),
        pytest.param(BEST_SOURCE, by_source(0.5, 0.1, 0.5), Verdict.UNDECIDED, id="FaceNet above one, like the other"),
        pytest.param(BIM_OVER_ILLC, by_method(0.7, 0.4), Verdict.SUPPORTED, id="BIM above ILLC"),
        pytest.param(BIM_OVER_ILLC, by_method(0.4, 0.7), Verdict.REFUTED, id="BIM below ILLC"),
        pytest.param(BIM_OVER_ILLC, by_method(0.5, 0.5), Verdict.UNDECIDED, id="BIM like ILLC"),
        pytest.param(LARGE_EPSILON, by_epsilon(e8=0.1, e32=0.5, e64=1), Verdict.SUPPORTED, id="not high at 32, high above"),
        pytest.param(LARGE_EPSILON, by_epsilon(e8=0.1, e32=0.5, e64=0.94), Verdict.NOT_REACHED, id="not high anywhere"),
        pytest.param(LARGE_EPSILON, by_epsilon(e8=0, e32=0, e64=0), Verdict.NOT_REACHED, id="nothing is protected"),
        pytest.param(LARGE_EPSILON, by_epsilon(e8=0.1, e32=0.94, e64=0.94), Verdict.NOT_REACHED, id="almost high at 32"),
        pytest.param(LARGE_EPSILON, by_epsilon(e8=0.1, e32=1, e64=1), Verdict.REFUTED, id="high at 32 already"),
        pytest.param(LARGE_EPSILON, by_epsilon(e8=0.1, e32=0.96, e64=1), Verdict.UNDECIDED, id="about high at 32"),
    ],
)
def test_a_claim_within_a_run_is_judged_by_its_interval(place: int, share: Share, verdict: Verdict) -> None:
    found = claim(place, run(share))
    assert found.verdict is verdict
    assert found.estimate
    assert found.interval


@pytest.mark.parametrize("place", [RESIZING, COMPRESSION])
@pytest.mark.parametrize(
    ("other", "this", "verdict"),
    [
        pytest.param(0.8, 0.5, Verdict.SUPPORTED, id="weaker in the normal path"),
        pytest.param(0.5, 0.8, Verdict.REFUTED, id="stronger in the normal path"),
        pytest.param(0.5, 0.5, Verdict.UNDECIDED, id="alike"),
    ],
)
def test_a_claim_between_runs_is_judged_by_its_interval(place: int, other: float, this: float, verdict: Verdict) -> None:
    png, whole = (None, run(constant(other))) if place == RESIZING else (run(constant(other)), None)
    found = claim(place, run(constant(this)), png=png, whole=whole)
    assert found.verdict is verdict
    assert found.estimate == ("0.0 points" if other == this else f"{100 * (other - this):+.1f} points".replace("-", "−"))


@pytest.mark.parametrize(
    ("place", "share"),
    [(OWN_MODEL, own_model(1, 0)), (BEST_SOURCE, by_source(1, 0, 0)), (BIM_OVER_ILLC, by_method(1, 0))],
)
def test_three_probes_decide_nothing_however_clear_and_however_many_the_cells(place: int, share: Share) -> None:
    found = claim(place, run(share, n=3))
    assert (found.estimate, found.verdict) == ("+100.0 points", Verdict.UNDECIDED)
    assert "at this N of 3" in found.basis


def test_the_estimate_and_interval_are_worked_by_hand() -> None:
    """Every probe differs by 0 or 1 in all pairs: Bonett and Price with 40 of 100 discordant."""
    found = claim(BIM_OVER_ILLC, run(by_method(0.7, 0.3)))
    p12, p21 = 41 / 102, 1 / 102
    half = 1.959964 * ((p12 + p21 - (p12 - p21) ** 2) / 102) ** 0.5
    assert found.estimate == "+40.0 points"
    assert found.interval == f"{100 * (p12 - p21 - half):.1f}–{100 * (p12 - p21 + half):.1f}"


def test_a_cell_that_goes_against_the_average_is_told() -> None:
    def share(cell: Cell) -> float:
        against = (cell.source_model, cell.target_model, cell.epsilon) == ("senet50", "senet50", 64)
        return by_method(0.2, 0.8)(cell) if against else by_method(0.8, 0.2)(cell)

    found = claim(BIM_OVER_ILLC, run(share))
    assert found.verdict is Verdict.SUPPORTED
    assert "26 of 27 are above zero, 1 below, 0 cannot be told" in found.basis


def test_facenet_is_compared_where_the_target_model_is_neither_source() -> None:
    def share(cell: Cell) -> float:  # ResNet-50's cloaks do well on FaceNet and on itself alone
        if uncloaked(cell):
            return 0
        return 1 if cell.target_model in ("facenet", cell.source_model) else {"facenet": 0.6}.get(cell.source_model, 0.1)

    assert claim(BEST_SOURCE, run(share)).verdict is Verdict.SUPPORTED


def test_the_strongest_other_source_is_the_one_that_is_shown() -> None:
    assert "Shown is the strongest other source, SENet-50" in claim(BEST_SOURCE, run(by_source(0.8, 0.3, 0.5))).basis


def test_large_epsilon_speaks_of_other_models_alone() -> None:
    def share(cell: Cell) -> float:
        return 0 if uncloaked(cell) else 1 if cell.source_model == cell.target_model else 0.3

    found = claim(LARGE_EPSILON, run(share))
    assert (found.estimate, found.verdict) == ("30.0 %", Verdict.NOT_REACHED)
    assert found.basis.startswith("No epsilon of this run reaches 95 % on average. Cell by cell, 0 of 12 reach it there.")
    assert "At epsilon 64 it is 30.0 % [" in found.basis
    assert "; noise of that size gives 0.0 % [" in found.basis


def test_a_need_of_more_than_32_is_not_shown_by_a_run_that_has_no_more() -> None:
    grid = replace(GRID, epsilons=(8, 32))
    found = claim(LARGE_EPSILON, run(by_epsilon(e8=0.1, e32=0.5), grid=grid), grid=grid)
    assert found.verdict is Verdict.NOT_REACHED
    assert found.basis.endswith("No epsilon above 32 is in this run.")


def test_a_smaller_epsilon_cannot_show_that_32_is_too_little_but_can_show_that_less_is_enough() -> None:
    grid = replace(GRID, epsilons=(8, 64))
    found = claim(LARGE_EPSILON, run(by_epsilon(e8=0.1, e64=1), grid=grid), grid=grid)
    assert found.verdict is Verdict.UNDECIDED
    assert "Epsilon 32 is not in this run" in found.basis
    assert claim(LARGE_EPSILON, run(by_epsilon(e8=1, e64=1), grid=grid), grid=grid).verdict is Verdict.REFUTED


def test_resizing_looks_only_at_models_of_one_input_size() -> None:
    def between(cell: Cell) -> float:  # between sizes the whole region would refute
        if uncloaked(cell):
            return 0
        return 1 if (cell.source_model == "facenet") != (cell.target_model == "facenet") else 0.2

    found = claim(RESIZING, run(between), whole=run(constant(0.6)))
    assert (found.estimate, found.verdict) == ("+40.0 points", Verdict.SUPPORTED)
    assert "30 pairs of cells" in found.cells


def test_a_face_that_is_not_found_says_nothing_about_the_trigger() -> None:
    normal = run(constant(0))
    hidden = normal.ranks.copy()
    cloaked = [row for row, cell in enumerate(normal.cells) if not uncloaked(cell)]
    hidden[np.ix_(cloaked, range(50))] = NO_FACE
    found = claim(RESIZING, replace(normal, ranks=hidden), whole=run(constant(0)))
    assert (found.estimate, found.verdict) == ("0.0 points", Verdict.UNDECIDED)
    assert "N of 50" in found.basis


def test_a_condition_that_is_absent_leaves_the_claim_open_and_says_what_makes_it() -> None:
    found = claims(run(constant(0.5)), GRID, k=25)
    assert [each.verdict for each in found[RESIZING:]] == [Verdict.UNDECIDED] * 2
    assert found[RESIZING].basis.startswith("Not in this run: ")
    assert "it needs --conditions jpeg:95,jpeg:95@full" in found[RESIZING].basis
    assert "it needs --conditions jpeg:95,png" in found[COMPRESSION].basis


def test_a_condition_in_which_nothing_was_observed_leaves_the_claim_open() -> None:
    nothing = run(constant(1))
    found = claim(COMPRESSION, run(constant(0.5)), png=replace(nothing, ranks=np.full_like(nothing.ranks, MISSING)))
    assert (found.verdict, "no probe was observed on both sides" in found.basis) == (Verdict.UNDECIDED, True)


def test_a_run_of_png_alone_is_told_which_condition_compression_is_compared_with() -> None:
    png = replace(run(constant(0.5)), cells=tuple(replace(cell, condition=LOSSLESS) for cell in run(constant(0.5)).cells))
    found = claims(png, GRID.under(LOSSLESS), k=25)
    assert "it needs --conditions jpeg:95,png" in found[COMPRESSION].basis
    assert found[OWN_MODEL].verdict is not Verdict.UNDECIDED or "Not in this run" not in found[OWN_MODEL].basis


@pytest.mark.parametrize(
    ("grid", "missing"),
    [
        pytest.param(replace(GRID, methods=("mim",)), range(6), id="neither BIM nor ILLC"),
        pytest.param(replace(GRID, methods=("illc",)), [BIM_OVER_ILLC], id="without BIM"),
        pytest.param(replace(GRID, epsilons=(64,)), [LARGE_EPSILON], id="no epsilon up to 32"),
        pytest.param(replace(GRID, source_models=("resnet50", "senet50")), [BEST_SOURCE], id="FaceNet is no source"),
        pytest.param(replace(GRID, source_models=("facenet",)), [BEST_SOURCE], id="FaceNet the only source"),
        pytest.param(
            replace(GRID, source_models=("facenet",), target_models=("facenet",)),
            [OWN_MODEL, BEST_SOURCE, LARGE_EPSILON],
            id="one model",
        ),
        pytest.param(
            replace(GRID, source_models=("facenet",), target_models=("senet50",)),
            [OWN_MODEL, BEST_SOURCE, RESIZING],
            id="two models of two sizes, one way",
        ),
    ],
)
def test_a_claim_whose_cells_are_not_in_the_grid_is_undecided_because_not_in_this_run(
    grid: Grid, missing: list[int]
) -> None:
    grid = grid.under(*NAMED_SETS["paper"])
    found = claims(run(constant(0.5), grid=grid), grid, k=25)
    absent = [place for place, each in enumerate(found) if each.basis.startswith("Not in this run")]
    assert absent == list(missing)
    assert all((found[place].verdict, found[place].estimate) == (Verdict.UNDECIDED, "") for place in absent)


def test_a_run_without_observations_leaves_all_six_open() -> None:
    grid = GRID.under(*NAMED_SETS["paper"])
    empty = run(constant(0.5), grid=grid)
    found = claims(replace(empty, ranks=np.full_like(empty.ranks, MISSING)), grid, k=25)
    assert [each.verdict for each in found] == [Verdict.UNDECIDED] * 6
    assert all(each.basis.startswith("Not in this run") for each in found)


def test_the_embedded_models_are_of_the_paper_s_families() -> None:
    grid = replace(GRID, source_models=EMBEDDED_MODELS, target_models=EMBEDDED_MODELS)

    def share(cell: Cell) -> float:
        return 0 if uncloaked(cell) else 0.8 if cell.source_model == "compact-facenet" else 0.2

    found = claim(BEST_SOURCE, run(share, grid=grid), grid=grid)
    assert found.verdict is Verdict.SUPPORTED
    assert "compact FaceNet" in found.cells


def test_claims_are_read_at_the_k_of_headlines() -> None:
    few = replace(GRID, ks=(1, 5, 10))
    for grid, candidates, k in ((GRID, 50, 25), (few, 10, 10)):
        matrix = run(constant(0.5), grid=grid, candidates=candidates)
        measured = measure(matrix, grid, IntervalKind.WILSON)
        assert measured.k == k
        assert all(f"PSR@{k}" in each.cells for each in claims(matrix, grid, k=k)[:4])


def test_the_interval_against_several_other_sources_is_wider_than_against_one() -> None:
    """By Bonferroni: 97.5 % each for two, z = 2.2414 in place of 1.9600."""
    share = by_source(0.8, 0.5, 0.5)
    one = replace(GRID, source_models=("facenet", "resnet50"))
    p12, p21 = 31 / 102, 1 / 102
    deviation = 100 * ((p12 + p21 - (p12 - p21) ** 2) / 102) ** 0.5
    centre = 100 * (p12 - p21)
    for grid, z in ((GRID, 2.241403), (one, 1.959964)):
        found = claim(BEST_SOURCE, run(share, grid=grid), grid=grid)
        assert found.interval == f"{centre - z * deviation:.1f}–{centre + z * deviation:.1f}"


TWO = replace(GRID, source_models=("facenet+senet50",))  # of 224 pixels


def test_each_member_of_an_ensemble_is_a_model_that_its_cloaks_were_crafted_with() -> None:
    def share(cell: Cell) -> float:
        return 0 if uncloaked(cell) else 0.3 if cell.target_model == "resnet50" else 1

    found = claims(run(share, grid=TWO), TWO, k=25)
    assert (found[OWN_MODEL].estimate, found[OWN_MODEL].verdict) == ("+70.0 points", Verdict.SUPPORTED)
    assert "12 pairs of cells" in found[OWN_MODEL].cells
    assert (found[LARGE_EPSILON].estimate, found[LARGE_EPSILON].verdict) == ("30.0 %", Verdict.NOT_REACHED)
    assert "read by another model: 2 cells" in found[LARGE_EPSILON].cells


@pytest.mark.parametrize("place", range(6))
def test_models_that_are_not_the_paper_s_change_no_verdict_and_the_claim_names_them(place: int) -> None:
    conditions = GRID.under(*sorted((PAPERS, FULL, LOSSLESS)))
    more = replace(
        conditions, source_models=("dlib", *GRID.source_models), target_models=(*GRID.target_models, "dlib", "mine")
    )

    def opposite(cell: Cell) -> float:
        """Of the paper's models as it says, of all others the reverse."""
        share = 0.0 if uncloaked(cell) else 0.9 if cell.is_white_box else 0.4
        return share if {cell.source_model, cell.target_model} <= set(GRID.target_models) else 0.9 - share

    of_paper = claims(run(opposite, grid=conditions), conditions, k=25)[place]
    of_all = claims(run(opposite, grid=more), more, k=25)[place]
    assert of_all == replace(of_paper, cells=f"{of_paper.cells}; without dlib and mine, not the paper's")


def test_a_matcher_of_a_paper_s_name_is_none_of_its_models() -> None:
    share = own_model(0.9, 0.4)
    matchers = Matchers(frozenset({"resnet50"}), {"senet50": 9})
    left = replace(GRID, source_models=("facenet", "senet50"), target_models=("facenet", "resnet50"))
    found, expected = claims(run(share), GRID, k=25, matchers=matchers), claims(run(share, grid=left), left, k=25)
    without = "; without ResNet-50 and SENet-50, not the paper's"
    assert found == [replace(each, cells=each.cells + without) for each in expected]


def test_an_ensemble_is_no_rival_of_facenet() -> None:
    grid = replace(GRID, source_models=("facenet", "senet50", "resnet50+senet50"))

    def share(cell: Cell) -> float:
        return 0 if uncloaked(cell) else {"facenet": 0.8, "senet50": 0.2}.get(cell.source_model, 1)

    found = claim(BEST_SOURCE, run(share, grid=grid), grid=grid)
    assert found.verdict is Verdict.SUPPORTED
    assert found.cells.endswith("of cells against SENet-50")


def test_an_ensemble_has_the_input_size_of_its_largest_member() -> None:
    found = claim(RESIZING, run(constant(0.2), grid=TWO), grid=TWO, whole=run(constant(0.6), grid=TWO))
    assert "12 pairs of cells" in found.cells, "FaceNet, a member, reads a smaller image"
