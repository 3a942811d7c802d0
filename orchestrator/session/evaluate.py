"""`orchestrator evaluate`: from a data set and two services to PSR."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from orchestrator.errors import InputError, OrchestratorError, QueryBudgetSpentError
from orchestrator.experiment.manifest import Plan, check_same_plan
from orchestrator.outages import OUTAGE_TIMEOUT_SECONDS
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.children import child_service
from orchestrator.services.invader import InvaderClient
from orchestrator.services.protector import ProtectorClient
from orchestrator.services.recovery import RecoveryGate
from orchestrator.services.retries import RetryPolicy
from orchestrator.session.drawing import Runner
from orchestrator.session.planning import ResolvedPlan, RunRequest, asked_of_invader, asked_of_protector, make_plan
from orchestrator.session.progress import RunProgress
from orchestrator.session.stopping_rule import StoppingRule
from orchestrator.session.subject import Services, SubjectObserver
from orchestrator.session.summary import RunResult, finalize, record_stop
from orchestrator.store import Journal, Store
from rpc.tls import TlsMaterial

NAMES_SHOWN = 5
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class EndpointSpec:
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


async def evaluate(
    wish: RunRequest,
    *,
    protector: EndpointSpec,
    invader: EndpointSpec,
    folder: RunFolder,
    store: str | None = None,
    keep_cloaks: bool,
    subjects_in_flight: int,
    outage_timeout: float = OUTAGE_TIMEOUT_SECONDS,
    allow_incomplete: bool = False,
    console: Console,
) -> RunResult:
    """Runs the grid, or what is left of it, and writes the results.

    Args:
        wish: What to run.
        protector: Where the protector is.
        invader: Where the invader is.
        folder: Of the run.
        store: URL of a database that several orchestrators share; None for a file in the run folder.
        keep_cloaks: Whether cloaks and lossless controls stay in the run folder.
        subjects_in_flight: Subjects that are worked on at a time.
        outage_timeout: Seconds to wait for a service or a database that does not answer.
        allow_incomplete: Whether to write figures of a run of which cells are short.
        console: Where to print how far it is.

    Raises:
        OrchestratorError: it cannot go on; what was observed stays.
    """
    started = time.monotonic()
    folder.check()
    await _check_running(wish, protector, invader)
    folder.create()
    folder.sweep()
    async with AsyncExitStack() as stack:
        note = partial(console.print, style="yellow", markup=False, highlight=False)
        if not folder.syncs_names:
            note(f"{folder.root}: the file system cannot sync folders: after a power cut the newest files may be missing")
        with console.status("starting the services"):
            protector_at, invader_at = await asyncio.gather(
                *(stack.enter_async_context(_whereabouts(choice, folder, console)) for choice in (protector, invader))
            )
        protector_client = ProtectorClient(protector_at.address, tls=protector.tls_in_use)
        stack.push_async_callback(protector_client.close)
        invader_client = InvaderClient(invader_at.address, tls=invader.tls_in_use)
        stack.push_async_callback(invader_client.close)
        planned = await make_plan(wish, protector_client, invader_client)
        plan = planned.plan
        observations = _open_store(plan, folder, asked=store, outage_timeout=outage_timeout, note=note)
        stack.callback(observations.close)
        journal = await stack.enter_async_context(Journal(observations))
        _announce(planned, folder, console, budget=_budget_note(planned, observations, invader_client.queries_left))
        _check_room(plan, folder, observations, keep_cloaks=keep_cloaks)
        folder.forget_outcome()
        with RunProgress(
            console, subjects=plan.subjects, observations_per_subject=plan.grid.observations_per_probe
        ) as progress:
            waiting = partial(RecoveryGate, outage_timeout=outage_timeout, note=progress.note)
            retrying = partial(RetryPolicy, outage_timeout=outage_timeout, note=progress.note)
            services = Services(
                protector_client,
                invader_client,
                retrying(
                    waiting(
                        protector_client.name,
                        check=partial(protector_client.check_unchanged, plan.source_models),
                        ended=protector_at.ended,
                    )
                ),
                retrying(
                    waiting(
                        invader_client.name,
                        check=partial(invader_client.check_unchanged, plan.target_models),
                        ended=invader_at.ended,
                    )
                ),
            )
            observer = SubjectObserver(
                planned,
                services,
                store=observations,
                journal=journal,
                folder=folder,
                progress=progress,
                keep_cloaks=keep_cloaks,
            )
            runner = Runner(
                planned,
                observer,
                store=observations,
                journal=journal,
                progress=progress,
                keep_cloaks=keep_cloaks,
                subjects_in_flight=subjects_in_flight,
            )
            reached = None
            try:
                try:
                    reached = await runner.run()
                except QueryBudgetSpentError as error:  # what was observed is a result, if a short one
                    progress.note(str(error))
                return finalize(
                    planned,
                    observations,
                    folder,
                    observer.tally,
                    reached=reached,
                    seconds=time.monotonic() - started,
                    left=invader_client.queries_left,
                    allow_incomplete=allow_incomplete,
                )
            except (asyncio.CancelledError, OrchestratorError) as error:
                seconds = time.monotonic() - started
                record_stop(planned, observations, folder, observer.tally, why=str(error) or INTERRUPTED, seconds=seconds)
                raise


async def _check_running(wish: RunRequest, protector: EndpointSpec, invader: EndpointSpec) -> None:
    """Asks the services that are running for what is wanted of them, before anything is started or made.

    Raises:
        OrchestratorError: it cannot be had.
    """
    async with AsyncExitStack() as stack:
        if protector.address is not None:
            protector_client = ProtectorClient(protector.address, tls=protector.tls)
            stack.push_async_callback(protector_client.close)
            await asked_of_protector(wish, protector_client)
        if invader.address is not None:
            invader_client = InvaderClient(invader.address, tls=invader.tls)
            stack.push_async_callback(invader_client.close)
            await asked_of_invader(wish, invader_client)


def _open_store(
    plan: Plan, folder: RunFolder, *, asked: str | None, outage_timeout: float, note: Callable[[str], None]
) -> Store:
    """The store of the run that a folder holds, or begins with; it decides which run that is where several begin at once."""
    folder.check_same(plan)
    location = folder.store_location(asked)
    store = Store(location, run=plan.digest(), patience=outage_timeout, note=note)
    try:
        elsewhere = None if location == folder.observations else store.name
        recorded = store.bind(folder.name, plan.manifest())
        check_same_plan(recorded.manifest, plan, run=f"{recorded.name} in {store.name}")
        if elsewhere is not None:  # a folder with its own file may be renamed
            _check_same_name(recorded.name, folder, store)
        folder.bind(plan, store=elsewhere)
    except BaseException:
        store.close()
        raise
    return store


def _check_same_name(recorded: str, folder: RunFolder, store: Store) -> None:
    if recorded != folder.name:
        raise InputError(
            f"--run: {store.name} holds a run of the same plan that is called {recorded!r}, got {folder.name!r}: a folder "
            f"of that name goes on with it, and doing it once more takes another database"
        )


def _check_room(plan: Plan, folder: RunFolder, store: Store, *, keep_cloaks: bool) -> None:
    left = _subjects_left(plan, store) if keep_cloaks else 0
    per_subject = sum(1 for source_model in plan.grid.source_models for _ in plan.grid.cloaks(source_model))
    controls = left * len(plan.grid.source_models)
    folder.check_room(cloaks=left * per_subject, storage=plan.storage, lossless_controls=controls)


def _subjects_left(plan: Plan, store: Store) -> int:
    """Of those that are certain to be wanted."""
    return max(0, StoppingRule.of(plan).first() - store.observation_counts().subjects)


@dataclass(frozen=True)
class Endpoint:
    """Where a service is, and whether it has ended where this process started it."""

    address: str
    ended: Callable[[], str | None] = lambda: None


@asynccontextmanager
async def _whereabouts(choice: EndpointSpec, folder: RunFolder, console: Console) -> AsyncIterator[Endpoint]:
    if choice.address is not None:
        yield Endpoint(choice.address)
        return
    arguments = ["--precision", choice.precision]
    if choice.checkpoints is not None:
        arguments += ["--checkpoints", str(choice.checkpoints)]
    async with child_service(f"{choice.kind}_service", arguments=arguments, log=folder.log(choice.kind)) as service:
        for complaint in service.complaints:
            console.print(f"{choice.kind}: {complaint}", style="yellow", markup=False, highlight=False)
        yield Endpoint(service.address, service.ended)


def _budget_note(planned: ResolvedPlan, store: Store, left: int | None) -> str:
    """What the invader's budget means for the run; empty where it has none."""
    if left is None:
        return ""
    plan = planned.plan
    cloaks = plan.subjects * sum(1 for model in plan.grid.source_models for _ in plan.grid.cloaks(model))
    to_ask = cloaks - store.observation_counts().cloaks_shown
    verdict = "enough" if to_ask <= left else "NOT ENOUGH: cells will be short"
    return f"{left} queries are left with the invader, and about {max(0, to_ask)} are needed: {verdict}"


