"""`python -P -m synthetic_faces`: write the population out, or look at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from PIL import Image

from command_line.options import PathOption
from command_line.program import EXIT_STATUS, run_program
from synthetic_faces.population import MAX_PHOTOGRAPHS, Population, SyntheticFacesError, write_folder

PEOPLE_A_ROW = 4  # of a contact sheet


@click.group(epilog=EXIT_STATUS)
def cli() -> None:
    """People who do not exist."""


def _at_a_known_home(_context: click.Context, _parameter: click.Parameter, path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise click.BadParameter(f"{path}: {error}") from error


_OUT = click.argument("out", type=PathOption(), callback=_at_a_known_home)
_SEED = click.option("--seed", type=int, default=0, show_default=True, help="Whose people they are.")
_PHOTOGRAPHS = click.IntRange(1, MAX_PHOTOGRAPHS)


@cli.command(epilog=EXIT_STATUS)
@_OUT
@click.option("--identities", type=int, default=300, show_default=True)
@click.option("--photographs", type=_PHOTOGRAPHS, default=4, show_default=True)
@_SEED
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
@_OUT
@click.option("--identities", type=int, default=24, show_default=True)
@click.option("--photographs", type=_PHOTOGRAPHS, default=3, show_default=True)
@_SEED
@click.option("--side", type=click.IntRange(16, 256), default=128, show_default=True, help="Of a photograph, in pixels.")
def sheet(out: Path, *, identities: int, photographs: int, seed: int, side: int) -> str:
    """Draw a contact sheet to OUT, a picture."""
    picture = _contact_sheet(Population(identities, seed), photographs=photographs, side=side)
    with _writing(out):
        picture.save(out)
    return str(out)


def _contact_sheet(population: Population, *, photographs: int, side: int) -> Image.Image:
    """Everyone's photographs 1..photographs side by side, four people in a row, each photograph `side` pixels."""
    rows = -(-population.identities // PEOPLE_A_ROW)
    sheet = Image.new("RGB", (PEOPLE_A_ROW * photographs * side, rows * side), "white")
    for person in range(population.identities):
        row, column = divmod(person, PEOPLE_A_ROW)
        for number in range(photographs):
            picture = Image.fromarray(population.photograph(person + 1, number + 1))
            picture = picture.resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(picture, ((column * photographs + number) * side, row * side))
    return sheet


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
