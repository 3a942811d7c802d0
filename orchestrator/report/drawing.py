"""Which figures a report has, drawn and written."""

import io
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from math import inf, isfinite
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from orchestrator.experiment.cloak import Quality
from orchestrator.experiment.grid import CONTROL, CloakKey
from orchestrator.metrics.psr import CellResult
from orchestrator.report.cloaks_shown import data_uri
from orchestrator.report.conditions import condition_panels, searched
from orchestrator.report.crafting import Summaries
from orchestrator.report.figures.cloak_examples import cloak_examples
from orchestrator.report.figures.conditions import conditions
from orchestrator.report.figures.detection import detection
from orchestrator.report.figures.effort import effort, methods_with_gradients
from orchestrator.report.figures.psr_curves import psr_curves
from orchestrator.report.figures.save import EncodedFigure, drawn, save
from orchestrator.report.figures.threats import threats
from orchestrator.report.figures.tradeoff import QualityPoint, tradeoff
from orchestrator.report.figures.transfer import transfer
from orchestrator.report.kept import as_stored, decoded, kept_cloaks
from orchestrator.report.measured import Measured
from orchestrator.report.quality import cloak_quality
from orchestrator.report.run import Run
from orchestrator.report.sentences import headline_epsilon
from orchestrator.report.threats import chains, threat_panels
from orchestrator.report.titles import title as title_of
from orchestrator.run_folder.folder import FIGURES, RunFolder
from orchestrator.run_folder.pictures import PREFIX, absence
from orchestrator.store.store import Store

MAX_MEASURED = 100  # subjects of whom quality is measured: a cloak takes a hundredth of a second
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
class PlannedFigure:
    """A figure that can be drawn in another process."""

    draw: Callable[[], Figure]
    name: str  # of its files
    note: str
    of_pictures: bool = False

    @property
    def shown_as(self) -> str:
        """The format that the page has of it."""
        return "png" if self.of_pictures else "svg"


@dataclass(frozen=True, eq=False)
class BegunFigure:
    """A figure that waits for a process, or is being drawn in one."""

    planned: PlannedFigure
    formats: Collection[str]
    in_process: Future[EncodedFigure]

    def drawn_here(self) -> EncodedFigure | None:
        """Draws it in this process; None where another has begun with it."""
        return drawn(self.planned.draw, self.formats) if self.in_process.cancel() else None


@dataclass(frozen=True)
class Drawings:
    """The figures of a run, and a sentence for each that there cannot be."""

    begun: list[BegunFigure]
    not_drawn: list[str]

    def written(self, out: Path) -> list[Drawing]:
        """Draws those that no process has come to yet, waits for the others, and writes each into `out/figures`."""
        here = {each: each.drawn_here() for each in reversed(self.begun)}
        return [_written(here[each] or each.in_process.result(), each.planned, out) for each in self.begun]


def drawings(
    run: Run,
    measured: Measured,
    crafting: Summaries,
    store: Store,
    *,
    pictures: bool,
    magnified: bool,
    formats: Collection[str],
    processes: Executor,
) -> Drawings:
    """Has them all drawn, in `processes` and, once it waits for them, in this one.

    `pictures` is whether cloaks may be shown, `magnified` whether their perturbations are shown too, and `formats` those
    that each figure is written in beside the one that the page shows.
    """

    def begin(figure: PlannedFigure) -> BegunFigure:
        kinds = sorted({figure.shown_as, *formats})
        return BegunFigure(figure, kinds, processes.submit(drawn, figure.draw, kinds))

    results, k = measured.headline.results, measured.k
    example = _example(run, store, magnified=magnified) if pictures else None
    begun = [] if example is None else [begin(example)]
    not_drawn: list[str] = []
    if k is not None:
        begun += map(begin, _of_results(run, results, crafting, k))
        begun += map(begin, _of_threats(run, measured))
        if run.grid.unbudgeted:
            alone = ", ".join(map(title_of, run.grid.unbudgeted))
            not_drawn.append(
                f"PSR, transfer and faces found by ε are not drawn of {alone}: a method with a budget of its own has no ε."
            )
        points = quality_points(run, results, store, k=k)
        if points:
            note = "The further up and right, the more a cloak protects for what it takes of the picture."
            known, many = max(point.photographs for point in points), len(run.matrix.probes)
            if known < many:
                note += (
                    f" Quality is the mean of {known} of {many:,} subjects: of the first {MAX_MEASURED} at most whose "
                    f"cloaks are in this folder or were measured before."
                )
            draw = partial(tradeoff, points, run.grid.under(run.grid.condition), k=k, caveat=run.caveat)
            begun.append(begin(PlannedFigure(draw, "tradeoff", note)))
        else:
            not_drawn.append(
                "PSR against image quality is not drawn: it needs the cloaks and controls, which evaluate keeps "
                "unless --discard-cloaks is given, in the folder of the orchestrator that had them crafted."
            )
    if not pictures:
        not_drawn.append(
            "Example cloaks are not shown: pictures of people are not, unless they are asked for by --with-pictures."
        )
    elif example is None:
        not_drawn.append(f"Example cloaks are not shown: none are kept in this folder; {absence(run.manifest)}.")
    return Drawings(begun, not_drawn)


