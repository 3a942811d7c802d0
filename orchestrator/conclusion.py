"""The end of a session with a run: what it shows, and whether its figures may be published."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.metrics.completeness import ShortCell, short_cells
from orchestrator.metrics.psr import results_of
from orchestrator.planning import Planned
from orchestrator.psr_csv import psr_csv
from orchestrator.run_folder import RunFolder
from orchestrator.runner import Reached
from orchestrator.store import REPLACED, Fate, Store
from orchestrator.subject import Tally
from orchestrator.tables import psr_tables


@dataclass(frozen=True)
class Finished:
    """What became of a run."""

    complete: bool  # every cell has the N that was asked for
    published: bool  # its figures were written
    folder: Path


def conclude(
    planned: Planned,
    store: Store,
    folder: RunFolder,
    tally: Tally,
    console: Console,
    *,
    reached: Reached | None,
    seconds: float,
    left: int | None,
    allow_incomplete: bool,
) -> Finished:
    """Prints the results, and writes them where they may be published; `reached` is None where the run broke off."""
    plan = planned.plan
    subjects = plan.subjects if reached is None else reached.subjects
    matrix = store.rank_matrix()
    cell_results = list(results_of(matrix, ks=plan.grid.ks, kind=plan.interval_kind))
    for table in psr_tables(cell_results, plan.grid, subjects=subjects, caveat=plan.caveat):
        console.print(table)
    short = list(short_cells(matrix, plan.grid, subjects=subjects))
    published = not short or allow_incomplete
    if published:
        folder.write_psr(psr_csv(cell_results, subjects=subjects, caveat=plan.caveat))
    outcome = _outcome(planned, store, tally, seconds) | {
        "invader_queries_left": left,
        "subjects_wanted": reached.subjects if reached is not None and reached.decided else None,
    }
    folder.write_manifest((folder.manifest() or {}) | {"outcome": outcome})
    for failure in tally.failures:
        console.print(f"failed: {failure.probe}: {failure.what}: {failure.message}", style="yellow", markup=False)
    if (unfinished := store.observation_counts().unfinished) > 0:
        console.print(
            f"{unfinished} observations are of subjects that are not done: they are recorded, and not counted yet",
            markup=False,
            highlight=False,
        )
    if short:
        console.print(_what_is_short(short, subjects, folder, published=published), style="bold red", markup=False)
    console.print(
        f"{matrix.observations} observations in {seconds:.0f} s; results in {folder.root}", markup=False, highlight=False
    )
    return Finished(complete=not short, published=published, folder=folder.root)


def _what_is_short(short: Sequence[ShortCell], subjects: int, folder: RunFolder, *, published: bool) -> str:
    fewest = min(short, key=lambda each: each.n)
    return (
        f"INCOMPLETE: {len(short)} cells have fewer than {subjects} observations, the fewest {fewest.n}. "
        f"The same command with --run {folder.root} asks again for what is missing. "
        + (
            "Each figure's N stands beside it."
            if published
            else "No figures were written; --allow-incomplete writes them, with each one's N beside it."
        )
    )


def _outcome(planned: Planned, store: Store, tally: Tally, seconds: float) -> dict[str, Any]:
    drawn = store.subjects()
    return {
        "subjects": [subject.photo for subject in drawn if subject.fate is Fate.SUBJECT],
        "replaced": {subject.identity: subject.fate.value for subject in drawn if subject.fate in REPLACED},
        "photos": {subject.photo: subject.photo_sha256 for subject in drawn if subject.photo},
        "excluded": list(planned.excluded),
        "missing_models": list(planned.missing),
        "caveat": planned.plan.caveat,
        "skipped_files": list(planned.plan.faces.skipped),
        "unreadable_photos": tally.unreadable_photos,
        "failed_calls": len(store.failures()),
        "last_session": {
            "craft_calls": tally.craft_calls,
            "classify_calls": tally.classify_calls,
            "lossless_control_calls": tally.lossless_control_calls,
            "seconds": round(seconds, 1),
        },
    }
