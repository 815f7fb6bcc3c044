"""The map of a grid: a cell for each recipe, colored by its Elo at equal compute."""

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

from selfplay.scaling.estimate import Estimate
from selfplay.scaling.figures import INK, Drawing, plain, style

SHADES = "cividis"
EMPTY, MUTED = "#f0f0f0", "#5c5c5c"
HALF_DECADES = 0.5  # between contours, log10 FLOPs
LEADER, CANDIDATE = "leader", "candidate"


@dataclass(frozen=True)
class Cell:
    """A recipe on a map.

    Attributes:
        elo: with its interval; None where no run has got to that compute.
        search: log10 FLOPs of one of its moves; NaN where that is not known.
        mark: LEADER, CANDIDATE (not told apart from the best) or nothing.
        note: a line below the number, or all that an empty cell says.
    """

    elo: Estimate | None
    search: float
    mark: str = ""
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """One map.

    Attributes:
        title: at what compute.
        x: the field on the horizontal axis, its levels, and whether they are numbers.
        y: the same of the vertical axis.
        cells: (level of y, level of x) → cell; combinations that were not tried are left out.
    """

    title: str
    x: tuple[str, Sequence[str], bool]
    y: tuple[str, Sequence[str], bool]
    cells: Mapping[tuple[str, str], Cell]

    @property
    def has_contours(self) -> bool:
        """True = both axes are numbers, and the cost of a move differs enough for a contour."""
        costs = [c.search for c in self.cells.values() if np.isfinite(c.search)]
        wide = min(len(self.x[1]), len(self.y[1])) > 1
        return self.x[2] and self.y[2] and wide and np.ptp(costs or [0.0]) > HALF_DECADES


@style()
def draw(
    panels: Sequence[Sequence[Panel]], header: tuple[str, ...], rows: list[tuple[Any, ...]]
) -> Drawing:
    """Maps beside each other, on one color scale.

    Args:
        panels: rows of panels.
        header: of the table behind the figure.
        rows: of that table.
    """
    count, columns = len(panels), max(map(len, panels))
    first = panels[0][0]
    wide, high = len(first.x[1]), len(first.y[1])
    width = min(11.0, columns * max(1.9, 0.8 * wide + 0.5) + 1.6)
    height = min(12.0, count * max(1.7, 0.68 * high + 0.9) + 0.3)
    figure = Figure(figsize=(max(width, 4.6), max(height, 2.4)), layout="constrained")
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
            _panel(axes, row[j], scale)
            axes.set_title(row[j].title, fontsize=9)
            if j == 0:
                axes.set_ylabel(plain(row[j].y[0]))
            if i == count - 1:
                axes.set_xlabel(plain(row[j].x[0]))
    bar = figure.colorbar(scale, ax=grid.ravel().tolist(), pad=0.01, aspect=30)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.set_label("Elo")
    return Drawing(figure, header, rows)


def _panel(axes: Axes, panel: Panel, scale: ScalarMappable) -> None:
    """The cells of one map, their numbers, and contours of what a move costs."""
    (_, across, _), (_, up, _) = panel.x, panel.y
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
        i, j = list(up).index(level_y), list(across).index(level_x)
        search[i, j] = cell.search
        _cell(axes, i, j, cell, scale)
    if panel.has_contours:
        _contours(axes, search)
    for (level_y, level_x), cell in panel.cells.items():
        if cell.mark:
            _frame(axes, list(up).index(level_y), list(across).index(level_x), cell.mark)


def _cell(axes: Axes, i: int, j: int, cell: Cell, scale: ScalarMappable) -> None:
    """A colored square with its number, or a pale one that says why it has none."""
    square = {"width": 0.97, "height": 0.97, "linewidth": 0}
    corner = (j - 0.485, i - 0.485)
    if cell.elo is None:
        axes.add_patch(Rectangle(corner, facecolor=EMPTY, **square))
        axes.text(j, i, cell.note, ha="center", va="center", color=MUTED, fontsize=6.5)
        return
    color = scale.to_rgba(float(cell.elo.value))
    axes.add_patch(Rectangle(corner, facecolor=color, **square))
    ink = "black" if _luminance(color) > 0.18 else "white"
    half = float(cell.elo.high - cell.elo.low) / 2
    known = f"± {half:.0f}" if np.isfinite(half) else "no bound"
    below = f"{known}\n{cell.note}" if cell.note else known
    axes.text(j, i + 0.03, f"{float(cell.elo.value):+.0f}".replace("-", "\u2212"), ha="center",
              va="bottom", color=ink, fontsize=10, zorder=5)  # fmt: skip
    axes.text(j, i - 0.03, below, ha="center", va="top", color=ink, fontsize=7, zorder=5)


def _frame(axes: Axes, i: int, j: int, mark: str) -> None:
    """A solid frame for the leader, a dashed one for what is not told apart from it."""
    inside = Rectangle((j - 0.44, i - 0.44), 0.88, 0.88, fill=False, edgecolor="white",
                       linewidth=1.6, linestyle="-" if mark == LEADER else (0, (3, 2)),
                       zorder=4)  # fmt: skip
    inside.set_path_effects([withStroke(linewidth=3.4, foreground=INK)])
    axes.add_patch(inside)


def _contours(axes: Axes, search: np.ndarray) -> None:
    """Lines of equal FLOPs a move, out to the edges of the outer cells."""
    padded = np.pad(search, 1, constant_values=np.nan)
    for axis in (0, 1):  # half a cell beyond each end, as the last two cells go on
        lines = np.moveaxis(padded, axis, 0)
        lines[0], lines[-1] = 1.5 * lines[1] - 0.5 * lines[2], 1.5 * lines[-2] - 0.5 * lines[-3]
    y, x = (np.array([-0.5, *range(n), n - 0.5]) for n in search.shape)
    low, high = np.nanmin(padded), np.nanmax(padded)
    levels = np.arange(np.ceil(low / HALF_DECADES), np.floor(high / HALF_DECADES) + 1)
    levels = levels * HALF_DECADES
    if not len(levels):
        return
    drawn = axes.contour(
        x, y, np.ma.masked_invalid(padded), levels=levels, colors="white", linewidths=1.0
    )
    halo = [withStroke(linewidth=2.2, foreground=INK)]
    drawn.set_path_effects(halo)
    labels = axes.clabel(drawn, fmt=lambda v: f"$10^{{{v:g}}}$", fontsize=7, inline=True)
    for label in labels:
        label.set_path_effects(halo)
        label.set_color("white")


def _luminance(color: Sequence[float]) -> float:
    """Relative luminance of an sRGB color, 0 to 1, as the contrast ratio of WCAG uses it."""
    c = np.asarray(color[:3])
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
