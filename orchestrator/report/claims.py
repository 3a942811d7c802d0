"""The claims of the paper, put to a run.

Each claim is turned into one number and a verdict that its 95 % interval forces: supported, refuted, or undecided. A claim
speaks of many cells, and the same probes are in all of them, so the cells' pairs are not independent: `metrics.averages`
averages each probe over the cells first, and N is the number of probes. What this makes of the verdicts:

* They are about the average over the cells that the claim names, at the epsilons that the run has. How many cells, each for
  itself, go with the average and against it stands beside it (exact McNemar, Holm over the cells). A cell that goes against
  it does not change the verdict, and is not hidden.
* "FaceNet is the best source" means better than *each* other one: supported when all intervals are above zero, refuted when
  one is below. The intervals are widened (Bonferroni) for being several.
* An interval misses the truth about once in twenty runs; the six verdicts are not corrected for each other.
* What the run does not have is undecided, "not in this run".

Only the paper's two methods count: a claim of the paper is not about others. Its words are taken as follows where they leave
room: "high" PSR is 95 % (section IV-C); k is 25, where the paper reads BIM against ILLC, or else the largest of the run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from orchestrator.experiment.grid import (
    EMBEDDED_MODELS,
    METHODS,
    MODELS,
    NOISE,
    PAPERS_EPSILON,
    PAPERS_K,
    Cell,
    Grid,
    headline_k,
)
from orchestrator.metrics.averages import Average, average_difference, average_psr, trigger_difference
from orchestrator.metrics.intervals import CONFIDENCE
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.mcnemar import tally
from orchestrator.metrics.psr import difference_of
from orchestrator.metrics.threshold import HIGH
from orchestrator.report.sentences import counted, limits, listed, signed
from orchestrator.report.titles import title

FAMILIES = {**dict(zip(MODELS, MODELS, strict=True)), **dict(zip(EMBEDDED_MODELS, MODELS, strict=True))}
FACENET = "facenet"
INPUT_SIZES = {model: 160 if family == FACENET else 224 for model, family in FAMILIES.items()}  # pixels

Pair = tuple[Cell, Cell]


class Verdict(StrEnum):
    """What a run says of a claim."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and what a run says of it, each part as it is to be printed."""

    sentence: str
    cells: str  # that it speaks of
    estimate: str  # with its unit; empty where there is none
    interval: str  # 95 %, in the same unit
    verdict: Verdict
    basis: str  # what the verdict rests on, or what is missing


def claims(
    run_matrix: RankMatrix,
    grid: Grid,
    *,
    png: RankMatrix | None,
    whole: RankMatrix | None,
    k: int | None = None,
) -> list[Claim]:
    """The paper's six claims: own model, FaceNet, BIM, epsilon above 32, resizing, compression.

    Args:
        run_matrix: the run's; its cloaks were stored as JPEG and looked for a face again, as in the paper.
        grid: the run's.
        png: of a run that stored PNG and is otherwise the same, or None.
        whole: of a run whose target models read the stored cloak as it is, without looking for the face, and that is
            otherwise the same; or None.
        k: of PSR@k; by default 25, or the largest.
    """
    k = headline_k(each for each in grid.ks if each <= run_matrix.candidates) if k is None else k
    if k is None:  # no observation says how many candidates there are
        k, run_matrix = PAPERS_K, RankMatrix((), (), np.empty((0, 0), dtype=np.int16), PAPERS_K)
    return [
        _own_model(run_matrix, grid, k),
        _best_source(run_matrix, grid, k),
        _bim_over_illc(run_matrix, grid, k),
        _large_epsilon(run_matrix, grid, k),
        _resizing(run_matrix, grid, k, whole),
        _compression(run_matrix, grid, k, png),
    ]


