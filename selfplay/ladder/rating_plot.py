"""The plot of a ladder: ratings against training compute."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import parse_qsl

import numpy as np
from scipy.optimize import isotonic_regression

from selfplay.ladder.ladder import LadderState
from selfplay.ladder.tables import Row, rows
from selfplay.players.specs import GTP, split_stored
from selfplay.style.figure_style import DASHES, HUES, INK, MARKERS, PALE, Dash, plain

if TYPE_CHECKING:  # matplotlib takes most of a second to import
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_HEIGHT = 0.17  # inches of the plot's height that one name takes
MAX_NAME = 36  # characters of a name in the plot
STYLE: dict[str, str | float | bool] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "xtick.color": PALE,
    "ytick.color": PALE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "savefig.dpi": 150,
}


class Looks(TypedDict):
    """Keyword arguments that draw the line of one run and budget."""

    color: str
    marker: str
    linestyle: Dash


def to_png(state: LadderState, title: str) -> bytes:
    """Renders `plot` as a PNG image."""
    image = io.BytesIO()
    with _style():
        plot(state, title).savefig(image, format="png")
    return image.getvalue()


def plot(state: LadderState, title: str) -> Figure:
    """Draws ratings against training FLOPs as a matplotlib figure; see `draw`."""
    return draw(rows(state), title)


def draw(rated: Sequence[Row], title: str) -> Figure:
    """Draws rows as a matplotlib figure with 95 % intervals.

    The versions of a run at one budget form a line over training FLOPs. Each budget has a marker
    and dashes. Each run has a color; if there is one run only, or more than `HUES`, each budget has
    one. Players without training are dotted lines, named on the right. Without any version, all
    players are listed by name.
    """
    from matplotlib.figure import Figure

    learned = [row for row in rated if row.training_flops > 0]
    others = [row for row in rated if not row.training_flops > 0]
    names = labels(row.player for row in rated)
    with _style():
        height = max(4.8, 1.2 + LINE_HEIGHT * len(others))
        figure = Figure(figsize=(8.4, height), layout="constrained")
        axes = figure.subplots()
        axes.set_title(plain(title))
        if not learned:
            _draw_list(axes, others, names)
            return figure
        _draw_lines(figure, axes, learned, names)
        axes.set_xscale("log")
        axes.set_xlabel("training FLOPs")
        axes.set_ylabel("Elo, 95 % intervals")
        ends = [end for row in rated for end in (row.low, row.high)]
        margin = 0.04 * (max(ends) - min(ends)) or 1.0
        axes.set_ylim(min(ends) - margin, max(ends) + margin)
        _draw_references(axes, others, names, 1.25 * LINE_HEIGHT / height)
    return figure


def _style() -> AbstractContextManager[None]:
    """Sets matplotlib's defaults and `STYLE`, whatever a matplotlibrc says, and restores them."""
    from matplotlib import style

    return style.context(["default", STYLE])


def _draw_lines(
    figure: Figure, axes: Axes, learned: Sequence[Row], names: Mapping[str, str]
) -> None:
    """Draws a line for every run and budget, with a legend below the plot."""
    from matplotlib.lines import Line2D

    lines: dict[tuple[str, str], list[Row]] = {}
    for row in learned:
        name, _, options = names[row.player].rpartition("?")
        lines.setdefault((name.rpartition("@")[0] or name, options), []).append(row)
    runs = list(dict.fromkeys(run for run, _ in lines))
    cost = {options: line[0].flops_per_move for (_, options), line in lines.items()}
    budgets = sorted(cost, key=lambda options: cost[options])
    by_run = 1 < len(runs) <= len(HUES)

    def looks(run: str, options: str) -> Looks:
        budget = budgets.index(options)
        hue = runs.index(run) if by_run else budget
        return {
            "color": HUES[hue % len(HUES)],
            "marker": MARKERS[budget % len(MARKERS)],
            "linestyle": DASHES[budget % len(DASHES)],
        }

    for (run, options), line in lines.items():
        line.sort(key=lambda row: row.training_flops)
        elo = np.array([row.elo for row in line])
        error = [elo - [row.low for row in line], [row.high for row in line] - elo]
        x = [row.training_flops for row in line]
        axes.errorbar(x, elo, yerr=error, elinewidth=1, capsize=2, **looks(run, options))
    handles: list[Artist] = []
    fixed: list[str] = []
    if by_run:
        for run in runs:
            color = looks(run, budgets[0])["color"]
            handles.append(Line2D([], [], color=color, lw=3, label=plain(run)))
    else:
        fixed.append(runs[0] if len(runs) == 1 else f"{len(runs)} runs")
    if len(budgets) > 1:
        for options in budgets:
            look = looks(runs[0], options)
            if by_run:
                look["color"] = PALE
            handles.append(Line2D([], [], label=plain(_describe_budget(options)), **look))
    else:
        fixed.append(_describe_budget(budgets[0]))
    figure.legend(
        handles=handles,
        title=plain(", ".join(fixed)) if fixed else None,
        loc="outside lower left",
        ncols=4,
        frameon=False,
        alignment="left",
        handlelength=3.2,
        fontsize=8.5,
    )


