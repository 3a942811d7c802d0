"""Example cloaks of one photograph: Ghafourian et al., Fig. 2."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from orchestrator.experiment.grid import CONTROL, ENSEMBLE, CloakKey, Grid
from orchestrator.pictures.perturbation import magnified_perturbation
from orchestrator.report.figures.notes import paragraph
from orchestrator.report.figures.sheet import Room, sheet, text_width
from orchestrator.report.figures.style import FAINT, HAIRLINE, NOTE_SIZE, TEXT_SIZE, method_order, style
from orchestrator.report.titles import title

Image = NDArray[np.uint8]  # (height, width, 3), RGB, levels

DOTS_PER_INCH = 150  # a tile of about an inch then has about the pixels of a cloak


@dataclass(frozen=True, eq=False)
class Row:
    """One row of pictures: the probe, then a cloak for each budget of the method; None where there is no picture."""

    source_model: str
    method: str
    probe: Image | None
    cloaks: Mapping[int, Image | None]  # by epsilon
    perturbations: Mapping[int, Image | None]  # magnified; empty unless asked for
    probe_as_stored: bool  # the control as stored stands in for the lossless probe


def series(
    probes: Mapping[str, Image], cloaks: Mapping[CloakKey, Image], grid: Grid, *, magnified: bool = False
) -> list[Row]:
    """The rows: each source model by each method (ILLC, BIM, then others).

    Where a lossless probe is absent, the control as stored stands in for it; see `cloak_examples`.
    """
    rows = []
    for source_model in grid.source_models:
        lossless, control = probes.get(source_model), cloaks.get(CloakKey(source_model, CONTROL, 0))
        probe = control if lossless is None else lossless
        for method in method_order(grid):
            found = {epsilon: cloaks.get(CloakKey(source_model, method, epsilon)) for epsilon in grid.budgets(method)}
            perturbations = {
                epsilon: None if probe is None or cloak is None else magnified_perturbation(probe, cloak, epsilon=epsilon)
                for epsilon, cloak in found.items()
                if magnified
            }
            as_stored = lossless is None and control is not None
            rows.append(Row(source_model, method, probe, found, perturbations, as_stored))
    return rows


def missing(rows: Sequence[Row]) -> str:
    """What the figure cannot show, in a sentence; empty where it shows all."""
    if all(cloak is None for row in rows for cloak in row.cloaks.values()):
        return "Missing: every cloak; the run did not keep them, or they were removed since."
    parts = [
        f"the probe of {title(source_model)}"
        for source_model in dict.fromkeys(row.source_model for row in rows if row.probe is None)
    ]
    for row in rows:
        epsilons = [str(epsilon) for epsilon, cloak in row.cloaks.items() if cloak is None]
        if len(epsilons) == len(row.cloaks):
            parts.append(f"all of {title(row.source_model)} by {title(row.method)}")
        elif epsilons:
            parts.append(f"{title(row.source_model)} by {title(row.method)} at ε\u00a0{', '.join(epsilons)}")
    return f"Missing: {'; '.join(parts)}." if parts else ""


def cloak_examples(
    probes: Mapping[str, Image],
    cloaks: Mapping[CloakKey, Image],
    grid: Grid,
    *,
    subject: str = "",
    magnified: bool = False,
    caveat: str = "",
) -> Figure:
    """The figure of one photograph of a subject; `caveat` says why it is not the paper's.

    The probes are lossless, by source model, each of its own size, and may be absent; the cloaks are as stored, of any
    methods, the control's among them. `magnified` puts its perturbations under each row of cloaks.
    """
    rows = series(probes, cloaks, grid, magnified=magnified)
    columns = grid.all_budgets
    names = [line for name in (*grid.source_models, *grid.methods) for line in _label(name).splitlines()]
    with style():
        drawn = sheet(
            len(rows) * (2 if magnified else 1),
            1 + len(columns),
            title=f"Cloaks of {subject or 'one photograph'}" + (" by noise budget" if grid.budgeted else ""),
            panel_height=None,
            room=Room(
                left=text_width(names, TEXT_SIZE) + 0.22, top=0.24, above=0.03, below=0.1, column_gap=0.04, row_gap=0.02
            ),
            dots_per_inch=DOTS_PER_INCH,
            notes=paragraph(
                "ε in levels of 0..255; cloaks as they were stored." if grid.budgeted else "Cloaks as they were stored.",
                "The probes are the controls as stored." if any(row.probe_as_stored for row in rows) else "",
                _magnified(grid) if magnified else "",
                missing(rows),
                caveat=caveat,
            ),
        )
        panels = iter(drawn.panels)
        for row in rows:
            probe_axes, *axes_row = next(panels)
            _draw(probe_axes, row.probe, label=f"{_label(row.source_model)}\n{title(row.method)}")
            _draw_row(axes_row, row.cloaks, columns)
            if magnified:
                probe_axes, *axes_row = next(panels)
                probe_axes.set_axis_off()
                probe_axes.text(0.95, 0.5, "perturbation,\nmagnified", ha="right", va="center", color=FAINT, size=NOTE_SIZE)
                _draw_row(axes_row, row.perturbations, columns)
        for axes, heading in zip(drawn.panels[0], ("probe", *(_heading(each, grid) for each in columns)), strict=True):
            axes.set_title(heading, pad=4)
    return drawn.figure


def _heading(epsilon: int, grid: Grid) -> str:
    if epsilon:
        return f"ε\u00a0{epsilon}"
    return "own budget" if grid.budgeted else "cloak"


def _magnified(grid: Grid) -> str:
    largest = "ε, or where there is none the largest change" if grid.budgeted else "the largest change, L"
    sign = "ε" if grid.budgeted else "L"
    return f"Under each row the perturbation, from -{sign} (black) to +{sign} (white); {largest}."


def _label(name: str) -> str:
    """The name of a model or method, each member of an ensemble in a line of its own."""
    return title(name).replace(f" {ENSEMBLE} ", f" {ENSEMBLE}\n")


def _draw_row(axes_row: Sequence[Axes], images: Mapping[int, Image | None], columns: Sequence[int]) -> None:
    """The pictures of a row, each in the column of its budget."""
    for axes, epsilon in zip(axes_row, columns, strict=True):
        if epsilon in images:
            _draw(axes, images[epsilon])
        else:
            axes.set_axis_off()


def _draw(axes: Axes, image: Image | None, *, label: str = "") -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if image is not None:
        is_square = image.shape[0] == image.shape[1]
        axes.imshow(image, aspect="auto" if is_square else "equal", interpolation="antialiased")
    else:
        axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, facecolor="none", edgecolor=HAIRLINE, hatch="///"))
        axes.text(0.5, 0.5, "missing", transform=axes.transAxes, ha="center", va="center", color=FAINT, size=NOTE_SIZE)
    if label:
        axes.set_ylabel(label, rotation=0, ha="right", va="center", labelpad=6)