def _own_model(matrix: RankMatrix, grid: Grid, k: int) -> Claim:
    sentence = "At the same epsilon, a cloak protects better from the model it was crafted with than from another one."
    pairs = [
        (Cell(source, method, epsilon, source), Cell(source, method, epsilon, target))
        for source, method, epsilon in _cloaks(grid)
        for target in grid.target_models
        if source in grid.target_models and target != source
    ]
    if not pairs:
        needs = "it needs a model that is both source and target, another target model, and BIM or ILLC"
        return _missing(sentence, "the same cloak read by its source model and by another", needs)
    cells = f"{_head(grid, k)}, read by the source model minus read by another: {counted(len(pairs), 'pair')} of cells"
    return _judged(sentence, cells, average_difference(matrix, pairs, k=k), _pair_by_pair(matrix, pairs, k))


def _best_source(matrix: RankMatrix, grid: Grid, k: int) -> Claim:
    sentence = "FaceNet is the best source: its cloaks protect better from a third model than any other source model's do."
    facenet = next((model for model in grid.source_models if FAMILIES.get(model) == FACENET), None)
    others = [model for model in grid.source_models if FAMILIES.get(model) != FACENET]
    rivals = {other: pairs for other in others if facenet is not None and (pairs := _against(facenet, other, grid))}
    if facenet is None or not rivals:
        needs = "it needs FaceNet and another source model, a target model that is neither, and BIM or ILLC"
        return _missing(sentence, "FaceNet's cloaks and another model's, read by a third model", needs)
    confidence = 1 - (1 - CONFIDENCE) / len(rivals)
    averages = {rival: average_difference(matrix, pairs, k=k, confidence=confidence) for rival, pairs in rivals.items()}
    cells = (
        f"{_head(grid, k)}, {title(facenet)}'s cloaks minus another's, read by a model foreign to both: "
        f"{counted(sum(map(len, rivals.values())), 'pair')} of cells against {listed([title(rival) for rival in rivals])}"
    )
    known = {rival: average for rival, average in averages.items() if average is not None}
    if len(known) < len(rivals):
        absent = [title(rival) for rival in rivals if rival not in known]
        return _missing(sentence, cells, f"no probe was observed with FaceNet's cloaks and those of {listed(absent)}")
    strongest = min(known, key=lambda rival: known[rival].points)
    several = " The interval is widened for comparing with each of them." if len(rivals) > 1 else ""
    basis = f"Shown is the strongest other source, {title(strongest)}. " if len(rivals) > 1 else ""
    refuter = next((rival for rival in known if known[rival].interval.high < 0), None)
    if refuter is not None and known[strongest].interval.high >= 0:
        strongest, basis = refuter, f"Shown is the other source that is better for certain, {title(refuter)}. "
    return _judged(
        sentence,
        cells,
        known[strongest],
        basis + _pair_by_pair(matrix, rivals[strongest], k) + several,
        supported=all(average.interval.low > 0 for average in known.values()),
    )


def _against(facenet: str, rival: str, grid: Grid) -> list[Pair]:
    """Cells that differ in the source model alone, and whose target model is neither."""
    return [
        (Cell(facenet, method, epsilon, target), Cell(rival, method, epsilon, target))
        for source, method, epsilon in _cloaks(grid)
        for target in grid.target_models
        if source == facenet and target not in (facenet, rival)
    ]


def _bim_over_illc(matrix: RankMatrix, grid: Grid, k: int) -> Claim:
    sentence = "BIM protects better than ILLC at the same epsilon."
    first, second = METHODS
    pairs = [
        (Cell(source, first, epsilon, target), Cell(source, second, epsilon, target))
        for source, method, epsilon in _cloaks(grid)
        for target in grid.target_models
        if method == first and second in grid.methods
    ]
    if not pairs:
        return _missing(sentence, "BIM and ILLC in the same cells", "it needs --methods bim,illc")
    cells = f"{_head(grid, k)}, BIM minus ILLC, every source and target model: {counted(len(pairs), 'pair')} of cells"
    return _judged(sentence, cells, average_difference(matrix, pairs, k=k), _pair_by_pair(matrix, pairs, k))


