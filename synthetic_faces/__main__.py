"""`python -P -m synthetic_faces`: write the population out, or look at it."""

import argparse
import sys
from pathlib import Path

from command_line.output import tolerant_output
from synthetic_faces.errors import SyntheticFacesError
from synthetic_faces.folder import write_folder
from synthetic_faces.population import MAX_IDENTITIES, MAX_PHOTOGRAPHS, MAX_SEED, Population
from synthetic_faces.sheet import contact_sheet

INTERRUPTED = 130


def main() -> None:
    """Runs the command line, and exits."""
    with tolerant_output():
        sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit status of the command line; errors are one line."""
    options = _parser().parse_args(arguments)
    try:
        population = Population(options.identities, options.seed)
        if options.command == "write":
            _write(options.out, population, photographs=options.photographs)
        else:
            contact_sheet(population, photographs=options.photographs, people_a_row=4, side=options.side).save(options.out)
            print(options.out)
    except SyntheticFacesError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:  # Pillow: an ending that it does not know
        print(f"error: {options.out}: cannot be written: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    return 0


def _write(out: Path, population: Population, *, photographs: int) -> None:
    total = population.identities * photographs
    for count, _ in enumerate(write_folder(out, population, photographs=photographs), start=1):
        if count % photographs == 0:
            print(f"\r{count} of {total} photographs", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(out)


def _path(text: str) -> Path:
    """A path as people type it: a leading `~` is their home, where they have one."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -P -m synthetic_faces", description="People who do not exist.")
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("write", help="write photographs as a data set in VGGFace2's layout")
    sheet = commands.add_parser("sheet", help="draw a contact sheet")
    sheet.add_argument(
        "--side", type=int, default=128, choices=range(16, 257), metavar="16..256", help="of a photograph, pixels"
    )
    for command, identities, photographs in ((write, 300, 4), (sheet, 24, 3)):
        command.add_argument("out", type=_path)
        command.add_argument("--identities", type=int, default=identities, help=f"1..{MAX_IDENTITIES}; {identities}")
        command.add_argument(
            "--photographs",
            type=int,
            default=photographs,
            choices=range(1, MAX_PHOTOGRAPHS + 1),
            metavar=f"1..{MAX_PHOTOGRAPHS}",
        )
        command.add_argument("--seed", type=int, default=0, help=f"0..{MAX_SEED}; 0")
    return parser


if __name__ == "__main__":
    main()
