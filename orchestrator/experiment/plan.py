"""The plan of a run: all that its figures depend on, as its manifest states it."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from orchestrator.errors import InputError
from orchestrator.experiment.differences import differences
from orchestrator.experiment.grid import EMBEDDED_MODELS, Grid, members, network_of
from orchestrator.experiment.intervals import IntervalKind, interval_kind_of
from orchestrator.experiment.method import Cost, Method
from orchestrator.experiment.model import Model, ensemble_card
from orchestrator.experiment.placement import Placement
from orchestrator.experiment.verification import PairsPlan
from orchestrator.faces.data_set import DataSet
from orchestrator.faces.split import SplitSizes

FORMAT = 5
BINDING = ("format", "protocol", "data_set", "source_models", "target_models")  # the parts that a run is bound to

SUBJECTS = 16  # a choice: the paper gives no N
LOOK_EVERY = 20  # a choice: subjects between two looks of a run that stops by the width of its intervals
NO_FACE_IS_PROTECTED = True  # a choice


@dataclass(frozen=True)
class Plan:
    """What a run does; two runs with equal plans ask the same questions."""

    grid: Grid
    subjects: int  # of a run that draws until its intervals are narrow: the most
    seed: int
    faces: DataSet
    source_models: Mapping[str, Model]  # as listed: of an ensemble, its members
    target_models: Mapping[str, Model]
    until_halfwidth: float | None = None  # points, that no interval is wider than in the end; None: N is fixed
    crafting: Mapping[str, Method] = field(default_factory=dict)  # by name, what the protector states of each method
    replay_of: str | None = None  # the digest of the run whose kept cloaks are shown; None: they are crafted
    gallery: SplitSizes | None = None  # None: nobody of the data set was enrolled for the run
    placement: Placement = Placement.CROP
    pairs: PairsPlan | None = None  # None: people are searched for in galleries of many, or named

    def binding(self) -> dict[str, Any]:
        """The part of the manifest that a run is bound to, as it comes back from JSON."""
        stated = {
            "format": FORMAT,
            "protocol": {
                "grid": self.grid.stated(),
                "subjects": self.subjects,
                "until_halfwidth": self.until_halfwidth,
                "look_every": LOOK_EVERY,
                "seed": self.seed,
                "placement": self.placement.value,
                "crafting": {method: asdict(self.crafting.get(method, Method())) for method in self.grid.methods},
                "replay_of": self.replay_of,
                "gallery": None if self.gallery is None else asdict(self.gallery),
                "no_face_is_protected": NO_FACE_IS_PROTECTED,
                **({} if self.pairs is None else {"pairs": self.pairs.stated()}),
            },
            "data_set": dict(self.faces.card()),
            "source_models": {name: self._source_card(name) for name in self.grid.source_models},
            "target_models": {name: dict(model.card) for name, model in self.target_models.items()},
        }
        binding: dict[str, Any] = json.loads(json.dumps(stated))
        return binding

    def _source_card(self, name: str) -> dict[str, Any]:
        models = [self.source_models[member] for member in members(name)]
        return ensemble_card(models) if len(models) > 1 else dict(models[0].card)

    @property
    def max_cost(self) -> Cost | None:
        """What the whole run takes at most; None where the protector does not state it of every method and budget."""
        asked = {method: self.crafting.get(method, Method()).costs for method in self.grid.methods}
        if not all(set(costs).issuperset(self.grid.budgets(method)) for method, costs in asked.items()):
            return None
        of_one_model = sum(
            (costs[epsilon] for method, costs in asked.items() for epsilon in self.grid.budgets(method)), start=Cost(0, 0)
        )
        models = sum(len(members(name)) for name in self.grid.source_models)
        return of_one_model * (models * self.subjects * self.cloaked_photos)

    @property
    def cloaked_photos(self) -> int:
        """The photos of each subject that are cloaked: the probe, and where cloaks are enrolled those in the gallery."""
        if self.gallery is None or not any(condition.carrier.enrols for condition in self.grid.conditions):
            return 1
        return 1 + self.gallery.photos - self.gallery.clean

    @property
    def caveat(self) -> str:
        """What every table of figures that are not the paper's says; empty where nothing is embedded or synthetic."""
        return caveat_of({*self.source_models, *self.target_models}, synthetic=self.faces.synthetic)

    @property
    def interval_kind(self) -> IntervalKind:
        """What the intervals of the run's rates are."""
        return interval_kind_of(self.until_halfwidth)

    def digest(self) -> str:
        """SHA-256 of the binding part: the run's identity."""
        return digest_of(self.binding())

    def manifest(self) -> dict[str, Any]:
        """The binding part, and its digest beside it."""
        return self.binding() | {"digest": self.digest()}

    def check_same(self, manifest: Mapping[str, Any], *, run: str) -> None:
        """Makes sure that a run goes on as it began.

        Raises:
            InputError: the manifest that was found is another plan's; the message names what differs.
        """
        binding = self.binding()
        differing = [
            f"{path}: {old!r} then, {new!r} now"
            for path, old, new in differences({key: manifest.get(key) for key in binding}, binding)
        ]
        if differing:
            raise InputError(f"--run: {run} holds another run; what differs: {'; '.join(differing)}")


def caveat_of(models: Collection[str], *, synthetic: bool) -> str:
    """Why the figures of these models on such faces are not the paper's; empty where they can be compared with them."""
    embedded = any(not set(map(network_of, members(name))).isdisjoint(EMBEDDED_MODELS) for name in models)
    if not embedded and not synthetic:
        return ""
    recognizers = "embedded recognizers" if embedded else "recognizers"
    return f"{recognizers} on {'synthetic faces' if synthetic else 'faces'}: not the paper's figures"


def digest_of(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of the binding part of a manifest."""
    binding = {key: manifest[key] for key in BINDING}
    return hashlib.sha256(json.dumps(binding, sort_keys=True).encode()).hexdigest()
