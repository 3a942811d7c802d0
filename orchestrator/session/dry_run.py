"""Says what a run would take, before anything of it is made."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rich.console import Console

from orchestrator.cloaks.source import CloakSource
from orchestrator.errors import NoFaceError, PhotoRefusedError, UnusableServiceError
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.grid import is_control
from orchestrator.experiment.plan import Plan
from orchestrator.faces.data_set import Photo, drawn_identities, drawn_photos
from orchestrator.pictures.conditions import under_conditions
from orchestrator.pictures.pasting import published
from orchestrator.run_folder.folder import room_needed
from orchestrator.services.endpoint import EndpointSpec, endpoint
from orchestrator.services.invader import Invader
from orchestrator.services.replicated_invader import open_invader
from orchestrator.services.retries import once_more
from orchestrator.session.announcement import Line, budget_lines, plan_lines, print_lines
from orchestrator.session.classifying import CLASSIFICATIONS_IN_FLIGHT
from orchestrator.session.cloak_source import cloak_source
from orchestrator.session.galleries import given_galleries
from orchestrator.session.planning import ResolvedPlan, RunRequest, check_kept, make_plan
from orchestrator.session.progress import STARTING, duration, show_photos
from rpc.images.bare_image import BadImageError

PHOTOS_TRIED = 5  # for one that shows a face


class Trial(NamedTuple):
    """How long it takes, with the services as they are."""

    seconds_per_gradient: float | None  # None where nothing was crafted with gradients
    seconds_per_query: float | None  # None where nothing was asked


async def dry_run(
    request: RunRequest, *, protector: EndpointSpec | CloakSource, invader: EndpointSpec, keep_cloaks: bool, console: Console
) -> None:
    """Prints what a run asks, needs, and about how long it takes. Nothing is kept.

    The time comes from a trial: each source model crafts one photo's cloaks at the smallest budget, and a few of them are
    shown to the target models, unless the invader counts queries.

    Raises:
        OrchestratorError: the run could not begin.
    """
    check_kept(request, keep_cloaks=keep_cloaks)
    async with AsyncExitStack() as stack:
        logs = Path(stack.enter_context(TemporaryDirectory()))
        with console.status(STARTING) as status:
            written, shown = partial(show_photos, status, "writing"), partial(show_photos, status, "enrolling")
            galleries = given_galleries(request, protector, invader, root=logs, on_written=written)
            protector, invader = await stack.enter_async_context(galleries)
            note = console.print
            (source, _), invader_at = await asyncio.gather(
                stack.enter_async_context(
                    cloak_source(protector, log=logs / "protector.log", note=note, on_enrolling=shown)
                ),
                stack.enter_async_context(endpoint(invader, log=logs / "invader.log", note=note, on_enrolling=shown)),
            )
        client = open_invader(invader_at.address, tls=invader.tls_in_use, tls_name=invader.tls_name, note=note)
        stack.push_async_callback(client.close)
        has_split = request.gallery is not None and invader.address is None
        resolved = await once_more(partial(make_plan, request, source, client, has_split=has_split))
        print_lines(console, plan_lines(resolved))
        with console.status("trying how long it takes"):
            trial = await _trial(resolved, source, client)
        needed = _needs(
            resolved,
            trial,
            queries_left=client.queries_left,
            cloak_bytes=request.max_cloak_bytes if keep_cloaks else 0,
        )
        print_lines(console, needed)


def _needs(resolved: ResolvedPlan, trial: Trial | None, *, queries_left: int | None, cloak_bytes: int) -> Iterator[Line]:
    plan, queries = resolved.plan, resolved.queries
    grid, subjects = plan.grid, plan.subjects
    yield "observations", f"{subjects * grid.observations_per_probe + resolved.non_mated_searches:,}"
    yield "queries", f"{queries:,}"
    yield from budget_lines(queries, queries_left)
    yield "disk", f"{room_needed(subjects * grid.cloaks_per_probe * plan.cloaked_photos, cloak_bytes) / 1e6:,.0f} MB at most"
    yield "time", _time(plan, trial, queries)


def _time(plan: Plan, trial: Trial | None, queries: int) -> str:
    if trial is None:
        return "cannot be told: no photo that was tried could be used"
    parts = []
    if trial.seconds_per_gradient is not None and plan.max_cost is not None:
        parts.append(("crafting, at most", trial.seconds_per_gradient * plan.max_cost.gradients))
    if trial.seconds_per_query is not None:
        parts.append(("classifying", trial.seconds_per_query * queries))
    if not parts:
        return "cannot be told: the protector states no costs, and the invader counts queries"
    shown = ", ".join(f"{duration(seconds)} of {what}" for what, seconds in parts)
    return f"about {duration(sum(seconds for _, seconds in parts))} ({shown}), by a trial with one photo"


async def _trial(resolved: ResolvedPlan, source: CloakSource, invader: Invader) -> Trial | None:
    """None where no photo can be used.

    Raises:
        OrchestratorError: a service failed.
    """
    plan = resolved.plan
    for identity in islice(drawn_identities(resolved.eligible, seed=plan.seed), PHOTOS_TRIED):
        photo = next(drawn_photos(plan.faces, identity, seed=plan.seed))
        try:
            began = time.monotonic()
            encoded = photo.read()
            of_models = await asyncio.gather(
                *(_cloaks(source, plan, photo, encoded, name) for name in plan.grid.source_models)
            )
        except (NoFaceError, PhotoRefusedError, OSError):
            continue
        seconds = time.monotonic() - began
        cloaks = [cloak for of_model in of_models for cloak in of_model]
        gradients = sum(cloak.record.gradients for cloak in cloaks if not is_control(cloak.record.key.method))
        try:
            per_query = (
                None if invader.queries_left is not None else await _seconds_per_query(plan, invader, encoded, cloaks)
            )
        except BadImageError as error:
            raise UnusableServiceError(f"{source.name}: {photo.name}: its cloak: {error}") from error
        return Trial(seconds / gradients if gradients else None, per_query)
    return None


async def _cloaks(source: CloakSource, plan: Plan, photo: Photo, encoded: bytes, source_model: str) -> list[Cloak]:
    row = source.craft(
        encoded,
        probe=photo.name,
        identity=photo.identity,
        source_model=source_model,
        methods=plan.grid.all_methods,
        epsilons=sorted(plan.grid.epsilons)[:1],
        seed=plan.seed,
        placement=plan.placement,
    )
    async with aclosing(row):
        return [cloak async for cloak in row]


async def _seconds_per_query(plan: Plan, invader: Invader, photo: bytes, cloaks: Sequence[Cloak]) -> float:
    shown = [
        (picture, condition)
        for cloak in cloaks[:CLASSIFICATIONS_IN_FLIGHT]
        for condition, picture in under_conditions(published(photo, cloak), plan.grid.conditions).items()
    ]
    began = time.monotonic()
    for start in range(0, len(shown), CLASSIFICATIONS_IN_FLIGHT):
        together = shown[start : start + CLASSIFICATIONS_IN_FLIGHT]
        await asyncio.gather(
            *(
                invader.classify(
                    picture, target_models=plan.grid.readers(condition), k=max(plan.grid.ks), region=condition.region
                )
                for picture, condition in together
            )
        )
    return (time.monotonic() - began) / len(shown)