def _announce(planned: ResolvedPlan, folder: RunFolder, console: Console, *, budget: str) -> None:
    plan = planned.plan
    lines = [
        f"run folder     {folder.root}",
        f"subjects       {plan.subjects} of {len(planned.eligible)} identities that every model knows",
        f"grid           {', '.join(plan.grid.source_models)} by {', '.join(plan.grid.methods)} at "
        f"{', '.join(map(str, plan.grid.epsilons))}, read by {', '.join(plan.grid.target_models)}: "
        f"{plan.grid.observations_per_probe} observations a probe",
        f"storage        {plan.storage}",
        f"region        {plan.region}",
    ]
    if planned.excluded:
        lines.append(f"excluded       {len(planned.excluded)} identities unknown to some model: {_some(planned.excluded)}")
    if plan.faces.skipped:
        lines.append(f"skipped        {len(plan.faces.skipped)} files or folders of no use: {_some(plan.faces.skipped)}")
    lines += [f"missing        {sentence}" for sentence in planned.missing]
    if budget:
        lines.append(f"budget         {budget}")
    if plan.caveat:
        lines.append(f"take care      {plan.caveat}")
    console.print("\n".join(lines), markup=False, highlight=False)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")


def check_choice(choice: EndpointSpec) -> None:
    """Makes sure that a service is not asked to be in two places.

    Raises:
        InputError: both an address and checkpoints were given.
    """
    option = f"--{choice.kind}"
    if choice.address is not None and choice.checkpoints is not None:
        raise InputError(f"{option}, {option}-checkpoints: expected at most one of the two, got both")
