"""What commands that make a run have in common: their options, how a run is made, and how it is shown."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console

from command_line.options import CommaList, PathOption
from orchestrator.cloaks.source import CloakSource
from orchestrator.commands import interruption
from orchestrator.commands.console import console
from orchestrator.commands.interruption import Interrupted
from orchestrator.commands.options import (
    ADDRESSES,
    TLS_NAME,
    CalibratedThreshold,
    GivenThreshold,
    TlsOptions,
    option,
)
from orchestrator.commands.report import report
from orchestrator.commands.store_option import ENVIRONMENT
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.experiment.verification import spelt_out
from orchestrator.faces.data_set import DataSet
from orchestrator.faces.pairs import IMPOSTOR, PairList
from orchestrator.faces.split import SplitSizes, split
from orchestrator.outages import OUTAGE_TIMEOUT_SECONDS
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.evaluate import SUBJECTS_OF_A_PROTECTOR, evaluate
from orchestrator.session.planning import GalleryRequest, RunRequest
from orchestrator.session.summary import RunResult, show

INCOMPLETE = 3  # exit status


@dataclass(frozen=True, kw_only=True)
class RunOptions(TlsOptions):
    """Who reads cloaks, and where a run is kept."""

    invader: str | None = option(envvar="DEID_ORCHESTRATOR_INVADER", help=f"A running invader: {ADDRESSES}")
    invader_tls_name: str | None = option(envvar="DEID_ORCHESTRATOR_INVADER_TLS_NAME", help=TLS_NAME)
    invader_checkpoints: Path | None = option(
        type=PathOption(), help="Start an invader with this folder.  [default: the embedded recognizers]"
    )
    precision: str = option(
        type=click.Choice(["auto", "float32", "bfloat16"]),
        default="float32",
        help="What the networks of started services compute in; auto: bfloat16 where the processor multiplies it natively.",
    )
    target_models: tuple[str, ...] | None = option(
        type=CommaList(click.STRING, name="model"),
        help="Models that classify.  [default: the paper's three, or the embedded three, or all that the invader has; and "
        "all matchers]",
    )
    matchers: tuple[str, ...] = option(
        type=CommaList(click.STRING, name="classifier"),
        default=(),
        help="Classifiers whose features a started invader compares with a gallery, too: of facenet as facenet-features.",
    )
    thresholds: tuple[str, ...] = option(
        type=CommaList(CalibratedThreshold(), name="threshold"),
        default=(),
        help="Thresholds that a started invader calibrates its matchers to, fpir:RATE or fmr:RATE, on impostors.",
    )
    given_thresholds: tuple[str, ...] = option(
        type=CommaList(GivenThreshold(), name="threshold"),
        default=(),
        help="Thresholds that a started invader is given, beside --pairs: MATCHER:NUMBER or MATCHER:LABEL=NUMBER, a "
        "similarity or a distance; and literature for those that papers copy from each other, of the target models that "
        "have any.",
    )
    pairs: Path | None = option(
        type=PathOption(),
        help="Verification, one to one: a CSV table of photos of --faces in the columns probe, reference, and if wanted "
        "target and impostor; or LFW's pairs.txt. Each probe is compared with one identity at a time.",
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
    in_flight: int | None = option(
        type=click.IntRange(1, 1024),
        help="Subjects that are worked on at a time.  "
        f"[default: {SUBJECTS_OF_A_PROTECTOR} for each protector that takes calls]",
    )
    outage_timeout: float = option(
        type=click.FloatRange(0),
        default=OUTAGE_TIMEOUT_SECONDS,
        help="Seconds to wait for a service or a database that does not answer, before the run stops.",
    )

    def invader_endpoint(self) -> EndpointSpec:
        """The invader.

        Raises:
            InputError: it is both running and to be started, or the files of mutual TLS cannot be used.
        """
        return EndpointSpec(
            "invader", self.invader, self.invader_checkpoints, self.precision, self.tls(), tls_name=self.invader_tls_name
        )

    def gallery(
        self, faces: DataSet, sizes: SplitSizes | None, *, seed: int, searched: DataSet | None = None, is_default: bool
    ) -> GalleryRequest | None:
        """A gallery of a data set that is divided like this.

        Raises:
            InputError: options contradict each other, or the data set cannot be divided so.
        """
        if self.given_thresholds:
            raise InputError("--given-thresholds: expected --pairs beside it, got none")
        for flag, asked in (("--matchers", self.matchers), ("--thresholds", self.thresholds)):
            if asked and self.invader is not None:
                raise InputError(
                    f"{flag}: expected an invader that is started, got --invader {self.invader}, which has its own"
                )
            if asked and sizes is None:
                raise InputError(f"{flag}: expected a gallery, got none: --gallery-photos of evaluate makes one")
        if self.thresholds and sizes is not None and not sizes.impostors:
            raise InputError("--thresholds: expected --impostors beside it, people to calibrate them on, got none")
        if sizes is None:
            return None
        divided = split(faces, sizes, seed=seed, searched=searched)
        return GalleryRequest(divided, is_default, self.matchers, self.thresholds)

    def gallery_of_pairs(self, pairs: PairList, faces: DataSet) -> GalleryRequest:
        """The references of a list, which started services enrol, and the thresholds of a started invader.

        Raises:
            InputError: options contradict each other, or there is nobody to calibrate thresholds on.
        """
        for flag, asked in (
            ("--matchers", self.matchers),
            ("--thresholds", self.thresholds),
            ("--given-thresholds", self.given_thresholds),
        ):
            if asked and self.invader is not None:
                raise InputError(
                    f"{flag}: expected an invader that is started, got --invader {self.invader}, which has its own"
                )
        if self.thresholds and not pairs.impostors:
            raise InputError(
                f"--thresholds: expected impostors in --pairs, on whom they are calibrated, got none: a line with the "
                f"column {IMPOSTOR} alone names a picture of one"
            )
        for name in self.thresholds:
            if not name.startswith("fmr:"):
                raise InputError(
                    f"--thresholds: expected fmr:RATE beside --pairs, which compare with one person, got {name}"
                )
        given = spelt_out(self.given_thresholds, self.target_models)
        return GalleryRequest(pairs.split(faces), False, self.matchers, self.thresholds, given)

    def folder(self) -> RunFolder:
        """That of the run: the one that was named, or a new one."""
        now = datetime.now().astimezone()
        return RunFolder(self.runs / f"{now:%Y%m%d-%H%M%S}", new=True) if self.run is None else RunFolder(self.run)


def run_and_show(options: RunOptions, request: RunRequest, cloaks: EndpointSpec | CloakSource) -> None:
    """Makes a run, or the rest of it, writes its results, and prints them.

    Raises:
        InputError: the run cannot be what was asked for.
        OrchestratorError: it ended too early; the message says how to go on.
        SystemExit: some cells are short.
    """
    folder, out = options.folder(), console()
    finished = _run(options, request, cloaks, folder, out)
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


def _run(
    options: RunOptions, request: RunRequest, cloaks: EndpointSpec | CloakSource, folder: RunFolder, out: Console
) -> RunResult:
    try:
        return interruption.run(
            evaluate(
                request,
                protector=cloaks,
                invader=options.invader_endpoint(),
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
