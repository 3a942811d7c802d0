"""Binds a run folder and a store to a plan, or finds them bound to it."""

from collections.abc import Callable
from contextlib import ExitStack

from orchestrator.errors import InputError
from orchestrator.experiment.plan import Plan
from orchestrator.run_folder.folder import RunFolder
from orchestrator.session.stopping_rule import first_look
from orchestrator.store.store import Store


def open_store(
    plan: Plan, folder: RunFolder, *, asked: str | None, outage_timeout: float, note: Callable[[str], None]
) -> Store:
    """Opens the store of a run. Where several orchestrators begin at once, the store decides which run the folder holds.

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
        plan.check_same(recorded.manifest, run=f"{recorded.name} in {store.name}")
        if elsewhere is not None and recorded.name != folder.name:  # a folder with its own file may be renamed
            raise InputError(
                f"--run: {store.name} holds a run of the same plan that is called {recorded.name!r}, got {folder.name!r}: "
                f"a folder of that name resumes it; to run it once more, give another database"
            )
        folder.bind(plan, store=elsewhere)
        unless_bound.pop_all()
    return store


def check_room(plan: Plan, folder: RunFolder, store: Store, *, keep_cloaks: bool, cloak_bytes: int) -> None:
    """Makes sure that the pictures of all subjects that are certainly wanted will fit, each of so many bytes at most.

    Raises:
        InputError: see `RunFolder.check_room`.
    """
    left = max(0, first_look(plan) - store.observation_counts().subjects) if keep_cloaks else 0
    folder.check_room(cloaks=left * plan.grid.cloaks_per_probe * plan.cloaked_photos, cloak_bytes=cloak_bytes)
