"""What a ladder says: a table, CSV, a plot of rating against training compute, games as SGF."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from rich.table import Table
from rich.text import Text
from scipy.optimize import isotonic_regression
from sgfmill import sgf

from games.game import Game
from games.go import Go
from selfplay.ladder.database import Entry
from selfplay.ladder.database import Game as RecordedGame
from selfplay.ladder.ladder import LadderState
from selfplay.players.specs import GTP, split_stored
from selfplay.ratings import goodness_of_fit

WIDE = 100  # columns of a terminal that shows the whole table
NOT_RATED = "not rated"  # a player without a counted game
LINE = 0.17  # inches of a plot's height that a name takes
NAME = 36  # characters of a name in a plot
HUES = ("#0072b2", "#c44e00", "#00795a", "#a03b77", "#7a6000", "#4b4fb0", "#a31621", "#333333")
MARKERS, DASHES = "osD^vPX*", ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
INK, SOFT = "#222222", "#666666"  # contrast with white: 16 and 5.7
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "savefig.dpi": 150,
}


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
    score: float  # mean points: 1 a win, 1/2 a draw
    flops_per_move: float
    training_flops: float  # NaN where it is not known


def rows(standing: LadderState) -> list[Row]:
    """Return the players with games, strongest first; see `unrated` for the others."""
    entries, ratings, games = standing.entries, standing.ratings, standing.games
    played = np.union1d(games.first, games.second).tolist()
    order = sorted(played, key=lambda i: (-ratings.elo[i], entries[i].spec))
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
                score=float(own.mean()),
                flops_per_move=entries[i].flops_per_move,
                training_flops=entries[i].training_flops,
            )
        )
    return made


def unrated(standing: LadderState) -> list[str]:
    """Return the specs of the players without a counted game, which no game has rated."""
    rated = {*standing.games.first.tolist(), *standing.games.second.tolist()}
    return [entry.spec for i, entry in enumerate(standing.entries) if i not in rated]


def table(standing: LadderState, title: str = "", width: int = 120) -> Table:
    """For a terminal of so many columns; what all of it rests on stands below.

    "> next" is the likelihood that a player is stronger than the one below.
    """
    anchor = standing.entries[standing.ratings.anchor].spec
    columns: dict[str, Callable[[Row], str]] = {
        "Elo": lambda row: f"{row.elo:+.0f}" if row.player != anchor else "0",
        "95 %": lambda row: f"± {(row.high - row.low) / 2:.0f}" if row.player != anchor else "",
        "> next": lambda row: "" if math.isnan(row.superior) else f"{row.superior:.0%}",
        "games": lambda row: f"{row.games}",
        "score": lambda row: f"{row.score:.0%}",
        "FLOPs/move": lambda row: power_of_ten(row.flops_per_move),
        "training": lambda row: power_of_ten(row.training_flops),
    }
    if width < WIDE:
        columns = {name: columns[name] for name in ("Elo", "95 %", "games")}
    grid = Table(
        title=Text(title) if title else None,
        caption=Text(caption(standing)),
        caption_justify="left",
    )
    grid.add_column("", justify="right", no_wrap=True)
    grid.add_column("player", overflow="fold", ratio=1)
    for name in columns:
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows(standing):
        grid.add_row(f"{row.rank}", Text(row.player), *(cell(row) for cell in columns.values()))
    for name in unrated(standing):
        grid.add_row("", Text(name), NOT_RATED)
    return grid


def caption(standing: LadderState) -> str:
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
    failed = sum(game.outcome is None for game in recorded)
    repeated = len(recorded) - failed - len(games.outcome)
    if repeated:
        lines.append(f"{repeated:,} games repeat earlier ones move by move and are not counted")
    if failed:
        lines.append(f"{failed:,} games could not begin and are not rated")
    names = {entry.id: entry.spec for entry in standing.entries}
    forfeits = Counter(
        names[game.first if game.reason.startswith("player 0") else game.second]
        for game in recorded
        if "forfeited" in game.reason
    )
    lines += [f"{number} games forfeited by {name}" for name, number in forfeits.most_common()]
    fit = goodness_of_fit.test(games, len(standing.entries))
    strange = (
        "; these players are on no common scale" if fit.p_value < goodness_of_fit.P_REJECT else ""
    )
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


def to_csv(standing: LadderState) -> str:
    """Return the rows with all digits, a line each."""
    text = io.StringIO()
    names = [field.name for field in fields(Row)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows(standing))
    return text.getvalue()


def to_markdown(standing: LadderState) -> str:
    """The table for a page."""
    lines = [
        "| | player | Elo | 95 % interval | games | FLOPs/move | training FLOPs |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.rank} | {_cell(r.player)} | {r.elo:+.0f} | {r.low:+.0f} to {r.high:+.0f} "
        f"| {r.games} | {power_of_ten(r.flops_per_move)} | {power_of_ten(r.training_flops)} |"
        for r in rows(standing)
    ]
    lines += [f"| | {_cell(name)} | {NOT_RATED} | | 0 | | |" for name in unrated(standing)]
    return "\n".join([*lines, "", caption(standing).replace("\n", "; ") + "."]) + "\n"


def _cell(name: str) -> str:
    """A name as code in a Markdown table, whatever it holds."""
    fence = "`" * (1 + max(map(len, re.findall("`+", name)), default=0))
    pad = " " if "`" in name else ""
    return f"{fence}{pad}{name}{pad}{fence}".replace("|", "\\|")


def shortened(name: str, most: int = 44) -> str:
    """A player's name for a plot: an engine's program and last options; the end of what is long."""
    if not name.startswith(GTP):
        return name if len(name) <= most else "…" + name[1 - most :]
    program, *options = name.removeprefix(GTP).split()
    program, end = Path(program).name, ""
    while options and len(program) + len(end) + len(options[-1]) < most:
        end = f" {options.pop()}{end}"
    return program + (" …" if options else "") + end


def to_png(standing: LadderState, title: str) -> bytes:
    """Return `plot` as an image."""
    image = io.BytesIO()
    with _style():
        plot(standing, title).savefig(image, format="png")
    return image.getvalue()


def plot(standing: LadderState, title: str) -> Any:
    """Draw ratings against training FLOPs as a matplotlib figure; see `draw`."""
    return draw(rows(standing), title)


def draw(rated: Sequence[Row], title: str) -> Any:
    """Draw rows as a matplotlib figure with 95 % intervals.

    Versions of a run at a budget are a line over training FLOPs; a budget has its marker and dash,
    and so has a run its color, or a budget if there is one run or too many. Players that learned
    nothing are dotted lines, named on the right. Without any version, all are listed by name.
    """
    from matplotlib.figure import Figure

    learned = [row for row in rated if row.training_flops > 0]
    others = [row for row in rated if not row.training_flops > 0]
    names = labels(row.player for row in rated)
    with _style():
        height = max(4.8, 1.2 + LINE * len(others))
        figure = Figure(figsize=(8.4, height), layout="constrained")
        axes = figure.subplots()
        axes.set_title(_text(title))
        if not learned:
            _list(axes, others, names)
            return figure
        _lines(figure, axes, learned, names)
        axes.set_xscale("log")
        axes.set_xlabel("training FLOPs")
        axes.set_ylabel("Elo, 95 % intervals")
        ends = [end for row in rated for end in (row.low, row.high)]
        margin = 0.04 * (max(ends) - min(ends)) or 1.0
        axes.set_ylim(min(ends) - margin, max(ends) + margin)
        _references(axes, others, names, 1.25 * LINE / height)
    return figure


def _style() -> Any:
    """The looks of a plot, whatever a matplotlibrc says; the caller's settings come back."""
    from matplotlib import style

    return style.context(["default", STYLE])


