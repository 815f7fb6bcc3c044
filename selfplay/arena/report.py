"""What a ladder says: a table, CSV, a plot of rating against training compute, games as SGF."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text
from sgfmill import sgf

from games.game import Game
from games.go import Go
from selfplay.arena import misfit
from selfplay.arena.ladder import Standing
from selfplay.arena.player import GTP
from selfplay.arena.records import Entry
from selfplay.arena.records import Game as RecordedGame

WIDE = 100  # columns of a terminal that shows the whole table
LINE = 0.04  # of a plot's height, that a name takes
LEGEND = 16  # lines that a plot can name


@dataclass(frozen=True)
class Row:
    """A player's line, strongest first."""

    rank: int
    player: str
    elo: float
    low: float  # 95 % interval, relative to the anchor
    high: float
    stderr: float
    superior: float  # likelihood of being stronger than the next line's player; NaN in the last
    games: int
    score: float  # mean points: 1 a win, 1/2 a draw; NaN without games
    flops_per_move: float
    training_flops: float  # NaN where it is not known


def rows(standing: Standing) -> list[Row]:
    """All players, strongest first."""
    entries, ratings, games = standing.entries, standing.ratings, standing.games
    order = sorted(range(len(entries)), key=lambda i: (-ratings.elo[i], entries[i].spec))
    points = (games.outcome + 1) / 2
    made = []
    for rank, i in enumerate(order, start=1):
        own = np.concatenate([points[games.first == i], 1 - points[games.second == i]])
        following = order[rank] if rank < len(order) else None
        made.append(
            Row(
                rank=rank,
                player=entries[i].spec,
                elo=float(ratings.elo[i]),
                low=float(ratings.interval[i, 0]),
                high=float(ratings.interval[i, 1]),
                stderr=float(ratings.stderr[i]),
                superior=math.nan if following is None else ratings.superiority(i, following),
                games=len(own),
                score=float(own.mean()) if len(own) else math.nan,
                flops_per_move=entries[i].flops_per_move,
                training_flops=entries[i].training_flops,
            )
        )
    return made


def table(standing: Standing, title: str = "", width: int = 120) -> Table:
    """For a terminal of so many columns; what all of it rests on stands below.

    "> next" is the likelihood that a player is stronger than the one below.
    """
    anchor = standing.entries[standing.ratings.anchor].spec
    columns: dict[str, Callable[[Row], str]] = {
        "Elo": lambda row: f"{row.elo:+.0f}" if row.player != anchor else "0",
        "95 %": lambda row: f"± {(row.high - row.low) / 2:.0f}" if row.player != anchor else "",
        "> next": lambda row: "" if math.isnan(row.superior) else f"{row.superior:.0%}",
        "games": lambda row: f"{row.games}",
        "score": lambda row: "" if math.isnan(row.score) else f"{row.score:.0%}",
        "FLOPs/move": lambda row: power_of_ten(row.flops_per_move),
        "training": lambda row: power_of_ten(row.training_flops),
    }
    if width < WIDE:
        columns = {name: columns[name] for name in ("Elo", "95 %", "games")}
    grid = Table(title=Text(title) if title else None, caption=Text(caption(standing)))
    grid.add_column("", justify="right", no_wrap=True)
    grid.add_column("player", overflow="fold", ratio=1)
    for name in columns:
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows(standing):
        grid.add_row(f"{row.rank}", Text(row.player), *(cell(row) for cell in columns.values()))
    return grid


def caption(standing: Standing) -> str:
    """Games, how many were distinct, first move, draws, failures, and whether the model fits."""
    ratings, games, recorded = standing.ratings, standing.games, standing.recorded
    if not recorded:
        return "no games yet"
    distinct = {
        (min(g.first, g.second), max(g.first, g.second), g.opening, g.moves) for g in recorded
    }
    drawn = np.mean([game.outcome == 0 for game in recorded])
    lines = [
        f"{len(recorded):,} games in {standing.rounds} rounds, {len(distinct):,} of them distinct, "
        f"{drawn:.0%} drawn; moving first is worth "
        f"{ratings.first_move:+.0f} ± {1.96 * ratings.first_move_stderr:.0f} Elo"
    ]
    unrated = sum(game.outcome is None for game in recorded)
    repeated = len(recorded) - unrated - len(games.outcome)
    if repeated:
        lines.append(f"{repeated:,} games repeat earlier ones move by move and are not counted")
    if unrated:
        lines.append(f"{unrated:,} games could not begin and are not rated")
    names = {entry.id: entry.spec for entry in standing.entries}
    forfeits = Counter(
        names[game.first if game.reason.startswith("player 0") else game.second]
        for game in recorded
        if "forfeited" in game.reason
    )
    lines += [f"{number} games forfeited by {name}" for name, number in forfeits.most_common()]
    fit = misfit.find(games, len(standing.entries))
    strange = "; these players are on no common scale" if fit.p_value < misfit.STRANGE else ""
    lines.append(f"test of fit: p = {fit.p_value:.2g}{strange}")
    for pair in fit.badly_predicted()[:3]:
        a, b = (standing.entries[k].spec for k in (pair.i, pair.j))
        lines.append(
            f"badly predicted: {a} scored {pair.observed:.0%} against {b}, "
            f"expected {pair.expected:.0%}"
        )
    return "\n".join(lines)