def _of_results(run: Run, results: Sequence[CellResult], crafting: Summaries, k: int) -> Iterator[PlannedFigure]:
    grid, caveat, epsilon = run.grid.under(run.grid.condition), run.caveat, headline_epsilon(run.grid)
    yield from _by_epsilon(run, results, k) if grid.budgeted else ()
    compared = searched(run.grid)
    if compared is not None and (panels := condition_panels(run.matrix, compared, k=min(grid.ks))):
        yield PlannedFigure(
            partial(conditions, panels, compared, k=min(grid.ks), epsilon=epsilon, caveat=caveat),
            "conditions",
            "What happens to a picture on its way, and what is left of a cloak's protection.",
        )
    gradients = {key: summary.gradients for key, summary in crafting.items()}
    if len(methods_with_gradients(gradients, grid)) > 1:
        yield PlannedFigure(
            partial(effort, results, grid, gradients=gradients, k=min(grid.ks), caveat=caveat),
            "effort",
            "Whether a method protects better for the gradients that it takes, or only by taking more of them.",
        )


def _of_threats(run: Run, measured: Measured) -> Iterator[PlannedFigure]:
    grid, k, kind = run.grid, min(run.grid.ks), run.interval_kind
    for chain in chains(grid)[:1]:
        panels = [panel for panel in threat_panels(measured, chain, k=k) if panel.rates]
        if panels:
            yield PlannedFigure(
                partial(threats, panels, grid, k=k, epsilon=headline_epsilon(grid), kind=kind, caveat=run.caveat),
                "threats",
                f"Whom a cloak protects: who is searched with it, or who is enrolled with it. Pictures are {chain}; the "
                "numbers stand in a table below.",
            )


def _by_epsilon(run: Run, results: Sequence[CellResult], k: int) -> Iterator[PlannedFigure]:
    """Figures of the methods that are run at every epsilon."""
    grid, caveat = run.grid.under(run.grid.condition).with_epsilons(), run.caveat
    for source_model in grid.source_models:
        yield PlannedFigure(
            partial(psr_curves, results, grid, source_model=source_model, caveat=caveat),
            "psr-" + re.sub(r"[^A-Za-z0-9._+-]", "_", source_model),  # a service chose its name
            f"PSR against ε, cloaks crafted with {title_of(source_model)}: what Figures 3 to 5 of the paper show.",
        )
    yield PlannedFigure(
        partial(transfer, results, grid, k=k, caveat=caveat),
        "transfer",
        "What is crafted with one model, read by another. The numbers with their intervals stand in a table below.",
    )
    yield PlannedFigure(
        partial(detection, results, grid, caveat=caveat),
        "detection",
        "Whether the invader still finds a face; where it does not, no identity is read, which counts as protected.",
    )


def quality_points(run: Run, results: Sequence[CellResult], store: Store, *, k: int) -> list[QualityPoint]:
    """The cells of which the quality of cloaks is known, with the means over the first subjects of whom it is known."""
    measured: dict[CloakKey, list[Quality]] = {}
    qualities = cloak_quality(RunFolder(run.root), store, storage=run.grid.condition.storage)
    of_subjects = groupby(qualities, key=lambda each: each[0].probe)
    for _, (_, of_subject) in zip(range(MAX_MEASURED), of_subjects, strict=False):
        for cloak, quality in of_subject:
            measured.setdefault(cloak.key, []).append(quality)
    return [
        QualityPoint(result.cell, *_means(measured[result.cell.cloak]), result.psr)
        for result in results
        if result.k == k and result.cell.cloak in measured
    ]


def _means(measured: Sequence[Quality]) -> tuple[float, float, int]:
    """Of SSIM, and of PSNR where it is finite; and of how many."""
    finite = [each.psnr for each in measured if isfinite(each.psnr)]
    return float(np.mean([each.ssim for each in measured])), float(np.mean(finite)) if finite else inf, len(measured)


def _example(run: Run, store: Store, *, magnified: bool) -> PlannedFigure | None:
    """The cloaks of the first subject of whom this folder keeps any."""
    for probe, kept in kept_cloaks(run, store):
        storage = run.grid.condition.storage
        cloaks = {key: picture for key, cloak in kept.items() if (picture := as_stored(cloak, storage)) is not None}
        if cloaks:
            probes = {
                key.source_model: picture
                for key, cloak in kept.items()
                if key.method == CONTROL and (picture := decoded(cloak)) is not None
            }
            draw = partial(cloak_examples, probes, cloaks, run.grid, subject=probe, magnified=magnified, caveat=run.caveat)
            note = "Example cloaks: what Figure 2 of the paper shows."
            return PlannedFigure(draw, f"{PREFIX}-example", note, of_pictures=True)
    return None


def _written(figure: EncodedFigure, planned: PlannedFigure, out: Path) -> Drawing:
    paths = save(figure, out / FIGURES, planned.name)
    if planned.of_pictures:
        source = data_uri(_as_jpeg(figure.files["png"]), "image/jpeg")
    else:
        source = data_uri(figure.files["svg"], "image/svg+xml")
    files = tuple(f"{FIGURES}/{path.name}" for path in paths.values())
    return Drawing(source, figure.title, planned.note, files, planned.of_pictures)


def _as_jpeg(png: bytes) -> bytes:
    encoded = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").save(encoded, "JPEG", quality=PAGE_JPEG_QUALITY)
    return encoded.getvalue()
