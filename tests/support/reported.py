"""Run folders made by hand, as `evaluate` leaves them, for tests of what is made of them. No service is asked."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image

from orchestrator.experiment.cloak import CloakRecord
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import Cell, CloakKey, Grid, is_control
from orchestrator.experiment.model import Model, Threshold
from orchestrator.experiment.plan import Plan
from orchestrator.faces.folder import FaceFolder
from orchestrator.faces.synthetic import read_synthetic_faces
from orchestrator.metrics.non_mated import NonMatedSearch
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.run_folder.folder import RunFolder
from orchestrator.store.changes import Change, record_cloak, record_non_mated, record_observations, record_subject
from orchestrator.store.records import Subject, SubjectStatus
from orchestrator.store.store import Store
from tests.support.observed import BEYOND, NO_FACE, Seen, observation

MODELS = ("compact-facenet", "compact-resnet")
GRID = Grid(MODELS, MODELS, ("bim", "illc"), (4, 64), (1, 5))
FACES = read_synthetic_faces("synthetic:identities=9,photographs=1")
PHOTOS = {"alice": ("a.jpg",), "<b>bob</b>": ("b.jpg",), "carol": ("c.jpg",)}
PEOPLE = FaceFolder(Path("faces"), PHOTOS, (), {identity: identity for identity in PHOTOS})
CANDIDATES = 5

Answered = Callable[[int, Cell], Seen | None]  # the subject's number, from 0; None: nothing was observed
Reached = Callable[[int, Cell], Mapping[str, int]]  # likewise


def recognised(subject: int, cell: Cell) -> Seen | None:
    """Controls are recognised; cloaks protect from their own model, and at 64 levels one hides its face."""
    if is_control(cell.method):
        return 1
    if cell.epsilon == 64 and subject == 0:
        return NO_FACE
    return BEYOND if cell.source_model == cell.target_model else 1 + subject


def effort(subject: int, key: CloakKey) -> tuple[int, int]:
    """Gradients and forward passes that a cloak took: a gradient for every level of the budget, of ILLC a pass before."""
    return (0, 0) if is_control(key.method) else (key.epsilon, int(key.method == "illc"))


def model(name: str, **card: Any) -> Model:
    """A model's card, as a service states it."""
    facts: dict[str, Any] = {
        "identities": 9,
        "label_set_sha256": "a" * 64,
        "checkpoint_sha256": "c" * 64,
        "precision": "float32",
    }
    stated = tuple(Threshold(**each) for each in card.get("thresholds", ()))
    return Model(name, 9, "a" * 64, CANDIDATES, facts | card, thresholds=stated)


PLAN = Plan(
    grid=GRID,
    subjects=3,
    seed=0,
    faces=FACES,
    source_models={name: model(name, input_size=160) for name in MODELS},
    target_models={name: model(name) for name in MODELS},
)


