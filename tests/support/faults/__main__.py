"""`python -m tests.support.faults`: the campaign whose table stands in docs/reliability.md."""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path

import click

from orchestrator.session.classifying import CLASSIFICATIONS_IN_FLIGHT
from tests.support.faults.campaign import Trial, reference, trial
from tests.support.faults.kinds import FAULTS
from tests.support.faults.stage import GRID, stage
from tests.support.postgres import running_cluster

COLUMNS = ("fault", "runs", "went on by itself", "resumed", "asked twice: most", "in all", "differing")


@click.command()
@click.option("--runs", type=click.IntRange(1), default=100, help="Evaluations, each with one fault.")
@click.option("--seed", type=int, default=0, help="Of the moments.")
@click.option("--json", "to", type=click.Path(path_type=Path), help="Write every run's outcome.")
def main(*, runs: int, seed: int, to: Path | None) -> None:
    """Disturb evaluations of a small grid and compare what is left with one that was not."""
    trials: list[Trial] = []
    kinds = list(FAULTS)
    with tempfile.TemporaryDirectory() as name, stage(Path(name), grid=GRID) as acted, running_cluster() as database:
        expected = reference(acted, Path(name))
        click.echo(f"undisturbed: {len(expected.observed.answers)} observations, {expected.seconds:.1f} s", err=True)
        numbers = count()
        while len(trials) < runs:
            number = next(numbers)
            made = trial(
                acted,
                expected,
                kinds[len(trials) % len(kinds)],
                folder=Path(name) / f"run-{number}",
                cluster=database,
                seed=seed + number,
            )
            if not made.struck and not made.wrong:
                click.echo(f"{made.fault} at {made.moment:.0%} came too late", err=True)
                continue
            trials.append(made)
            verdict = "; ".join(made.wrong) or "same"
            click.echo(
                f"{len(trials)} of {runs}: {made.fault} at {made.moment:.0%}: {made.sessions} sessions, "
                f"{made.twice} asked twice: {verdict}",
                err=True,
            )
            if made.wrong:
                click.echo(made.said, err=True)
            if to is not None:
                to.write_text(json.dumps([asdict(each) for each in trials], indent=2))
    click.echo(table(trials))
    sys.exit(any(each.wrong for each in trials))


def table(trials: Sequence[Trial]) -> str:
    """Markdown: a row for each kind of fault, and one for all."""
    rows = ["| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
    for name in (*FAULTS, "all"):
        of_kind = [each for each in trials if name in (each.fault, "all")]
        if of_kind:
            resumed = sum(each.sessions > 1 for each in of_kind)
            twice = [each.twice for each in of_kind]
            figures = (
                len(of_kind),
                len(of_kind) - resumed,
                resumed,
                max(twice),
                sum(twice),
                sum(map(bool, map(len, (e.wrong for e in of_kind)))),
            )
            rows.append(f"| {name} | " + " | ".join(map(str, figures)) + " |")
    return "\n".join([*rows, "", f"In flight at most: {CLASSIFICATIONS_IN_FLIGHT} questions."])


if __name__ == "__main__":
    main()
