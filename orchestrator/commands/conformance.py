"""`orchestrator conformance`: whether a running service speaks the schema as the bench needs it spoken."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from orchestrator.console import console
from orchestrator.errors import InputError
from orchestrator.face_folder import read_face_folder
from orchestrator.files import replace_file
from orchestrator.synthetic import PREFIX, read_synthetic_faces
from rpc.tls import TlsMaterial

if TYPE_CHECKING:
    from orchestrator.conformance.check import Outcome
    from orchestrator.conformance.examination import Choice

NOT_CONFORMING = 1


@click.option(
    "--faces",
    default=PREFIX,
    help="Photos to show: a folder of identity folders, or synthetic people. A protector must know some of the identities.",
)
@click.option(
    "--only", multiple=True, metavar="CHECK", help="Run these only: an id, `protector`, or a pattern such as '*.bad-*'."
)
@click.option("--skip", multiple=True, metavar="CHECK", help="Leave these out; as for --only.")
@click.option(
    "--spend-budget", is_flag=True, help="Ask an invader with a query budget until it is spent, to see what it says then."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="File to write the outcomes to.")
@click.option("--junit", "junit_file", type=click.Path(path_type=Path, dir_okay=False), help="File to write JUnit XML to.")
@click.option("--list", "list_only", is_flag=True, help="List the checks, ask no service.")
def conformance_command(
    *,
    protector: str | None,
    invader: str | None,
    tls: TlsMaterial | None,
    faces: str,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    spend_budget: bool,
    json_file: Path | None,
    junit_file: Path | None,
    list_only: bool,
) -> None:
    """Check a running protector, or invader, against the schema, from outside.

    Exit status: 0 every check passed or does not apply, 1 one failed or a service does not answer, 2 bad input.
    """
    from orchestrator.conformance.check import none_wrong  # only now: other commands need none of it
    from orchestrator.conformance.examination import Choice, check_choice
    from orchestrator.conformance.show import as_json, as_junit, show, show_checks

    out = console()
    if list_only:
        show_checks(out)
        return
    choice = Choice(
        faces=read_synthetic_faces(faces) if faces.startswith(PREFIX) else read_face_folder(Path(faces)),
        only=only,
        skip=skip,
        may_spend=spend_budget,
    )
    check_choice(choice, protector=protector, invader=invader)
    outcomes = asyncio.run(_examined(protector, invader, tls, choice, out))
    show(outcomes, out)
    for file, content, option in ((json_file, as_json, "--json"), (junit_file, as_junit, "--junit")):
        if file is not None:
            _write(file, content(outcomes), option=option)
    if not none_wrong(outcomes):
        raise SystemExit(NOT_CONFORMING)


async def _examined(
    protector: str | None, invader: str | None, tls: TlsMaterial | None, choice: "Choice", out: Console
) -> "Sequence[Outcome]":
    from orchestrator.conformance.examination import examine_invader, examine_protector, number_of_checks

    outcomes = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("checks"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=number_of_checks(choice, protector=protector, invader=invader))

        def on_done(outcome: "Outcome") -> None:
            bar.update(task, advance=1, description=f"{outcome.id}: {outcome.verdict.value}")

        def note(message: str) -> None:
            out.print(message, style="yellow", markup=False, highlight=False)

        if protector is not None:
            outcomes += await examine_protector(protector, tls, choice, on_done=on_done)
        if invader is not None:
            outcomes += await examine_invader(invader, tls, choice, on_done=on_done, note=note)
    return outcomes


def _write(path: Path, content: bytes, *, option: str) -> None:
    try:
        replace_file(path, content)
    except OSError as error:
        raise InputError(f"{option}: {path}: cannot be written: {error.strerror or error}") from error
