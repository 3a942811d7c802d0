"""`orchestrator conformance`: whether a running service speaks the schema as the bench needs it spoken."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from command_line.options import PathOption
from conformance.check import Outcome, none_wrong
from conformance.invader.service import Invader
from conformance.protector.service import Protector
from conformance.service import Service
from conformance.show import as_json, as_junit, show, show_checks
from conformance.suite import Choice, examine, unusable_outcomes
from orchestrator.commands import interruption
from orchestrator.commands.console import console
from orchestrator.commands.options import ServiceOptions, option, takes
from orchestrator.errors import InputError, UnusableServiceError
from orchestrator.faces.data_sets import read_data_set
from orchestrator.faces.synthetic import PREFIX
from orchestrator.files import replace_file
from orchestrator.services.addresses import has_replicas, name_of_replicas, replica_addresses
from rpc.tls import TlsMaterial

NOT_CONFORMING = 1  # exit status


@dataclass(frozen=True, kw_only=True)
class ConformanceOptions(ServiceOptions):
    """What is checked, and where the outcomes go."""

    faces: str = option(
        default=PREFIX, help="Photos to show: a folder of identity folders, or synthetic people. A protector must know some."
    )
    only: tuple[str, ...] = option(
        multiple=True, metavar="CHECK", help="Run these only: an id, `protector`, or a pattern such as '*.bad-*'."
    )
    skip: tuple[str, ...] = option(multiple=True, metavar="CHECK", help="Leave these out; as for --only.")
    spend_budget: bool = option(
        is_flag=True, help="Ask an invader with a query budget until it is spent, to see what it says then."
    )
    seconds: float = option(
        type=click.FloatRange(min=1),
        default=60,
        help="Deadline of a call that computes. A few calls that ask for much are given a multiple of it.",
    )
    json_file: Path | None = option("--json", type=PathOption(dir_okay=False), help="File to write the outcomes to.")
    junit_file: Path | None = option("--junit", type=PathOption(dir_okay=False), help="File to write JUnit XML to.")
    list_only: bool = option("--list", is_flag=True, help="List the checks, ask no service.")


@click.command(name="conformance")
@takes(ConformanceOptions)
def conformance_command(options: ConformanceOptions) -> None:
    """Check a running protector, or invader, against the schema, from outside.

    Of replicas, each is checked, one after another: all of them have to conform by themselves.

    Exit status: 0 every check passed or does not apply, 1 one did not or a service does not answer, 2 bad input.
    """
    out = console()
    if options.list_only:
        show_checks(out)
        return
    choice = Choice(
        faces=read_data_set(options.faces),
        only=options.only,
        skip=options.skip,
        may_spend=options.spend_budget,
        seconds=options.seconds,
    )
    tls = options.tls()
    given: dict[type[Service], str | None] = {Protector: options.protector, Invader: options.invader}
    texts = {kind: text for kind, text in given.items() if text is not None}
    if not texts:
        raise InputError("--protector, --invader: expected the address of at least one running service, host:port, got none")
    number = sum(len(choice.checks(kind)) for kind in texts)
    if not number:
        raise InputError("--only, --skip: expected checks of the services that are given, got none")
    wanted = (("--json", options.json_file, as_json), ("--junit", options.junit_file, as_junit))
    files = [(flag, path, content) for flag, path, content in wanted if path is not None]
    for flag, path, _ in files:  # before services are asked for minutes
        with _writing(path, flag=flag), tempfile.TemporaryFile(dir=path.parent):
            pass
    outcomes: list[Outcome] = []
    try:
        interruption.run(_examine(texts, tls, options.tls_names, choice, out, outcomes=outcomes))
    finally:  # what was found until something broke, or somebody had enough, is not lost
        if outcomes:
            show(outcomes, out)
            for flag, path, content in files:
                with _writing(path, flag=flag):
                    replace_file(path, content(outcomes))
    if not none_wrong(outcomes):
        raise SystemExit(NOT_CONFORMING)


async def _examine(
    texts: Mapping[type[Service], str],
    tls: TlsMaterial | None,
    tls_names: Mapping[str, str | None],
    choice: Choice,
    out: Console,
    *,
    outcomes: list[Outcome],
) -> None:
    """Adds what becomes of each check to `outcomes` as it is known.

    Raises:
        InputError: the addresses, the faces, or the invader's budget, do not do.
        UnusableServiceError: one of the services cannot be checked; the others were.
    """
    services = [service for kind, text in texts.items() for service in await _services(kind, text, tls_names[kind.role])]
    unusable: UnusableServiceError | None = None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("checks"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=sum(len(choice.checks(each.kind)) for each in services))

        def on_done(outcome: Outcome, *, replica: str) -> None:
            outcomes.append(replace(outcome, at=replica))
            bar.update(task, advance=1, description=f"{outcome.id}: {outcome.verdict.value}")

        def note(text: str, *, replica: str) -> None:
            out.print(f"{replica}: {text}" if replica else text, style="yellow", markup=False, highlight=False)

        for each in services:
            done, noted = (partial(tell, replica=each.replica) for tell in (on_done, note))
            try:
                await examine(each.kind, each.address, tls, choice, on_done=done, note=noted, tls_name=each.tls_name)
            except UnusableServiceError as error:
                outcomes += (replace(lost, at=each.replica) for lost in unusable_outcomes(each.kind, choice, error))
                unusable = unusable or error
    if unusable is not None:
        raise unusable


@dataclass(frozen=True)
class _Checked:
    """A service that is checked."""

    kind: type[Service]
    address: str
    tls_name: str | None
    replica: str = ""  # its address, where it is one of several


async def _services(kind: type[Service], text: str, tls_name: str | None) -> list[_Checked]:
    """What the option for a kind of service stands for.

    Raises:
        InputError: it is no address, or a list of none.
    """
    if not has_replicas(text):
        return [_Checked(kind, text, tls_name)]
    addresses = await replica_addresses(kind.role, text)()
    name = tls_name or name_of_replicas(text)
    return [_Checked(kind, address, name, replica=address) for address in addresses]


@contextmanager
def _writing(path: Path, *, flag: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{flag}: {path}: cannot be written: {error.strerror or error}") from error
