"""The claims of the paper, tested on a run.

A claim becomes one number and a verdict: supported or refuted where the number's 95 % interval lies on one side, else
undecided. A claim speaks of many cells, and the same probes are in all of them: `metrics.averages` averages each probe over
the cells first, and N is the number of probes.

* A verdict is about the average over the cells that the claim names, at the epsilons that the run has. How many cells, each
  for itself, go with the average and against it stands beside it, and does not change it.
* "FaceNet is the best source" means better than *each* other one: supported where all intervals are above zero, refuted
  where one is below. They are widened (Bonferroni) for being several.
* That a high PSR needs a large epsilon is "not reached" where no epsilon of the run gives a high PSR.
* The six verdicts are not corrected for each other. What the run does not have is undecided, "not in this run".
* A cloak of an ensemble was crafted with each of its members. As a source, an ensemble is no rival of FaceNet.

Only the paper's two methods count, and its three families of classifiers: other models that a run has are left out, and the
claim says so. Where the paper's words leave room, "high" PSR is 95 % (section IV-C), and k that of headlines.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

from orchestrator.experiment.condition import LOSSLESS, PAPERS, Condition
from orchestrator.experiment.grid import (
    EMBEDDED_MODELS,
    METHODS,
    MODELS,
    PAPERS_EPSILON,
    Cell,
    Grid,
    members,
)
from orchestrator.experiment.region import Region
from orchestrator.metrics.averages import Average, average_difference, average_psr, trigger_difference
from orchestrator.metrics.intervals import CONFIDENCE
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.mcnemar import signs
from orchestrator.metrics.psr import difference_of
from orchestrator.metrics.threshold import HIGH
from orchestrator.report.matchers import NO_MATCHERS, Matchers
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
    NOT_REACHED = "not reached"  # by any epsilon of the run, what the claim says needs a large one
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and what a run says of it, each part as it is to be printed."""

    sentence: str  # the claim, and after a colon what it means here
    cells: str  # that it speaks of
    estimate: str  # with its unit; empty where there is none
    interval: str  # 95 %, in that unit
    verdict: Verdict
    basis: str  # what the verdict rests on, or what is missing


@dataclass(frozen=True)
class _Run:
    """The run that claims are tested on."""

    matrix: RankMatrix
    grid: Grid
    k: int

    @property
    def methods(self) -> tuple[str, ...]:
        """The paper's."""
        return tuple(method for method in METHODS if method in self.grid.budgeted)

    @property
    def named(self) -> str:
        return listed([title(method) for method in self.methods])

    @property
    def head(self) -> str:
        return f"PSR@{self.k}, {self.named}, epsilon {', '.join(map(str, sorted(self.grid.epsilons)))}"

    def cells(self) -> Iterator[Cell]:
        """Those of the paper's methods."""
        return (cell for cell in self.grid.cells() if cell.method in self.methods)

    def elsewhere(self, epsilon: int) -> list[Cell]:
        """Those of an epsilon that another model than the source model reads."""
        return [cell for cell in self.cells() if cell.epsilon == epsilon and not cell.is_white_box]


def claims(matrix: RankMatrix, grid: Grid, *, k: int, matchers: Matchers = NO_MATCHERS) -> list[Claim]:
    """The paper's six claims: own model, FaceNet, BIM, epsilon above 32, resizing, compression.

    The first four are of the condition that headlines are of, in the paper JPEG of quality 95; the last two compare it with
    another condition of the same run. `k` is that of headlines. Left out are models that are not the paper's, and
    `matchers`; so a run that only enrols cloaks, which matchers alone read, says nothing of any.
    """
    source_models = _of_the_paper(grid.source_models, matchers.source_models)
    target_models = _of_the_paper(grid.target_models, matchers.galleries)
    papers = replace(
        grid, source_models=source_models, target_models=target_models, conditions=(grid.condition,), enrolling=()
    )
    run = _Run(matrix, papers, k)
    others = (set(grid.source_models) - set(source_models)) | (set(grid.target_models) - set(target_models))
    without = f"; without {listed(sorted(map(title, others)))}, not the paper's" if others else ""
    found = [replace(claim, cells=claim.cells + without) for claim in _claims(run, frozenset(grid.conditions))]
    if grid.condition.carrier.enrols:
        found = [replace(claim, basis=f"Not in this run: it needs {_PAPERS_CARRIER}.") for claim in found]
    return found


_PAPERS_CARRIER = "a condition in which the picture that is searched wears the cloak, and no picture that is enrolled"


def _of_the_paper(models: Sequence[str], matchers: Container[str]) -> tuple[str, ...]:
    """Of these its classifiers, and their ensembles."""
    return tuple(name for name in models if all(each in FAMILIES and each not in matchers for each in members(name)))


def _claims(run: _Run, conditions: Container[Condition]) -> list[Claim]:
    return [
        _own_model(run),
        _best_source(run),
        _bim_over_illc(run),
        _large_epsilon(run),
        _resizing(run, conditions),
        _compression(run, conditions),
    ]