def _large_epsilon(matrix: RankMatrix, grid: Grid, k: int) -> Claim:
    """Read as a necessity: up to 32 PSR is not high. Whether more than 32 is enough is said, and not part of the verdict."""
    sentence = f"A high PSR ({HIGH:.0f} %) with another model needs epsilon above {PAPERS_EPSILON}."
    epsilon = max((each for each in grid.epsilons if each <= PAPERS_EPSILON), default=None)
    cells = [] if epsilon is None else _elsewhere(grid, epsilon)
    if epsilon is None or not cells:
        needs = f"it needs epsilon {PAPERS_EPSILON}, two models, and BIM or ILLC"
        return _missing(sentence, f"cloaks of epsilon {PAPERS_EPSILON} read by another model", needs)
    where = f"PSR@{k}, {_methods(grid)}, epsilon {epsilon}, read by another model: {counted(len(cells), 'cell')}"
    average = average_psr(matrix, cells, k=k)
    if average is None:
        return _missing(sentence, where, "no probe was observed there")
    verdict = Verdict.UNDECIDED
    reached = f"{HIGH:.0f} % is inside the interval at this N of {average.n}."
    if average.interval.high < HIGH:
        reached = f"On average PSR at epsilon {epsilon} is below {HIGH:.0f} %."
        if epsilon == PAPERS_EPSILON:
            verdict = Verdict.SUPPORTED
        else:
            reached += f" Epsilon {PAPERS_EPSILON} is not in this run."
    elif average.interval.low > HIGH:
        verdict = Verdict.REFUTED
        reached = f"On average PSR is above {HIGH:.0f} % at epsilon {epsilon} already."
    return Claim(
        sentence=sentence,
        cells=where,
        estimate=f"{average.points:.1f} %",
        interval=f"{limits(average.interval)} %",
        verdict=verdict,
        basis=" ".join([reached, *_single_cells(matrix, cells, k), *_beyond(matrix, grid, k)]),
    )


def _single_cells(matrix: RankMatrix, cells: Sequence[Cell], k: int) -> Iterator[str]:
    shares = [
        100 * matrix.protected(cell, k).sum() / observed for cell in cells if (observed := matrix.observed(cell).sum())
    ]
    high = sum(share >= HIGH for share in shares)
    yield f"Cell by cell, {high} of {len(shares)} reach it there."


def _beyond(matrix: RankMatrix, grid: Grid, k: int) -> Iterator[str]:
    """What the largest budget gives: a budget can be needed and still not be enough, or be noise."""
    largest = max(grid.epsilons)
    average = average_psr(matrix, _elsewhere(grid, largest), k=k) if largest > PAPERS_EPSILON else None
    if average is None:
        yield f"No epsilon above {PAPERS_EPSILON} is in this run."
        return
    enough = ": not enough either" if average.interval.high < HIGH else ""
    noise_cells = [
        Cell(source, NOISE, largest, target)
        for source in grid.source_models
        for target in grid.target_models
        if target != source
    ]
    noise = average_psr(matrix, noise_cells, k=k)
    yield f"At epsilon {largest} it is {average.points:.1f} % [{limits(average.interval)}]{enough}" + (
        "." if noise is None else f"; noise of that size gives {noise.points:.1f} % [{limits(noise.interval)}]."
    )


def _resizing(matrix: RankMatrix, grid: Grid, k: int, whole: RankMatrix | None) -> Claim:
    sentence = "Resizing weakens the trigger: a cloak read as it was crafted protects better than one cut out and resized."
    cells = [
        Cell(source, method, epsilon, target)
        for source, method, epsilon in _cloaks(grid)
        for target in grid.target_models
        if source == target or (source in INPUT_SIZES and INPUT_SIZES[source] == INPUT_SIZES.get(target))
    ]
    return _axis(
        sentence,
        "read whole minus read after detection, source and target model of one input size",
        cells,
        (matrix, whole),
        grid,
        k,
        needs_cells="it needs a source and a target model of one input size, and BIM or ILLC",
        needs_run="the command of this run with --region full and another --run makes the run it is compared with",
        note="Models of different input sizes resize in either region and say nothing here.",
    )