def _lines(figure: Any, axes: Any, learned: Sequence[Row], names: Mapping[str, str]) -> None:
    """Draw a line for every run and budget, with a legend below the plot."""
    from matplotlib.lines import Line2D

    lines: dict[tuple[str, str], list[Row]] = {}
    for row in learned:
        name, _, options = names[row.player].rpartition("?")
        lines.setdefault((name.rpartition("@")[0] or name, options), []).append(row)
    runs = list(dict.fromkeys(run for run, _ in lines))
    cost = {options: line[0].flops_per_move for (_, options), line in lines.items()}
    budgets = sorted(cost, key=lambda options: cost[options])
    by_run = 1 < len(runs) <= len(HUES)

    def looks(run: str, options: str) -> dict[str, Any]:
        at = budgets.index(options)
        hue = runs.index(run) if by_run else at
        return {
            "color": HUES[hue % len(HUES)],
            "marker": MARKERS[at % len(MARKERS)],
            "linestyle": DASHES[at % len(DASHES)],
        }

    for (run, options), line in lines.items():
        line.sort(key=lambda row: row.training_flops)
        elo = np.array([row.elo for row in line])
        error = [elo - [row.low for row in line], [row.high for row in line] - elo]
        x = [row.training_flops for row in line]
        axes.errorbar(x, elo, yerr=error, elinewidth=1, capsize=2, **looks(run, options))
    handles: list[Any] = []
    fixed: list[str] = []
    if by_run:
        for run in runs:
            color = looks(run, budgets[0])["color"]
            handles.append(Line2D([], [], color=color, lw=3, label=_text(run)))
    else:
        fixed.append(runs[0] if len(runs) == 1 else f"{len(runs)} runs")
    if len(budgets) > 1:
        for options in budgets:
            how = looks(runs[0], options)
            if by_run:
                how["color"] = SOFT
            handles.append(Line2D([], [], label=_text(_budget(options)), **how))
    else:
        fixed.append(_budget(budgets[0]))
    figure.legend(
        handles=handles,
        title=_text(", ".join(fixed)) if fixed else None,
        loc="outside lower left",
        ncols=4,
        frameon=False,
        alignment="left",
        handlelength=3.2,
        fontsize=8.5,
    )


