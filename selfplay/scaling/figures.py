"""Figures of rated versions, each with the table that it shows. Colours are safe for the
colour-blind and differ in lightness, so that they hold in print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from selfplay.scaling.estimate import Floats
from selfplay.scaling.exchange import Exchange
from selfplay.scaling.extrapolation import Extrapolation
from selfplay.scaling.frontier import Frontier
from selfplay.scaling.points import Points

mpl.rcdefaults()  # whatever a matplotlibrc in this folder says

Z95 = 1.96
SAME_SPENT = 0.01  # OOMs: two seeds of a recipe differ by less, one iteration of 32 makes more
PANELS = 3  # beside each other
COLOURS = "cividis"
HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito (2008)
MARKERS = "os^DvP"
INK, PALE = "#222222", "#bbbbbb"
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


@dataclass(frozen=True)
class Drawing:
    """A figure, and what is in it."""

    figure: Figure
    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def _canvas(width: float = 7.2, height: float = 4.4) -> tuple[Figure, Axes]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.add_subplot()


def _shades(values: Sequence[float]) -> dict[float, Any]:
    """A colour for each distinct value, light for the least; the lightest are left out."""
    distinct = sorted(set(values))
    scale = np.linspace(0.85, 0.0, len(distinct)) if len(distinct) > 1 else [0.3]
    return {v: mpl.colormaps[COLOURS](s) for v, s in zip(distinct, scale, strict=True)}


def training(at: Mapping[float, Points], found: Mapping[float, Frontier | None]) -> Drawing:
    """Elo against training FLOPs, a panel for each search budget: runs thin, the frontier on top.

    Runs are coloured by size, or by recipe where all are of one size; bars are 95 % intervals of
    the ratings.

    Args:
        at: search budget → the versions rated at it.
        found: search budget → its frontier.
    """
    columns = min(len(at), PANELS)
    size = (7.2, 4.4) if len(at) == 1 else (3.2 * columns + 0.8, 3.6 * -(-len(at) // columns))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(
            -(-len(at) // columns), columns, sharex=True, sharey=True, squeeze=False
        ).ravel()
    whole = np.concatenate([points.parameters for points in at.values()])
    recipes = sorted({recipe for points in at.values() for recipe in points.recipe.tolist()})
    by_size = len(np.unique(whole)) > 1
    colour = _shades(whole.tolist() if by_size else [float(i) for i in range(len(recipes))])
    marker = dict.fromkeys(colour, "o")
    if not by_size and len(recipes) <= len(HUES):
        colour = dict(zip(colour, HUES, strict=False))
        marker = dict(zip(marker, MARKERS, strict=False))
    rows = []
    for axes, (budget, points) in zip(panels, at.items(), strict=False):
        one = found[budget]
        for run in points.runs:
            own = np.flatnonzero(points.run == run)
            own = own[np.argsort(points.training[own])]
            shown = points.parameters if by_size else [recipes.index(r) for r in points.recipe]
            value = float(shown[own[0]])
            axes.errorbar(
                points.training[own], points.elo[own], Z95 * _stderr(points)[own],
                color=colour[value], linewidth=1, elinewidth=0.6, marker=marker[value],
                markersize=3, alpha=0.8,
            )  # fmt: skip
        if one is not None:
            spent = points.training[one.on]
            x = np.linspace(spent.min(), spent.max(), 200)
            axes.plot(x, _fitted(points, one, x), color=INK, linewidth=2)
        if len(at) > 1:
            axes.set_title(f"{budget:g} simulations", fontsize=10)
        axes.set_xlabel("training, FLOPs")
        _powers(axes.xaxis)
        on = one.on if one is not None else np.zeros(len(points), bool)
        rows += _rows(points, on.astype(int))
    for empty in panels[len(at) :]:
        empty.set_visible(False)
    panels[0].set_ylabel("Elo")
    for value, shade in colour.items():
        label = _count(10**value) if by_size else recipes[int(value)]
        panels[0].plot([], [], color=shade, marker=marker[value], markersize=3, label=label)
    if any(found.values()):
        panels[0].plot([], [], color=INK, linewidth=2, label="frontier")
    figure.legend(
        title="parameters" if by_size else "recipe", fontsize=8, title_fontsize=8, frameon=False,
        loc="outside right center",
    )  # fmt: skip
    return Drawing(figure, (*COLUMNS, "on_frontier"), rows)


def _fitted(points: Points, found: Frontier, x: Floats) -> Floats:
    """The frontier's line, or its incline and plateau."""
    chosen = points.select(found.on)
    slope = float(found.slope.value)
    if found.incline is None:
        return chosen.elo.mean() + slope * (x - chosen.training.mean())
    plateau, bend = float(found.incline.plateau.value), float(found.incline.change_point.value)
    return np.minimum(plateau, plateau + slope * (x - bend))


def search(points: Points) -> Drawing:
    """Elo against search FLOPs per move: a line for each version, coloured by its training."""
    figure, axes = _canvas()
    spent, cost = points.known("training"), points.known("search")
    error = Z95 * _stderr(points)
    low, high = spent.min(), spent.max()
    norm = Normalize(low, high if high > low else low + 1)
    shades = mpl.colormaps[COLOURS].reversed()
    for network in np.unique(points.network):
        own = np.flatnonzero(points.network == network)
        own = own[np.argsort(cost[own])]
        axes.errorbar(
            cost[own], points.elo[own], error[own], color=shades(norm(spent[own[0]])),
            linewidth=1, elinewidth=0.6, marker="o", markersize=3, alpha=0.9,
        )  # fmt: skip
    bar = figure.colorbar(ScalarMappable(norm, shades), ax=axes, pad=0.01)
    bar.set_label("training, log$_{10}$ FLOPs")
    axes.set(xlabel="search, FLOPs a move", ylabel="Elo")
    _powers(axes.xaxis)
    return Drawing(figure, COLUMNS, _rows(points))


