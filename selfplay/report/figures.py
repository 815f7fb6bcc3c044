"""Figures of rated versions, each with the table of its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from selfplay.ratings.elo import Z95
from selfplay.report.table import Row, Table
from selfplay.scaling import frontier
from selfplay.scaling.at_training import interpolation_weights
from selfplay.scaling.estimate import Estimate, Floats
from selfplay.scaling.exchange import Exchange
from selfplay.scaling.factors import Factor, factors_of_versions
from selfplay.scaling.frontier import Frontier
from selfplay.scaling.rated_versions import Ints, RatedVersions
from selfplay.style import figure_style
from selfplay.style.figure_style import DASHES, INK, plain
from selfplay.style.powers_of_ten import label_powers

MAX_COLUMNS = 3  # of panels
RAMP, RAMP_END = "plasma", 0.62  # for numbers; colors beyond are too pale for lines on white
HUES = figure_style.HUES[:6]  # more levels of a factor get colors of the ramp
MARKERS = figure_style.MARKERS[: len(HUES)]
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "svg.hashsalt": "oomzero",  # the same figure, the same file
}

LineStyle: TypeAlias = dict[str, Any]  # arguments of Matplotlib: color, linestyle, marker


@contextmanager
def style() -> Iterator[None]:
    """Sets Matplotlib up for these figures, and restores its user's settings afterwards.

    Ignores a matplotlibrc in the working directory, because it may name programs to run.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


@dataclass(frozen=True)
class ReportFigure:
    """A figure of a report.

    Attributes:
        plot: what Matplotlib draws.
        table: the numbers in it.
        caption: the text below it.
    """

    plot: Figure
    table: Table
    caption: str = ""


def one_panel(draw: Callable[[Axes], object], table: Table, caption: str = "") -> ReportFigure:
    """Makes a figure of one panel in the style of a report.

    Args:
        draw: draws on the axes.
        table: the numbers in the figure.
        caption: the text below it.
    """
    with style():
        figure, axes = canvas()
        draw(axes)
        figure.draw_without_rendering()  # raises here, not in the page, for text it cannot draw
    return ReportFigure(figure, table, caption)


@dataclass(frozen=True)
class LineStyles:
    """Line styles of recipes: colors for one factor, dashes and markers for others.

    Attributes:
        by_recipe: recipe → color, dashes and marker.
        legend: handles, with a factor's name above its levels.
    """

    by_recipe: Mapping[str, LineStyle]
    legend: list[Artist]

    @classmethod
    def of(cls, factors: Sequence[Factor], recipes: Sequence[str]) -> LineStyles:
        """Gives colors to the factor with the most levels, and distinguishes at most three."""
        by_recipe: dict[str, LineStyle] = {
            recipe: {"color": HUES[0], "linestyle": "-", "marker": "o"} for recipe in recipes
        }
        ordered = sorted(factors[:3], key=lambda factor: -len(factor.levels))
        legend: list[Artist] = []
        for place, factor in enumerate(ordered):
            styles = _level_styles(factor, place, len(ordered))
            for recipe in recipes:
                by_recipe[recipe] |= styles[factor.level(recipe)]
            legend.append(Patch(alpha=0, label=plain(factor.field)))
            base = {"color": INK, "linestyle": "-" if place < 2 else "none"}
            used = {factor.level(recipe) for recipe in recipes}
            legend += [
                Line2D([], [], **{**base, **styles[level]}, markersize=4, label=plain(level))
                for level in factor.levels
                if level in used
            ]
        return cls(by_recipe, legend)


def _level_styles(factor: Factor, place: int, count: int) -> dict[str, LineStyle]:
    """Maps each level of a factor to its part of a line style.

    Args:
        factor: whose levels are distinguished.
        place: 0 chooses colors, 1 dashes.
        count: of all factors; the last one also chooses markers.
    """
    levels = factor.levels
    markers = [MARKERS[i % len(MARKERS)] for i in range(len(levels))]
    if place == 0:
        colors: Sequence[str] = HUES
        if factor.numeric or len(levels) > len(HUES):
            shades = mpl.colormaps[RAMP](np.linspace(0, RAMP_END, len(levels)))
            colors = [to_hex(shade) for shade in shades]
        styles: list[LineStyle] = [{"color": color} for color in colors[: len(levels)]]
    elif place == 1:
        styles = [{"linestyle": DASHES[i % len(DASHES)]} for i in range(len(levels))]
    else:
        styles = [{} for _ in levels]
    if place == count - 1:
        styles = [{**style, "marker": m} for style, m in zip(styles, markers, strict=True)]
    return dict(zip(levels, styles, strict=True))


