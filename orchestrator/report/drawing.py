"""Which figures a report has, drawn and written."""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from orchestrator.experiment.cloak import Quality
from orchestrator.experiment.grid import CloakKey
from orchestrator.metrics.psr import CellResult
from orchestrator.report.figures.cloak_examples import cloak_examples
from orchestrator.report.figures.detection import detection
from orchestrator.report.figures.psr_curves import psr_curves
from orchestrator.report.figures.save import save, title
from orchestrator.report.figures.tradeoff import QualityPoint, tradeoff
from orchestrator.report.figures.transfer import transfer
from orchestrator.report.gallery import data_uri
from orchestrator.report.kept import decoded, kept_cloaks
from orchestrator.report.quality import cloak_quality
from orchestrator.report.run import Run
from orchestrator.report.titles import title as title_of
from orchestrator.run_folder.folder import RunFolder
from orchestrator.run_folder.pictures import PREFIX, absence
from orchestrator.store import Store

MAX_MEASURED = 100  # subjects, whose cloaks' quality is measured: a hundredth of a second a cloak
PAGE_JPEG_QUALITY = 88  # of figures made of pictures, on the page; their files are as they are


@dataclass(frozen=True)
class Drawing:
    """A figure on the page, and its files."""

    source: str  # data URI
    title: str
    note: str
    files: tuple[str, ...]  # relative to the page
    of_pictures: bool = False


@dataclass(frozen=True)
class _Planned:
    name: str
    draw: Callable[[], Figure]
    note: str
    of_pictures: bool = False


@dataclass(frozen=True)
class Drawings:
    """The figures of a run, and a sentence for each that there cannot be."""

    drawn: tuple[Drawing, ...]
    not_drawn: tuple[str, ...]


def drawings(
    run: Run, results: Sequence[CellResult], store: Store, *, k: int | None, out: Path, pictures: bool, magnified: bool
) -> Drawings:
    """Draws them all and writes them into `out/figures`.

    Args:
        run: whose figures.
        results: of its cells.
        store: of the run.
        k: of PSR@k where a figure shows one; None where nothing was observed.
        out: the report's folder.
        pictures: whether cloaks may be shown.
        magnified: whether their perturbations are shown too.
    """
    planned: list[_Planned] = []
    not_drawn: list[str] = []
    if results and k is not None:
        planned += _of_results(run, results, k)
        points = quality_points(run, results, store, k=k)
        if points:
            note = "The further up and right, the more a cloak protects for what it takes of the picture."
            measured, many = max(point.photographs for point in points), len(run.matrix.probes)
            if measured < many:
                note += (
                    f" Quality is the mean of {measured} of {many:,} subjects: of the first {MAX_MEASURED} at most whose "
                    f"cloaks are in this folder or were measured before."
                )
            planned.append(_Planned("tradeoff", lambda: tradeoff(points, run.grid, k=k, caveat=run.caveat), note))
        else:
            not_drawn.append(
                "PSR against image quality is not drawn: it needs the cloaks and lossless controls, which evaluate keeps "
                "unless --discard-cloaks is given, in the folder of the orchestrator that had them crafted."
            )
    if not pictures:
        not_drawn.append(
            "Example cloaks are not shown: pictures of people are not, unless they are asked for by --with-pictures."
        )
    elif (found := next(_pictures(run, store), None)) is not None:
        planned.insert(0, _examples(run, *found, magnified=magnified))
    else:
        not_drawn.append(f"Example cloaks are not shown: none are kept in this folder; {absence(run.manifest)}.")
    drawn = [_drawn(each, out) for each in planned]
    return Drawings(tuple(drawn), tuple(not_drawn))


def _of_results(run: Run, results: Sequence[CellResult], k: int) -> Iterator[_Planned]:
    grid, caveat = run.grid, run.caveat
    for source_model in grid.source_models:
        yield _Planned(
            f"psr-{_file_name(source_model)}",
            lambda source_model=source_model: psr_curves(results, grid, source_model=source_model, caveat=caveat),  # type: ignore[misc]
            f"PSR against ε, cloaks crafted with {title_of(source_model)}: what Figures 3 to 5 of the paper show.",
        )
    of_k = [result for result in results if result.k == k]
    yield _Planned(
        "transfer",
        lambda: transfer(of_k, grid, k=k, caveat=caveat),
        "What is crafted with one model, read by another. The numbers with their intervals stand in a table below.",
    )
    yield _Planned(
        "detection",
        lambda: detection(results, grid, caveat=caveat),
        "Whether the invader still finds a face; where it does not, no identity is read, which counts as protected.",
    )


def quality_points(run: Run, results: Sequence[CellResult], store: Store, *, k: int) -> list[QualityPoint]:
    """The cells whose cloaks' quality is known, with the means over the first subjects of whom it is."""
    measured: dict[CloakKey, list[Quality]] = {}
    of_subjects = groupby(cloak_quality(RunFolder(run.root), store, suffix=run.suffix), key=lambda each: each[0].probe)
    for place, (_, of_subject) in enumerate(of_subjects):
        if place == MAX_MEASURED:
            break
        for cloak, quality in of_subject:
            measured.setdefault(cloak.key, []).append(quality)
    means = {
        key: (
            float(np.mean([each.ssim for each in found])),
            float(np.mean(finite)) if finite else float("inf"),
            len(found),
        )
        for key, found in measured.items()
        for finite in [[each.psnr for each in found if isfinite(each.psnr)]]
    }
    return [
        QualityPoint(cell.source_model, cell.method, cell.epsilon, cell.target_model, *means[cell.cloak], result.psr)
        for result in results
        if result.k == k and (cell := result.cell).cloak in means
    ]


def _pictures(run: Run, store: Store) -> Iterator[tuple[str, dict[str, Any], dict[CloakKey, Any]]]:
    """The probes of which this folder keeps cloaks, their lossless controls by source model, and the cloaks."""
    folder = RunFolder(run.root)
    for probe, kept in kept_cloaks(run, store):
        known = {key: picture for key, encoded in kept.items() if (picture := decoded(encoded)) is not None}
        if known:
            controls = {
                source_model: decoded(folder.kept_lossless_control(control.sha256))
                for (_, source_model), control in store.lossless_controls(probe=probe).items()
            }
            yield probe, {name: each for name, each in controls.items() if each is not None}, known


def _examples(
    run: Run, probe: str, probes: Mapping[str, Any], cloaks: Mapping[CloakKey, Any], *, magnified: bool
) -> _Planned:
    return _Planned(
        f"{PREFIX}-example",
        lambda: cloak_examples(probes, cloaks, run.grid, subject=probe, magnified=magnified, caveat=run.caveat),
        "Example cloaks: what Figure 2 of the paper shows.",
        of_pictures=True,
    )


def _drawn(planned: _Planned, out: Path) -> Drawing:
    figure = planned.draw()
    saved = save(figure, out / "figures", planned.name)
    if planned.of_pictures:
        source = data_uri(_as_jpeg(saved.png), "image/jpeg")
    else:
        source = data_uri(saved.svg.read_bytes(), "image/svg+xml")
    files = tuple(f"figures/{path.name}" for path in (saved.svg, saved.pdf, saved.png))
    return Drawing(source, title(figure), planned.note, files, planned.of_pictures)


def _as_jpeg(png: Path) -> bytes:
    encoded = io.BytesIO()
    with Image.open(png) as picture:
        picture.convert("RGB").save(encoded, "JPEG", quality=PAGE_JPEG_QUALITY)
    return encoded.getvalue()


def _file_name(model: str) -> str:
    """A model's name, which a service chose, as part of a file's."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", model)
