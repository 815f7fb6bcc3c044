"""A figure of what an archive holds."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np

from games.go import as_go
from games.notation import action_to_text
from selfplay.experts import summary
from selfplay.experts.archive import ExpertArchive
from selfplay.experts.sgf import ranks
from selfplay.style.figure_style import HUES, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = (INK, "#909090")  # of players 0 and 1: black, and a white that can be seen
BLUE, ORANGE = HUES[:2]


def to_png(experts: ExpertArchive) -> bytes:
    """Draws `plot` as a PNG image."""
    image = io.BytesIO()
    with _style():
        plot(experts).savefig(image, format="png", dpi=120)
    return image.getvalue()


def plot(experts: ExpertArchive) -> Figure:
    """Draws lengths, strengths, results, first moves, and the overlap of both sides."""
    with _style():
        return _figure(experts)


def _style() -> AbstractContextManager[None]:
    """Sets Matplotlib's defaults, whatever a matplotlibrc says, and restores them afterwards."""
    from matplotlib import style

    return style.context("default")


def _figure(experts: ExpertArchive) -> Figure:
    """Draws the panels for which the archive has data."""
    from matplotlib.figure import Figure

    kinds = [n for n in ("rating", "rank") if not np.isnan(experts.games[n]).all()]
    panels = [_lengths, *(_rating if kind == "rating" else _rank for kind in kinds), _results]
    if (experts.games["opening"][:, 0] >= 0).any():
        panels.append(_openings)
    if experts.held_out.size and experts.train.size:
        panels.append(_new_positions)
    columns = 2 if len(panels) < 5 else 3
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.9 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for panel, axes in zip(panels, grid, strict=False):
        axes.spines[["top", "right"]].set_visible(False)
        panel(axes, experts)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    counts = f"{len(experts.games['plies']):,} games, {experts.size:,} positions"
    figure.suptitle(f"{experts.folder.name} ({experts.manifest['game']}): {counts}")
    return figure


def _lengths(axes: Axes, experts: ExpertArchive) -> None:
    """Draws the distribution of the games' lengths."""
    plies = experts.games["plies"]
    edges = np.linspace(0, plies.max() + 1, min(plies.max() + 2, 41))
    sides = {"training": experts.train, "held out": experts.held_out}
    values = [plies[split.games] for split in sides.values()]
    axes.hist(values, edges, stacked=True, label=list(sides), color=[BLUE, ORANGE])
    axes.set(title="length", xlabel="moves", ylabel="games")
    axes.legend(frameon=False)


def _rating(axes: Axes, experts: ExpertArchive) -> None:
    """Draws the distribution of the players' ratings."""
    known = experts.games["rating"][~np.isnan(experts.games["rating"])]
    low, high = np.percentile(known, (0.2, 99.8))  # without outliers, a server's mistakes
    edges = np.linspace(low, high + 1, 31)
    for player, name in enumerate(experts.game.player_names):
        values = experts.games["rating"][:, player]
        values = values[~np.isnan(values)]
        axes.hist(values, edges, histtype="step", linewidth=1.8, color=COLORS[player], label=name)
    axes.set(title="ratings", xlabel="rating", ylabel="games")
    axes.legend(frameon=False)


def _rank(axes: Axes, experts: ExpertArchive) -> None:
    """Draws the distribution of the players' ranks."""
    levels = np.unique(experts.games["rank"][~np.isnan(experts.games["rank"])])
    for player, name in enumerate(experts.game.player_names):
        counts = [(experts.games["rank"][:, player] == rank).sum() for rank in levels]
        places = np.arange(len(levels)) + 0.4 * player - 0.2
        axes.bar(places, counts, width=0.4, color=COLORS[player], label=name)
    axes.set_xticks(range(len(levels)), [ranks.rank_to_text(rank) for rank in levels])
    axes.tick_params(axis="x", labelsize=8, rotation=90 if len(levels) > 14 else 0)
    axes.set(title="ranks", ylabel="games")
    axes.legend(frameon=False)


def _results(axes: Axes, experts: ExpertArchive) -> None:
    """Draws the results by komi."""
    first, second = experts.game.player_names
    known = experts.games["known"]
    groups = [(name, members & known) for name, members in summary.by_komi(experts)]
    groups = [group for group in groups if group[1].sum() > 0.005 * known.sum()]
    edge = np.zeros(len(groups))  # where the next part of each bar begins
    for name, outcome, color in (
        (f"{first} won", 1, COLORS[0]),
        ("drawn", 0, BLUE),
        (f"{second} won", -1, COLORS[1]),
    ):
        share = np.array(
            [(experts.games["outcome"][members] == outcome).mean() for _, members in groups]
        )
        axes.barh(range(len(groups)), share, left=edge, color=color, label=name)
        edge += share
    labels = [f"{name} ({members.sum():,})" for name, members in groups]
    axes.set_yticks(range(len(groups)), labels)
    axes.axvline(0.5, color=ORANGE, linewidth=0.8, linestyle=":")
    axes.set(title="results", xlabel="share of the games with a result", xlim=(0, 1))
    axes.set_ylabel("" if experts.game.komi is None else "komi (games)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3, frameon=False)


def _openings(axes: Axes, experts: ExpertArchive) -> None:
    """Draws first moves, each spread evenly over its images."""
    moves = experts.games["opening"][:, 0]
    images = np.argsort(experts.game.symmetries().actions, axis=1)[:, moves[moves >= 0]]
    counts = np.bincount(images.reshape(-1), minlength=experts.game.num_actions) / len(moves)
    counts = counts / len(images)
    go = as_go(experts.game)
    if go:  # a board of moves, without the pass
        size = go.size
        shares = 100 * counts[: size * size].reshape(size, size)
        axes.imshow(shares, cmap="Blues", vmax=1.2 * shares.max())
        for row, column in np.argwhere(shares >= 0.1):
            dark = shares[row, column] > 0.85 * shares.max()
            text = f"{shares[row, column]:.2g}" if size < 14 else ""
            color = "white" if dark else "0.2"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
        names = [action_to_text(experts.game, i) for i in range(size * size)]
        axes.set_xticks(range(size), [name[0] for name in names[:size]])
        axes.set_yticks(range(size), [name[1:] for name in names[::size]])
        axes.spines[["top", "right"]].set_visible(True)
    else:
        names = [action_to_text(experts.game, i) for i in range(len(counts))]
        axes.bar(names, 100 * counts, color=BLUE)
        axes.set(xlabel="move", ylabel="% of games")
    axes.set_title("first move, % of games, spread over its images")


def _new_positions(axes: Axes, experts: ExpertArchive) -> None:
    """Draws how many held-out positions occur in no training game, by ply."""
    held_out = experts.held_out
    ply = experts.fields["ply"][held_out.rows]
    count = np.bincount(ply)
    new = np.bincount(ply, ~held_out.positions_in(experts.train))
    shown = count >= max(10, 0.001 * held_out.size)
    axes.plot(np.flatnonzero(shown), 100 * new[shown] / count[shown], color=ORANGE)
    axes.set(title="held-out positions never in training", xlabel="moves before", ylim=(0, 102))
    axes.set_ylabel("%")
