"""Two runs of one plan, such as in two precisions: how far their PSR differs, and how many observations."""

from hashlib import sha256
from pathlib import Path

from benchmarks.results import report
from orchestrator.errors import InputError
from orchestrator.experiment.grid import Cell
from orchestrator.report.run import read_run


def run(one: Path, other: Path, *, k: int) -> None:
    """Compares the observations that both have."""
    first, second = (read_run(root).matrix for root in (one, other))
    first, second = first.shared_with(second)
    common = changed = crossed = 0
    points: dict[Cell, float] = {}
    for cell in first.cells:
        both = first.observed(cell) & second.observed(cell)
        if both.any():
            before, after = first.protected(cell, k)[both], second.protected(cell, k)[both]
            common += int(both.sum())
            changed += int((first.row(cell) != second.row(cell))[both].sum())
            crossed += int((before != after).sum())
            points[cell] = 100 * float(after.mean() - before.mean())
    if not points:
        raise InputError(f"{one} and {other} have no observation in common")
    largest = max(points, key=lambda cell: abs(points[cell]))
    rows = [
        ("observations in both", str(common)),
        ("cells", str(len(points))),
        ("another rank or outcome", f"{changed} ({100 * changed / common:.1f} %)"),
        (f"protected@{k} in one only", f"{crossed} ({100 * crossed / common:.1f} %)"),
        (f"largest difference in PSR@{k}", f"{points[largest]:+.1f} points: {_name(largest)}"),
        ("cells that differ by more than 3 points", str(sum(abs(value) > 3 for value in points.values()))),
    ]
    raw = {"points": {_name(cell): value for cell, value in points.items()}}
    name = f"compare-{sha256(f'{one} {other}'.encode()).hexdigest()[:8]}"
    report(name, f"{one} and {other}", ("", ""), rows, raw)


def _name(cell: Cell) -> str:
    return f"{cell.source_model} {cell.method} {cell.epsilon} {cell.condition} read by {cell.target_model}"
