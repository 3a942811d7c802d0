"""The command line of the orchestrator."""

import functools
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from command_line.options import PathOption
from orchestrator.commands import interruption
from orchestrator.commands.compare import compare_command
from orchestrator.commands.conformance import conformance_command
from orchestrator.commands.console import console
from orchestrator.commands.interruption import Interrupted
from orchestrator.commands.purge import purge_command
from orchestrator.commands.report import report, report_command
from orchestrator.commands.runs import runs_command
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.experiment.grid import CONTROL, EPSILONS, JPEG_QUALITY, KS, METHODS, NOISE, SUBJECTS, Region, Storage
from orchestrator.faces.data_sets import read_data_set
from orchestrator.faces.synthetic import PREFIX
from orchestrator.outages import OUTAGE_TIMEOUT_SECONDS
from orchestrator.run_folder.folder import RunFolder
from orchestrator.session.evaluate import EndpointSpec, check_choice, evaluate
from orchestrator.session.planning import RunRequest
from orchestrator.session.summary import show
from rpc.tls import TlsError, TlsFiles, TlsMaterial, read_tls

INCOMPLETE = 3

Command = Callable[..., Any]


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


def addresses(command: Command) -> Command:
    """The options by which running services are reached; the command gets `protector`, `invader` and `tls`."""

    @click.option("--protector", envvar="DEID_ORCHESTRATOR_PROTECTOR", help="A running protector, host:port.")
    @click.option("--invader", envvar="DEID_ORCHESTRATOR_INVADER", help="A running invader, host:port.")
    @_tls_file("certificate", help="PEM certificate to show to running services: mutual TLS.")
    @_tls_file("key", help="PEM private key of that certificate.")
    @_tls_file("authority", help="PEM certificate of the authority that signed the services' certificates.")
    @functools.wraps(command)
    def with_tls(
        *, tls_certificate: Path | None, tls_key: Path | None, tls_authority: Path | None, **others: object
    ) -> object:
        return command(tls=_read_tls(tls_certificate, tls_key, tls_authority), **others)

    return with_tls


def _tls_file(name: str, *, help: str) -> Callable[[Command], Command]:  # noqa: A002 - click's word
    envvar = f"DEID_ORCHESTRATOR_TLS_{name.upper()}"
    return click.option(f"--tls-{name}", type=PathOption(), envvar=envvar, help=help)


def _read_tls(certificate: Path | None, key: Path | None, authority: Path | None) -> TlsMaterial | None:
    if certificate is None and key is None and authority is None:
        return None
    if certificate is None or key is None or authority is None:
        raise InputError("--tls-certificate, --tls-key and --tls-authority: expected all three or none")
    try:
        return read_tls(TlsFiles(certificate, key, authority))
    except TlsError as error:
        raise InputError(f"--tls-certificate, --tls-key, --tls-authority: {error}") from error


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 110})
@click.version_option(package_name="face-deid-bench", prog_name="orchestrator", message="%(prog)s %(version)s")
def cli() -> None:
    """Measures how well adversarial cloaks protect face photographs from recognizers they were not made for."""


@cli.command(name="evaluate")
@click.option(
    "--faces",
    default=PREFIX,
    help="Data set: a folder of identity folders, or synthetic people: synthetic:identities=300,photographs=4,seed=0.",
)
@addresses
@click.option(
    "--protector-checkpoints",
    type=PathOption(),
    help="Start a protector with this folder.  [default: the embedded recognizers]",
)
@click.option(
    "--invader-checkpoints",
    type=PathOption(),
    help="Start an invader with this folder.  [default: the embedded recognizers]",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="float32",
    help="What the networks of started services compute in; auto is bfloat16 where the processor multiplies it natively.",
)
@click.option(
    "--subjects",
    type=click.IntRange(1),
    help=f"Number of subjects, N; one photo each. With --until-halfwidth the most.  [default: {SUBJECTS}, or all]",
)
@click.option(
    "--until-halfwidth",
    type=float,
    metavar="POINTS",
    help="Draw subjects until the 95 % interval of every PSR is at most ± so many points; at most 50.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of the draw of subjects and the noise control.")
