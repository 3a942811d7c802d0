"""`orchestrator report`: a run as a page, figures and files."""

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from command_line.options import CommaList, PathOption
from orchestrator.commands.store_option import store_option
from orchestrator.errors import InputError
from orchestrator.run_folder.folder import REPORT

FORMATS = ("pdf", "png", "svg")
NEEDED = ("jinja2", "matplotlib", "pyarrow", "skimage")


@click.command(name="report")
@click.argument("run", type=PathOption())
@click.option("--out", type=PathOption(), help="Folder to write into.  [default: RUN/report]")
@store_option
@click.option("--allow-incomplete", is_flag=True, help="Report on a run that is still going, or of which cells are short.")
@click.option("--with-pictures", is_flag=True, help="Show pictures of people. Those who do not exist are always shown.")
@click.option(
    "--formats",
    type=CommaList(click.Choice(FORMATS), name="format"),
    default=(),
    help="Write every figure in these, too: pdf, png, svg.  [default: what the page shows, SVG, and PNG of pictures]",
)
@click.option("--magnified", is_flag=True, help="Show the perturbations, magnified, under the example cloaks.")
def report_command(*, run: Path, store: str | None, **options: Any) -> None:
    """Write the report of RUN: one HTML page, its figures, and its data as files.

    A run that is still going, or short, is reported on with --allow-incomplete only, and the page says so at its top.
    """
    source = click.get_current_context().get_parameter_source("store")  # what the environment says may be for other runs
    page = report(run, store=store if source is ParameterSource.COMMANDLINE else None, offered=store, **options)
    click.echo(f"report: {page}")


def report(
    root: Path,
    *,
    out: Path | None = None,
    store: str | None = None,
    offered: str | None = None,
    allow_incomplete: bool = False,
    with_pictures: bool = False,
    magnified: bool = False,
    formats: Collection[str] = (),
) -> Path:
    """Writes the report of the run in a folder, and returns the page; `store` and `offered` are as of `read_run`.

    Raises:
        InputError: a folder holds no such run, or one that is incomplete while that is not allowed.
        OrchestratorError: it cannot be written, or a package that it is made with is not installed.
    """
    if absent := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(f"a report needs {', '.join(absent)}: pip install 'face-deid-bench[report]'")
    from orchestrator.report.processes import drawing_processes

    with drawing_processes() as processes:
        from orchestrator.report.run import check_complete, read_run  # only now: matplotlib takes its time
        from orchestrator.report.write import write_report

        run = read_run(root, store=store, offered=offered)
        check_complete(run, allow_incomplete=allow_incomplete)
        return write_report(
            run,
            out=out or root / REPORT,
            with_pictures=with_pictures,
            magnified=magnified,
            formats=formats,
            processes=processes,
        )
