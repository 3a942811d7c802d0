"""`orchestrator purge`: removes the pictures of a run, and keeps its figures."""

from pathlib import Path
from shutil import rmtree

import click

from command_line.options import PathOption
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.run_folder.folder import FIGURES, PAGE, REPORT, RunFolder
from orchestrator.run_folder.galleries import left_galleries
from orchestrator.run_folder.pictures import kept_pictures, picture_figures, without_pictures


@click.command(name="purge")
@click.argument("run", type=PathOption())
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge_command(*, run: Path, yes: bool) -> None:
    """Remove the pictures of RUN: its cloaks, and those in its report. What was observed stays.

    A report that was written elsewhere keeps its pictures, and so do backups.
    """
    folder = RunFolder(run)
    if not run.is_dir() or not (folder.observations.exists() or folder.begun):
        raise InputError(f"{run}: expected the folder of a run, got {'another folder' if run.is_dir() else 'none'}")
    pictures = kept_pictures(folder)
    figures = picture_figures(run / REPORT / FIGURES)
    page = run / REPORT / PAGE
    shown = _page_without_pictures(page)
    galleries = left_galleries(run)
    if not pictures and not figures and not galleries and shown is None:
        click.echo(f"{run} holds no pictures")
        return
    size = sum(path.stat().st_size for path in (*pictures, *figures))
    parts = [f"{len(pictures)} cloaks", f"{len(figures)} figures made of them"]
    if galleries:
        parts.append("the photos that were enrolled")
    what = f"{', '.join(parts)} ({size / 1e6:.1f} MB){' and the cloaks on its page' if shown is not None else ''}"
    if not yes:
        click.confirm(f"{run}: remove {what}?", abort=True)
    try:
        for path in (*pictures, *figures):
            path.unlink()
        if shown is not None:
            page.write_text(shown, encoding="utf-8")
        for path in galleries:
            rmtree(path)
        for path in sorted(folder.pictures.glob("*/")):
            if not any(path.iterdir()):
                path.rmdir()
    except OSError as error:
        raise OrchestratorError(f"{error.filename}: cannot be removed: {error.strerror or error}") from error
    click.echo(f"{run}: removed {what}; what was observed stays")


def _page_without_pictures(page: Path) -> str | None:
    """The page as it is to be written; None where there is none, or it shows no pictures."""
    try:
        found = page.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{page}: cannot be read: {error}") from error
    bare = without_pictures(found)
    return None if bare == found else bare
