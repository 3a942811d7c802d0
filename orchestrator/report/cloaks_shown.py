"""Cloaks under the condition that headlines are of, and what each target model answered about them."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import CONTROL, Cell, CloakKey
from orchestrator.experiment.placement import Placement
from orchestrator.metrics.matrix import BEYOND, MISSING, NO_FACE, NOT_ENROLLED
from orchestrator.pictures.conditions import under_condition
from orchestrator.report.kept import kept_cloaks
from orchestrator.report.run import Run
from orchestrator.report.tables import method_title
from orchestrator.report.titles import title
from orchestrator.run_folder.pictures import absence
from orchestrator.store.store import Store
from rpc.images.bare_image import BadImageError
from rpc.images.jpeg_segments import SIGNATURE as JPEG_SIGNATURE

SHRUNK = Condition.parse("png+resize:224")
BOX_ALONE = " Shown is the box of the face alone, shrunk; what was read is the whole photograph under the condition."
MAX_SUBJECTS = 3
MAX_BYTES = 3_000_000  # of pictures, so that the page opens quickly; one subject is always shown


@dataclass(frozen=True)
class Answer:
    """What one target model answered about one cloak."""

    target_model: str
    text: str
    named: bool  # the true identity came first: the cloak does not protect
    identity: str = ""  # whom the model took it for instead; empty where it is not known


@dataclass(frozen=True)
class ShownCloak:
    """One picture, as a data URI; empty where it was not kept."""

    source: str
    what: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class CloakRow:
    """The cloaks of one source model by one method, a budget each, after the control, which the first method's row has."""

    source_model: str
    method: str
    cloaks: tuple[ShownCloak | None, ...]


@dataclass(frozen=True)
class CloaksShown:
    """The pictures that a page shows."""

    note: str
    columns: tuple[str, ...] = ()
    subjects: Mapping[str, Sequence[CloakRow]] = field(default_factory=dict)  # by photograph


def cloaks_shown(run: Run, store: Store, *, pictures: bool) -> CloaksShown:
    """The cloaks of the first subjects of whom the run's folder keeps any, in the pixels that the invader saw.

    `pictures`: whether they may be shown.
    """
    if not pictures:
        return CloaksShown("Pictures of people are not shown unless they are asked for, by --with-pictures.")
    size = 0
    subjects: dict[str, list[CloakRow]] = {}
    for probe, kept in islice(kept_cloaks(run, store), MAX_SUBJECTS):
        kept = _seen(kept, run.grid.condition if run.placement is Placement.CROP else SHRUNK)
        size += sum(map(len, kept.values()))
        if subjects and size > MAX_BYTES:
            break
        subjects[probe] = _rows(run, probe, kept, store.answers(probe=probe))
    if not subjects:
        return CloaksShown(f"No pictures are kept in this folder: {absence(run.manifest)}.")
    many, asked = len(run.matrix.probes), run.matrix.candidates
    return CloaksShown(
        note=f"{len(subjects)} of {many} subject{'s' if many > 1 else ''}. Under a picture stands the rank of the true "
        f"identity in what each target model answered: 1 means that it was named, and “>{asked}” that it is not among "
        f"the {asked} candidates that were asked for. Below it stands whom the model took it for instead."
        + ("" if run.placement is Placement.CROP else BOX_ALONE),
        columns=("control", *(f"ε {epsilon}" if epsilon else "own budget" for epsilon in run.grid.all_budgets)),
        subjects=subjects,
    )


def _seen(kept: Mapping[CloakKey, bytes], condition: Condition) -> dict[CloakKey, bytes]:
    """The pictures that the invader saw; none of what is no picture."""
    seen = {}
    for key, cloak in kept.items():
        with suppress(BadImageError):
            seen[key] = under_condition(cloak, condition)
    return seen


def _rows(run: Run, probe: str, kept: Mapping[CloakKey, bytes], named: Mapping[Cell, str]) -> list[CloakRow]:
    place = run.matrix.probes.index(probe)
    instead = {MISSING: "–", NO_FACE: "no face", BEYOND: f">{run.matrix.candidates}", NOT_ENROLLED: "not enrolled"}

    def answers(key: CloakKey) -> Iterator[Answer]:
        cells = (key.read_by(name, run.grid.condition) for name in run.grid.readers(run.grid.condition))
        ranks = {cell: int(run.matrix.row(cell)[place]) for cell in cells}
        if set(ranks.values()) == {NO_FACE}:  # a picture is searched for a face once, for all of them
            yield Answer("", "no face found", named=False)
            return
        for cell, rank in ranks.items():
            taken_for = "" if rank == 1 else named.get(cell, "")
            yield Answer(title(cell.target_model), instead.get(rank, str(rank)), named=rank == 1, identity=taken_for)

    def shown(source_model: str, method: str, epsilon: int) -> ShownCloak:
        key = CloakKey(source_model, method, epsilon)
        source = data_uri(kept[key], kind_of(kept[key])) if key in kept else ""
        what = f"{title(source_model)}, {method_title(method)}" + (f" at ε {epsilon}" if epsilon else "")
        return ShownCloak(source, what, tuple(answers(key)))

    return [
        CloakRow(
            title(source_model),
            method_title(method),
            (
                shown(source_model, CONTROL, 0) if method == run.grid.methods[0] else None,  # one stands for all methods
                *(
                    shown(source_model, method, epsilon) if epsilon in run.grid.budgets(method) else None
                    for epsilon in run.grid.all_budgets
                ),
            ),
        )
        for source_model in run.grid.source_models
        for method in run.grid.methods
    ]


def kind_of(picture: bytes) -> str:
    """The media type of a JPEG or PNG."""
    return "image/jpeg" if picture.startswith(JPEG_SIGNATURE) else "image/png"


def data_uri(content: bytes, kind: str) -> str:
    """What an `<img>` shows without asking for it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
