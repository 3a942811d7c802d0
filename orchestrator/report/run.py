"""A run folder, read to be reported on. It is not changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.experiment.grid import Grid
from orchestrator.experiment.intervals import IntervalKind, interval_kind_of
from orchestrator.experiment.placement import Placement
from orchestrator.experiment.plan import caveat_of
from orchestrator.metrics.completeness import short_cells
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.non_mated import NonMatedSearch
from orchestrator.run_folder.folder import MANIFEST, RunFolder
from orchestrator.run_folder.manifest import grid_of, read_manifest, thresholds_of
from orchestrator.store.errors import NoStoreError
from orchestrator.store.location import store_name
from orchestrator.store.store import Store


@dataclass(frozen=True)
class Run:
    """What a run was to be, and what was observed of it so far."""

    root: Path
    manifest: Mapping[str, Any]
    grid: Grid
    subjects: int  # N asked for; where it was not fixed, what was wanted in the end, or the most while that is not known
    until_halfwidth: float | None  # points, down to which every interval was to be; None: N was fixed
    store: Path | str  # where its observations are
    matrix: RankMatrix  # of the run's subjects only
    at: Mapping[str, RankMatrix]  # by threshold in ascending order, of the target models that have it
    non_mated: Sequence[NonMatedSearch]  # searches of people who are not enrolled
    caveat: str  # why these are not the paper's figures; empty where they can be compared
    synthetic: bool  # the faces belong to nobody
    complete: bool  # every cell has N observations
    going_on: bool  # the manifest has no outcome yet, or none that says how many subjects were wanted
    held: bool  # somebody works on it: a lease has not expired

    @property
    def name(self) -> str:
        return self.root.resolve().name

    @property
    def digest(self) -> str:
        """The run's identity."""
        return str(self.manifest["digest"])

    @property
    def has_pairs(self) -> bool:
        """Whether its subjects are the pairs of a list."""
        return "pairs" in self.manifest["protocol"]

    @property
    def thresholds(self) -> tuple[str, ...]:
        """Those of all target models, in ascending order."""
        return tuple(self.at)

    @property
    def interval_kind(self) -> IntervalKind:
        """What the intervals of its rates are."""
        return interval_kind_of(self.until_halfwidth)

    @property
    def placement(self) -> Placement:
        """What its cloaks are of."""
        return Placement(self.manifest["protocol"]["placement"])

    @property
    def outcome(self) -> Mapping[str, Any]:
        """What became of the run; empty while it has none."""
        return self.manifest.get("outcome") or {}


def read_run(root: Path, *, store: str | None = None, offered: str | None = None) -> Run:
    """Reads a run folder, and its observations where its manifest says that they are.

    Args:
        root: the folder.
        store: another way to them: where the manifest's leads nowhere.
        offered: a database that is taken where it is the one that the manifest names, for the sake of its password.

    Raises:
        InputError: it is none: absent, empty, half written, of another format or protocol; or its
            observations are not in `store`.
        StoreError: its observations cannot be read.
    """
    manifest = read_manifest(root)
    grid = grid_of(manifest, root)
    folder = RunFolder(root)
    named = folder.store_location()
    location = store or _with_its_password(named, offered)
    if isinstance(location, Path) and not location.is_file():
        raise InputError(f"{root}: half a run: expected {location.name} beside {MANIFEST}, got none")
    elsewhere = f"--store: {root} keeps its observations in {named}, got {store_name(location)}, which holds none of them"
    try:
        observations = Store(location, run=manifest["digest"], create=False)
    except NoStoreError as error:
        raise InputError(elsewhere) from error
    try:
        if location != folder.observations and not observations.holds_run():
            raise InputError(elsewhere)
        matrix = observations.rank_matrix()
        at = {threshold: observations.rank_matrix(threshold) for threshold in thresholds_of(manifest)}
        non_mated = observations.non_mated()
        held = observations.leases.held()
    finally:
        observations.close()
    until_halfwidth = manifest["protocol"]["until_halfwidth"]
    wanted = _subjects_wanted(manifest)
    subjects = int(manifest["protocol"]["subjects"]) if wanted is None else wanted
    synthetic = bool(manifest["data_set"].get("synthetic"))
    return Run(
        root=root,
        manifest=manifest,
        grid=grid,
        subjects=subjects,
        until_halfwidth=until_halfwidth,
        store=location,
        matrix=matrix,
        at=at,
        non_mated=non_mated,
        caveat=caveat_of({*grid.source_models, *grid.target_models}, synthetic=synthetic),
        synthetic=synthetic,
        complete=wanted is not None and not short_cells(matrix, grid, subjects=subjects),
        going_on="outcome" not in manifest or wanted is None,
        held=held,
    )


def _with_its_password(named: Path | str, offered: str | None) -> Path | str:
    """The database that was offered where it is the one that is named, which is without a password; else that one."""
    if offered is not None and isinstance(named, str) and store_name(offered) == store_name(named):
        return offered
    return named


def _subjects_wanted(manifest: Mapping[str, Any]) -> int | None:
    """N asked for; None where it depends on intervals that are not yet narrow."""
    if manifest["protocol"]["until_halfwidth"] is None:
        return int(manifest["protocol"]["subjects"])
    wanted = (manifest.get("outcome") or {}).get("subjects_wanted")
    return None if wanted is None else int(wanted)


def check_complete(run: Run, *, allow_incomplete: bool) -> None:
    """Makes sure that a run of which cells are short is not reported on unasked.

    Raises:
        InputError: it is.
    """
    if run.complete or allow_incomplete:
        return
    short = short_cells(run.matrix, run.grid, subjects=run.subjects)
    fewest = min(short.values(), default=0)
    raise InputError(
        f"{run.root}: expected a complete run, got one with {len(short)} cells of fewer than {run.subjects} observations, "
        f"the fewest {fewest}: the command that it began with, with --run {run.root}, resumes it, and "
        f"--allow-incomplete reports on it as it is"
    )
