"""`orchestrator evaluate`: from a data set and two services to PSR."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial

from rich.console import Console

from orchestrator.cloaks.source import CloakSource
from orchestrator.cloaks.with_noise import WithMatchedNoise
from orchestrator.errors import OrchestratorError
from orchestrator.experiment.model import Model
from orchestrator.outages import OUTAGE_TIMEOUT_SECONDS
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.endpoint import EndpointSpec, endpoint
from orchestrator.services.invader import Invader
from orchestrator.services.recovery import RecoveryGate
from orchestrator.services.replicas import Replicas
from orchestrator.services.replicated_invader import open_invader
from orchestrator.services.replicated_protector import open_protector
from orchestrator.services.retries import RetryPolicy, once_more
from orchestrator.session.adaptive import AdaptiveSearcher
from orchestrator.session.announcement import announce
from orchestrator.session.binding import check_room, open_store
from orchestrator.session.classifying import Classifier
from orchestrator.session.cloak_source import cloak_source
from orchestrator.session.context import RunContext
from orchestrator.session.crafting import Crafter
from orchestrator.session.enrolling import GallerySearcher
from orchestrator.session.galleries import given_galleries
from orchestrator.session.non_mated import NonMatedSearcher
from orchestrator.session.planning import RunRequest, asked_of_invader, asked_of_source, check_kept, make_plan
from orchestrator.session.progress import STARTING, RunProgress, show_photos
from orchestrator.session.runner import Runner
from orchestrator.session.subject import SubjectObserver
from orchestrator.session.summary import RunResult, finalize, record_stop
from orchestrator.session.verifying import Verifier
from orchestrator.store.journal import Journal

INTERRUPTED = "interrupted"
SUBJECTS_OF_A_PROTECTOR = 4  # that are worked on at a time, so that it has the next photo when it is done with one


async def evaluate(
    request: RunRequest,
    *,
    protector: EndpointSpec | CloakSource,
    invader: EndpointSpec,
    folder: RunFolder,
    store: str | None = None,
    keep_cloaks: bool,
    subjects_in_flight: int | None,
    outage_timeout: float = OUTAGE_TIMEOUT_SECONDS,
    allow_incomplete: bool = False,
    console: Console,
) -> RunResult:
    """Runs the grid, or the rest of it, and writes the results.

    Args:
        request: What to run.
        protector: Where the protector is, or what stands in for one; that is closed in the end.
        invader: Where the invader is.
        folder: Of the run.
        store: URL of a database that several orchestrators share; None for a file in the run folder.
        keep_cloaks: Whether the run folder keeps cloaks and lossless controls.
        subjects_in_flight: Number of subjects that are worked on at a time; None takes a few for each protector.
        outage_timeout: Seconds to wait for a service or a database that does not answer.
        allow_incomplete: Whether to write the figures of a run with short cells.
        console: Where to print announcement and progress.

    Raises:
        OrchestratorError: the run cannot go on; what was observed is recorded.
    """
    started = time.monotonic()
    check_kept(request, keep_cloaks=keep_cloaks)
    folder.check()
    await once_more(partial(_check_running, request, protector, invader))
    folder.create()
    folder.sweep()
    async with AsyncExitStack() as stack:
        note = partial(console.print, style="yellow", markup=False, highlight=False)
        if not folder.syncs_names:
            note(f"{folder.root}: the file system cannot sync folders: after a power cut the newest files may be missing")
        with console.status(STARTING) as status:
            written, shown = partial(show_photos, status, "writing"), partial(show_photos, status, "enrolling")
            galleries = given_galleries(request, protector, invader, root=folder.root, on_written=written)
            protector, invader = await stack.enter_async_context(galleries)
            (source, source_ended), invader_at = await asyncio.gather(
                stack.enter_async_context(
                    cloak_source(protector, log=folder.log("protector"), note=note, on_enrolling=shown)
                ),
                stack.enter_async_context(endpoint(invader, log=folder.log(invader.kind), note=note, on_enrolling=shown)),
            )
        invader_client = open_invader(invader_at.address, tls=invader.tls_in_use, tls_name=invader.tls_name, note=note)
        stack.push_async_callback(invader_client.close)
        has_split = request.gallery is not None and invader.address is None
        resolved = await once_more(partial(make_plan, request, source, invader_client, has_split=has_split))
        plan = resolved.plan
        observations = open_store(plan, folder, asked=store, outage_timeout=outage_timeout, note=note)
        stack.callback(observations.close)
        journal = await stack.enter_async_context(Journal(observations))
        announce(resolved, folder, observations, queries_left=invader_client.queries_left, console=console)
        check_room(plan, folder, observations, keep_cloaks=keep_cloaks, cloak_bytes=request.max_cloak_bytes)
        folder.forget_outcome()
        progress = stack.enter_context(
            RunProgress(
                console,
                subjects=plan.subjects,
                observations_per_subject=plan.grid.observations_per_probe,
                further=resolved.non_mated_searches,
            )
        )

        def retries(
            client: CloakSource | Invader, models: Mapping[str, Model], ended: Callable[[], str | None]
        ) -> RetryPolicy:
            check = partial(client.check_unchanged, models)
            gate = RecoveryGate(client.name, check=check, outage_timeout=outage_timeout, note=progress.note, ended=ended)
            return RetryPolicy(gate, outage_timeout=outage_timeout, note=progress.note)

        protectors = _capacity(source)
        run = RunContext(resolved, observations, journal, folder, progress, keep_cloaks)
        crafter = Crafter(run, source, retries(source, plan.source_models, source_ended))
        classifier = Classifier(
            run,
            invader_client,
            retries(invader_client, plan.target_models, invader_at.ended),
            capacity=_capacity(invader_client),
        )
        of_gallery = GallerySearcher(run, classifier)
        runner = Runner(
            run,
            SubjectObserver(run, crafter, classifier, of_gallery, Verifier(run, classifier)),
            NonMatedSearcher(run, classifier),
            AdaptiveSearcher(run, crafter, classifier, of_gallery),
            subjects_in_flight=lambda: subjects_in_flight or SUBJECTS_OF_A_PROTECTOR * protectors(),
        )
        try:
            decision = await runner.run()
            return finalize(
                run,
                decision,
                seconds=time.monotonic() - started,
                queries_left=invader_client.queries_left,
                allow_incomplete=allow_incomplete,
            )
        except (asyncio.CancelledError, OrchestratorError) as error:
            record_stop(run, why=str(error) or INTERRUPTED, seconds=time.monotonic() - started)
            raise


def _capacity(service: CloakSource | Invader) -> Callable[[], int]:
    """Tells how many replicas of a service take calls now."""
    asked = service.source if isinstance(service, WithMatchedNoise) else service
    return (lambda: asked.capacity) if isinstance(asked, Replicas) else lambda: 1


def _silent(_: str) -> None:
    """Says nothing: what is found out here is found out again when the run begins."""


async def _check_running(request: RunRequest, protector: EndpointSpec | CloakSource, invader: EndpointSpec) -> None:
    """Asks what runs already for what the request needs, before a service is started or a folder is made.

    Raises:
        OrchestratorError: a service does not answer, or lacks something.
    """
    async with AsyncExitStack() as stack:
        if not isinstance(protector, EndpointSpec):
            await asked_of_source(request, protector)
        elif protector.address is not None:
            protector_client = open_protector(
                protector.address, tls=protector.tls, tls_name=protector.tls_name, note=_silent
            )
            stack.push_async_callback(protector_client.close)
            await asked_of_source(request, protector_client)
        if invader.address is not None:
            invader_client = open_invader(invader.address, tls=invader.tls, tls_name=invader.tls_name, note=_silent)
            stack.push_async_callback(invader_client.close)
            await asked_of_invader(request, invader_client)