def power_of_ten(flops: float) -> str:
    """As "10^12.3"; a dash for nothing, a question mark for what is not known."""
    if math.isnan(flops):
        return "?"
    return f"10^{math.log10(flops):.1f}" if flops else "-"


def to_csv(standing: Standing) -> str:
    """The rows with all digits, a line each."""
    text = io.StringIO()
    made = [asdict(row) for row in rows(standing)]
    writer = csv.DictWriter(text, list(made[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(made)
    return text.getvalue()


def to_markdown(standing: Standing) -> str:
    """The table for a page."""
    lines = [
        "| | player | Elo | 95 % interval | games | FLOPs/move | training FLOPs |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.rank} | `{r.player}` | {r.elo:+.0f} | {r.low:+.0f} to {r.high:+.0f} | {r.games} | "
        f"{power_of_ten(r.flops_per_move)} | {power_of_ten(r.training_flops)} |"
        for r in rows(standing)
    ]
    return "\n".join([*lines, "", caption(standing).replace("\n", "; ") + "."]) + "\n"


def shortened(name: str, most: int = 44) -> str:
    """A player's name for a plot: an engine's program and last options; the end of what is long."""
    if not name.startswith(GTP):
        return name if len(name) <= most else "…" + name[1 - most :]
    program, *options = name.removeprefix(GTP).split()
    program, end = Path(program).name, ""
    while options and len(program) + len(end) + len(options[-1]) < most:
        end = f" {options.pop()}{end}"
    return program + (" …" if options else "") + end


def plot(standing: Standing, title: str) -> Any:
    """A matplotlib figure: rating against training FLOPs, a line for each run and budget."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcdefaults()  # whatever a matplotlibrc in this folder says
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    lines: dict[str, list[Row]] = {}
    others = []
    for row in rows(standing):
        name, _, options = row.player.partition("?")
        if row.training_flops > 0:
            lines.setdefault(f"{name.partition('@')[0]} ({options})", []).append(row)
        else:
            others.append(row)
    for name, line in sorted(lines.items(), key=lambda item: item[1][0].flops_per_move):
        line.sort(key=lambda row: row.training_flops)
        elo = np.array([row.elo for row in line])
        error = [elo - [row.low for row in line], [row.high for row in line] - elo]
        axes.errorbar(
            [row.training_flops for row in line],
            elo,
            yerr=error,
            marker="o",
            markersize=4,
            capsize=2,
            label=shortened(name),
        )
    if lines:
        axes.set_xscale("log")
    low, high = axes.get_ylim()
    low, high = min([low, *(row.low for row in others)]), max([high, *(r.high for r in others)])
    label = math.inf
    for row in others:  # strongest first; names keep their distance
        label = min(row.elo, label - LINE * (high - low))
        axes.axhline(row.elo, color="0.6", linewidth=0.8, linestyle=":")
        axes.axhspan(row.low, row.high, color="0.6", alpha=0.12, linewidth=0)
        axes.annotate(
            shortened(row.player),
            (1.0, label),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8,
            color="0.3",
            va="center",
        )
    axes.set_xlabel("training FLOPs")
    axes.set_ylabel("Elo, 95 % intervals")
    axes.set_title(title)
    axes.grid(alpha=0.25)
    if len(lines) > LEGEND:
        title = f"{len(lines)} runs and budgets: their names are in ladder.csv"
        axes.legend(handles=[], title=title, title_fontsize=8, loc="lower right")
    elif lines:
        axes.legend(fontsize=8, loc="lower right")
    return figure


def to_sgf(game: Game, entries: Sequence[Entry], recorded: Sequence[RecordedGame]) -> bytes:
    """All games of Go, one after the other.

    Raises:
        ValueError: another game, for which no reader exists.
    """
    if not isinstance(game, Go):
        raise ValueError(f"games of {game.name} have no SGF that programs read; only Go's have")
    names = {entry.id: entry.spec for entry in entries}
    written = []
    for played in recorded:
        record = sgf.Sgf_game(game.size)
        root = record.get_root()
        result = {1: "B+", -1: "W+", 0: "0", None: "Void"}[played.outcome]
        root.set("PB", names[played.first])
        root.set("PW", names[played.second])
        root.set("KM", game.komi)
        root.set("RU", "Tromp-Taylor")
        root.set("RE", result + ("R" if played.reason == "resigned" else ""))
        root.set("GC", f"opening of {len(played.opening)} moves; {played.reason}".rstrip("; "))
        for ply, action in enumerate(played.opening + played.moves):
            row, column = divmod(action, game.size)
            passes = action == game.size**2
            point = None if passes else (game.size - 1 - row, column)
            record.extend_main_sequence().set_move("bw"[ply % 2], point)
        written.append(record.serialise())
    return b"\n".join(written)
