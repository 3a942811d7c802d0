"""`python -P -m synthetic_faces`: write the population out, or look at it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from command_line.options import PathOption
from command_line.program import EXIT_STATUS, run_program
from synthetic_faces.errors import SyntheticFacesError
from synthetic_faces.folder import write_folder
from synthetic_faces.population import MAX_PHOTOGRAPHS, Population
from synthetic_faces.sheet import contact_sheet


@click.group(epilog=EXIT_STATUS)
def cli() -> None:
    """People who do not exist."""


def _options(*, identities: int, photographs: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What both commands take, with their defaults."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in (
            click.option("--seed", type=int, default=0, show_default=True, help="Whose people they are."),
            click.option("--photographs", type=click.IntRange(1, MAX_PHOTOGRAPHS), default=photographs, show_default=True),
            click.option("--identities", type=int, default=identities, show_default=True),
            click.argument("out", type=PathOption(), callback=_at_a_known_home),
        ):
            command = decorator(command)
        return command

    return decorate


def _at_a_known_home(_context: click.Context, _parameter: click.Parameter, path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise click.BadParameter(f"{path}: {error}") from error


@cli.command(epilog=EXIT_STATUS)
@_options(identities=300, photographs=4)
def write(out: Path, *, identities: int, photographs: int, seed: int) -> str:
    """Write photographs to OUT, as a data set in VGGFace2's layout; those that are there already stay."""
    population = Population(identities, seed)
    total = identities * photographs
    with _writing(out):
        for count, _ in enumerate(write_folder(out, population, photographs=photographs), start=1):
            if count % photographs == 0:
                click.echo(f"\r{count} of {total} photographs", nl=count == total, err=True)
    return str(out)


@cli.command(epilog=EXIT_STATUS)
@_options(identities=24, photographs=3)
@click.option("--side", type=click.IntRange(16, 256), default=128, show_default=True, help="Of a photograph, in pixels.")
def sheet(out: Path, *, identities: int, photographs: int, seed: int, side: int) -> str:
    """Draw a contact sheet to OUT, a picture."""
    picture = contact_sheet(Population(identities, seed), photographs=photographs, side=side)
    with _writing(out):
        picture.save(out)
    return str(out)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # Pillow: an ending that it does not know
        raise SyntheticFacesError(f"{out}: cannot be written: {error}") from error


def main() -> None:
    """Runs the command line, and exits."""
    run_program(cli, interrupted="interrupted; the same command goes on")


if __name__ == "__main__":
    main()
