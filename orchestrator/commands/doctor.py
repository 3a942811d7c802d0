"""`orchestrator doctor`: what is wrong with a deployment."""

from dataclasses import dataclass

import click

from orchestrator.commands import interruption
from orchestrator.commands.console import console
from orchestrator.commands.options import ServiceOptions, option, takes
from orchestrator.doctor.examination import examine, show
from orchestrator.doctor.finding import Verdict


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(ServiceOptions):
    """What is looked at."""

    project: str | None = option(envvar="COMPOSE_PROJECT_NAME", help="Compose project to look at.  [default: the only one]")
    ledger: str | None = option(
        metavar="HOST:PORT", help="On Kubernetes, the database of the invader's ledger, which must not be reached from here."
    )


@click.command(name="doctor")
@takes(DoctorOptions)
def doctor_command(options: DoctorOptions) -> None:
    """Say what is wrong with a deployment, and how to mend it.

    Over the wire where addresses are given, by the Docker engine where there is one, and from within a pod. Exit status: 0
    all is well, 1 something is wrong, 2 bad input.
    """
    asked = examine(
        options.protector,
        options.invader,
        options.tls(),
        project=options.project,
        tls_names=options.tls_names,
        ledger=options.ledger,
    )
    findings = interruption.run(asked)
    show(findings, console())
    if any(finding.verdict is Verdict.WRONG for finding in findings):
        raise SystemExit(1)