def make_run(
    root: Path,
    *,
    plan: Plan = PLAN,
    subjects: int | None = None,
    answered: Answered = recognised,
    zero_gradients: Callable[[int, CloakKey], float] = lambda number, key: 0.0,
    took: Callable[[int, CloakKey], tuple[int, int]] = effort,
    reached: Reached = lambda number, cell: {},
    non_mated: Sequence[NonMatedSearch] = (),
    pictures: bool = True,
    outcome: dict[str, Any] | None = None,
    finished: bool = True,
) -> Path:
    """A run folder.

    Args:
        root: where.
        plan: of the run.
        subjects: that are observed; all that the plan asks for by default.
        answered: what each target model answers.
        zero_gradients: the share, 0..1, of a subject's cloak; one that has nothing else stays the probe.
        took: gradients and forward passes of a subject's cloak.
        reached: by threshold, how many candidates of a target model reach it.
        non_mated: searches of people who are not enrolled.
        pictures: whether cloaks are kept.
        outcome: what the manifest's outcome says beside the usual.
        finished: whether it has an outcome.
    """
    folder = RunFolder(root)
    folder.create()
    folder.bind(plan)
    store = Store(folder.observations, run=plan.digest())
    store.bind(folder.name, plan.manifest())
    identities = sorted(plan.faces.identities)[: plan.subjects if subjects is None else subjects]
    photos = [plan.faces.photos(identity)[0].name for identity in identities]
    changes = []
    for number, (identity, photo) in enumerate(zip(identities, photos, strict=True)):
        changes.append(record_subject(Subject(identity, photo, sha256(photo.encode()).hexdigest(), SubjectStatus.SUBJECT)))
        for source_model in plan.grid.source_models:
            for key in plan.grid.cloaks(source_model):
                zeros, counts = zero_gradients(number, key), took(number, key)
                changes += _observed(
                    *(folder, plan, (number, photo), key, answered, reached),
                    zeros=zeros,
                    took=counts,
                    pictures=pictures,
                )
    for search in non_mated:
        changes.append(record_non_mated(search.photo, search.condition, [search], picture_sha256="c" * 64, answers={}))
    store.write(*changes)
    store.close()
    if finished:
        usual: dict[str, Any] = {
            "subjects": photos,
            "replaced": {},
            "excluded": [],
            "missing_models": [],
            "caveat": plan.caveat,
        }
        usual |= {"photos": {photo: sha256(photo.encode()).hexdigest() for photo in photos}, "skipped_files": []}
        usual |= {"unreadable_photos": [], "failed_calls": 0, "invader_queries_left": None}
        usual |= {"last_session": {"craft_calls": 6, "classify_calls": 42, "seconds": 1.5}}
        folder.write_manifest((folder.manifest() or {}) | {"outcome": usual | (outcome or {})})
    return root


def move_observations(root: Path, to: Path) -> str:
    """Has a run's observations kept in a database elsewhere, as where several orchestrators work on it; its URL."""
    folder, url = RunFolder(root), f"sqlite:///{to}"
    folder.observations.rename(to)
    folder.write_manifest((folder.manifest() or {}) | {"store": url})
    return url


def _observed(
    folder: RunFolder,
    plan: Plan,
    subject: tuple[int, str],
    key: CloakKey,
    answered: Answered,
    reached: Reached,
    *,
    zeros: float,
    took: tuple[int, int],
    pictures: bool,
) -> Iterator[Change]:
    number, photo = subject
    encoded = picture(number, key, "PNG")
    probe, cloak = sha256(photo.encode() + key.source_model.encode()).hexdigest(), sha256(encoded).hexdigest()
    largest_change = 0 if zeros == 1 else key.epsilon
    yield record_cloak(CloakRecord(photo, key, 1, *took, largest_change, zeros, probe, cloak))
    if pictures:
        folder.keep_cloak(cloak, encoded)
    for condition in plan.grid.conditions:
        observations = _observations(plan, subject, key, condition, answered, reached)
        taken_for = {
            each.cell.target_model: "dora" for each in observations if each.outcome is not Outcome.NO_FACE and each.rank != 1
        }
        yield record_observations(observations, picture_sha256=cloak, answers=taken_for)


def _observations(
    plan: Plan, subject: tuple[int, str], key: CloakKey, condition: Condition, answered: Answered, reached: Reached
) -> list[Observation]:
    number, photo = subject
    cells = [key.read_by(target, condition) for target in plan.grid.readers(condition)]
    seen = [(cell, answered(number, cell)) for cell in cells]
    return [
        replace(observation(photo, cell, each, candidates=CANDIDATES), reached=reached(number, cell))
        for cell, each in seen
        if each is not None
    ]


def picture(number: int, key: CloakKey, kind: str) -> bytes:
    """A plain picture, another for every subject and cloak."""
    encoded = io.BytesIO()
    shade = (len(key.source_model) * 7 + len(key.method) * 31) % 256
    Image.new("RGB", (32, 32), (40 + 20 * number, shade, key.epsilon)).save(encoded, kind)
    return encoded.getvalue()


def changed(**fields: Any) -> Plan:
    """The plan above with some of its fields changed."""
    return replace(PLAN, **fields)
