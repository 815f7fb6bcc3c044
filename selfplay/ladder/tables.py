"""Tables of a ladder: for a terminal, as CSV and Markdown; and its games as SGF."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from rich.table import Table
from rich.text import Text
from sgfmill import sgf

from games.game import Game
from games.go import as_go
from selfplay.ladder.database import Entry, RecordedGame
from selfplay.ladder.kinds import kinds
from selfplay.ladder.ladder import LadderState
from selfplay.ratings import goodness_of_fit
from selfplay.ratings.elo import Z95
from selfplay.ratings.goodness_of_fit import GoodnessOfFit
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
    ratings, games, recorded = state.ratings, state.games, state.recorded
    if not recorded:
        return "no games yet"
    distinct = {
        (min(g.first, g.second), max(g.first, g.second), g.opening, g.moves) for g in recorded
    }
    drawn = np.mean([game.outcome == 0 for game in recorded])
    lines = [
        f"{len(recorded):,} games in {state.rounds} rounds, {len(distinct):,} of them distinct, "
        f"{drawn:.0%} drawn; moving first is worth "
        f"{ratings.first_move:+.0f} ± {Z95 * ratings.first_move_stderr:.0f} Elo"
    ]
    failed = sum(game.outcome is None for game in recorded)
    repeated = len(recorded) - failed - len(games.outcome)
    if repeated:
        lines.append(f"{repeated:,} games repeat earlier ones move by move and are not counted")
    if failed:
        lines.append(f"{failed:,} games could not begin and are not rated")
    names = {entry.id: entry.spec for entry in state.entries}
    forfeits = Counter(
        names[game.first if game.reason.startswith("player 0") else game.second]
        for game in recorded
        if "forfeited" in game.reason
    )
    lines += [f"{number} games forfeited by {name}" for name, number in forfeits.most_common()]
    lines += fit_sentences(state)
    return "\n".join(lines)


def fit_sentences(state: LadderState) -> list[str]:
    """Says how far pairings deviate from one common scale, and whether the model explains them."""
    fit = goodness_of_fit.test(state.games, len(state.entries), kinds=kinds(state.entries))
    ratings = state.ratings
    low, high = ratings.pair_spread_interval
    spread = (
        f"pairings deviate from it by {ratings.pair_spread:.0f} Elo ({low:.0f} to {high:.0f})"
        if ratings.pair_spread
        else "pairings do not deviate from it"
    )
    lines = [
        f"one common scale: p = {fit.one_scale:.2g}; {spread}",
        f"test of fit, these deviations included: p = {fit.p_value:.2g}",
    ]
    if fit.p_value < goodness_of_fit.P_REJECT:
        lines[-1] += f"; {'; '.join(_reasons(fit))}"
    for pair in fit.badly_predicted()[:3]:
        a, b = (state.entries[k].spec for k in (pair.i, pair.j))
        lines.append(
            f"badly predicted: {a} scored {pair.observed:.0%} against {b}, "
            f"expected {pair.expected:.0%}"
        )
    return lines


def _reasons(fit: GoodnessOfFit) -> list[str]:
    """Says which of the tests reject the rating model."""
    level = goodness_of_fit.P_REJECT
    sentences = {
        "pairings between kinds of players (search budgets, engines, perfect play) deviate "
        "otherwise than those within a kind": fit.kinds,
        "some players beat each other in a cycle": fit.cycles,
        "single pairings deviate further than a normal distribution allows": fit.single,
    }
    return [f"{sentence} (p = {p:.1g})" for sentence, p in sentences.items() if 3 * p < level]


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
