"""`orchestrator runs`: which runs there are, and how far each is."""

from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from command_line.options import PathOption
from orchestrator.commands.console import console
from orchestrator.commands.store_option import store_option
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.report.run import Run, read_run
from orchestrator.run_folder.folder import RunFolder
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
    roots = sorted(path for path in folder.iterdir() if (path / "manifest.json").exists() or (path / "cloaks").is_dir())
    if not roots:
        click.echo(f"no runs in {folder}")
        return
    table = Table()
    for column in ("run", "subjects", "source models", "methods", "storage", "state", "pictures"):
        table.add_column(column, justify="right" if column in ("subjects", "pictures") else "left", overflow="fold")
    for root in roots:
        table.add_row(*_row(root, store))
    console().print(table)


def _row(root: Path, store: str | None) -> list[Text]:
    pictures = sum(path.stat().st_size for path in kept_pictures(RunFolder(root)))
    held = f"{pictures / 1e6:.1f} MB" if pictures else "none"
    try:
        run = read_run(root, offered=store)
    except OrchestratorError as error:
        return [Text(text) for text in (root.name, "", "", "", "", f"cannot be read: {error}", held)]
    grid = run.grid
    done = len(run.matrix.probes)
    storage = run.storage if run.region == "detected" else f"{run.storage}, read {run.region}"
    cells = [f"{done} of {run.subjects}", ", ".join(grid.source_models), ", ".join(grid.methods), storage, _state(run), held]
    return [Text(text) for text in (root.name, *cells)]


def _state(run: Run) -> str:
    if run.held:
        return "going on"
    if not run.outcome:
        return "broken off"
    if (why := run.outcome.get("stopped_by")) is not None:
        return f"stopped: {why}"
    return "complete" if run.complete else "short cells"
