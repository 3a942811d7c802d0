"""The cloaks that another run kept, shown once more: to another invader, or under other conditions.

It is the case of the oblivious invader: the cloaks were made before anybody knew who would read them.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any, Self

from orchestrator.errors import CallError, InputError
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.grid import CloakKey, Grid, members
from orchestrator.experiment.method import Cost, Method, OwnBudget
from orchestrator.experiment.model import Model
from orchestrator.experiment.placement import Placement
from orchestrator.faces.data_set import DataSet, Photo, canonical, printable
from orchestrator.faces.split import SplitSizes
from orchestrator.run_folder.folder import RunFolder
from orchestrator.store.records import Subject, SubjectStatus
from orchestrator.store.store import Store

NAMES_SHOWN = 3  # of cloaks that are missing


@dataclass(frozen=True)
class SubjectsOfRun:
    """The subjects of a run as a data set. Of each there is the cloak alone, unless their photos are at hand."""

    subjects: Mapping[str, Subject]  # by identity, as label sets spell it
    stated: Mapping[str, Any]  # of the data set that they were drawn from
    skipped: tuple[str, ...] = ()
    at_hand: DataSet | None = None  # that data set, where cloaks are parts of its photos

    @property
    def synthetic(self) -> bool:
        return bool(self.stated.get("synthetic"))

    @property
    def identities(self) -> frozenset[str]:
        return frozenset(self.subjects)

    def photos(self, identity: str) -> Sequence[Photo]:
        subject = self.subjects[identity]
        file = subject.photo.removeprefix(f"{subject.identity}/")
        if self.at_hand is None:
            return [Photo(identity, file, bytes, sha256=subject.photo_sha256)]
        found = [photo for photo in self.at_hand.photos(canonical(identity)) if printable(photo.file) == file]
        return [replace(photo, identity=identity, read=partial(_as_it_was, photo, subject)) for photo in found]

    def spelt(self, labels: Mapping[str, str]) -> Self:
        return replace(
            self, subjects={labels.get(identity, identity): subject for identity, subject in self.subjects.items()}
        )

    def card(self) -> Mapping[str, Any]:
        return self.stated


def _as_it_was(photo: Photo, subject: Subject) -> bytes:
    encoded = photo.read()
    if sha256(encoded).hexdigest() != subject.photo_sha256:
        raise InputError(f"--faces: {photo.name}: expected the photo that RUN was made with, got another")
    return encoded


class KeptCloaks:
    """The cloaks in the folder of a run, whose manifest says how they were crafted."""

    def __init__(self, folder: RunFolder, manifest: Mapping[str, Any], grid: Grid, store: Store) -> None:
        """Takes a run as it was read.

        Raises:
            InputError: it has no subject, or keeps none of its cloaks.
        """
        self.name = f"run {folder.name}"
        self.grid = grid
        self.digest = str(manifest["digest"])
        self.seed = int(manifest["protocol"]["seed"])
        self.placement = Placement(manifest["protocol"]["placement"])
        self.placements = (self.placement,)
        self.enrols = False
        stated = manifest["protocol"]["gallery"]
        self.has_pairs = "pairs" in manifest["protocol"]
        self.gallery = None if stated is None else SplitSizes(**stated)
        self._folder = folder
        self._manifest = manifest
        self._store = store
        subjects = [subject for subject in store.subjects() if subject.status is SubjectStatus.SUBJECT]
        self.faces = SubjectsOfRun({subject.identity: subject for subject in subjects}, manifest["data_set"])
        self._probes = {canonical(subject.photo): subject.photo for subject in subjects}
        if not subjects:
            raise InputError(f"{folder.root}: expected a run with subjects, got one without any")
        if not any(folder.has_cloak(cloak.sha256) for cloak in store.cloaks(probe=subjects[0].photo)):
            raise InputError(
                f"{folder.root}: expected a run that kept its cloaks, got one whose folder holds none: it was made with "
                f"--discard-cloaks, they were removed, or they lie in the folder of another orchestrator"
            )

    def in_photos_of(self, faces: DataSet) -> None:
        """Says where the photos are that its cloaks are parts of."""
        self.faces = replace(self.faces, at_hand=faces)

    async def models(self) -> dict[str, Model]:
        cards: dict[str, Mapping[str, Any]] = {}
        for name, card in self._manifest["source_models"].items():
            cards |= card["members"] if len(members(name)) > 1 else {name: card}
        return {
            name: Model(name, int(card.get("identities", 0)), str(card.get("label_set_sha256", "")), None, card)
            for name, card in cards.items()
        }

    async def methods(self, epsilons: Sequence[int]) -> dict[str, Method]:
        return {
            name: Method(
                stated["parameters"],
                stated["needs_label_set"],
                {int(epsilon): Cost(**cost) for epsilon, cost in stated["costs"].items() if int(epsilon) in (0, *epsilons)},
                None if stated["own_budget"] is None else OwnBudget(**stated["own_budget"]),
                stated["carrier"],
            )
            for name, stated in self._manifest["protocol"]["crafting"].items()
        }

    async def identities(self, model: Model) -> None:
        return None

    async def craft(
        self,
        photo: bytes,
        *,
        probe: str,
        identity: str,
        source_model: str,
        methods: Sequence[str],
        epsilons: Sequence[int],
        seed: int,
        placement: Placement = Placement.CROP,
        gallery: Mapping[str, Sequence[bytes]] | None = None,
    ) -> AsyncGenerator[Cloak, None]:
        wanted = {
            CloakKey(source_model, method, epsilon): None
            for method in methods
            for epsilon in self.grid.budgets(method)
            if epsilon in epsilons or not epsilon
        }
        for record in await asyncio.to_thread(self._store.cloaks, probe=self._probes.get(canonical(probe), probe)):
            if record.key in wanted:
                encoded = await asyncio.to_thread(self._folder.kept_cloak, record.sha256)
                if encoded is not None:
                    del wanted[record.key]
                    yield Cloak(replace(record, probe=probe, quality=None), encoded)
        if wanted:
            named = ", ".join(f"{key.method} at {key.epsilon}" for key in list(wanted)[:NAMES_SHOWN])
            more = ", ..." if len(wanted) > NAMES_SHOWN else ""
            raise CallError(
                f"{self.name}: {probe}: expected the cloaks that {source_model} crafted, got none, or not as they were, of "
                f"{named}{more} ({len(wanted)} in all)",
                transient=False,
            )

    async def check_unchanged(self, models: Mapping[str, Model]) -> None:
        """A folder is always there; what is missing in it is named by `craft`."""

    async def close(self) -> None:
        self._store.close()
