"""Plans of runs that need no service."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from orchestrator.experiment.grid import Grid
from orchestrator.experiment.method import Cost, Method
from orchestrator.experiment.model import Model
from orchestrator.experiment.plan import Plan
from orchestrator.faces.folder import FaceFolder

FACES = FaceFolder(Path("faces"), {"alice": ("a.jpg", "b.jpg"), "bob": ("c.png",)}, (), {"alice": "alice", "bob": "bob"})
BIM = Method(
    {"alpha": "1 level", "n_iter": "floor(min(epsilon + 4, 1.25 epsilon))", "start": "the probe"},
    needs_label_set=True,
    costs={4: Cost(5, 0), 8: Cost(10, 0)},
)
GRID = Grid(("facenet",), ("resnet50",), ("bim",), (4, 8), (1, 5))


def model(name: str, *, label_set_sha256: str = "a" * 64, **card: str | int) -> Model:
    """A model as a service lists it."""
    disclosed: dict[str, str | int] = {"identities": 7, "label_set_sha256": label_set_sha256}
    return Model(name, 7, label_set_sha256, 5, disclosed | card)


PLAN = Plan(
    grid=GRID,
    subjects=2,
    seed=3,
    faces=FACES,
    source_models={"facenet": model("facenet", checkpoint_sha256="c" * 64)},
    target_models={"resnet50": model("resnet50")},
    crafting={"bim": BIM},
)


def plan(**changes: Any) -> Plan:
    """The plan above with some of its fields changed."""
    return replace(PLAN, **changes)


def write_faces(folder: Path, identities: Iterable[str]) -> Path:
    """A data set of one small photo each."""
    for number, identity in enumerate(identities):
        (folder / identity).mkdir(parents=True)
        Image.new("RGB", (8, 8), (number % 256, number // 256 % 256, 0)).save(folder / identity / "0.jpg", "JPEG")
    return folder
