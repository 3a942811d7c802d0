"""`orchestrator evaluate`: from a data set and two services to PSR."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.clients import InvaderClient, ProtectorClient
from orchestrator.errors import InputError, QueryBudgetSpentError
from orchestrator.manifest import Plan
from orchestrator.metrics.observation import Observation
from orchestrator.metrics.psr import results
from orchestrator.planning import Planned, Wish, make_plan
from orchestrator.progress import RunProgress
from orchestrator.psr_csv import psr_csv
from orchestrator.run_folder import RunFolder
from orchestrator.runner import Runner, Tally
from orchestrator.services import child_service
from orchestrator.store import Fate, Store
from orchestrator.tables import psr_tables
from rpc.tls import TlsMaterial

NAMES_SHOWN = 5


@dataclass(frozen=True)
class ServiceChoice:
    """Where a service is (`host:port`), or what to start it with: a folder, or else the embedded recognizers."""

    kind: str  # "protector" or "invader"
    address: str | None
    checkpoints: Path | None
    precision: str = "float32"  # of one that is started
    tls: TlsMaterial | None = None  # shown to one that is running

    @property
    def tls_in_use(self) -> TlsMaterial | None:
        """None for a service that is started: it listens on loopback."""
        return None if self.address is None else self.tls


@dataclass(frozen=True)
class Finished:
    """What became of a run."""

    complete: bool  # every cell has the N that was asked for
    folder: Path


async def evaluate(
    wish: Wish,
    *,
    protector: ServiceChoice,
    invader: ServiceChoice,
    folder: RunFolder,
    keep_cloaks: bool,
    subjects_in_flight: int,
    console: Console,
) -> Finished:
    """Runs the grid, or what is left of it, and writes and prints the results.

    Raises:
        OrchestratorError: it cannot go on; what was observed stays in the run folder.
    """
    started = time.monotonic()
    folder.create()
    async with AsyncExitStack() as stack:
        with console.status("starting the services"):
            protector_address, invader_address = await asyncio.gather(
                *(stack.enter_async_context(_address(choice, folder, console)) for choice in (protector, invader))
            )
        protector_client = ProtectorClient(protector_address, tls=protector.tls_in_use)
        stack.push_async_callback(protector_client.close)
        invader_client = InvaderClient(invader_address, tls=invader.tls_in_use)
        stack.push_async_callback(invader_client.close)
        planned = await make_plan(wish, protector_client, invader_client)
        plan = planned.plan
        folder.bind(plan)
        store = Store(folder.observations, run=plan.digest())
        stack.callback(store.close)
        _announce(planned, folder, console, budget=_budget_note(planned, store, invader_client.queries_left))
        left = _subjects_left(plan, store) if keep_cloaks else 0
        per_subject = sum(1 for source_model in plan.grid.source_models for _ in plan.grid.cloaks(source_model))
        controls = left * len(plan.grid.source_models)
        folder.check_room(cloaks=left * per_subject, storage=plan.storage, lossless_controls=controls)
        total = plan.subjects * plan.grid.observations_per_probe
        with RunProgress(console, subjects=plan.subjects, observations=total) as progress:
            runner = Runner(
                planned,
                protector=protector_client,
                invader=invader_client,
                store=store,
                folder=folder,
                progress=progress,
                keep_cloaks=keep_cloaks,
                subjects_in_flight=subjects_in_flight,
            )
            try:
                await runner.run()
            except QueryBudgetSpentError as error:  # what was observed is a result, if a short one
                progress.note(str(error))
        seconds = time.monotonic() - started
        return _conclude(planned, store, folder, runner.tally, console, seconds=seconds, left=invader_client.queries_left)


def _subjects_left(plan: Plan, store: Store) -> int:
    return plan.subjects - sum(subject.fate is Fate.SUBJECT for subject in store.subjects())


@asynccontextmanager
async def _address(choice: ServiceChoice, folder: RunFolder, console: Console) -> AsyncIterator[str]:
    if choice.address is not None:
        yield choice.address
        return
    arguments = ["--precision", choice.precision]
    if choice.checkpoints is not None:
        arguments += ["--checkpoints", str(choice.checkpoints)]
    async with child_service(f"{choice.kind}_service", arguments=arguments, log=folder.log(choice.kind)) as service:
        for complaint in service.complaints:
            console.print(f"{choice.kind}: {complaint}", style="yellow", markup=False, highlight=False)
        yield service.address


def _budget_note(planned: Planned, store: Store, left: int | None) -> str:
    """What the invader's budget means for the run; empty where it has none."""
    if left is None:
        return ""
    plan = planned.plan
    seen = {(each.probe, each.cell.cloak) for each in store.observations()}
    to_ask = plan.subjects * sum(1 for model in plan.grid.source_models for _ in plan.grid.cloaks(model)) - len(seen)
    verdict = "enough" if to_ask <= left else "NOT ENOUGH: cells will be short"
    return f"{left} queries are left with the invader, and about {max(0, to_ask)} are needed: {verdict}"