def _own_model(run: _Run) -> Claim:
    return _between_cells(
        run,
        "At the same epsilon, a cloak protects better from the model it was crafted with than from another one.",
        "read by the source model minus read by another",
        [
            (replace(cell, target_model=own), cell)
            for cell in run.cells()
            for own in members(cell.source_model)
            if own in run.grid.target_models and not cell.is_white_box
        ],
        needs="a model that is both source and target, another target model, and BIM or ILLC",
    )


def _best_source(run: _Run) -> Claim:
    sentence = "FaceNet is the best source: its cloaks protect better from a third model than any other source model's do."
    facenet = next((model for model in run.grid.source_models if FAMILIES.get(model) == FACENET), FACENET)
    what = f"{title(facenet)}'s cloaks minus another's, read by a third model"
    others = [name for name in run.grid.source_models if FAMILIES.get(name) != FACENET and members(name) == (name,)]
    rivals: dict[str, list[Pair]] = {}
    for cell in run.cells():
        for rival in others:
            if cell.source_model == facenet and cell.target_model not in (facenet, rival):
                rivals.setdefault(rival, []).append((cell, replace(cell, source_model=rival)))
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(rivals))
    averages = {rival: average_difference(run.matrix, rivals[rival], k=run.k, confidence=confidence) for rival in rivals}
    known = {rival: average for rival, average in averages.items() if average is not None}
    if not known or len(known) < len(rivals):
        needs = (
            "FaceNet and another source model, a target model that is neither, BIM or ILLC, and probes observed with both"
        )
        return _missing(sentence, what, f"it needs {needs}")
    strongest = min(known, key=lambda rival: known[rival].interval.high)
    several = f" Shown is the strongest other source, {title(strongest)}; the interval is widened for comparing with each."
    pairs = counted(sum(map(len, rivals.values())), "pair")
    return _judged(
        sentence,
        f"{run.head}, {what}: {pairs} of cells against {listed([title(rival) for rival in rivals])}",
        known[strongest],
        _pair_by_pair(run, rivals[strongest]) + (several if len(rivals) > 1 else ""),
        supported=all(average.interval.low > 0 for average in known.values()),
    )


def _bim_over_illc(run: _Run) -> Claim:
    first, second = METHODS
    return _between_cells(
        run,
        "BIM protects better than ILLC at the same epsilon.",
        "BIM minus ILLC, every source and target model",
        [(cell, replace(cell, method=second)) for cell in run.cells() if cell.method == first and second in run.methods],
        needs="--methods bim,illc",
    )


def _between_cells(run: _Run, sentence: str, what: str, pairs: Sequence[Pair], *, needs: str) -> Claim:
    """Of the first cell of each pair minus the second."""
    if not pairs:
        return _missing(sentence, what, f"it needs {needs}")
    average = average_difference(run.matrix, pairs, k=run.k)
    cells = f"{run.head}, {what}: {counted(len(pairs), 'pair')} of cells"
    return _judged(sentence, cells, average, _pair_by_pair(run, pairs))


def _large_epsilon(run: _Run) -> Claim:
    """Read as a necessity: up to 32 PSR is not high, and above 32 it is."""
    sentence = f"A high PSR ({HIGH:.0f} %) with another model needs epsilon above {PAPERS_EPSILON}."
    averages = {
        epsilon: average
        for epsilon in sorted(run.grid.epsilons)
        if (average := average_psr(run.matrix, run.elsewhere(epsilon), k=run.k)) is not None
    }
    epsilon = max((each for each in averages if each <= PAPERS_EPSILON), default=None)
    if epsilon is None:
        needs = f"it needs epsilon {PAPERS_EPSILON}, two models, BIM or ILLC, and a probe observed there"
        return _missing(sentence, f"cloaks of epsilon {PAPERS_EPSILON} read by another model", needs)
    average, cells = averages[epsilon], run.elsewhere(epsilon)
    verdict = Verdict.UNDECIDED
    if average.interval.low > HIGH:
        verdict, reason = Verdict.REFUTED, f"On average PSR is above {HIGH:.0f} % at epsilon {epsilon} already."
    elif all(each.points < HIGH for each in averages.values()):
        verdict, reason = Verdict.NOT_REACHED, f"No epsilon of this run reaches {HIGH:.0f} % on average."
    elif average.interval.high >= HIGH:
        reason = f"{HIGH:.0f} % is inside the interval at this N of {average.n}."
    elif epsilon < PAPERS_EPSILON:
        reason = f"Epsilon {PAPERS_EPSILON} is not in this run."
    else:
        verdict, reason = (
            Verdict.SUPPORTED,
            f"On average PSR is below {HIGH:.0f} % at epsilon {epsilon}, and reaches it above.",
        )
    high = sum(100 * run.matrix.protected(cell, run.k).sum() >= HIGH * run.matrix.observed(cell).sum() > 0 for cell in cells)
    return Claim(
        sentence=sentence,
        cells=f"PSR@{run.k}, {run.named}, epsilon {epsilon}, read by another model: {counted(len(cells), 'cell')}",
        estimate=f"{average.points:.1f} %",
        interval=limits(average.interval),
        verdict=verdict,
        basis=f"{reason} Cell by cell, {high} of {len(cells)} reach it there. {_at_the_largest(run, averages)}",
    )


