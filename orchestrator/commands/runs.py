"""`orchestrator runs`: which runs there are, and how far each is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from command_line.options import PathOption
from orchestrator.commands.console import console
from orchestrator.commands.store_option import store_option
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.run_folder.folder import CLOAKS, RunFolder
from orchestrator.run_folder.manifest import grid_of, read_manifest
from orchestrator.run_folder.pictures import kept_pictures


@click.command(name="runs")
@click.option(
    "--runs",
    "folder",
    type=PathOption(),
    default=Path("runs"),
    envvar="DEID_ORCHESTRATOR_RUNS",
    help="Folder of run folders.",
)
@store_option
def runs_command(*, folder: Path, store: str | None) -> None:
    """List the runs of a folder: what each asks, how far it is, and whether it holds pictures."""
    if not folder.is_dir():
        raise InputError(f"--runs: expected a folder of run folders, got {folder}, which is none")
    roots = sorted(path for path in folder.iterdir() if RunFolder(path).begun or (path / CLOAKS).is_dir())
    if not roots:
        click.echo(f"no runs in {folder}")
        return
    table = Table()
    for column in ("run", "subjects", "source models", "methods", "conditions", "state", "pictures"):
        table.add_column(column, justify="right" if column in ("subjects", "pictures") else "left", overflow="fold")
    for root in roots:
        table.add_row(*_row(root, store))
    console().print(table)


def _row(root: Path, store: str | None) -> list[Text]:
    pictures = sum(path.stat().st_size for path in kept_pictures(RunFolder(root)))
    held = f"{pictures / 1e6:.1f} MB" if pictures else "none"
    try:
        manifest = read_manifest(root)
        grid = grid_of(manifest, root)
        progress, state = _state(root, manifest, store)
    except OrchestratorError as error:
        return [Text(text) for text in (root.name, "", "", "", "", f"cannot be read: {error}", held)]
    others = len(grid.conditions) - 1
    conditions = (str(grid.condition), *([f"and {others} more"] if others else []))
    of_grid = (grid.source_models, grid.methods, conditions)
    cells = (progress, *map(", ".join, of_grid), state, held)
    return [Text(text) for text in (root.name, *cells)]


def _state(root: Path, manifest: Mapping[str, Any], store: str | None) -> tuple[str, str]:
    """How many subjects of a run are done, and what became of it. Nothing can be added to a run that is complete."""
    outcome = manifest.get("outcome") or {}
    if outcome.get("complete") and ("store" in manifest or RunFolder(root).observations.exists()):
        return f"{len(outcome['subjects'])} of {len(outcome['subjects'])}", "complete"
    from orchestrator.report.run import read_run  # only now: SQLAlchemy takes longer than all else

    run = read_run(root, offered=store)
    progress = f"{len(run.matrix.probes)} of {run.subjects}"
    if run.held:
        return progress, "going on"
    if not run.outcome:
        return progress, "broken off"
    if (why := run.outcome.get("stopped_by")) is not None:
        return progress, f"stopped: {why}"
    return progress, "complete" if run.complete else "short cells"
