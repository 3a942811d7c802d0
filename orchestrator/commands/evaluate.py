"""`orchestrator evaluate`: runs the grid, and prints PSR."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console

from command_line.options import PathOption
from orchestrator.commands import interruption
from orchestrator.commands.console import console
from orchestrator.commands.interruption import Interrupted
from orchestrator.commands.options import CommaList, ServiceOptions, SourceModel, option, takes
from orchestrator.commands.report import report
from orchestrator.commands.store_option import ENVIRONMENT
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.experiment.grid import CONTROL, EPSILONS, KS, METHODS, NOISE
from orchestrator.experiment.plan import SUBJECTS
from orchestrator.experiment.region import Region
from orchestrator.experiment.storage import JPEG_QUALITY, Storage
from orchestrator.faces.data_sets import read_data_set
from orchestrator.faces.synthetic import PREFIX
from orchestrator.outages import OUTAGE_TIMEOUT_SECONDS
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.evaluate import evaluate
from orchestrator.session.planning import RunRequest
from orchestrator.session.summary import RunResult, show

INCOMPLETE = 3  # exit status


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(ServiceOptions):
    """What an evaluation is asked for."""

    faces: str = option(
        default=PREFIX,
        help="Data set: a folder of identity folders, or synthetic people: synthetic:identities=300,photographs=4,seed=0.",
    )
    protector_checkpoints: Path | None = option(
        type=PathOption(), help="Start a protector with this folder.  [default: the embedded recognizers]"
    )
    invader_checkpoints: Path | None = option(
        type=PathOption(), help="Start an invader with this folder.  [default: the embedded recognizers]"
    )
    precision: str = option(
        type=click.Choice(["auto", "float32", "bfloat16"]),
        default="float32",
        help="What the networks of started services compute in; auto: bfloat16 where the processor multiplies it natively.",
    )
    subjects: int | None = option(
        type=click.IntRange(1),
        help=f"Number of subjects, N; one photo each. With --until-halfwidth the most.  [default: {SUBJECTS}, or all]",
    )
    until_halfwidth: float | None = option(
        type=float,
        metavar="POINTS",
        help="Draw subjects until the 95 % interval of every PSR is at most ± so many points; at most 50.",
    )
    seed: int = option(type=click.IntRange(0, 2**63 - 1), default=0, help="Of the draw and of the noise control.")
    source_models: tuple[str, ...] | None = option(
        type=CommaList(SourceModel(), name="model"),
        help="Models that craft; a+b is an ensemble, in any order.  [default: the paper's three, or the embedded "
        "three, or all that the protector has]",
    )
    target_models: tuple[str, ...] | None = option(
        type=CommaList(click.STRING, name="model"),
        help="Models that classify.  [default: the paper's three, or the embedded three, or all that the invader has]",
    )
    methods: tuple[str, ...] = option(
        type=CommaList(click.STRING, name="method"), default=",".join(METHODS), help="Methods, beside both controls."
    )
    epsilons: tuple[int, ...] = option(
        type=CommaList(click.IntRange(1, 255), name="epsilon"),
        default=",".join(map(str, EPSILONS)),
        help="Noise budgets, in levels of 0..255.",
    )
    ks: tuple[int, ...] | None = option(
        "--k",
        type=CommaList(click.IntRange(1), name="k"),
        help=f"PSR@k.  [default: {','.join(map(str, KS))}, as far as the invader discloses so many candidates]",
    )
    storage: str = option(type=click.Choice(["jpeg", "png"]), default="jpeg", help="How cloaks are stored.")
    jpeg_quality: int = option(type=click.IntRange(1, 100), default=JPEG_QUALITY, help="Of stored cloaks.")
    region: str = option(
        type=click.Choice([region.value for region in Region]),
        default=Region.DETECTED.value,
        help="What of a cloak the target models see: the face that the invader finds in it, or the whole image, resized.",
    )
    run: Path | None = option(type=PathOption(), help="Run folder, new or to go on with.  [default: TIME in --runs]")
    runs: Path = option(
        type=PathOption(), default=Path("runs"), envvar="DEID_ORCHESTRATOR_RUNS", help="Folder of run folders."
    )
    store: str | None = option(
        envvar=ENVIRONMENT,
        help="Database that several orchestrators share for one run: postgresql+psycopg://USER@HOST/DATABASE.  "
        "[default: a file in the run folder]",
    )
    discard_cloaks: bool = option(is_flag=True, help="Keep no cloaks in the run folder.")
    tables: bool = option(is_flag=True, help="Print a table of every source model and method, at every k.")
    no_report: bool = option(is_flag=True, help="Write no report; `orchestrator report` can later.")
    allow_incomplete: bool = option(is_flag=True, help="Write figures and report although cells are short.")
    in_flight: int = option(type=click.IntRange(1, 64), default=4, help="Subjects that are worked on at a time.")
    outage_timeout: float = option(
        type=click.FloatRange(0),
        default=OUTAGE_TIMEOUT_SECONDS,
        help="Seconds to wait for a service or a database that does not answer, before the run stops.",
    )

    def request(self) -> RunRequest:
        """What the run is to be.

        Raises:
            InputError: it cannot be.
        """
        controls = [method for method in self.methods if method in (CONTROL, NOISE)]
        if controls:
            raise InputError(f"--methods: expected methods beside the controls, which every run has; got {controls[0]}")
        return RunRequest(
            faces=read_data_set(self.faces),
            source_models=self.source_models,
            target_models=self.target_models,
            methods=self.methods,
            epsilons=self.epsilons,
            ks=self.ks,
            storage=Storage(self.jpeg_quality if self.storage == "jpeg" else None),
            subjects=self.subjects,
            seed=self.seed,
            region=Region(self.region),
            until_halfwidth=self.until_halfwidth,
        )

    def endpoints(self) -> tuple[EndpointSpec, EndpointSpec]:
        """The protector and the invader.

        Raises:
            InputError: one is both running and to be started, or the files of mutual TLS cannot be used.
        """
        tls = self.tls()
        protector = EndpointSpec("protector", self.protector, self.protector_checkpoints, self.precision, tls)
        invader = EndpointSpec("invader", self.invader, self.invader_checkpoints, self.precision, tls)
        return protector, invader

    def folder(self) -> RunFolder:
        """That of the run: the one that was named, or a new one."""
        now = datetime.now().astimezone()
        return RunFolder(self.runs / f"{now:%Y%m%d-%H%M%S}", new=True) if self.run is None else RunFolder(self.run)


@click.command(name="evaluate")
@takes(EvaluateOptions)
def evaluate_command(options: EvaluateOptions) -> None:
    """Run the paper's grid on a data set and print PSR.

    Figures, outcome and report are written before anything of them is printed. Exit status: 0 complete, 3 some cells are
    short, 2 bad input, 1 a service or the store failed, 130 interrupted by Ctrl-C (143 by SIGTERM, 129 by SIGHUP), 74 all is
    done, but standard output could not be written.
    """
    folder, out = options.folder(), console()
    finished = _evaluate(options, folder, out)
    page: Path | None = None
    try:
        if finished.published and not options.no_report:
            with out.status("writing the report"):
                page = _report(folder, store=options.store)
    finally:
        show(finished, out, tables=options.tables)
        if page is not None:
            click.echo(f"report: {page}")
    if not finished.complete:
        raise SystemExit(INCOMPLETE)


def _evaluate(options: EvaluateOptions, folder: RunFolder, out: Console) -> RunResult:
    """Runs it; where it ends too early, the message says how to go on."""
    (protector, invader), request = options.endpoints(), options.request()
    try:
        return interruption.run(
            evaluate(
                request,
                protector=protector,
                invader=invader,
                folder=folder,
                store=options.store,
                keep_cloaks=not options.discard_cloaks,
                subjects_in_flight=options.in_flight,
                outage_timeout=options.outage_timeout,
                allow_incomplete=options.allow_incomplete,
                console=out,
            )
        )
    except (Interrupted, OrchestratorError) as error:
        if isinstance(error, InputError) or not folder.begun:
            raise
        way_on = f"; what was observed is kept, and the same command with --run {folder.root} goes on"
        if isinstance(error, Interrupted):
            raise Interrupted(error.number, way_on) from None
        raise OrchestratorError(f"{error}{way_on}") from error


def _report(folder: RunFolder, *, store: str | None) -> Path | None:
    """What was observed is there whether or not a page can be made of it."""
    try:
        return report(folder.root, store=store, allow_incomplete=True)
    except OrchestratorError as error:
        click.echo(f"no report was written: {error}", err=True)
        return None
