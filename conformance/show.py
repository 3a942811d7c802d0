"""Outcomes for people and for programs: a table, JSON, JUnit XML."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.catalogue import ALL_CHECKS
from conformance.check import Outcome, Verdict, none_wrong

_STYLES = {
    Verdict.PASSED: "green",
    Verdict.FAILED: "bold red",
    Verdict.NOT_APPLICABLE: "yellow",
    Verdict.ERROR: "bold magenta",
    Verdict.NOT_RUN: "magenta",
}


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """Prints a table: each demand, and what was seen instead, or why the check did not run."""
    table = Table()
    for column in ("check", "", "demands", "seen"):
        table.add_column(column, overflow="fold")
    for outcome in outcomes:
        failed = outcome.verdict in (Verdict.FAILED, Verdict.ERROR)  # then the reason is shown too
        demands = f"{outcome.demands} {outcome.why}" if failed else outcome.demands
        verdict = Text(outcome.verdict.value, style=_STYLES[outcome.verdict])
        table.add_row(
            Text(f"{outcome.id} at {outcome.at}" if outcome.at else outcome.id),
            verdict,
            Text(demands),
            Text(outcome.evidence),
        )
    console.print(table)
    console.print(summary(outcomes), style="green" if none_wrong(outcomes) else "bold red", markup=False, highlight=False)


def show_checks(console: Console) -> None:
    """Prints what is checked, and why."""
    table = Table()
    for column in ("check", "demands", "why"):
        table.add_column(column, overflow="fold")
    for each in ALL_CHECKS:
        table.add_row(Text(each.id), Text(each.demands), Text(each.why))
    console.print(table)


def summary(outcomes: Sequence[Outcome]) -> str:
    """One line: the number of checks by verdict, and the seconds they took."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    parts = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
    number = "1 check" if len(outcomes) == 1 else f"{len(outcomes)} checks"
    return f"{number} in {sum(outcome.seconds for outcome in outcomes):.1f} s: {', '.join(parts)}"


def as_json(outcomes: Sequence[Outcome]) -> bytes:
    """A JSON object: `version` of the suite, `conforms`, and `checks` in their order."""
    checks = [
        asdict(outcome) | {"verdict": outcome.verdict.value, "seconds": round(outcome.seconds, 3)} for outcome in outcomes
    ]
    document = {"version": version("face-deid-bench"), "conforms": none_wrong(outcomes), "checks": checks}
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def as_junit(outcomes: Sequence[Outcome]) -> bytes:
    """JUnit XML: a suite for each service or replica, a test case for each check; one that is not applicable is skipped."""
    suites = ElementTree.Element("testsuites", name="conformance")
    for service in dict.fromkeys(_suite(outcome) for outcome in outcomes):
        own = [outcome for outcome in outcomes if _suite(outcome) == service]
        counts = Counter(outcome.verdict for outcome in own)
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=service,
            tests=str(len(own)),
            failures=str(counts[Verdict.FAILED]),
            errors=str(counts[Verdict.ERROR] + counts[Verdict.NOT_RUN]),
            skipped=str(counts[Verdict.NOT_APPLICABLE]),
            time=f"{sum(outcome.seconds for outcome in own):.3f}",
        )
        for outcome in own:
            name = outcome.id.partition(".")[2]
            case = ElementTree.SubElement(suite, "testcase", classname=service, name=name, time=f"{outcome.seconds:.3f}")
            if (kind := _ELEMENTS.get(outcome.verdict)) is not None:
                child = ElementTree.SubElement(case, kind, message=outcome.evidence)
                child.text = f"{outcome.demands} {outcome.why}"
    ElementTree.indent(suites)
    document: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(outcome: Outcome) -> str:
    service = outcome.id.partition(".")[0]
    return f"{service} at {outcome.at}" if outcome.at else service


_ELEMENTS = {
    Verdict.FAILED: "failure",
    Verdict.ERROR: "error",
    Verdict.NOT_APPLICABLE: "skipped",
    Verdict.NOT_RUN: "error",  # a pipeline must not take an unchecked service for a good one
}
