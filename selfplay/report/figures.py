"""Figures of rated versions, each with the table that it shows.

Colors are safe for the color-blind and differ in lightness, so that they hold in print. Whatever
carries data has a contrast of 3:1 with the white paper, at least.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Colormap, ListedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from selfplay.scaling import frontier
from selfplay.scaling.at_training import interpolation_weights
from selfplay.scaling.estimate import Floats
from selfplay.scaling.exchange import Exchange
from selfplay.scaling.extrapolation import Extrapolation
from selfplay.scaling.factors import Factor, factors_of_versions
from selfplay.scaling.frontier import Frontier
from selfplay.scaling.rated_versions import Ints, RatedVersions

Z95 = 1.96
PANELS = 3  # beside each other
RAMP, RAMP_END = "plasma", 0.62  # of numbers; what is beyond is too pale for a line on white
HUES = ("#0072b2", "#c75000", "#00805c", "#a8508a", "#8a6d00", "#3a3a3a")  # Okabe and Ito, darker
MARKERS = "os^DvP"
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 1.5, 1.2, 1.5)))
INK, PALE = "#222222", "#767676"
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


@contextmanager
def style() -> Iterator[None]:
    """Sets matplotlib up as the figures need it; afterwards it is as its user has set it.

    What a matplotlibrc in this folder says does not count: it may name programs to run.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


@dataclass(frozen=True)
class Drawing:
    """A figure, what is in it, and the words below it."""

    figure: Figure
    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    caption: str = ""


@dataclass(frozen=True)
class Looks:
    """How the lines of each recipe are drawn: one factor's color, another one's dashes."""

    line: Mapping[str, dict[str, Any]]  # recipe → color, dashes and marker
    legend: list[Any]  # of handles, the factors' names above their levels

    @classmethod
    def of(cls, factors: Sequence[Factor], recipes: Sequence[str]) -> Looks:
        """Gives colors to the factor with the most levels; at most three factors are told apart."""
        line: dict[str, dict[str, Any]] = {
            recipe: {"color": HUES[0], "linestyle": "-", "marker": "o"} for recipe in recipes
        }
        ordered = sorted(factors[:3], key=lambda factor: -len(factor.levels))
        legend: list[Any] = []
        for place, factor in enumerate(ordered):
            looks = _looks_of(factor, place, len(ordered))
            for recipe in recipes:
                line[recipe] |= looks[factor.level(recipe)]
            legend.append(Patch(alpha=0, label=plain(factor.field)))
            base = {"color": INK, "linestyle": "-" if place < 2 else "none"}
            used = {factor.level(recipe) for recipe in recipes}
            legend += [
                Line2D([], [], **{**base, **looks[level]}, markersize=4, label=plain(level))
                for level in factor.levels
                if level in used
            ]
        return cls(line, legend)


def _looks_of(factor: Factor, place: int, of: int) -> dict[str, dict[str, Any]]:
    """Maps each level to what it changes in the line of a recipe."""
    levels = factor.levels
    markers = [MARKERS[i % len(MARKERS)] for i in range(len(levels))]
    if place == 0:
        colors: Sequence[Any] = HUES
        if factor.numeric or len(levels) > len(HUES):
            shades = mpl.colormaps[RAMP](np.linspace(0, RAMP_END, len(levels)))
            colors = [to_hex(shade) for shade in shades]
        looks = [{"color": color} for color in colors[: len(levels)]]
    elif place == 1:
        looks = [{"linestyle": DASHES[i % len(DASHES)]} for i in range(len(levels))]
    else:
        looks = [{} for _ in levels]
    if place == of - 1:
        looks = [{**one, "marker": m} for one, m in zip(looks, markers, strict=True)]
    return dict(zip(levels, looks, strict=True))