def _at_the_largest(run: _Run, averages: Mapping[int, Average]) -> str:
    """A budget can be needed and still not be enough, or do no more than noise."""
    largest = max(averages)
    if largest <= PAPERS_EPSILON:
        return f"No epsilon above {PAPERS_EPSILON} is in this run."
    noise = average_psr(run.matrix, [cell.noise for cell in run.elsewhere(largest)], k=run.k)
    found = [f"At epsilon {largest} it is {_percent(averages[largest])}"]
    return "; ".join(found + ([f"noise of that size gives {_percent(noise)}"] if noise is not None else [])) + "."


def _percent(average: Average) -> str:
    return f"{average.points:.1f} % [{limits(average.interval)}]"


def _resizing(run: _Run, conditions: Container[Condition]) -> Claim:
    return _between_conditions(
        run,
        replace(run.grid.condition, region=Region.FULL),
        conditions,
        "Resizing weakens the trigger: a cloak read as it was crafted protects better than one cut out and resized.",
        "read whole minus read after detection, source and target model of one input size",
        [
            cell
            for cell in run.cells()
            if cell.source_model == cell.target_model or _probe_size(cell.source_model) == INPUT_SIZES.get(cell.target_model)
        ],
        needs="a source and a target model of one input size, and BIM or ILLC",
    )


def _probe_size(source_model: str) -> float:
    """Pixels a side; infinite where an input size is not known."""
    return max(INPUT_SIZES.get(member, inf) for member in members(source_model))


def _compression(run: _Run, conditions: Container[Condition]) -> Claim:
    return _between_conditions(
        run,
        replace(run.grid.condition, storage=LOSSLESS.storage),
        conditions,
        "Compression weakens the trigger: a cloak stored without loss protects better than one stored as JPEG.",
        "stored as PNG minus stored as JPEG, every source and target model",
        list(run.cells()),
        needs="BIM or ILLC",
    )


def _between_conditions(
    run: _Run,
    other: Condition,
    conditions: Container[Condition],
    sentence: str,
    what: str,
    cells: Sequence[Cell],
    *,
    needs: str,
) -> Claim:
    """PSR under the other condition minus that under the run's: the trigger is weaker where this is above zero."""
    if not cells:
        return _missing(sentence, what, f"it needs {needs}")
    headline = run.grid.condition
    if other not in conditions or other == headline:
        needed = sorted({headline if headline != other else PAPERS, other})
        return _missing(sentence, what, f"it needs --conditions {','.join(map(str, needed))}")
    average = trigger_difference(run.matrix, [(replace(cell, condition=other), cell) for cell in cells], k=run.k)
    counts = "Counted are probes recognised under both without a cloak, where the cloak's face is found under both."
    where = f"{run.head}, {other} and {headline}, {what}: {counted(len(cells), 'pair')} of cells"
    return _judged(sentence, where, average, counts)


def _judged(sentence: str, cells: str, average: Average | None, basis: str, *, supported: bool = True) -> Claim:
    """The verdict on a difference that the claim says is above zero; `supported`: as far as more than this one must be."""
    if average is None:
        return _missing(sentence, cells, "no probe was observed on both sides")
    verdict, reason = Verdict.UNDECIDED, f"The interval includes zero at this N of {average.n}."
    if average.interval.high < 0:
        verdict, reason = Verdict.REFUTED, f"The interval is below zero, N = {average.n}."
    elif average.interval.low > 0 and supported:
        verdict, reason = Verdict.SUPPORTED, f"The interval is above zero, N = {average.n}."
    elif average.interval.low > 0:
        reason = f"Not above zero for every other source, N = {average.n}."
    return Claim(
        sentence=sentence,
        cells=cells,
        estimate=f"{signed(average.points)} points",
        interval=limits(average.interval),
        verdict=verdict,
        basis=f"{reason} {basis}",
    )


def _missing(sentence: str, cells: str, what: str) -> Claim:
    return Claim(sentence, cells, "", "", Verdict.UNDECIDED, f"Not in this run: {what}.")


def _pair_by_pair(run: _Run, pairs: Sequence[Pair]) -> str:
    differences = [difference_of(run.matrix, first, second, k=run.k) for first, second in pairs]
    shown = signs([difference.counts for difference in differences if difference is not None])
    return (
        f"Pair by pair, {shown.count(1)} of {len(shown)} are above zero, {shown.count(-1)} below, {shown.count(0)} cannot "
        f"be told (exact McNemar, Holm)."
    )