def _draw_references(
    axes: Axes, others: Sequence[Row], names: Mapping[str, str], gap: float
) -> None:
    """Draws players without training as lines, with names at least `gap` of the height apart."""
    low, high = axes.get_ylim()
    places = spread([(row.elo - low) / (high - low) for row in others], gap)
    for row, place in zip(others, places, strict=True):
        axes.axhspan(row.low, row.high, color=PALE, alpha=0.12, linewidth=0, zorder=0)
        axes.axhline(row.elo, color=PALE, linewidth=1, linestyle=":", zorder=1)
        axes.annotate(
            plain(names[row.player]),
            (1.0, row.elo),
            xycoords=("axes fraction", "data"),
            xytext=(1.03, place),
            textcoords="axes fraction",
            color=INK,
            fontsize=8.5,
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": PALE,
                "linewidth": 0.8,
                "relpos": (0, 0.5),
                "shrinkA": 2,
                "shrinkB": 0,
            },
        )


def _draw_list(axes: Axes, others: Sequence[Row], names: Mapping[str, str]) -> None:
    """Draws every player on a line of its own, the strongest at the top."""
    elo = np.array([row.elo for row in others])
    error = [elo - [row.low for row in others], [row.high for row in others] - elo]
    places = np.arange(len(others))[::-1]
    axes.errorbar(elo, places, xerr=error, fmt="o", color=HUES[0], elinewidth=1.2, capsize=3)
    axes.set_yticks(places, [plain(names[row.player]) for row in others])
    axes.set_ylim(-0.7, len(others) - 0.3)
    axes.set_xlabel("Elo, 95 % intervals")


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Returns places in [0, 1], near the `wanted` ones, in their order and at least `gap` apart."""
    order = np.argsort(wanted)
    steps = gap * np.arange(len(order))
    fitted = isotonic_regression(np.asarray(wanted)[order] - steps).x if len(order) else steps
    places = np.clip(fitted, 0, max(0.0, 1 - steps.max(initial=0))) + steps
    return places[np.argsort(order)].tolist()


def labels(specs: Iterable[str]) -> dict[str, str]:
    """Maps players to names for a plot: engines shortened, runs without their parent folders.

    Runs whose folders have the same name keep as many parts of their paths as are needed to tell
    them apart.
    """
    runs = {s: "" if s.startswith(GTP) else split_stored(s)[0].rpartition("@")[0] for s in specs}
    parts = {run: Path(run).parts for run in runs.values()}
    short: dict[str, str] = {}
    for run, path in parts.items():
        others = [other for name, other in parts.items() if name != run]
        sizes = (n for n in range(1, len(path)) if all(o[-n:] != path[-n:] for o in others))
        short[run] = str(Path(*path[-next(sizes, len(path)) :])) if path else ""
    return {
        spec: short[run] + spec.removeprefix(run) if run else shortened(spec, MAX_NAME)
        for spec, run in runs.items()
    }


def _describe_budget(options: str) -> str:
    """Describes a version's options in words: "64 simulations, puct"."""
    values = dict(parse_qsl(options))
    sims = values.pop("sims", "")
    words = "raw network" if sims == "0" else f"{sims} simulations"
    return ", ".join([words, *values.values()] if sims else [options])


def shortened(name: str, limit: int = 44) -> str:
    """Shortens a name to its end, and an engine's to its program and last options."""
    if not name.startswith(GTP):
        return name if len(name) <= limit else "…" + name[1 - limit :]
    program, *options = name.removeprefix(GTP).split()
    program, end = Path(program).name, ""
    while options and len(program) + len(end) + len(options[-1]) < limit:
        end = f" {options.pop()}{end}"
    return program + (" …" if options else "") + end
