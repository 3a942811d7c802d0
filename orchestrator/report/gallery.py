"""Cloaks as they were stored, and what each target model answered about them."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from orchestrator.experiment.grid import CONTROL, Cell, CloakKey
from orchestrator.metrics.matrix import BEYOND, MISSING, NO_FACE
from orchestrator.report.kept import kept_cloaks
from orchestrator.report.run import Run
from orchestrator.report.tables import method_title
from orchestrator.report.titles import title
from orchestrator.run_folder.pictures import absence
from orchestrator.store import Store

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
class GalleryRow:
    """The control, and the cloaks of one source model by one method, an epsilon each; None where none was crafted."""

    source_model: str
    method: str
    cloaks: tuple[ShownCloak | None, ...]


@dataclass(frozen=True)
class ShownSubject:
    """One photograph."""

    probe: str
    rows: tuple[GalleryRow, ...]


@dataclass(frozen=True)
class Gallery:
    """The pictures that a page shows."""

    note: str
    columns: tuple[str, ...] = ()
    subjects: tuple[ShownSubject, ...] = ()


def gallery(run: Run, store: Store, *, pictures: bool) -> Gallery:
    """The cloaks of the first subjects whose are in the run's folder, in the pixels that the invader saw.

    Args:
        run: whose cloaks.
        store: of the run.
        pictures: whether they may be shown.
    """
    if not pictures:
        return Gallery("Pictures of people are not shown unless they are asked for, by --with-pictures.")
    size = 0
    subjects: list[ShownSubject] = []
    for probe, kept in islice(kept_cloaks(run, store), MAX_SUBJECTS):
        size += sum(map(len, kept.values()))
        if subjects and size > MAX_BYTES:
            break
        subjects.append(ShownSubject(probe, tuple(_rows(run, probe, kept, store.answers(probe=probe)))))
    if not subjects:
        return Gallery(f"No pictures are kept in this folder: {absence(run.manifest)}.")
    many, asked = len(run.matrix.probes), run.matrix.candidates
    return Gallery(
        note=f"{len(subjects)} of {many} subject{'s' if many > 1 else ''}. Under a picture stands the rank of the true "
        f"identity in what each target model answered: 1 means that it was named, and “>{asked}” that it is not among "
        f"the {asked} candidates that were asked for. Below it stands whom the model took it for instead.",
        columns=("control", *(f"ε {epsilon}" for epsilon in run.grid.epsilons)),
        subjects=tuple(subjects),
    )


def _rows(run: Run, probe: str, kept: dict[CloakKey, bytes], named: dict[Cell, str]) -> Iterator[GalleryRow]:
    for source_model in run.grid.source_models:
        for place, method in enumerate(run.grid.methods):
            # One control stands for all methods of a source model.
            keys = [CloakKey(source_model, method, epsilon) for epsilon in run.grid.epsilons]
            control = _shown(run, probe, CloakKey(source_model, CONTROL, 0), kept, named) if place == 0 else None
            cloaks = (_shown(run, probe, key, kept, named) for key in keys)
            yield GalleryRow(title(source_model), method_title(method), (control, *cloaks))


def _shown(run: Run, probe: str, key: CloakKey, kept: dict[CloakKey, bytes], named: dict[Cell, str]) -> ShownCloak:
    encoded = kept.get(key)
    what = f"{title(key.source_model)}, {method_title(key.method)}" + (f" at ε {key.epsilon}" if key.epsilon else "")
    return ShownCloak(
        source="" if encoded is None else data_uri(encoded, "image/png" if run.suffix == ".png" else "image/jpeg"),
        what=what,
        answers=_answers(run, probe, key, named),
    )


def _answers(run: Run, probe: str, key: CloakKey, named: dict[Cell, str]) -> tuple[Answer, ...]:
    place = run.matrix.probes.index(probe)
    cells = [Cell(key.source_model, key.method, key.epsilon, target_model) for target_model in run.grid.target_models]
    ranks = [int(run.matrix.row(cell)[place]) for cell in cells]
    if set(ranks) == {NO_FACE}:  # a picture is searched for a face once, for all of them
        return (Answer("", "no face found", named=False),)
    instead = {MISSING: "–", NO_FACE: "no face", BEYOND: f">{run.matrix.candidates}"}
    return tuple(
        Answer(
            title(cell.target_model),
            instead.get(rank, str(rank)),
            named=rank == 1,
            identity="" if rank == 1 else named.get(cell, ""),
        )
        for cell, rank in zip(cells, ranks, strict=True)
    )


def data_uri(content: bytes, kind: str) -> str:
    """What an `<img>` shows without asking for it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
