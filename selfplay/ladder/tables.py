"""Tables of a ladder: for a terminal, as CSV and Markdown; and its games as SGF."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from rich.table import Table
from rich.text import Text
from sgfmill import sgf

from games.game import Game
from games.go import as_go
from selfplay.ladder import model_fit
from selfplay.ladder.database import Entry, RecordedGame
from selfplay.ladder.ladder import LadderState
from selfplay.ratings.elo import Z95
from selfplay.style.powers_of_ten import power_of_ten

WIDE = 100  # columns of a terminal that has room for the whole table
NOT_RATED = "not rated"  # a player without a counted game


@dataclass(frozen=True)
class Row:
    """One player in the table, which lists the strongest first."""

    rank: int
    player: str
    elo: float
    low: float  # 95 % interval, relative to the anchor
    high: float
    stderr: float
    superior: float  # probability of being stronger than the next player; NaN in the last row
    games: int
    score: float  # mean points: 1 a win, 1/2 a draw
    flops_per_move: float
    training_flops: float  # NaN if unknown


def rows(state: LadderState) -> list[Row]:
    """Returns the players with games, the strongest first; see `unrated` for the others."""
    entries, ratings, games = state.entries, state.ratings, state.games
    played = np.union1d(games.first, games.second).tolist()
    order = sorted(played, key=lambda i: (-ratings.elo[i], entries[i].spec))
    points = (games.outcome + 1) / 2
    table = []
    for rank, i in enumerate(order, start=1):
        scores = np.concatenate([points[games.first == i], 1 - points[games.second == i]])
        following = order[rank] if rank < len(order) else None
        table.append(
            Row(
                rank=rank,
                player=entries[i].spec,
                elo=float(ratings.elo[i]),
                low=float(ratings.interval[i, 0]),
                high=float(ratings.interval[i, 1]),
                stderr=float(ratings.stderr[i]),
                superior=math.nan if following is None else ratings.superiority(i, following),
                games=len(scores),
                score=float(scores.mean()),
                flops_per_move=entries[i].flops_per_move,
                training_flops=entries[i].training_flops,
            )
        )
    return table


def unrated(state: LadderState) -> list[str]:
    """Returns the specs of the players without a rated game."""
    rated = {*state.games.first.tolist(), *state.games.second.tolist()}
    return [entry.spec for i, entry in enumerate(state.entries) if i not in rated]


def table(state: LadderState, title: str = "", width: int = 120) -> Table:
    """Builds the table for a terminal with `width` columns; `caption` is below it.

    "> next" is the probability that a player is stronger than the one below.
    """
    anchor = state.entries[state.ratings.anchor].spec
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
        caption=Text(caption(state)),
        caption_justify="left",
    )
    grid.add_column("", justify="right", no_wrap=True)
    grid.add_column("player", overflow="fold", ratio=1)
    for name in columns:
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows(state):
        grid.add_row(f"{row.rank}", Text(row.player), *(cell(row) for cell in columns.values()))
    for name in unrated(state):
        grid.add_row("", Text(name), NOT_RATED)
    return grid


def caption(state: LadderState) -> str:
    """Summarizes games, repetitions, first move, draws, failures and goodness of fit."""
    ratings, tally = state.ratings, state.tally
    if not tally.games:
        return "no games yet"
    lines = [
        f"{tally.games:,} games in {tally.rounds} rounds, {tally.distinct:,} of them distinct, "
        f"{tally.drawn / tally.games:.0%} drawn; moving first is worth "
        f"{ratings.first_move:+.0f} ± {Z95 * ratings.first_move_stderr:.0f} Elo"
    ]
    if tally.repeated:
        lines.append(
            f"{tally.repeated:,} games repeat earlier ones move by move and are not counted"
        )
    if tally.failed:
        lines.append(f"{tally.failed:,} games could not begin and are not rated")
    lines += [f"{number} games forfeited by {name}" for name, number in tally.forfeits]
    return "\n".join([*lines, *model_fit.sentences(state)])


def to_csv(state: LadderState) -> str:
    """Returns the rows as CSV with all digits."""
    text = io.StringIO()
    names = [field.name for field in fields(Row)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows(state))
    return text.getvalue()


def to_markdown(state: LadderState) -> str:
    """Returns the table and its caption in Markdown."""
    lines = [
        "| | player | Elo | 95 % interval | games | FLOPs/move | training FLOPs |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.rank} | {_cell(r.player)} | {r.elo:+.0f} | {r.low:+.0f} to {r.high:+.0f} "
        f"| {r.games} | {power_of_ten(r.flops_per_move)} | {power_of_ten(r.training_flops)} |"
        for r in rows(state)
    ]
    lines += [f"| | {_cell(name)} | {NOT_RATED} | | 0 | | |" for name in unrated(state)]
    return "\n".join([*lines, "", caption(state).replace("\n", "; ") + "."]) + "\n"


def _cell(name: str) -> str:
    """Formats a name as code in a Markdown table, whatever characters it has."""
    fence = "`" * (1 + max(map(len, re.findall("`+", name)), default=0))
    pad = " " if "`" in name else ""
    return f"{fence}{pad}{name}{pad}{fence}".replace("|", "\\|")


def to_sgf(game: Game, entries: Sequence[Entry], recorded: Sequence[RecordedGame]) -> bytes:
    """Returns all games of Go as one collection in SGF.

    Raises:
        ValueError: another game.
    """
    go = as_go(game)
    if go is None:
        raise ValueError(f"only games of Go can be written as SGF, not those of {game.name}")
    names = {entry.id: entry.spec for entry in entries}
    records = []
    for played in recorded:
        record = sgf.Sgf_game(go.size)
        root = record.get_root()
        result = {1: "B+", -1: "W+", 0: "0", None: "Void"}[played.outcome]
        root.set("PB", names[played.first])
        root.set("PW", names[played.second])
        root.set("KM", go.komi)
        root.set("RU", "Tromp-Taylor")
        root.set("RE", result + ("R" if played.reason == "resigned" else ""))
        root.set("GC", f"opening of {len(played.opening)} moves; {played.reason}".rstrip("; "))
        for ply, action in enumerate(played.opening + played.moves):
            row, column = divmod(action, go.size)
            point = None if action == go.pass_action else (go.size - 1 - row, column)
            record.extend_main_sequence().set_move("bw"[ply % 2], point)
        records.append(record.serialise())
    return b"\n".join(records)
