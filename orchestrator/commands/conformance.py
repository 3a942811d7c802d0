"""`orchestrator conformance`: whether a running service speaks the schema as the bench needs it spoken."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from command_line.options import PathOption
from orchestrator.commands import interruption
from orchestrator.commands.console import console
from orchestrator.errors import InputError, UnusableServiceError
from orchestrator.faces.data_sets import read_data_set
from orchestrator.faces.synthetic import PREFIX
from orchestrator.files import replace_file
from rpc.tls import TlsMaterial

if TYPE_CHECKING:
    from conformance.check import Outcome
    from conformance.examination import Choice

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
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=60,
    show_default=True,
    help="Deadline of a call that computes. A few calls that ask for much are given a multiple of it.",
)
@click.option("--json", "json_file", type=PathOption(dir_okay=False), help="File to write the outcomes to.")
@click.option("--junit", "junit_file", type=PathOption(dir_okay=False), help="File to write JUnit XML to.")
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
    seconds: float,
    json_file: Path | None,
    junit_file: Path | None,
    list_only: bool,
) -> None:
    """Check a running protector, or invader, against the schema, from outside.

    Exit status: 0 every check passed or does not apply, 1 one did not or a service does not answer, 2 bad input.
    """
    from conformance.check import none_wrong  # only now: other commands need none of it
    from conformance.examination import Choice, check_choice
    from conformance.show import as_json, as_junit, show, show_checks

    out = console()
    if list_only:
        show_checks(out)
        return
    choice = Choice(
        faces=read_data_set(faces),
        only=only,
        skip=skip,
        may_spend=spend_budget,
        seconds=seconds,
    )
    check_choice(choice, protector=protector, invader=invader)
    files = [(json_file, as_json, "--json"), (junit_file, as_junit, "--junit")]
    for file, _, option in files:
        if file is not None:
            _check_writable(file, option=option)
    outcomes: list[Outcome] = []
    try:
        interruption.run(_examine(protector, invader, tls, choice, out, outcomes=outcomes))
    finally:  # what was found until something broke, or somebody had enough, is not lost
        if outcomes:
            show(outcomes, out)
            for file, content, option in files:
                if file is not None:
                    _write(file, content(outcomes), option=option)
    if not none_wrong(outcomes):
        raise SystemExit(NOT_CONFORMING)


async def _examine(
    protector: str | None,
    invader: str | None,
    tls: TlsMaterial | None,
    choice: "Choice",
    out: Console,
    *,
    outcomes: "list[Outcome]",
) -> None:
    """Adds what becomes of each check to `outcomes` as it is known.

    Raises:
        InputError: the faces, or the invader's budget, do not do.
        UnusableServiceError: one of the services cannot be checked; the other was.
    """
    from conformance.examination import (
        examine_invader,
        examine_protector,
        number_of_checks,
        unusable_outcomes,
    )

    unusable: list[UnusableServiceError] = []
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
            outcomes.append(outcome)
            bar.update(task, advance=1, description=f"{outcome.id}: {outcome.verdict.value}")

        def note(message: str) -> None:
            out.print(message, style="yellow", markup=False, highlight=False)

        if protector is not None:
            try:
                await examine_protector(protector, tls, choice, on_done=on_done)
            except UnusableServiceError as error:
                unusable.append(error)
                outcomes += unusable_outcomes("protector", choice, error)
        if invader is not None:
            try:
                await examine_invader(invader, tls, choice, on_done=on_done, note=note)
            except UnusableServiceError as error:
                unusable.append(error)
                outcomes += unusable_outcomes("invader", choice, error)
    if unusable:
        raise unusable[0]


def _check_writable(path: Path, *, option: str) -> None:
    """Makes sure, before services are asked for minutes, that there is a place for what is found.

    Raises:
        InputError: there is none.
    """
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"{option}: {path}: cannot be written: {error.strerror or error}") from error


def _write(path: Path, content: bytes, *, option: str) -> None:
    try:
        replace_file(path, content)
    except OSError as error:
        raise InputError(f"{option}: {path}: cannot be written: {error.strerror or error}") from error