def _references(axes: Any, others: Sequence[Row], names: Mapping[str, str], gap: float) -> None:
    """Draw players that have no training as lines, with names at least `gap` apart."""
    low, high = axes.get_ylim()
    at = spread([(row.elo - low) / (high - low) for row in others], gap)
    for row, place in zip(others, at, strict=True):
        axes.axhspan(row.low, row.high, color=SOFT, alpha=0.12, linewidth=0, zorder=0)
        axes.axhline(row.elo, color=SOFT, linewidth=1, linestyle=":", zorder=1)
        axes.annotate(
            _text(names[row.player]),
            (1.0, row.elo),
            xycoords=("axes fraction", "data"),
            xytext=(1.03, place),
            textcoords="axes fraction",
            color=INK,
            fontsize=8.5,
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": SOFT,
                "linewidth": 0.8,
                "relpos": (0, 0.5),
                "shrinkA": 2,
                "shrinkB": 0,
            },
        )


def _list(axes: Any, others: Sequence[Row], names: Mapping[str, str]) -> None:
    """Draw one line of the plot for every player, the strongest at the top."""
    elo = np.array([row.elo for row in others])
    error = [elo - [row.low for row in others], [row.high for row in others] - elo]
    places = np.arange(len(others))[::-1]
    axes.errorbar(elo, places, xerr=error, fmt="o", color=HUES[0], elinewidth=1.2, capsize=3)
    axes.set_yticks(places, [_text(names[row.player]) for row in others])
    axes.set_ylim(-0.7, len(others) - 0.3)
    axes.set_xlabel("Elo, 95 % intervals")


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Return places in [0, 1] near the `wanted` ones and at least `gap` apart, in any order."""
    order = np.argsort(wanted)
    steps = gap * np.arange(len(order))
    fitted = isotonic_regression(np.asarray(wanted)[order] - steps).x if len(order) else steps
    places = np.clip(fitted, 0, max(0.0, 1 - steps.max(initial=0))) + steps
    return places[np.argsort(order)].tolist()


def labels(specs: Iterable[str]) -> dict[str, str]:
    """Return players' names for a picture: engines shortened, runs without their folders.

    Runs whose folders have the same name keep as many parts of their paths as tell them apart.
    """
    runs = {s: "" if s.startswith(GTP) else split_stored(s)[0].rpartition("@")[0] for s in specs}
    parts = {run: Path(run).parts for run in runs.values()}
    short: dict[str, str] = {}
    for run, own in parts.items():
        others = [other for name, other in parts.items() if name != run]
        sizes = (n for n in range(1, len(own)) if all(o[-n:] != own[-n:] for o in others))
        short[run] = str(Path(*own[-next(sizes, len(own)) :])) if own else ""
    return {
        spec: short[run] + spec.removeprefix(run) if run else shortened(spec, NAME)
        for spec, run in runs.items()
    }


def _budget(options: str) -> str:
    """A version's options in words: "64 simulations, puct"."""
    read = dict(parse_qsl(options))
    sims = read.pop("sims", "")
    words = "raw network" if sims == "0" else f"{sims} simulations"
    return ", ".join([words, *read.values()] if sims else [options])


def _text(text: str) -> str:
    """A name that matplotlib shows as it is: no formula, and in the legend."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


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
