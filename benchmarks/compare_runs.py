"""Two runs of one plan, such as in two precisions: how far their PSR differs, and how many observations."""

from collections import defaultdict
from hashlib import sha256
from pathlib import Path

from benchmarks.results import report
from orchestrator.errors import InputError
from orchestrator.experiment.grid import Cell
from orchestrator.metrics.observation import Observation
from orchestrator.run_folder.folder import RunFolder
from orchestrator.store import Store, SubjectStatus

Key = tuple[str, Cell]


def run(one: Path, other: Path, *, k: int) -> None:
    """Compares the observations that both have."""
    first, second = _observations(one), _observations(other)
    common = first.keys() & second.keys()
    if not common:
        raise InputError(f"{one} and {other} have no observation in common")
    differences: defaultdict[Cell, list[int]] = defaultdict(list)
    changed = crossed = 0
    for key in common:
        before, after = first[key], second[key]
        changed += (before.outcome, before.rank) != (after.outcome, after.rank)
        crossed += before.protected(k) != after.protected(k)
        differences[key[1]].append(after.protected(k) - before.protected(k))
    points = {cell: 100 * sum(values) / len(values) for cell, values in differences.items()}
    largest = max(points, key=lambda cell: abs(points[cell]))
    rows = [
        ("observations in both", str(len(common))),
        ("cells", str(len(points))),
        ("another rank or outcome", f"{changed} ({100 * changed / len(common):.1f} %)"),
        (f"protected@{k} in one only", f"{crossed} ({100 * crossed / len(common):.1f} %)"),
        (f"largest difference in PSR@{k}", f"{points[largest]:+.1f} points: {_name(largest)}"),
        ("cells that differ by more than 3 points", str(sum(abs(value) > 3 for value in points.values()))),
    ]
    raw = {"points": {_name(cell): value for cell, value in points.items()}}
    name = f"compare-{sha256(f'{one} {other}'.encode()).hexdigest()[:8]}"
    report(name, f"{one} and {other}", ("", ""), rows, raw)


def _name(cell: Cell) -> str:
    return f"{cell.source_model} {cell.method} {cell.epsilon} read by {cell.target_model}"


def _observations(root: Path) -> dict[Key, Observation]:
    folder = RunFolder(root)
    manifest = folder.manifest()
    if manifest is None:
        raise InputError(f"{root}: expected a run folder, found no manifest")
    store = Store(folder.store_location(), run=manifest["digest"])
    try:
        photos = {subject.photo for subject in store.subjects() if subject.status is SubjectStatus.SUBJECT}
        return {(each.probe, each.cell): each for each in store.observations() if each.probe in photos}
    finally:
        store.close()