@click.option(
    "--source-models",
    type=CommaList(str, name="model"),
    help="Crafted with.  [default: the paper's three, or the embedded three, or all that the protector has]",
)
@click.option(
    "--target-models",
    type=CommaList(str, name="model"),
    help="Classified by.  [default: the paper's three, or the embedded three, or all that the invader has]",
)
@click.option("--methods", type=CommaList(str, name="method"), default=",".join(METHODS), help="Beside both controls.")
@click.option(
    "--epsilons",
    type=CommaList(int, name="epsilon", low=1, high=255),
    default=",".join(map(str, EPSILONS)),
    help="Budgets.",
)
@click.option(
    "--k",
    "ks",
    type=CommaList(int, name="k", low=1),
    help=f"PSR@k.  [default: {','.join(map(str, KS))}, as far as the invader discloses so many candidates]",
)
@click.option("--storage", type=click.Choice(["jpeg", "png"]), default="jpeg", help="How cloaks are stored.")
@click.option("--jpeg-quality", type=click.IntRange(1, 100), default=JPEG_QUALITY, help="Of stored cloaks.")
@click.option(
    "--region",
    type=click.Choice([region.value for region in Region]),
    default=Region.DETECTED.value,
    help="What of a cloak the target models see: the face that the invader finds in it, or the whole image, resized.",
)
@click.option(
    "--run",
    type=PathOption(),
    help="Run folder, new or to go on with.  [default: TIME in --runs]",
)
@click.option(
    "--runs",
    type=PathOption(),
    default=Path("runs"),
    envvar="DEID_ORCHESTRATOR_RUNS",
    help="Folder of run folders.",
)
@click.option(
    "--store",
    envvar="DEID_ORCHESTRATOR_STORE",
    help="Database that several orchestrators share for one run: postgresql+psycopg://USER@HOST/DATABASE.  "
    "[default: a file in the run folder]",
)
@click.option("--discard-cloaks", is_flag=True, help="Keep no cloaks in the run folder.")
@click.option("--no-report", is_flag=True, help="Write no report; `orchestrator report` can later.")
@click.option("--allow-incomplete", is_flag=True, help="Write figures and report although cells are short.")
@click.option("--in-flight", type=click.IntRange(1, 64), default=4, help="Subjects that are worked on at a time.")
@click.option(
    "--outage-timeout",
    type=click.FloatRange(0),
    default=OUTAGE_TIMEOUT_SECONDS,
    help="Seconds to wait for a service or a database that does not answer, before the run stops.",
)
def evaluate_command(
    *,
    faces: str,
    protector: str | None,
    protector_checkpoints: Path | None,
    invader: str | None,
    invader_checkpoints: Path | None,
    tls: TlsMaterial | None,
    precision: str,
    subjects: int | None,
    until_halfwidth: float | None,
    seed: int,
    source_models: tuple[str, ...] | None,
    target_models: tuple[str, ...] | None,
    methods: tuple[str, ...],
    epsilons: tuple[int, ...],
    ks: tuple[int, ...] | None,
    storage: str,
    jpeg_quality: int,
    region: str,
    run: Path | None,
    runs: Path,
    store: str | None,
    discard_cloaks: bool,
    no_report: bool,
    allow_incomplete: bool,
    in_flight: int,
    outage_timeout: float,
) -> None:
    """Run the paper's grid on a data set and print PSR.

    Figures, outcome and report are written before anything of them is printed. Exit status: 0 complete, 3 some cells are
    short, 2 bad input, 1 a service or the store failed, 130 interrupted by Ctrl-C (143 by SIGTERM, 129 by SIGHUP), 74 all is
    done, but standard output could not be written.
    """
    _check_methods(methods)
    choices = (
        EndpointSpec("protector", protector, protector_checkpoints, precision, tls),
        EndpointSpec("invader", invader, invader_checkpoints, precision, tls),
    )
    for choice in choices:
        check_choice(choice)
    wish = RunRequest(
        faces=read_data_set(faces),
        source_models=source_models,
        target_models=target_models,
        methods=methods,
        epsilons=tuple(sorted(epsilons)),
        ks=None if ks is None else tuple(sorted(ks)),
        storage=Storage(jpeg_quality if storage == "jpeg" else None),
        subjects=subjects,
        seed=seed,
        region=Region(region),
        until_halfwidth=until_halfwidth,
    )
    now = datetime.now().astimezone()
    folder = RunFolder(runs / f"{now:%Y%m%d-%H%M%S}", new=True) if run is None else RunFolder(run)
    out = console()
    try:
        finished = interruption.run(
            evaluate(
                wish,
                protector=choices[0],
                invader=choices[1],
                folder=folder,
                store=store,
                keep_cloaks=not discard_cloaks,
                subjects_in_flight=in_flight,
                outage_timeout=outage_timeout,
                allow_incomplete=allow_incomplete,
                console=out,
            )
        )
    except Interrupted as signal:
        if not folder.begun:
            raise
        raise Interrupted(signal.number, f"; {_way_on(folder)}") from None
    except InputError:
        raise
    except OrchestratorError as error:
        if not folder.begun:
            raise
        raise OrchestratorError(f"{error}; {_way_on(folder)}") from error
    page: Path | None = None
    try:
        if finished.published and not no_report:
            with out.status("writing the report"):
                page = _report(folder, store=store)
    finally:
        show(finished, out)
        if page is not None:
            click.echo(f"report: {page}")
    if not finished.complete:
        raise SystemExit(INCOMPLETE)


def _report(folder: RunFolder, *, store: str | None) -> Path | None:
    """What was observed is there whether or not a page can be made of it."""
    try:
        return report(folder.root, store=store, allow_incomplete=True)
    except OrchestratorError as error:
        click.echo(f"no report was written: {error}", err=True)
        return None


@cli.command(name="doctor")
@addresses
@click.option("--project", envvar="COMPOSE_PROJECT_NAME", help="Compose project to look at.  [default: the only one]")
def doctor_command(*, protector: str | None, invader: str | None, tls: TlsMaterial | None, project: str | None) -> None:
    """Say what is wrong with a deployment, and how to mend it.

    Over the wire where addresses are given, and by the Docker engine where there is one. Exit status: 0 all is well, 1
    something is wrong, 2 bad input.
    """
    from orchestrator.doctor.examination import examine, show  # only now: an evaluation needs no Docker SDK
    from orchestrator.doctor.finding import Verdict

    findings = interruption.run(examine(protector, invader, tls, project=project))
    show(findings, console())
    if any(finding.verdict is Verdict.WRONG for finding in findings):
        raise SystemExit(1)


def _way_on(folder: RunFolder) -> str:
    return f"what was observed is kept, and the same command with --run {folder.root} goes on"


def _check_methods(methods: Sequence[str]) -> None:
    controls = [method for method in methods if method in (CONTROL, NOISE)]
    if controls:
        raise InputError(f"--methods: expected methods beside the controls, which every run has; got {controls[0]}")


cli.command(name="conformance")(addresses(conformance_command))
for command in (report_command, runs_command, compare_command, purge_command):
    cli.add_command(command)
