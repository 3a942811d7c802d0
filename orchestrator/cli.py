"""The command line of the orchestrator."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from orchestrator.errors import InputError, UnusableServiceError
from orchestrator.evaluate import ServiceChoice, check_choice, evaluate
from orchestrator.face_folder import read_face_folder
from orchestrator.planning import Wish
from orchestrator.protocol import CONTROL, EPSILONS, JPEG_QUALITY, KS, METHODS, NOISE, Storage
from orchestrator.run_folder import RunFolder
from orchestrator.synthetic import PREFIX, read_synthetic_faces

INCOMPLETE = 3
INTERRUPTED = 130
PLAIN_WIDTH = 160  # columns of output that goes to a file


class CommaList(click.ParamType[Any]):
    """Comma-separated values, each at most once."""

    def __init__(self, value: Callable[[str], int | str], *, name: str, low: int = 0, high: int | None = None) -> None:
        self.name = name
        self._value = value
        self._low = low
        self._high = high

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """See `click.ParamType.convert`."""
        if not isinstance(value, str):
            return value
        items = [item.strip() for item in value.split(",") if item.strip()]
        if not items:
            self.fail(f"expected at least one {self.name}, got none", param, ctx)
        try:
            values = [self._value(item) for item in items]
        except ValueError:
            self.fail(f"expected whole numbers, got {value!r}", param, ctx)
        if len(set(values)) < len(values):
            repeated = next(item for item in values if values.count(item) > 1)
            self.fail(f"expected no repetition, got {repeated} twice", param, ctx)
        for item in values:
            if isinstance(item, int) and (item < self._low or (self._high is not None and item > self._high)):
                bounds = f"{self._low}..{self._high}" if self._high is not None else f"{self._low} or more"
                self.fail(f"expected {bounds}, got {item}", param, ctx)
        return tuple(values)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 110})
def cli() -> None:
    """Measures how well adversarial cloaks protect face photographs from recognizers they were not made for."""


@cli.command(name="evaluate")
@click.option(
    "--faces",
    default=PREFIX,
    help="Data set: a folder of identity folders, or synthetic people: synthetic:identities=300,photographs=4,seed=0.",
)
@click.option("--protector", help="A running protector, host:port.")
@click.option(
    "--protector-checkpoints",
    type=click.Path(path_type=Path),
    help="Start a protector with this folder.  [default: the embedded recognizers]",
)
@click.option("--invader", help="A running invader, host:port.")
@click.option(
    "--invader-checkpoints",
    type=click.Path(path_type=Path),
    help="Start an invader with this folder.  [default: the embedded recognizers]",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="float32",
    help="What the networks of started services compute in; auto is bfloat16 where the processor multiplies it natively.",
)
@click.option("--subjects", type=click.IntRange(1), default=16, help="Number of subjects, N; one photo each.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of the draw of subjects and the noise control.")
@click.option(
    "--source-models",
    type=CommaList(str, name="model"),
    help="Crafted with.  [default: the paper's three, or the embedded three]",
)
@click.option(
    "--target-models",
    type=CommaList(str, name="model"),
    help="Classified by.  [default: the paper's three, or the embedded three]",
)
@click.option("--methods", type=CommaList(str, name="method"), default=",".join(METHODS), help="Beside both controls.")
@click.option(
    "--epsilons",
    type=CommaList(int, name="epsilon", low=1, high=255),
    default=",".join(map(str, EPSILONS)),
    help="Budgets.",
)
@click.option("--k", "ks", type=CommaList(int, name="k", low=1), default=",".join(map(str, KS)), help="PSR@k.")
@click.option("--storage", type=click.Choice(["jpeg", "png"]), default="jpeg", help="How cloaks are stored.")
@click.option("--jpeg-quality", type=click.IntRange(1, 100), default=JPEG_QUALITY, help="Of stored cloaks.")
@click.option("--run", type=click.Path(path_type=Path), help="Run folder, new or to go on with.  [default: runs/TIME]")
@click.option("--discard-cloaks", is_flag=True, help="Keep no cloaks in the run folder.")
@click.option("--in-flight", type=click.IntRange(1, 64), default=4, help="Subjects that are worked on at a time.")
def evaluate_command(
    *,
    faces: str,
    protector: str | None,
    protector_checkpoints: Path | None,
    invader: str | None,
    invader_checkpoints: Path | None,
    precision: str,
    subjects: int,
    seed: int,
    source_models: tuple[str, ...] | None,
    target_models: tuple[str, ...] | None,
    methods: tuple[str, ...],
    epsilons: tuple[int, ...],
    ks: tuple[int, ...],
    storage: str,
    jpeg_quality: int,
    run: Path | None,
    discard_cloaks: bool,
    in_flight: int,
) -> None:
    """Run the paper's grid on a data set and print PSR.

    Exit status: 0 complete, 3 some cells are short, 2 bad input, 1 a service failed, 130 interrupted.
    """
    _check_methods(methods)
    choices = (
        ServiceChoice("protector", protector, protector_checkpoints, precision),
        ServiceChoice("invader", invader, invader_checkpoints, precision),
    )
    for choice in choices:
        check_choice(choice)
    wish = Wish(
        faces=read_synthetic_faces(faces) if faces.startswith(PREFIX) else read_face_folder(Path(faces)),
        source_models=source_models,
        target_models=target_models,
        methods=methods,
        epsilons=tuple(sorted(epsilons)),
        ks=tuple(sorted(ks)),
        storage=Storage(jpeg_quality if storage == "jpeg" else None),
        subjects=subjects,
        seed=seed,
    )
    folder = RunFolder(run or Path("runs") / datetime.now().astimezone().strftime("%Y%m%d-%H%M%S"))
    console = _console()
    try:
        finished = asyncio.run(
            evaluate(
                wish,
                protector=choices[0],
                invader=choices[1],
                folder=folder,
                keep_cloaks=not discard_cloaks,
                subjects_in_flight=in_flight,
                console=console,
            )
        )
    except KeyboardInterrupt:
        console.print(f"interrupted; {_way_on(folder)}", markup=False, highlight=False)
        raise SystemExit(INTERRUPTED) from None
    except UnusableServiceError as error:
        raise UnusableServiceError(f"{error}; {_way_on(folder)}") from error
    if not finished.complete:
        raise SystemExit(INCOMPLETE)


def _way_on(folder: RunFolder) -> str:
    return f"what was observed is kept, and the same command with --run {folder.root} goes on"


def _check_methods(methods: Sequence[str]) -> None:
    controls = [method for method in methods if method in (CONTROL, NOISE)]
    if controls:
        raise InputError(f"--methods: expected methods beside the controls, which every run has; got {controls[0]}")


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PLAIN_WIDTH)