def plain(text: str) -> str:
    """Makes a name that matplotlib shows as it is: without formulas, and in the legend."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def _canvas(width: float = 7.2, height: float = 4.4) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Creates `count` panels in rows, with shared axes."""
    columns = min(count, PANELS)
    lines = -(-count // columns)
    size = (7.2, 4.4) if count == 1 else (3.0 * columns + 1.6, 3.5 * lines)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for empty in grid.ravel()[count:]:
        empty.set_visible(False)
    for row in grid:
        row[0].set_ylabel("Elo")
    return figure, grid.ravel().tolist()[:count]


def _legend(figure: Figure, looks: Looks, more: Sequence[Any] = ()) -> None:
    handles = [*looks.legend, *more]
    if not handles:
        return
    legend = figure.legend(handles=handles, fontsize=8, frameon=False, loc="outside right center")
    for handle, words in zip(handles, legend.get_texts(), strict=True):
        if isinstance(handle, Patch):  # the name of a factor, above its levels
            words.set_fontweight("bold")


@style()
def training(
    at: Mapping[float, RatedVersions],
    found: Mapping[float, Frontier | None],
    factors: Sequence[Factor] = (),
) -> Drawing:
    """Draws Elo against training FLOPs, a panel for each search budget, the frontier on top.

    Args:
        at: search budget → the versions rated at it.
        found: search budget → its frontier.
        factors: what tells the recipes apart; their sizes or names if left out.
    """
    figure, panels = _panels(len(at))
    recipes = list(dict.fromkeys(r for points in at.values() for r in points.recipe.tolist()))
    factors = factors or factors_of_versions(max(at.values(), key=len))
    looks = Looks.of(factors, recipes)
    rows = []
    for axes, (budget, points) in zip(panels, at.items(), strict=True):
        for recipe in dict.fromkeys(points.recipe.tolist()):
            own = np.flatnonzero(points.recipe == recipe)
            _curve(axes, points, own, points.training, looks.line[recipe])
        one = found[budget]
        if one is not None:
            spent = points.training[one.on_frontier]
            x = np.linspace(spent.min(), spent.max(), 60)
            fitted = frontier.curve(points, one, x)
            axes.fill_between(x, fitted.low, fitted.high, color=INK, alpha=0.18, linewidth=0,
                              zorder=4)  # fmt: skip
            axes.plot(x, fitted.value, color=INK, linewidth=2.2, zorder=5)
        if len(at) > 1:
            axes.set_title(f"{budget:g} simulations a move", fontsize=10)
        axes.set_xlabel("training, FLOPs")
        powers(axes.xaxis)
        on = one.on_frontier if one is not None else np.zeros(len(points), bool)
        rows += _rows(points, on.astype(int))
    _bound(panels[0], np.concatenate([points.elo for points in at.values()]))  # all share it
    fit = [Line2D([], [], color=INK, linewidth=2.2, label="frontier, 95 %")]
    _legend(figure, looks, fit if any(found.values()) else ())
    caption = (
        f"{_lines_are(points for points in at.values())} The black line is the frontier's fit, the "
        "gray band its 95 % interval."
    )
    return Drawing(figure, (*COLUMNS, "on_frontier"), rows, caption)


def _curve(
    axes: Axes, points: RatedVersions, own: Ints, x: Floats, looks: Mapping[str, Any]
) -> None:
    """Draws the runs of a recipe as thin lines, and their mean where all are, with markers.

    A single run has the intervals of its ratings.
    """
    lines = []
    for run in dict.fromkeys(points.run[own].tolist()):
        at = own[points.run[own] == run]
        lines.append(at[np.argsort(x[at], kind="stable")])
    thin = {"color": looks["color"], "linestyle": looks["linestyle"]}
    if len(lines) == 1:
        (at,) = lines
        axes.errorbar(x[at], points.elo[at], Z95 * _stderr(points)[at], **looks, linewidth=1.4,
                      elinewidth=0.8, markersize=4, zorder=3)  # fmt: skip
        return
    for at in lines:
        axes.plot(x[at], points.elo[at], **thin, linewidth=0.5, zorder=2)
    low, high = max(x[at[0]] for at in lines), min(x[at[-1]] for at in lines)
    ends = np.clip(x[lines[0]], low, high) if low <= high else np.array([])
    ends = np.unique(ends)
    if len(ends):
        each = [interpolation_weights(x[at], ends) @ points.elo[at] for at in lines]
        axes.plot(ends, np.mean(each, axis=0), **looks, linewidth=1.7, markersize=4, zorder=3)


def _lines_are(parts: Iterator[RatedVersions]) -> str:
    """Says what is thin and what is thick."""
    if any(len(set(p.run[p.recipe == r].tolist())) > 1 for p in parts for r in set(p.recipe)):
        return "Thin lines are runs, thick ones the mean over the seeds of a recipe."
    return "Each line is a run; bars are 95 % intervals of its ratings."


STAGES = ("first", "middle", "last")


@style()
def search(points: RatedVersions, factors: Sequence[Factor] = ()) -> Drawing:
    """Draws Elo against search FLOPs per move: first, middle and last rated versions of runs."""
    spent, cost = points.require("training"), points.require("search")
    recipes = list(dict.fromkeys(points.recipe.tolist()))
    looks = Looks.of(factors or factors_of_versions(points), recipes)
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
    shown = {name: np.array(own) for name, own in stages.items() if own}
    figure, panels = _panels(len(shown))
    for axes, (name, own) in zip(panels, shown.items(), strict=True):
        for recipe in dict.fromkeys(points.recipe[own].tolist()):
            _curve(axes, points, own[points.recipe[own] == recipe], cost, looks.line[recipe])
        if len(shown) > 1:
            axes.set_title(f"{name} versions", fontsize=10)
        axes.set_xlabel("search, FLOPs a move")
        powers(axes.xaxis)
    _bound(panels[0], points.elo)  # all share it
    _legend(figure, looks)
    caption = f"{_lines_are(iter([points]))} Each line is one network at several budgets."
    return Drawing(figure, COLUMNS, _rows(points), caption)


@style()
def exchange(points: RatedVersions, found: Exchange) -> Drawing:
    """Draws versions over training and search, colored by Elo, with lines of equal Elo.

    Those that are not in the fit are small. Where the data set no bound on the lines' slope there
    are none.
    """
    figure, axes = _canvas()
    x, y = points.require("training"), points.require("search")
    low, high = np.percentile(points.elo, [10, 90])
    levels = (
        np.unique(np.round(np.linspace(low, high, 5), -1))
        if found.training_exponent.bounded
        else ()
    )
    a, b, c = (float(one.value) for one in (found.training_exponent, found.elo_scale, found.offset))
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
    size = np.where(found.in_fit, 34, 7)
    drawn = axes.scatter(
        x, y, c=points.elo, cmap=_ramp(), s=size, edgecolors="white", linewidths=0.4
    )
    figure.colorbar(drawn, ax=axes, pad=0.01).set_label("Elo")
    axes.set(xlabel="training, FLOPs", ylabel="search, FLOPs a move")
    powers(axes.xaxis)
    powers(axes.yaxis)
    caption = (
        "Black lines join what plays equally well in the fit, with their Elo. Large dots are the "
        "versions in the fit, small ones all others."
    )
    return Drawing(figure, (*COLUMNS, "fitted"), _rows(points, found.in_fit.astype(int)), caption)


@style()
def extrapolation(points: RatedVersions, found: Extrapolation) -> Drawing:
    """Draws what was fitted, the line, and held-out versions with their prediction intervals."""
    figure, axes = _canvas(7.2, 3.8)
    out = np.isin(points.run, found.held_out)
    fitted = points.select(~out)
    axes.plot(fitted.training, fitted.elo, "o", color=PALE, markersize=4, label="fitted")
    x = np.array([points.training.min(), points.training.max()])
    line = fitted.elo.mean() + float(found.slope.value) * (x - fitted.training.mean())
    axes.plot(x, line, color=INK, linewidth=1)
    beyond = np.argsort(found.training)
    predicted = found.predicted
    half = np.stack([predicted.value - predicted.low, predicted.high - predicted.value])
    axes.errorbar(
        found.training[beyond], predicted.value[beyond], half[:, beyond], fmt="none", ecolor=INK,
        capsize=3, linewidth=1.2, label="predicted, 95 %",
    )  # fmt: skip
    axes.plot(
        points.training[out], points.elo[out], "D", color="#0072b2", markersize=4, label="held out"
    )
    axes.legend(fontsize=8, frameon=False)
    axes.set(xlabel="training, FLOPs", ylabel="Elo")
    powers(axes.xaxis)
    _bound(axes, points.elo)
    intervals = {
        (run, spent): tuple(one)
        for run, spent, *one in zip(
            found.run, found.training, predicted.value, predicted.low, predicted.high, strict=True
        )
    }
    none = (np.nan, np.nan, np.nan)
    known = [intervals.get(key, none) for key in zip(points.run, points.training, strict=True)]
    header = (*COLUMNS, "held_out", "predicted", "low", "high")
    caption = "The line is fitted to the gray dots alone; bars are what it predicts beyond them."
    rows = _rows(points, out.astype(int), *np.array(known).T)
    return Drawing(figure, header, rows, caption)


COLUMNS = ("run", "recipe", "seed", "training_log10_flops", "search_log10_flops",
           "parameters_log10", "simulations", "elo", "stderr")  # fmt: skip


def _rows(points: RatedVersions, *more: Any) -> list[tuple[Any, ...]]:
    simulations = points.covariates.get("simulations", np.full(len(points), np.nan))
    columns = (points.run, points.recipe, points.seed, points.training, points.search)
    columns = (*columns, points.parameters, simulations, points.elo, _stderr(points), *more)
    return [tuple(x.item() for x in row) for row in zip(*columns, strict=True)]


def _stderr(points: RatedVersions) -> Floats:
    """Returns the ratings' standard errors, float[N], Elo."""
    return np.sqrt(np.diag(points.covariance))


def _ramp() -> Colormap:
    """Returns the ramp of numbers, as far as it shows on white."""
    shades = mpl.colormaps[RAMP](np.linspace(0, RAMP_END, 256))
    return ListedColormap(shades)


def _bound(axes: Axes, elo: Floats) -> None:
    """Limits the axis so that no interval, however wide, presses the ratings together."""
    low, high = axes.get_ylim()
    room = 0.5 * max(float(np.ptp(elo)), 1.0)
    axes.set_ylim(max(low, elo.min() - room), min(high, elo.max() + room))


def powers(axis: Axis) -> None:
    """Labels an axis that holds log10, once all is drawn: 10^11, or 10^11.2 in two decades."""
    low, high = axis.get_view_interval()
    whole = high - low >= 2
    axis.set_major_locator(MaxNLocator(6 if whole else 4, steps=[1, 2, 5, 10], integer=whole))
    axis.set_major_formatter(lambda value, _: f"$10^{{{value:g}}}$")
