"""What an archive holds, as a picture."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from games.go import Go
from games.notation import action_to_text
from games.symmetry import symmetries
from selfplay.experts import summary
from selfplay.experts.archive import ExpertArchive
from selfplay.experts.sgf import ranks

COLORS = ("#222222", "#909090")  # of players 0 and 1: black, and a white that can be seen
BLUE, ORANGE = "#0072b2", "#c75000"  # like all colors here, with a contrast of 3:1 on white


def to_png(experts: ExpertArchive) -> bytes:
    """Returns `plot` as an image."""
    image = io.BytesIO()
    with _style():
        plot(experts).savefig(image, format="png", dpi=120)
    return image.getvalue()


def plot(experts: ExpertArchive) -> Any:
    """Draws a matplotlib figure: lengths, strength, results, first moves, and what is held out."""
    with _style():
        return _figure(experts)


def _style() -> Any:
    """Ignores a matplotlibrc in this folder; the caller's settings come back."""
    from matplotlib import style

    return style.context("default")


def _figure(experts: ExpertArchive) -> Any:
    from matplotlib.figure import Figure

    kinds = [n for n in ("rating", "rank") if not np.isnan(experts.games[n]).all()]
    panels = [_lengths, *(_rating if kind == "rating" else _rank for kind in kinds), _results]
    if (experts.games["opening"][:, 0] >= 0).any():
        panels.append(_openings)
    if experts.held_out.size and experts.train.size:
        panels.append(_new)
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


def _lengths(axes: Any, experts: ExpertArchive) -> None:
    plies = experts.games["plies"]
    edges = np.linspace(0, plies.max() + 1, min(plies.max() + 2, 41))
    sides = {"training": experts.train, "held out": experts.held_out}
    values = [plies[view.games] for view in sides.values()]
    axes.hist(values, edges, stacked=True, label=list(sides), color=[BLUE, ORANGE])
    axes.set(title="length", xlabel="moves", ylabel="games")
    axes.legend(frameon=False)


def _rating(axes: Any, experts: ExpertArchive) -> None:
    known = experts.games["rating"][~np.isnan(experts.games["rating"])]
    low, high = np.percentile(known, (0.2, 99.8))  # without a server's mistakes
    edges = np.linspace(low, high + 1, 31)
    for player, colour in enumerate(summary.colours(experts)):
        values = experts.games["rating"][:, player]
        values = values[~np.isnan(values)]
        axes.hist(values, edges, histtype="step", linewidth=1.8, color=COLORS[player], label=colour)
    axes.set(title="ratings", xlabel="rating", ylabel="games")
    axes.legend(frameon=False)


def _rank(axes: Any, experts: ExpertArchive) -> None:
    levels = np.unique(experts.games["rank"][~np.isnan(experts.games["rank"])])
    for player, colour in enumerate(summary.colours(experts)):
        counts = [(experts.games["rank"][:, player] == rank).sum() for rank in levels]
        places = np.arange(len(levels)) + 0.4 * player - 0.2
        axes.bar(places, counts, width=0.4, color=COLORS[player], label=colour)
    axes.set_xticks(range(len(levels)), [ranks.rank_to_text(rank) for rank in levels])
    axes.tick_params(axis="x", labelsize=8, rotation=90 if len(levels) > 14 else 0)
    axes.set(title="ranks", ylabel="games")
    axes.legend(frameon=False)


def _results(axes: Any, experts: ExpertArchive) -> None:
    first, second = summary.colours(experts)
    known = experts.games["known"]
    groups = [(name, one & known) for name, one in summary.by_komi(experts)]
    groups = [(name, one) for name, one in groups if one.sum() > max(0.005 * known.sum(), 0)]
    left = np.zeros(len(groups))
    for name, outcome, colour in (
        (f"{first} won", 1, COLORS[0]),
        ("drawn", 0, BLUE),
        (f"{second} won", -1, COLORS[1]),
    ):
        share = np.array(
            [(experts.games["outcome"][chosen] == outcome).mean() for _, chosen in groups]
        )
        axes.barh(range(len(groups)), share, left=left, color=colour, label=name)
        left += share
    labels = [f"{name} ({chosen.sum():,})" for name, chosen in groups]
    axes.set_yticks(range(len(groups)), labels)
    axes.axvline(0.5, color=ORANGE, linewidth=0.8, linestyle=":")
    axes.set(title="results", xlabel="share of the games with a result", xlim=(0, 1))
    axes.set_ylabel("komi (games)" if isinstance(experts.game, Go) else "")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3, frameon=False)


def _openings(axes: Any, experts: ExpertArchive) -> None:
    """First moves, each spread evenly over its images."""
    moves = experts.games["opening"][:, 0]
    images = np.argsort(symmetries(experts.game).actions, axis=1)[:, moves[moves >= 0]]
    counts = np.bincount(images.reshape(-1), minlength=experts.game.num_actions) / len(moves)
    counts = counts / len(images)
    if isinstance(experts.game, Go):
        size = experts.game.size
        shares = 100 * counts[: size * size].reshape(size, size)
        axes.imshow(shares, cmap="Blues", vmax=1.2 * shares.max())
        for row, column in np.argwhere(shares >= 0.1):
            dark = shares[row, column] > 0.85 * shares.max()
            text = f"{shares[row, column]:.2g}" if size < 14 else ""
            colour = "white" if dark else "0.2"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
        names = [action_to_text(experts.game, i) for i in range(size * size)]
        axes.set_xticks(range(size), [name[0] for name in names[:size]])
        axes.set_yticks(range(size), [name[1:] for name in names[::size]])
        axes.spines[["top", "right"]].set_visible(True)
    else:
        names = [action_to_text(experts.game, i) for i in range(len(counts))]
        axes.bar(names, 100 * counts, color=BLUE)
        axes.set(xlabel="move", ylabel="% of games")
    axes.set_title("first move, % of games, spread over its images")


def _new(axes: Any, experts: ExpertArchive) -> None:
    """How soon held-out games leave what stands in training games."""
    held_out = experts.held_out
    ply = experts.fields["ply"][held_out.rows]
    count = np.bincount(ply)
    new = np.bincount(ply, ~held_out.seen_in(experts.train))
    shown = count >= max(10, 0.001 * held_out.size)
    axes.plot(np.flatnonzero(shown), 100 * new[shown] / count[shown], color=ORANGE)
    axes.set(title="held-out positions never in training", xlabel="moves before", ylim=(0, 102))
    axes.set_ylabel("%")
