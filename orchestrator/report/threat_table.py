"""The threat matrix as a table of the page."""

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.grid import is_control
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.mcnemar import holm, mcnemar_exact
from orchestrator.metrics.psr import CellResult, Difference, difference_of
from orchestrator.report.measured import Measured
from orchestrator.report.tables import (
    ABSENT,
    FIXED_N,
    INTERVALS,
    Table,
    Value,
    adjusted_p,
    budget,
    difference,
    method_title,
    number,
    share,
)
from orchestrator.report.threats import CLEAN, COLUMNS, Threat, carried, chains, lacking_white_box, protects, threats
from orchestrator.report.titles import title


def threat_table(
    measured: Measured, matrix: RankMatrix, at: Mapping[str, RankMatrix], *, k: int, kind: IntervalKind
) -> Table | None:
    """A row for each matcher, source model, method, epsilon and threshold; None for a run that enrols no cloaks.

    Args:
        measured: the metrics of the run.
        matrix: the ranks that they are of.
        at: those at each threshold.
        k: that PSR is read at.
        kind: of the intervals of the run's rates.

    Raises:
        MetricError: fewer than k candidates were asked for.
    """
    every_chain = chains(measured.grid)
    found = [
        each
        for chain in every_chain
        for threshold in ("", *measured.at)
        for each in threats(measured, chain, k=k, threshold=threshold)
        if not threshold or each.clean or each.cloaked
    ]
    if not found:
        return None
    found.sort(key=lambda each: not each.cell.is_white_box)
    differences = [_gallery_minus_probe(each, at[each.threshold] if each.threshold else matrix, k) for each in found]
    p_values = _p_values(found, differences)
    several = len(every_chain) > 1
    rows = [
        (
            *_names(each, with_condition=several),
            *(
                share(None if each.clean is None else each.clean.psr),
                *(_psr(each.cloaked.get(carrier)) for carrier in Carrier),
            ),
            *(difference(minus), adjusted_p(p_values[place]) if place in p_values else ABSENT, share(each.not_enrolled)),
        )
        for place, (each, minus) in enumerate(zip(found, differences, strict=True))
    ]
    return Table(
        name="threats",
        title="The threat matrix: which pictures wear the cloak",
        note=" ".join(_note(measured, k=k, kind=kind)),
        columns=(
            *("read by", "crafted with", "method", "ε", *(["condition"] if several else []), "threshold T", "N"),
            *(CLEAN, *COLUMNS.values(), "gallery − probe", "p, Holm", "not enrolled"),
        ),
        rows=tuple(rows),
    )


def _note(measured: Measured, *, k: int, kind: IntervalKind) -> list[str]:
    absent = [COLUMNS[carrier] for carrier in Carrier if not measured.grid.carried_by(carrier)]
    if COLUMNS[Carrier.PROBE] in absent:
        absent.insert(0, CLEAN)
    return [
        f"PSR@{k}, which is FNIR(N, {k}, T), in %, with 95 % {INTERVALS[kind]}, by what wears the cloak: the probe, which "
        "is searched; the photos of that person in the gallery; both; or, adaptive, as in the gallery, where cloaked copies "
        "of the other people's photos are enrolled, too.",
        "* shown to protect: the paired differences from the control and from noise that replace the same pictures both "
        "have intervals above zero, of each figure for itself.",
        "Gallery − probe: paired, in points, with Newcombe’s interval; p: exact McNemar, Holm-corrected over the rows "
        "of cloaks at one threshold, * at 5 %. Not enrolled: of whom no face was found in any photo to enrol; they count as "
        "missed. Rows of the source model's own network (white box) come first.",
        *([f"Not in this run: {', '.join(absent)}."] if absent else []),
        *lacking_white_box(measured.grid),
        *([FIXED_N[kind]] if FIXED_N[kind] else []),
    ]


def _names(threat: Threat, *, with_condition: bool) -> tuple[Value, ...]:
    cell, ns = threat.cell, threat.subjects
    is_marked = cell.is_white_box and not is_control(cell.method)
    return (
        *(Value(title(cell.target_model)), Value(title(cell.source_model), beside="white box" if is_marked else "")),
        *(Value(method_title(cell.method)), budget(cell.method, cell.epsilon)),
        *([Value(str(cell.condition))] if with_condition else []),
        *(Value(threat.threshold or "none"), number("–".join(map(str, ns)), sort=ns[0]) if ns else ABSENT),
    )


def _psr(result: CellResult | None) -> Value:
    if result is None:
        return ABSENT
    shown = share(result.psr)
    return replace(shown, text=f"{shown.text} *") if protects(result) and not is_control(result.cell.method) else shown


def _gallery_minus_probe(threat: Threat, matrix: RankMatrix, k: int) -> Difference | None:
    return difference_of(matrix, carried(threat.cell, Carrier.GALLERY), threat.cell, k=k)


def _p_values(found: list[Threat], differences: list[Difference | None]) -> dict[int, float]:
    """By row, of cloaks alone; each threshold is a family of tests."""
    families: dict[str, dict[int, float]] = {}
    for place, (each, minus) in enumerate(zip(found, differences, strict=True)):
        if minus is not None and not is_control(each.cell.method):
            families.setdefault(each.threshold, {})[place] = mcnemar_exact(minus.counts)
    return {place: p for family in families.values() for place, p in zip(family, holm(list(family.values())), strict=True)}