def canvas(width: float = 7.2, height: float = 4.4) -> tuple[Figure, Axes]:
    """Creates a figure of one panel; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Creates `count` panels in rows, with shared axes."""
    columns = min(count, MAX_COLUMNS)
    rows = -(-count // columns)
    size = (7.2, 4.4) if count == 1 else (3.0 * columns + 1.6, 3.5 * rows)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for empty in grid.ravel()[count:]:
        empty.set_visible(False)
    for row in grid:
        row[0].set_ylabel("Elo")
    return figure, grid.ravel().tolist()[:count]


def _legend(figure: Figure, styles: LineStyles, more: Sequence[Artist] = ()) -> None:
    handles = [*styles.legend, *more]
    if not handles:
        return
    legend = figure.legend(handles=handles, fontsize=8, frameon=False, loc="outside right center")
    for handle, label in zip(handles, legend.get_texts(), strict=True):
        if isinstance(handle, Patch):  # the name of a factor, above its levels
            label.set_fontweight("bold")


@style()
def training(
    by_budget: Mapping[float, RatedVersions],
    frontiers: Mapping[float, Frontier | None],
    factors: Sequence[Factor] = (),
) -> ReportFigure:
    """Draws Elo against training FLOPs, a panel for each search budget, the frontier on top.

    Args:
        by_budget: search budget → the versions rated at it.
        frontiers: search budget → its frontier; None if there is no fit.
        factors: that distinguish the recipes; their sizes or names if left out.
    """
    figure, panels = _panels(len(by_budget))
    recipes = list(dict.fromkeys(r for p in by_budget.values() for r in p.recipe.tolist()))
    factors = factors or factors_of_versions(max(by_budget.values(), key=len))
    styles = LineStyles.of(factors, recipes)
    rows = []
    for axes, (budget, points) in zip(panels, by_budget.items(), strict=True):
        for recipe in dict.fromkeys(points.recipe.tolist()):
            chosen = np.flatnonzero(points.recipe == recipe)
            _curve(axes, points, chosen, points.training, styles.by_recipe[recipe])
        fit = frontiers[budget]
        if fit is not None:
            _fitted(axes, points, fit)
        if len(by_budget) > 1:
            axes.set_title(f"{budget:g} simulations a move", fontsize=10)
        axes.set_xlabel("training, FLOPs")
        label_powers(axes.xaxis)
        on = fit.on_frontier if fit is not None else np.zeros(len(points), bool)
        rows += version_rows(points, on.astype(int))
    limit_elo(panels[0], np.concatenate([p.elo for p in by_budget.values()]))  # a shared axis
    line = [Line2D([], [], color=INK, linewidth=2.2, label="frontier, 95 %")]
    caption = (
        f"{_describe_lines(iter(by_budget.values()))} The black line is the frontier's fit, the "
        "gray band its 95 % interval."
    )
    if any(fit is not None and _corners(fit) for fit in frontiers.values()):
        line.append(Line2D([], [], **CORNER, linestyle="none", label="phase begins, 95 %"))
        caption += " Black dots are the take-off and the beginning of the plateau."
    _legend(figure, styles, line if any(frontiers.values()) else ())
    return ReportFigure(figure, Table((*COLUMNS, "on_frontier"), rows), caption)


CORNER: LineStyle = {"marker": "o", "markersize": 6, "color": INK}


def _fitted(axes: Axes, points: RatedVersions, fit: Frontier) -> None:
    """Draws the frontier's fit over its versions, with dots where a phase begins."""
    spent, corners = points.training[fit.on_frontier], _corners(fit)
    places = [float(corner.value) for corner in corners]
    inside = [x for x in places if spent.min() < x < spent.max()]
    x = np.unique([*np.linspace(spent.min(), spent.max(), 60), *inside])
    fitted = frontier.evaluate(points, fit, x)
    axes.fill_between(x, fitted.low, fitted.high, color=INK, alpha=0.18, linewidth=0, zorder=4)
    axes.plot(x, fitted.value, color=INK, linewidth=2.2, zorder=5)
    for corner, at in zip(corners, places, strict=True):
        if at in inside:
            ends = np.clip([corner.low, corner.high], spent.min(), spent.max())
            axes.errorbar(
                at, np.interp(at, x, fitted.value), xerr=np.abs(ends - at)[:, None], **CORNER,
                elinewidth=1, capsize=3, zorder=6,
            )  # fmt: skip


def _corners(fit: Frontier) -> list[Estimate]:
    """Lists the take-off and the beginning of the plateau, where the fit has them."""
    if fit.curve.logistic is not None:
        return []
    both = (fit.curve.in_phases.take_off, fit.curve.in_phases.change_point)
    return [corner for corner in both if corner is not None]


def _curve(axes: Axes, points: RatedVersions, chosen: Ints, x: Floats, style: LineStyle) -> None:
    """Draws the runs of a recipe as thin lines, and with markers their mean where all runs exist.

    A single run is drawn with the 95 % intervals of its ratings instead.

    Args:
        axes: to draw on.
        points: all versions.
        chosen: int[K], indices of the recipe's versions.
        x: float[N], horizontal coordinates of all versions.
        style: of the recipe.
    """
    lines = []
    for run in dict.fromkeys(points.run[chosen].tolist()):
        at = chosen[points.run[chosen] == run]
        lines.append(at[np.argsort(x[at], kind="stable")])
    thin = {"color": style["color"], "linestyle": style["linestyle"]}
    if len(lines) == 1:
        (at,) = lines
        axes.errorbar(x[at], points.elo[at], Z95 * _stderr(points)[at], **style, linewidth=1.4,
                      elinewidth=0.8, markersize=4, zorder=3)  # fmt: skip
        return
    for at in lines:
        axes.plot(x[at], points.elo[at], **thin, linewidth=0.5, zorder=2)
    low, high = max(x[at[0]] for at in lines), min(x[at[-1]] for at in lines)
    ends = np.clip(x[lines[0]], low, high) if low <= high else np.array([])
    ends = np.unique(ends)
    if len(ends):
        each = [interpolation_weights(x[at], ends) @ points.elo[at] for at in lines]
        axes.plot(ends, np.mean(each, axis=0), **style, linewidth=1.7, markersize=4, zorder=3)


def _describe_lines(parts: Iterator[RatedVersions]) -> str:
    """Describes thin and thick lines for a caption."""
    if any(len(set(p.run[p.recipe == r].tolist())) > 1 for p in parts for r in set(p.recipe)):
        return "Thin lines are runs, thick ones the mean over the seeds of a recipe."
    return "Each line is a run; bars are 95 % intervals of its ratings."


STAGES = ("first", "middle", "last")


@style()
def search(points: RatedVersions, factors: Sequence[Factor] = ()) -> ReportFigure:
    """Draws Elo against search FLOPs per move, for first, middle and last versions of runs."""
    spent, cost = points.require("training"), points.require("search")
    recipes = list(dict.fromkeys(points.recipe.tolist()))
    styles = LineStyles.of(factors or factors_of_versions(points), recipes)
    stages: dict[str, list[int]] = {name: [] for name in STAGES}
    for run in points.runs:
        amounts = np.unique(spent[points.run == run])
        places = {"last": len(amounts) - 1, "first": 0, "middle": len(amounts) // 2}
        taken: set[int] = set()
        for name, place in places.items():
            if place not in taken:
                taken.add(place)
                stages[name] += np.flatnonzero(
                    (points.run == run) & (spent == amounts[place])
                ).tolist()
    shown = {name: np.array(at) for name, at in stages.items() if at}
    figure, panels = _panels(len(shown))
    for axes, (name, at) in zip(panels, shown.items(), strict=True):
        for recipe in dict.fromkeys(points.recipe[at].tolist()):
            chosen = at[points.recipe[at] == recipe]
            _curve(axes, points, chosen, cost, styles.by_recipe[recipe])
        if len(shown) > 1:
            axes.set_title(f"{name} versions", fontsize=10)
        axes.set_xlabel("search, FLOPs a move")
        label_powers(axes.xaxis)
    limit_elo(panels[0], points.elo)  # a shared axis
    _legend(figure, styles)
    caption = f"{_describe_lines(iter([points]))} Each line is one network at several budgets."
    return ReportFigure(figure, Table(COLUMNS, version_rows(points)), caption)


@style()
def exchange(points: RatedVersions, fit: Exchange) -> ReportFigure:
    """Draws versions over training and search, colored by Elo, with lines of equal Elo.

    Versions outside the fit are small. No lines are drawn if the data do not bound their slope.
    """
    figure, axes = canvas()
    x, y = points.require("training"), points.require("search")
    low, high = np.percentile(points.elo, [10, 90])
    levels = (
        np.unique(np.round(np.linspace(low, high, 5), -1)) if fit.training_exponent.bounded else ()
    )
    a, b, c = (
        float(estimate.value) for estimate in (fit.training_exponent, fit.elo_scale, fit.offset)
    )
    ends = np.array([x.min(), x.max()])
    axes.set_xlim(ends[0] - 0.1, ends[1] + 0.1)
    axes.set_ylim(y.min() - 0.3, y.max() + 0.3)
    for level in levels:
        line = a * ends + b * level + c
        axes.plot(ends, line, color=INK, linewidth=1)
        inside = np.clip((y.min() + y.max()) / 2, *sorted(line))
        at = float(np.clip((inside - b * level - c) / a, *ends)) if a else float(ends[0])
        axes.annotate(
            f"{level:+.0f}", (at, a * at + b * level + c), fontsize=8, ha="center", va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    size = np.where(fit.in_fit, 34, 7)
    dots = axes.scatter(
        x, y, c=points.elo, cmap=_ramp(), s=size, edgecolors="white", linewidths=0.4
    )
    figure.colorbar(dots, ax=axes, pad=0.01).set_label("Elo")
    axes.set(xlabel="training, FLOPs", ylabel="search, FLOPs a move")
    label_powers(axes.xaxis)
    label_powers(axes.yaxis)
    caption = (
        "Black lines join training and search of equal Elo in the fit. Large dots are the "
        "versions in the fit, small ones all others."
    )
    table = Table((*COLUMNS, "fitted"), version_rows(points, fit.in_fit.astype(int)))
    return ReportFigure(figure, table, caption)


COLUMNS = ("run", "recipe", "seed", "training_log10_flops", "search_log10_flops",
           "parameters_log10", "simulations", "elo", "stderr")  # fmt: skip


def version_rows(points: RatedVersions, *more: Ints | Floats) -> list[Row]:
    """Lists the values of `COLUMNS` and of more columns, [N] each, for every version."""
    simulations = points.covariates.get("simulations", np.full(len(points), np.nan))
    columns = (points.run, points.recipe, points.seed, points.training, points.search)
    columns = (*columns, points.parameters, simulations, points.elo, _stderr(points), *more)
    return [tuple(x.item() for x in row) for row in zip(*columns, strict=True)]


def _stderr(points: RatedVersions) -> Floats:
    """Computes the ratings' standard errors, float[N], in Elo."""
    return np.sqrt(np.diag(points.covariance))


def _ramp() -> Colormap:
    """Returns the color ramp for numbers, without its pale end."""
    shades = mpl.colormaps[RAMP](np.linspace(0, RAMP_END, 256))
    return ListedColormap(shades)


def limit_elo(axes: Axes, elo: Floats) -> None:
    """Limits the Elo axis so that wide intervals do not squeeze the ratings together."""
    low, high = axes.get_ylim()
    room = 0.5 * max(float(np.ptp(elo)), 1.0)
    axes.set_ylim(max(low, elo.min() - room), min(high, elo.max() + room))
