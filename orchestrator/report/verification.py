"""Verification of pairs as tables and sentences: obfuscation and impersonation, each beside the clean control."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.experiment.grid import CONTROL, Cell, Grid, is_control
from orchestrator.experiment.verification import COPIED, COPIED_RATES, copied_name
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.psr import Rate
from orchestrator.metrics.verification import (
    Claim,
    MethodsCompared,
    Verification,
    difference,
    methods_compared,
    rate,
    verifications,
)
from orchestrator.report.sentences import limits
from orchestrator.report.tables import (
    ABSENT,
    Table,
    Value,
    adjusted_p,
    budget,
    integer,
    method_title,
    number,
    share,
)
from orchestrator.report.tables import (
    difference as paired_points,
)
from orchestrator.report.titles import title

HEADLINE_THRESHOLD = "fmr:0.01"  # or else the first of a target model
OF_CLEAN = {Claim.OBFUSCATION: "FNMR", Claim.IMPERSONATION: "FMR"}  # what the success of a probe without a cloak is
IN_WORDS = {
    Claim.OBFUSCATION: "not accepted as their own person",
    Claim.IMPERSONATION: "accepted as whom they are to pass for",
}


@dataclass(frozen=True)
class Verified:
    """The figures of a run of pairs."""

    grid: Grid
    at: Mapping[str, RankMatrix]  # by threshold
    results: Sequence[Verification]
    methods: Sequence[MethodsCompared]

    @classmethod
    def of(cls, at: Mapping[str, RankMatrix], grid: Grid) -> "Verified":
        """Those of a run, from its ranks at thresholds."""
        return cls(grid, at, list(verifications(at)), methods_compared(at, grid))

    @property
    def headline(self) -> list[Verification]:
        """Those under the condition that headlines are of, in the order of tables."""
        of_headline = {self.grid.condition, self.grid.condition.towards_target}
        return sorted((each for each in self.results if each.cell.condition in of_headline), key=_order)


def verification_tables(verified: Verified, manifest: Mapping[str, Any]) -> list[Table]:
    """The tables of a page."""
    found = [_success_table(verified), _copied_table(verified), _thresholds_table(manifest), _methods_table(verified)]
    return [table for table in found if table.rows]


def verification_summary(verified: Verified) -> list[Table]:
    """Those that are printed."""
    return [table for table in (_success_table(verified), _copied_table(verified)) if table.rows]


def verification_sentences(verified: Verified) -> list[str]:
    """One for each target model and claim: of probes, and of each method's cloaks at its largest budget."""
    sentences: list[str] = []
    for name in verified.grid.target_models:
        of_model = [each for each in verified.headline if each.cell.target_model == name]
        thresholds = {each.threshold for each in of_model}
        if not thresholds:
            continue
        threshold = HEADLINE_THRESHOLD if HEADLINE_THRESHOLD in thresholds else min(thresholds)
        for claim in Claim:
            here = [each for each in of_model if each.claim is claim and each.threshold == threshold]
            sentences += _sentence(verified.grid, name, threshold, claim, here)
    return sentences


def _sentence(grid: Grid, target_model: str, threshold: str, claim: Claim, results: Sequence[Verification]) -> Iterator[str]:
    controls = [each for each in results if each.cell.method == CONTROL and each.success is not None]
    if not controls:
        return
    cloaks = [
        f"{title(each.cell.method)} of {title(each.cell.source_model)}{_at(each.cell)} {_figure(each.success)}"
        for each in results
        if not is_control(each.cell.method)
        and each.success is not None
        and each.cell.epsilon == max(grid.budgets(each.cell.method))
    ]
    yield (
        f"{claim.value.capitalize()} at {threshold}, read by {title(target_model)}: without a cloak "
        f"{_figure(controls[0].success)} of N = {controls[0].success.n if controls[0].success else 0} probes are "
        f"{IN_WORDS[claim]} ({OF_CLEAN[claim]}); with one: {', '.join(cloaks)}."
    )


def _at(cell: Cell) -> str:
    return f" at ε {cell.epsilon}" if cell.epsilon else ""


def _figure(found: Rate | None) -> str:
    return "–" if found is None else f"{found.percent:.1f} % [{limits(found.interval)}]"


def _order(each: Verification) -> tuple[object, ...]:
    cell = each.cell
    return (
        cell.target_model,
        each.claim,
        each.threshold,
        cell.source_model,
        cell.method != CONTROL,
        cell.method,
        cell.epsilon,
    )


def _cell(cell: Cell) -> tuple[Value, ...]:
    return Value(title(cell.source_model)), Value(method_title(cell.method)), budget(cell.method, cell.epsilon)


