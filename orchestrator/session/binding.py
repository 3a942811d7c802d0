"""A run folder and a store are bound to a plan, or found to be bound to it already."""

from collections.abc import Callable
from contextlib import ExitStack

from orchestrator.errors import InputError
from orchestrator.experiment.manifest import Plan, check_same_plan
from orchestrator.run_folder.folder import RunFolder
from orchestrator.session.stopping_rule import StoppingRule
from orchestrator.store import Store


def open_store(
    plan: Plan, folder: RunFolder, *, asked: str | None, outage_timeout: float, note: Callable[[str], None]
) -> Store:
    """The store of the run that a folder holds, or begins with; it decides which run that is where several begin at once.

    Raises:
        InputError: folder or store hold another run.
        StoreError: the store cannot be used.
    """
    folder.check_same(plan)
    location = folder.store_location(asked)
    store = Store(location, run=plan.digest(), outage_timeout=outage_timeout, note=note)
    elsewhere = None if location == folder.observations else store.name
    with ExitStack() as unless_bound:
        unless_bound.callback(store.close)
        recorded = store.bind(folder.name, plan.manifest())
        check_same_plan(recorded.manifest, plan, run=f"{recorded.name} in {store.name}")
        if elsewhere is not None and recorded.name != folder.name:  # a folder with its own file may be renamed
            raise InputError(
                f"--run: {store.name} holds a run of the same plan that is called {recorded.name!r}, got {folder.name!r}: "
                f"a folder of that name goes on with it, and doing it once more takes another database"
            )
        folder.bind(plan, store=elsewhere)
        unless_bound.pop_all()
    return store


def check_room(plan: Plan, folder: RunFolder, store: Store, *, keep_cloaks: bool) -> None:
    """Makes sure that there is room for the pictures of all subjects that are certain to be wanted.

    Raises:
        InputError: see `RunFolder.check_room`.
    """
    left = max(0, StoppingRule.of(plan).first() - store.observation_counts().subjects) if keep_cloaks else 0
    controls = left * len(plan.grid.source_models)
    folder.check_room(cloaks=left * plan.grid.cloaks_per_probe, storage=plan.storage, lossless_controls=controls)