def exchange(points: Points, found: Exchange) -> Drawing:
    """Versions over training and search, coloured by Elo, with the fitted lines of equal Elo.

    Those that are not in the fit are small. Where the data set no bound on the lines' slope there
    are none.
    """
    figure, axes = _canvas()
    x, y = points.known("training"), points.known("search")
    low, high = np.percentile(points.elo, [10, 90])
    levels = np.unique(np.round(np.linspace(low, high, 5), -1)) if found.a.bounded else ()
    a, b, c = (float(one.value) for one in (found.a, found.b, found.c))
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
    size = np.where(found.on, 34, 7)
    drawn = axes.scatter(
        x, y, c=points.elo, cmap=COLOURS, s=size, edgecolors="white", linewidths=0.4
    )
    figure.colorbar(drawn, ax=axes, pad=0.01).set_label("Elo")
    axes.set(xlabel="training, FLOPs", ylabel="search, FLOPs a move")
    _powers(axes.xaxis)
    _powers(axes.yaxis)
    return Drawing(figure, (*COLUMNS, "fitted"), _rows(points, found.on.astype(int)))


def heat(points: Points) -> Drawing:
    """Mean Elo of the last versions: network size against search budget.

    A run that has spent less than others of its recipe is left out.
    """
    figure, axes = _canvas(6.0, 3.8)
    last = _last(points)
    sizes = np.unique(np.round(last.known("parameters"), 6))
    budgets = np.unique(last.known("simulations"))
    mean = np.full((len(sizes), len(budgets)), np.nan)
    rows = []
    for i, size in enumerate(sizes):
        for j, budget in enumerate(budgets):
            own = np.isclose(last.parameters, size) & (last.covariates["simulations"] == budget)
            if own.any():
                mean[i, j] = last.elo[own].mean()
                weights = np.where(own, 1 / own.sum(), 0.0)
                stderr = float(np.sqrt(weights @ last.covariance @ weights))
                rows.append((round(10**size), budget, mean[i, j], stderr, len(set(last.run[own]))))
    drawn = axes.imshow(mean, origin="lower", aspect="auto", cmap=COLOURS)
    middle = (np.nanmin(mean) + np.nanmax(mean)) / 2
    for i, j in zip(*np.nonzero(np.isfinite(mean)), strict=True):
        ink = "black" if mean[i, j] > middle else "white"
        axes.text(j, i, f"{mean[i, j]:+.0f}", ha="center", va="center", color=ink, fontsize=9)
    axes.set_xticks(range(len(budgets)), [f"{budget:g}" for budget in budgets])
    axes.set_yticks(range(len(sizes)), [_count(10**size) for size in sizes])
    axes.grid(False)
    axes.set(xlabel="simulations a move", ylabel="parameters")
    figure.colorbar(drawn, ax=axes, pad=0.01).set_label("Elo of the last versions")
    return Drawing(figure, ("parameters", "simulations", "elo", "stderr_of_rating", "runs"), rows)


def extrapolation(points: Points, found: Extrapolation) -> Drawing:
    """What was fitted, the line, and the held-out versions with their prediction intervals."""
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
    _powers(axes.xaxis)
    intervals = {
        (run, spent): tuple(one)
        for run, spent, *one in zip(
            found.run, found.training, predicted.value, predicted.low, predicted.high, strict=True
        )
    }
    none = (np.nan, np.nan, np.nan)
    known = [intervals.get(key, none) for key in zip(points.run, points.training, strict=True)]
    header = (*COLUMNS, "held_out", "predicted", "low", "high")
    return Drawing(figure, header, _rows(points, out.astype(int), *np.array(known).T))


COLUMNS = ("run", "recipe", "seed", "training_log10_flops", "search_log10_flops",
           "parameters_log10", "simulations", "elo", "stderr")  # fmt: skip


def _rows(points: Points, *more: Any) -> list[tuple[Any, ...]]:
    simulations = points.covariates.get("simulations", np.full(len(points), np.nan))
    columns = (points.run, points.recipe, points.seed, points.training, points.search)
    columns = (*columns, points.parameters, simulations, points.elo, _stderr(points), *more)
    return [tuple(x.item() for x in row) for row in zip(*columns, strict=True)]


def _stderr(points: Points) -> Floats:
    """float[N], Elo."""
    return np.sqrt(np.diag(points.covariance))


def _last(points: Points) -> Points:
    """Of each recipe, the last versions of the runs that went furthest, at all their budgets."""
    spent = points.known("training")
    most = np.array([spent[points.recipe == recipe].max() for recipe in points.recipe])
    return points.select(spent >= most - SAME_SPENT)


def _powers(axis: Axis) -> None:
    """The axis holds log10."""
    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axis.set_major_formatter(lambda value, _: f"$10^{{{value:g}}}$")


def _count(value: float) -> str:
    """1 234 → 1.2 k."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"
