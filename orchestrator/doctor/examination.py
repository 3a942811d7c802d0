"""The whole examination, and how it is shown."""

import asyncio
from collections.abc import Mapping
from importlib.metadata import version

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.doctor.engine import examine_engine
from orchestrator.doctor.finding import Finding, Verdict
from orchestrator.doctor.pod import examine_pod, is_pod
from orchestrator.doctor.wire import NO_NAMES, examine_services
from orchestrator.errors import InputError
from rpc.addresses import AddressError
from rpc.tls import TlsMaterial

_STYLES = {Verdict.GOOD: "green", Verdict.WRONG: "bold red", Verdict.UNKNOWN: "yellow"}


async def examine(
    protector: str | None,
    invader: str | None,
    tls: TlsMaterial | None,
    *,
    project: str | None,
    tls_names: Mapping[str, str | None] = NO_NAMES,
    ledger: str | None = None,
) -> list[Finding]:
    """All findings on a deployment; `tls_names` are as of `examine_services`, `ledger` as of `examine_pod`.

    Raises:
        InputError: one address without the other, one that is none, or nothing to examine.
    """
    findings = []
    if protector is not None and invader is not None:
        try:
            findings += [finding async for finding in examine_services(protector, invader, tls, tls_names=tls_names)]
        except AddressError as error:
            raise InputError(f"--protector, --invader: {error}") from error
    elif protector is not None or invader is not None:
        raise InputError("--protector, --invader: expected both addresses or none, got one")
    if is_pod() and project is None:
        findings += await asyncio.to_thread(lambda: list(examine_pod(ledger)))
    elif ledger is not None:
        raise InputError("--ledger: expected to run in a pod on Kubernetes, as one of its orchestrators")
    else:
        findings += examine_engine(project, version=version("face-deid-bench"))
    if all(finding.verdict is Verdict.UNKNOWN for finding in findings):
        raise InputError(f"nothing to examine: give --protector and --invader, or a Docker engine; {findings[0].seen}")
    return findings


def show(findings: list[Finding], console: Console) -> None:
    """Prints what was found, and the way out of what is wrong."""
    table = Table()
    for column in ("", "", "", "seen", "to mend it"):
        table.add_column(column)
    for finding in findings:
        verdict = finding.verdict
        cells = (finding.subject, finding.demand, finding.seen, finding.mend)
        table.add_row(Text(verdict.value, style=_STYLES[verdict]), *map(Text, cells))
    console.print(table)
    wrong = sum(finding.verdict is Verdict.WRONG for finding in findings)
    console.print(f"{len(findings)} findings, {wrong} wrong", style="bold red" if wrong else "green")
