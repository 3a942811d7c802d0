"""The transfer matrix, source model by target model, as heat maps."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from orchestrator.experiment.grid import Grid, shares_network
from orchestrator.metrics.psr import CellResult
from orchestrator.report.figures.notes import n_sentence, paragraph
from orchestrator.report.figures.sheet import Room, sheet, text_width
from orchestrator.report.figures.style import FAINT, HAIRLINE, INK, NOTE_SIZE, method_order, style
from orchestrator.report.titles import title

WHITE_TEXT_FROM = 55  # percent: where the colour is dark


@dataclass(frozen=True)
class HeatMap:
    """PSR@k of one method at one epsilon."""

    method: str
    epsilon: int  # levels
    cells: Sequence[Sequence[CellResult | None]]  # a row for each source model, a column for each target model


def series(results: Sequence[CellResult], grid: Grid, *, k: int) -> tuple[tuple[HeatMap, ...], ...]:
    """The heat maps: a row for each method (ILLC, BIM, then others), a column for each epsilon."""
    found = {result.cell: result for result in results if result.k == k}

    def heat_map(method: str, epsilon: int) -> HeatMap:
        cells = [
            [found.get(grid.cell(source_model, method, epsilon, target_model)) for target_model in grid.target_models]
            for source_model in grid.source_models
        ]
        return HeatMap(method, epsilon, cells)

    return tuple(tuple(heat_map(method, epsilon) for epsilon in grid.epsilons) for method in method_order(grid))


def transfer(results: Sequence[CellResult], grid: Grid, *, k: int, caveat: str = "") -> Figure:
    """The figure: how far what is crafted with one model protects from another; `caveat`: why it is not the paper's."""
    rows = series(results, grid, k=k)
    cells = [cell for row in rows for heat_map in row for line in heat_map.cells for cell in line]
    with style():
        drawn = sheet(
            len(rows),
            len(grid.epsilons),
            title=f"From source model to target model: PSR@{k} in %",
            panel_height=None,
            room=Room(
                left=_names(grid.source_models) + 0.42, below=_names(grid.target_models) + 0.36, column_gap=0.1, row_gap=0.05
            ),
            notes=paragraph(
                "Rows: what a cloak was crafted with. Columns: the model that reads it. Framed: crafted with its network.",
                n_sentence([cell.psr.n for cell in cells if cell is not None]),
                "Crossed out: nothing was observed." if None in cells else "",
                caveat=caveat,
            ),
        )
        for row, axes_row in zip(rows, drawn.panels, strict=True):
            for heat_map, axes in zip(row, axes_row, strict=True):
                _draw(axes, heat_map, grid)
                _label(axes, grid, first_column=heat_map is row[0], last_row=row is rows[-1])
                axes.set_title(f"{title(heat_map.method)}, ε\u00a0{heat_map.epsilon}", pad=5)
    return drawn.figure


def _names(models: Sequence[str]) -> float:
    return text_width(map(title, models), NOTE_SIZE)


def _draw(axes: Axes, heat_map: HeatMap, grid: Grid) -> None:
    colours = LinearSegmentedColormap.from_list("white to blue", ["#ffffff", "#9dbcd8", "#0b4173"])
    for row, source_model in enumerate(grid.source_models):
        for column, target_model in enumerate(grid.target_models):
            cell = heat_map.cells[row][column]
            percent = None if cell is None else cell.psr.percent
            corner = (column - 0.5, row - 0.5)
            face = "white" if percent is None else colours(percent / 100)
            axes.add_patch(Rectangle(corner, 1, 1, facecolor=face, edgecolor=HAIRLINE, linewidth=0.6))
            if percent is None:
                axes.plot([column - 0.5, column + 0.5], [row + 0.5, row - 0.5], color=FAINT, linewidth=0.8)
            else:
                ink = "white" if percent >= WHITE_TEXT_FROM else INK
                axes.text(column, row, f"{percent:.0f}", ha="center", va="center", color=ink, size=NOTE_SIZE)
            if shares_network(source_model, target_model):
                axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=INK, linewidth=1.3, zorder=3, clip_on=False))
    axes.set_xlim(-0.5, len(grid.target_models) - 0.5)
    axes.set_ylim(len(grid.source_models) - 0.5, -0.5)


def _label(axes: Axes, grid: Grid, *, first_column: bool, last_row: bool) -> None:
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    columns, rows = range(len(grid.target_models)), range(len(grid.source_models))
    axes.set_xticks(columns, [title(name) if last_row else "" for name in grid.target_models], rotation=90)
    axes.set_yticks(rows, [title(name) if first_column else "" for name in grid.source_models])
    if first_column:
        axes.set_ylabel("crafted with")
    if last_row:
        axes.set_xlabel("read by")
