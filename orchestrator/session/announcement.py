"""Announces a run before it begins."""

from collections.abc import Iterator

from rich.console import Console

from orchestrator.faces.data_set import named
from orchestrator.run_folder.folder import RunFolder
from orchestrator.session.planning import ResolvedPlan
from orchestrator.store.store import Store

NAMES_SHOWN = 5


def announce(resolved: ResolvedPlan, folder: RunFolder, store: Store, *, queries_left: int | None, console: Console) -> None:
    """Prints what is run, and what is left out; `queries_left` is None where the invader sets no budget."""
    lines = [f"{label:<15}{text}" for label, text in _lines(resolved, folder, store, queries_left)]
    console.print("\n".join(lines), markup=False, highlight=False)


def _lines(
    resolved: ResolvedPlan, folder: RunFolder, store: Store, queries_left: int | None
) -> Iterator[tuple[str, object]]:
    plan, grid = resolved.plan, resolved.plan.grid
    yield "run folder", folder.root
    yield "subjects", f"{plan.subjects} of {len(resolved.eligible)} identities that every model knows"
    yield (
        "grid",
        f"{', '.join(grid.source_models)} by {', '.join(grid.methods)} at {', '.join(map(str, grid.epsilons))}, read by "
        f"{', '.join(grid.target_models)}: {grid.observations_per_probe} observations a probe",
    )
    if plan.max_cost is not None:
        passes = f" and {plan.max_cost.forward_passes:,} other forward passes" if plan.max_cost.forward_passes else ""
        yield "crafting", f"at most {plan.max_cost.gradients:,} gradients{passes}, as the protector states"
    yield "storage", plan.storage
    yield "region", plan.region
    if resolved.excluded:
        yield (
            "excluded",
            f"{len(resolved.excluded)} identities unknown to some model: {named(resolved.excluded, at_most=NAMES_SHOWN)}",
        )
    if plan.faces.skipped:
        skipped = named(plan.faces.skipped, at_most=NAMES_SHOWN)
        yield "skipped", f"{len(plan.faces.skipped)} files or folders of no use: {skipped}"
    for sentence in resolved.missing:
        yield "missing", sentence
    if queries_left is not None:
        needed = max(0, plan.subjects * grid.cloaks_per_probe - store.observation_counts().cloaks_shown)
        verdict = "enough" if needed <= queries_left else "NOT ENOUGH: cells will be short"
        yield "budget", f"{queries_left} queries are left with the invader, and about {needed} are needed: {verdict}"
    if plan.caveat:
        yield "take care", plan.caveat