def _announce(planned: Planned, folder: RunFolder, console: Console, *, budget: str) -> None:
    plan = planned.plan
    lines = [
        f"run folder     {folder.root}",
        f"subjects       {plan.subjects} of {len(planned.eligible)} identities that every model knows",
        f"grid           {', '.join(plan.grid.source_models)} by {', '.join(plan.grid.methods)} at "
        f"{', '.join(map(str, plan.grid.epsilons))}, read by {', '.join(plan.grid.target_models)}: "
        f"{plan.grid.observations_per_probe} observations a probe",
        f"storage        {plan.storage}",
        f"reading        {plan.reading}",
    ]
    if planned.excluded:
        lines.append(f"excluded       {len(planned.excluded)} identities unknown to some model: {_some(planned.excluded)}")
    if plan.faces.skipped:
        lines.append(f"skipped        {len(plan.faces.skipped)} files that are not JPEG or PNG: {_some(plan.faces.skipped)}")
    lines += [f"missing        {sentence}" for sentence in planned.missing]
    if budget:
        lines.append(f"budget         {budget}")
    if plan.caveat:
        lines.append(f"take care      {plan.caveat}")
    console.print("\n".join(lines), markup=False, highlight=False)


def _conclude(
    planned: Planned,
    store: Store,
    folder: RunFolder,
    tally: Tally,
    console: Console,
    *,
    seconds: float,
    left: int | None,
) -> Finished:
    plan = planned.plan
    observations = subject_observations(store)
    cell_results = list(results(observations, ks=plan.grid.ks))
    folder.write_psr(psr_csv(cell_results, subjects=plan.subjects, caveat=plan.caveat))
    for table in psr_tables(cell_results, plan.grid, subjects=plan.subjects, caveat=plan.caveat):
        console.print(table)
    short = _short_cells(planned, observations)
    outcome = _outcome(planned, store, tally, seconds) | {"invader_queries_left": left}
    folder.write_manifest((folder.manifest() or {}) | {"outcome": outcome})
    for failure in tally.failures:
        console.print(f"failed: {failure.probe}: {failure.what}: {failure.message}", style="yellow", markup=False)
    if short:
        console.print(
            f"INCOMPLETE: {len(short)} cells have fewer than {plan.subjects} observations; their N stands beside them. "
            f"The same command with --run {folder.root} asks again for what is missing",
            style="bold red",
            markup=False,
        )
    console.print(
        f"{len(observations)} observations in {seconds:.0f} s; results in {folder.root}", markup=False, highlight=False
    )
    return Finished(complete=not short, folder=folder.root)


def subject_observations(store: Store) -> list[Observation]:
    """The observations of the run's subjects; those of an identity that was replaced after all do not count."""
    photos = {subject.photo for subject in store.subjects() if subject.fate is Fate.SUBJECT}
    return [observation for observation in store.observations() if observation.probe in photos]


def _short_cells(planned: Planned, observations: list[Observation]) -> list[Any]:
    counts = Counter(observation.cell for observation in observations)
    return [cell for cell in planned.plan.grid.cells() if counts[cell] < planned.plan.subjects]


def _outcome(planned: Planned, store: Store, tally: Tally, seconds: float) -> dict[str, Any]:
    drawn = store.subjects()
    return {
        "subjects": [subject.photo for subject in drawn if subject.fate is Fate.SUBJECT],
        "replaced": {subject.identity: subject.fate.value for subject in drawn if subject.fate is not Fate.SUBJECT},
        "photos": {subject.photo: subject.photo_sha256 for subject in drawn if subject.photo},
        "excluded": list(planned.excluded),
        "missing_models": list(planned.missing),
        "caveat": planned.plan.caveat,
        "skipped_files": list(planned.plan.faces.skipped),
        "unreadable_photos": tally.unreadable_photos,
        "failed_calls": len(store.failures()),
        "last_session": {
            "craft_calls": tally.craft_calls,
            "classify_calls": tally.classify_calls,
            "lossless_control_calls": tally.lossless_control_calls,
            "seconds": round(seconds, 1),
        },
    }


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")


def check_choice(choice: ServiceChoice) -> None:
    """Makes sure that a service is not asked to be in two places.

    Raises:
        InputError: both an address and checkpoints were given.
    """
    option = f"--{choice.kind}"
    if choice.address is not None and choice.checkpoints is not None:
        raise InputError(f"{option}, {option}-checkpoints: expected at most one of the two, got both")
