"""`orchestrator replay`: shows the cloaks that a run kept to another invader, or under other conditions."""

from dataclasses import dataclass
from pathlib import Path

import click

from command_line.options import PathOption
from orchestrator.cloaks.kept import KeptCloaks
from orchestrator.commands.options import conditions_of, option, takes
from orchestrator.commands.running import RunOptions, run_and_show
from orchestrator.experiment.condition import Condition
from orchestrator.report.run import read_run
from orchestrator.run_folder.folder import RunFolder
from orchestrator.session.planning import replay_request
from orchestrator.store.store import Store


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(RunOptions):
    """What a replay is asked for."""

    conditions: tuple[Condition, ...] | None = option(
        multiple=True,
        callback=conditions_of,
        metavar="CONDITION,...",
        help="What happens to a picture on its way, as of evaluate.  [default: those of RUN]",
    )


@click.command(name="replay")
@click.argument("run_to_replay", type=PathOption(), metavar="RUN")
@takes(ReplayOptions)
def replay_command(options: ReplayOptions, *, run_to_replay: Path) -> None:
    """Show the cloaks that RUN kept to another invader, or under other conditions.

    No protector is asked. It is a run of its own, whose manifest names RUN. The invader is oblivious: the cloaks were made
    without regard to it. Exit status as of evaluate.
    """
    kept = _kept_cloaks(run_to_replay, options.store)
    run_and_show(options, replay_request(kept, options.conditions, options.target_models), kept)


def _kept_cloaks(root: Path, store: str | None) -> KeptCloaks:
    run = read_run(root, offered=store)
    return KeptCloaks(RunFolder(root), run.manifest, run.grid, Store(run.store, run=run.digest, create=False))