def _compression(matrix: RankMatrix, grid: Grid, k: int, png: RankMatrix | None) -> Claim:
    return _axis(
        "Compression weakens the trigger: a cloak stored without loss protects better than one stored as JPEG.",
        "stored as PNG minus stored as JPEG, every source and target model",
        [
            Cell(source, method, epsilon, target)
            for source, method, epsilon in _cloaks(grid)
            for target in grid.target_models
        ],
        (matrix, png),
        grid,
        k,
        needs_cells="it needs BIM or ILLC",
        needs_run="the command of this run with --storage png and another --run makes the run it is compared with",
    )


def _axis(
    sentence: str,
    what: str,
    cells: Sequence[Cell],
    runs: tuple[RankMatrix, RankMatrix | None],
    grid: Grid,
    k: int,
    *,
    needs_cells: str,
    needs_run: str,
    note: str = "",
) -> Claim:
    """The other run's PSR minus this one's: the trigger is weaker where this is above zero."""
    this, other = runs
    if not cells:
        return _missing(sentence, what, needs_cells)
    if other is None:
        return _missing(sentence, what, needs_run)
    if other.candidates < k:
        return _missing(sentence, what, f"the other run asked for {other.candidates} candidates, fewer than {k}")
    present = frozenset(other.cells)
    shared = [cell for cell in cells if cell in present]
    where = f"{_head(grid, k)}, {what}: {counted(len(shared), 'cell')} in both runs"
    average = trigger_difference(other, this, shared, k=k)
    if average is None:
        return _missing(sentence, where, "no probe is recognised without a cloak, and its cloak's face found, in both runs")
    counts = "Counted are probes that both runs recognise without a cloak, where both find the cloak's face."
    return _judged(sentence, where, average, f"{counts} {note}".strip())


def _judged(sentence: str, cells: str, average: Average | None, basis: str, *, supported: bool | None = None) -> Claim:
    """The verdict on a difference that the claim says is above zero; `supported` where more than this one must be."""
    if average is None:
        return _missing(sentence, cells, "no probe was observed in both cells of a pair")
    verdict = Verdict.UNDECIDED
    reason = f"The interval includes zero at this N of {average.n}."
    if average.interval.high < 0:
        verdict, reason = Verdict.REFUTED, f"The interval is below zero, N = {average.n}."
    elif average.interval.low > 0 and supported is not False:
        verdict, reason = Verdict.SUPPORTED, f"The interval is above zero, N = {average.n}."
    elif average.interval.low > 0:
        reason = f"Not above zero for every other source, N = {average.n}."
    return Claim(
        sentence=sentence,
        cells=cells,
        estimate=f"{signed(average.points)} points",
        interval=f"{limits(average.interval)} points",
        verdict=verdict,
        basis=f"{reason} {basis}",
    )


def _missing(sentence: str, cells: str, what: str) -> Claim:
    return Claim(sentence, cells, "", "", Verdict.UNDECIDED, f"Not in this run: {what}.")


def _pair_by_pair(matrix: RankMatrix, pairs: Sequence[Pair], k: int) -> str:
    differences = [difference_of(matrix, first, second, k=k) for first, second in pairs]
    told = tally([difference.counts for difference in differences if difference is not None])
    return (
        f"Pair by pair, {told.above} of {told.n} are above zero, {told.below} below, {told.neither} cannot be told "
        f"(exact McNemar, Holm)."
    )


def _cloaks(grid: Grid) -> Iterator[tuple[str, str, int]]:
    """Source model, method, epsilon of all cloaks of the paper's methods."""
    for source_model in grid.source_models:
        for method in _papers_methods(grid):
            for epsilon in grid.epsilons:
                yield source_model, method, epsilon


def _elsewhere(grid: Grid, epsilon: int) -> list[Cell]:
    return [
        Cell(source, method, each, target)
        for source, method, each in _cloaks(grid)
        for target in grid.target_models
        if each == epsilon and target != source
    ]


def _papers_methods(grid: Grid) -> tuple[str, ...]:
    return tuple(method for method in METHODS if method in grid.methods)


def _methods(grid: Grid) -> str:
    return listed([title(method) for method in _papers_methods(grid)])


def _head(grid: Grid, k: int) -> str:
    epsilons = ", ".join(map(str, sorted(grid.epsilons)))
    return f"PSR@{k}, {_methods(grid)}, epsilon {epsilons}"