def _success_table(verified: Verified) -> Table:
    rows = [
        (
            *(Value(title(each.cell.target_model)), Value(each.claim.value), Value(each.threshold), *_cell(each.cell)),
            integer(0 if each.success is None else each.success.n),
            integer(each.not_enrolled),
            *(share(each.success), share(each.control)),
            *(paired_points(each.minus_control), paired_points(each.minus_noise)),
            share(each.detected),
        )
        for each in verified.headline
    ]
    return Table(
        name="verification",
        title="Verification: obfuscation and impersonation",
        note=f"Pictures are {verified.grid.condition}. Success in %, with 95 % Wilson intervals: of obfuscation the share "
        "of probes that are not accepted as their own person, of impersonation the share of those that are accepted as "
        "whom they are to pass for. Clean is the same of probes without a cloak: FNMR, and the FMR of these pairs. "
        "Differences are paired, in points, with Newcombe’s intervals. A probe without a face is accepted as nobody; pairs "
        "whose reference or target shows no face are not compared: they are in no share, and counted as not enrolled. Rows "
        "of the control are the clean probes themselves.",
        columns=(
            *("target model", "claim", "threshold", "source model", "method", "ε", "N", "not enrolled"),
            *("success, %", "clean, %", "success − clean", "success − noise", "faces found, %"),
        ),
        rows=tuple(rows),
    )


def _copied_table(verified: Verified) -> Table:
    """The same cells at calibrated thresholds and at those that papers copy for the same FMR."""
    rows = []
    for fmr in COPIED_RATES:
        calibrated, copied = verified.at.get(f"fmr:{fmr}"), verified.at.get(copied_name(fmr))
        if calibrated is None or copied is None:
            continue
        for each in verified.headline:
            if each.threshold == copied_name(fmr):
                again = rate(calibrated, each.cell)
                paired = difference(copied, each.cell, calibrated, each.cell) if again is not None else None
                rows.append(
                    (
                        *(Value(title(each.cell.target_model)), Value(each.claim.value), Value(fmr), *_cell(each.cell)),
                        *(share(again), share(each.success), paired_points(paired)),
                    )
                )
    return Table(
        name="copied-thresholds",
        title="Calibrated thresholds, and those that papers copy",
        note="The same comparisons, accepted at two thresholds for the same FMR: calibrated here on the impostors of the "
        f"list, and copied from the literature (given:{COPIED}-RATE), which states neither on what it was calibrated nor "
        "how faces were cut out. Rows of the control show what each does to clean probes. Differences are paired, in "
        "points, with Newcombe’s intervals.",
        columns=(
            *("target model", "claim", "FMR", "source model", "method", "ε"),
            *("success, calibrated, %", "success, copied, %", "copied − calibrated"),
        ),
        rows=tuple(rows),
    )


def _thresholds_table(manifest: Mapping[str, Any]) -> Table:
    pairs = manifest["protocol"]["pairs"]
    rows = []
    for name, card in manifest["target_models"].items():
        for each in card.get("thresholds", ()):
            counted = each["comparisons"] > 0
            reached = Rate(each["false_positives"], each["comparisons"]) if counted else None
            origin = "calibrated on impostors" if counted else _origin(each["name"])
            rows.append(
                (
                    *(Value(title(name)), Value(each["name"]), Value(origin, classes="prose")),
                    *((integer(each["comparisons"]), integer(each["false_positives"])) if counted else (ABSENT, ABSENT)),
                    ABSENT if reached is None else _fine(reached),
                )
            )
    return Table(
        name="verification-thresholds",
        title="What the thresholds were calibrated on",
        note=f"Impostors’ comparisons with references, one by one: of {len(pairs['impostors'])} pictures in the list of "
        "pairs, where this run started the invader; else its own. FMR in %, with 95 % Wilson intervals: as if comparisons "
        "were independent. They share pictures, so that intervals are too narrow; and it is the FMR of the comparisons that "
        "the threshold was chosen by. The FMR of the run’s own pairs is the clean share of impersonation.",
        columns=("target model", "threshold", "origin", "comparisons", "accepted", "FMR, %"),
        rows=tuple(rows),
    )


def _origin(threshold: str) -> str:
    return "copied from the literature" if threshold in map(copied_name, COPIED_RATES) else "given"


def _fine(found: Rate) -> Value:
    interval = found.interval
    return number(f"{found.percent:.3f}", sort=found.percent, beside=f"[{interval.low:.3f}–{interval.high:.3f}]")


def _methods_table(verified: Verified) -> Table:
    of_headline = {verified.grid.condition, verified.grid.condition.towards_target}
    rows = []
    for each in verified.methods:
        cell, counts = each.cell, each.difference.counts
        if cell.condition in of_headline:
            rows.append(
                (
                    *(Value(title(cell.target_model)), Value(Claim.of(cell).value), Value(each.threshold)),
                    *(Value(title(cell.source_model)), budget(cell.method, cell.epsilon)),
                    *(Value(title(cell.method)), Value(title(each.second))),
                    *map(integer, (counts.n, counts.first_only, counts.second_only)),
                    paired_points(each.difference),
                    adjusted_p(each.adjusted_p),
                )
            )
    return Table(
        name="verification-methods",
        title="Methods against each other, on the same pairs",
        note=f"Exact McNemar test of the pairs in which one method alone succeeds, two-sided; Holm-corrected over all "
        f"{len(verified.methods)} comparisons of methods of the run; * at 5 %.",
        columns=(
            *("target model", "claim", "threshold", "source model", "ε", "first", "second", "N"),
            *("first only", "second only", "first − second", "p, Holm"),
        ),
        rows=tuple(rows),
    )
