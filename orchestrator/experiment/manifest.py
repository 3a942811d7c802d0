"""The manifest of a run: all that its figures depend on."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.experiment.differences import differences
from orchestrator.experiment.grid import (
    EMBEDDED_MODELS,
    LOOK_EVERY,
    NO_FACE_IS_PROTECTED,
    NOT_STATED,
    Grid,
    Region,
    Storage,
)
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.experiment.model import Model
from orchestrator.faces.data_set import DataSet

FORMAT = 1

CRAFTING = ("step_size", "steps", "start")  # what a method says of how it crafts, in words


@dataclass(frozen=True)
class Plan:
    """What a run does; two runs with equal plans ask the same questions."""

    grid: Grid
    storage: Storage
    subjects: int  # of a run that draws until its intervals are narrow: the most
    seed: int
    faces: DataSet
    source_models: Mapping[str, Model]
    target_models: Mapping[str, Model]
    region: Region = Region.DETECTED
    until_halfwidth: float | None = None  # points, that no interval is wider than in the end; None: N is fixed
    crafting: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by method, what the protector says of it

    def binding(self) -> dict[str, Any]:
        """The part of the manifest that a run is bound to."""
        return {
            "format": FORMAT,
            "protocol": {
                "grid": _plain(asdict(self.grid)),
                "subjects": self.subjects,
                "until_halfwidth": self.until_halfwidth,
                "look_every": LOOK_EVERY,
                "seed": self.seed,
                "storage": str(self.storage),
                "region": self.region.value,
                "crafting": {method: self._crafting(method) for method in self.grid.methods},
                "no_face_is_protected": NO_FACE_IS_PROTECTED,
            },
            "data_set": dict(self.faces.card()),
            "source_models": {name: dict(model.card) for name, model in self.source_models.items()},
            "target_models": {name: dict(model.card) for name, model in self.target_models.items()},
        }

    def _crafting(self, method: str) -> dict[str, str]:
        stated = self.crafting.get(method, {})
        return {what: stated.get(what) or NOT_STATED for what in CRAFTING}

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


def caveat_of(models: Collection[str], *, synthetic: bool) -> str:
    """Why the figures of these models on such faces are not the paper's; empty where they can be compared with them."""
    embedded = not set(models).isdisjoint(EMBEDDED_MODELS)
    if not embedded and not synthetic:
        return ""
    recognizers = "embedded recognizers" if embedded else "recognizers"
    return f"{recognizers} on {'synthetic faces' if synthetic else 'faces'}: not the paper's figures"


def interval_kind_of(until_halfwidth: float | None) -> IntervalKind:
    """What the intervals of a run's rates are: they must hold at all looks where it stops by looking at them."""
    return IntervalKind.WILSON if until_halfwidth is None else IntervalKind.CONFIDENCE_SEQUENCE


def digest_of(binding: Mapping[str, Any]) -> str:
    """SHA-256 of the binding part of a manifest."""
    return hashlib.sha256(json.dumps(binding, sort_keys=True).encode()).hexdigest()


def software() -> dict[str, str]:
    """Versions of what this process runs on, and the commit where the project is a checkout."""
    packages = ("face-deid-bench", "grpcio", "numpy", "pillow", "protobuf", "sqlalchemy")
    versions = {package: version(package) for package in packages}
    return versions | {"python": platform.python_version(), "machine": platform.platform(), "commit": _commit()}


def _commit() -> str:
    try:
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def check_same_plan(found: Mapping[str, Any], plan: Plan, *, run: str) -> None:
    """Makes sure that a run goes on as it began.

    Raises:
        InputError: the plan differs from the manifest that was found; the message names what.
    """
    binding = _plain(plan.binding())
    differing = [
        f"{path}: {old!r} then, {new!r} now"
        for path, old, new in differences({key: found.get(key) for key in binding}, binding, "")
    ]
    if differing:
        raise InputError(f"--run: {run} holds another run; what differs: {'; '.join(differing)}")


def _plain(value: Any) -> Any:
    """The value as it comes back from JSON."""
    return json.loads(json.dumps(value))
