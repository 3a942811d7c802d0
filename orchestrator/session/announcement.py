"""Announces a run before it begins."""

from collections.abc import Iterable, Iterator

from rich.console import Console

from orchestrator.experiment.grid import Grid
from orchestrator.experiment.placement import Placement
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.verification import PairsPlan
from orchestrator.faces.data_set import named
from orchestrator.faces.split import Split
from orchestrator.run_folder.folder import RunFolder
from orchestrator.session.planning import ResolvedPlan
from orchestrator.store.store import Store

NAMES_SHOWN = 5

Line = tuple[str, object]  # a label, and what it stands for


def announce(resolved: ResolvedPlan, folder: RunFolder, store: Store, *, queries_left: int | None, console: Console) -> None:
    """Prints what is run, and what is left out; `queries_left` is None where the invader sets no budget."""
    counts = store.observation_counts()
    needed = max(0, resolved.queries - counts.queries - counts.non_mated_queries)
    print_lines(console, [("run folder", folder.root), *plan_lines(resolved), *budget_lines(needed, queries_left)])


def print_lines(console: Console, lines: Iterable[Line]) -> None:
    """Prints labels, and what they stand for in a column."""
    console.print("\n".join(f"{label:<15}{text}" for label, text in lines), markup=False, highlight=False)


def plan_lines(resolved: ResolvedPlan) -> Iterator[Line]:
    """What is run, and what is left out."""
    plan, grid = resolved.plan, resolved.plan.grid
    yield "subjects", f"{plan.subjects} of {len(resolved.eligible)} identities that every model knows"
    yield (
        "grid",
        f"{', '.join(grid.source_models)} by {', '.join(grid.methods)}{_budgets(grid)}, read by "
        f"{', '.join(grid.target_models)}: {grid.observations_per_probe} observations a probe",
    )
    if plan.max_cost is not None:
        passes = f" and {plan.max_cost.forward_passes:,} other forward passes" if plan.max_cost.forward_passes else ""
        yield "crafting", f"at most {plan.max_cost.gradients:,} gradients{passes}, as the protector states"
    if plan.placement is Placement.PHOTO:
        yield "placement", "photo: each cloak is the whole photo, of which the box of the face changes"
    yield "conditions", ", ".join(map(str, grid.conditions))
    if plan.pairs is not None:
        yield "pairs", _pairs(plan.pairs)
    elif resolved.split is not None:
        yield "gallery", _gallery(resolved.split)
    if grid.enrolling:
        yield "enrolled", _enrolled(plan)
    if resolved.non_mated:
        names = ", ".join(resolved.searching_models)
        yield "not enrolled", f"{len(resolved.non_mated)} identities are searched by {names}: {resolved.non_mated_searches}"
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
    if plan.caveat:
        yield "take care", plan.caveat


def _pairs(plan: PairsPlan) -> str:
    pairs = plan.pairs
    targets = "; each is compared with somebody to pass for, too" if pairs.has_targets else ""
    calibrated = f"; {len(pairs.impostors)} pictures are for calibrating thresholds" if pairs.impostors else ""
    aimed = f"; cloaks of {', '.join(plan.aimed)} are made towards them" if plan.aimed else ""
    return f"{len(pairs.pairs)} people, each probe compared with one reference{targets}{aimed}{calibrated}"


def _gallery(split: Split) -> str:
    sizes = split.sizes
    calibrated = f"; {sizes.impostors} others are for calibrating thresholds" if sizes.impostors else ""
    photos = "a photo" if sizes.photos == 1 else f"{sizes.photos} photos"
    return f"{photos} of each of {len(split.enrolled)} identities{calibrated}"


def _enrolled(plan: Plan) -> str:
    assert plan.gallery is not None, "cloaks are enrolled in place of photos that are"
    sizes = plan.gallery
    which = f"all {sizes.photos}" if not sizes.clean else f"{sizes.photos - sizes.clean} of {sizes.photos}"
    return f"cloaks of {which} photos of each subject, read by {', '.join(plan.grid.enrolling)}"


def _budgets(grid: Grid) -> str:
    """What the methods' names are followed by; nothing where all have budgets of their own."""
    alone = f" ({', '.join(grid.unbudgeted)}: once)" if grid.unbudgeted else ""
    return f" at {', '.join(map(str, grid.epsilons))}{alone}" if grid.budgeted else ""


def budget_lines(needed: int, queries_left: int | None) -> Iterator[Line]:
    """Whether the queries that are left are enough; nothing where the invader sets no budget."""
    if queries_left is not None:
        verdict = "enough" if needed <= queries_left else "NOT ENOUGH: cells will be short"
        yield "budget", f"{queries_left} queries are left with the invader, and about {needed} are needed: {verdict}"
