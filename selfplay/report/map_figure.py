"""Draws the map of a grid: a cell for each recipe, colored by its Elo at equal compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from selfplay.report.figures import ReportFigure, style
from selfplay.report.table import Table
from selfplay.scaling.estimate import Estimate, Floats
from selfplay.style.figure_style import INK, plain
from selfplay.style.powers_of_ten import power_math

SHADES = "cividis"
EMPTY, MUTED = "#f0f0f0", "#5c5c5c"
CONTOUR_STEPS, MAX_STEPS = (0.5, 1.0, 2.0, 5.0, 20.0), 4  # OOMs between contours, and how many
LEADER, CANDIDATE = "leader", "candidate"
MARKS = {LEADER: "\u2605 ", CANDIDATE: "\u2606 ", "": ""}  # a full and an empty star


@dataclass(frozen=True)
class Cell:
    """A recipe's cell on a map.

    Attributes:
        elo: with its interval; None if no run has reached that compute.
        search: log10 FLOPs of one of its moves; NaN if unknown.
        mark: LEADER, CANDIDATE (may be the best) or empty.
        note: a line below the number, or the whole text of an empty cell.
    """

    elo: Estimate | None
    search: float
    mark: str = ""
    note: str = ""


@dataclass(frozen=True)
class MapAxis:
    """A field on an axis of a map.

    Attributes:
        field: its name.
        levels: its values as text, in order.
        numeric: True = the values are numbers.
    """

    field: str
    levels: Sequence[str]
    numeric: bool


@dataclass(frozen=True)
class Panel:
    """A map of recipes at one compute.

    Attributes:
        title: the compute.
        x: the horizontal axis.
        y: the vertical axis.
        cells: (level of y, level of x) → cell; combinations that were not tried are left out.
    """

    title: str
    x: MapAxis
    y: MapAxis
    cells: Mapping[tuple[str, str], Cell]

    @property
    def has_contours(self) -> bool:
        """True = both axes are numeric, and the cost of a move varies enough for a contour."""
        wide = min(len(self.x.levels), len(self.y.levels)) > 1
        return self.x.numeric and self.y.numeric and wide and self.cost_range > CONTOUR_STEPS[0]

    @property
    def cost_range(self) -> float:
        """Range of the known costs of a move, in OOMs."""
        costs = [cell.search for cell in self.cells.values() if np.isfinite(cell.search)]
        return float(np.ptp(costs or [0.0]))


@style()
def draw(panels: Sequence[Sequence[Panel]], table: Table) -> ReportFigure:
    """Draws rows of maps on one color scale.

    Args:
        panels: rows of panels.
        table: the numbers in the figure.
    """
    count, columns = len(panels), max(map(len, panels))
    first = panels[0][0]
    wide, high = len(first.x.levels), len(first.y.levels)
    width = min(11.0, columns * max(1.9, 0.8 * wide + 0.5) + 1.6)
    height = min(12.0, count * max(1.7, 0.68 * high + 0.9) + 0.3)
    figure = Figure(figsize=(max(width, 4.6), max(height, 2.4)), layout="constrained")
    size = min(10.0, 13.0 * 0.85 * width / (columns * wide))  # the number fits into its cell
    grid = figure.subplots(count, columns, squeeze=False, sharey=True)
    values = [
        float(cell.elo.value)
        for row in panels
        for panel in row
        for cell in panel.cells.values()
        if cell.elo is not None
    ]
    low, top = min(values), max(values)
    scale = ScalarMappable(Normalize(low, top if top > low else low + 1), mpl.colormaps[SHADES])
    for i, row in enumerate(panels):
        for j, axes in enumerate(grid[i]):
            if j >= len(row):
                axes.set_visible(False)
                continue
            _draw_panel(axes, row[j], scale, size)
            axes.set_title(row[j].title, fontsize=9)
            if j == 0:
                axes.set_ylabel(plain(row[j].y.field))
            if i == count - 1:
                axes.set_xlabel(plain(row[j].x.field))
    bar = figure.colorbar(scale, ax=grid.ravel().tolist(), pad=0.01, aspect=30)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.set_label("Elo")
    return ReportFigure(figure, table)


def _draw_panel(axes: Axes, panel: Panel, scale: ScalarMappable, size: float) -> None:
    """Draws the cells of one map, their numbers, and contours of the cost of a move."""
    across, up = list(panel.x.levels), list(panel.y.levels)
    axes.set_xlim(-0.5, len(across) - 0.5)
    axes.set_ylim(-0.5, len(up) - 0.5)
    axes.set_xticks(range(len(across)), [plain(level) for level in across])
    axes.set_yticks(range(len(up)), [plain(level) for level in up])
    axes.tick_params(length=0)
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(False)
    search = np.full((len(up), len(across)), np.nan)
    for (level_y, level_x), cell in panel.cells.items():
        i, j = up.index(level_y), across.index(level_x)
        search[i, j] = cell.search
        _draw_cell(axes, i, j, cell, scale, size)
    if panel.has_contours:
        _draw_contours(axes, search)


def _draw_cell(axes: Axes, i: int, j: int, cell: Cell, scale: ScalarMappable, size: float) -> None:
    """Draws a colored square with its number, or a pale one with the reason for none."""
    square = {"width": 0.97, "height": 0.97, "linewidth": 0}
    corner = (j - 0.485, i - 0.485)
    if cell.elo is None:
        axes.add_patch(Rectangle(corner, facecolor=EMPTY, **square))
        axes.text(
            j, i, cell.note, ha="center", va="center", color=MUTED, fontsize=0.7 * size, zorder=5,
            bbox={"facecolor": EMPTY, "linewidth": 0, "pad": 0.6},
        )  # fmt: skip
        return
    (color,) = scale.to_rgba(np.array([float(cell.elo.value)]))
    axes.add_patch(Rectangle(corner, facecolor=color, **square))
    ink = "black" if _luminance(color) > 0.18 else "white"
    text: dict[str, Any] = {"ha": "center", "color": ink, "zorder": 5}
    text["bbox"] = {"facecolor": color, "linewidth": 0, "pad": 0.6}  # hides contours
    half = float(cell.elo.high - cell.elo.low) / 2
    number = f"{float(cell.elo.value):+.0f}".replace("-", "\u2212")
    below = f"± {half:.0f}" if np.isfinite(half) else "no bound"
    below += f"\n{cell.note}" if cell.note else ""
    weight = "bold" if cell.mark == LEADER else "normal"
    axes.text(j, i + 0.02, f"{MARKS[cell.mark]}{number}", va="bottom", fontsize=size, weight=weight,
              **text)  # fmt: skip
    axes.text(j, i - 0.04, below, va="top", fontsize=0.75 * size, **text)
    if cell.mark == LEADER:
        axes.add_patch(Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, edgecolor=ink,
                                 linewidth=1.6, zorder=6))  # fmt: skip


def _draw_contours(axes: Axes, search: Floats) -> None:
    """Draws lines of equal FLOPs a move to the edges of the outer cells, below the numbers."""
    padded = np.pad(search, 1, constant_values=np.nan)
    for axis in (0, 1):  # extrapolate by half a cell beyond each end
        lines = np.moveaxis(padded, axis, 0)
        lines[0], lines[-1] = 1.5 * lines[1] - 0.5 * lines[2], 1.5 * lines[-2] - 0.5 * lines[-3]
    y, x = (np.array([-0.5, *range(n), n - 0.5]) for n in search.shape)
    low, high = np.nanmin(padded), np.nanmax(padded)
    step = next(step for step in CONTOUR_STEPS if (high - low) / step <= MAX_STEPS)
    levels = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    if not len(levels):
        return
    contours = axes.contour(
        x, y, np.ma.masked_invalid(padded), levels=levels, colors="white", linewidths=0.8
    )
    contours.set_path_effects([withStroke(linewidth=2.0, foreground=INK)])
    for level, lines in zip(levels, contours.allsegs, strict=True):
        line = max(map(np.asarray, lines), key=len, default=np.empty((0, 2)))
        if len(line):
            x_label, y_label = _between_cells(line, search.shape)
            axes.text(
                x_label, y_label, power_math(level), fontsize=7, color=INK, ha="center",
                va="center", zorder=7,
                bbox={"facecolor": "white", "edgecolor": INK, "linewidth": 0.5, "pad": 1.2},
            )  # fmt: skip


def _between_cells(line: Floats, shape: tuple[int, ...]) -> tuple[float, float]:
    """Finds the point of a contour that is farthest from the numbers, for its label."""
    along = np.linspace(0, len(line) - 1, 20 * len(line))
    points = np.stack([np.interp(along, np.arange(len(line)), c) for c in line.T], axis=1)
    off = np.abs(points - np.round(points))  # 0 in the middle of a cell, 0.5 at its edge
    away = np.where((points[:, 0] > 0) & (points[:, 0] < shape[1] - 1), off[:, 0], 0.0)
    x, y = points[np.argmax(away)]
    return float(x), float(y)


def _luminance(color: Floats) -> float:
    """Computes the relative luminance of an sRGB color, 0 to 1, as WCAG defines it."""
    c = np.asarray(color[:3])
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
