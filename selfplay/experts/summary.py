"""Tables for the terminal of what an archive holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from rich.table import Table

from games.notation import action_to_text
from selfplay.experts.archive import ExpertArchive, Manifest
from selfplay.experts.selection import SourceCounts
from selfplay.experts.sgf import ranks

SHOWN = 10  # openings
QUANTILES = (0, 10, 50, 90, 100)


def source_counts(manifest: Manifest) -> Table:
    """Builds the table of every source's games: kept, left out, and for which reasons."""
    caption = "".join(f"\n{count:,} {note}" for note, count in _sorted(manifest["notes"]))
    grid = Table(caption=caption and f"of the games kept:{caption}", caption_justify="left")
    grid.add_column("file", overflow="fold", ratio=2)
    for name in ("games", "kept", "left out"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("why", overflow="fold", ratio=3)
    files = manifest["files"]
    for file in files:
        grid.add_row(file["name"], *_counts([file]), _reasons(file["left_out"]))
    if len(files) > 1:
        grid.add_section()
        grid.add_row("all", *_counts(files), _reasons(manifest["left_out"]))
    return grid


def _counts(files: Sequence[SourceCounts]) -> list[str]:
    """Formats the numbers of games read, kept and left out."""
    games, kept = sum(file["games"] for file in files), sum(file["kept"] for file in files)
    return [f"{games:,}", f"{kept:,}", f"{games - kept:,}"]


def _reasons(left_out: Mapping[str, int]) -> str:
    """Formats reasons, a line for each."""
    return "\n".join(f"{count:,} {reason}" for reason, count in _sorted(left_out))


def _sorted(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Sorts counts, largest first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def tables(experts: ExpertArchive) -> Iterator[Table]:
    """Yields the tables of sizes, strengths, results and openings, if the archive has them."""
    yield sizes(experts)
    if not all(np.isnan(experts.games[name]).all() for name in ("rating", "rank")):
        yield strengths(experts)
    yield results(experts)
    if (experts.games["opening"][:, 0] >= 0).any():
        yield openings(experts)


def sizes(experts: ExpertArchive) -> Table:
    """Builds the table of games, positions and lengths of both sides, and of their overlap."""
    grid = Table(title=f"{experts.folder}: {experts.manifest['game']}")
    grid.add_column("")
    for name in ("games", "positions", "moves a game", "teach a value", "not in training"):
        grid.add_column(name, justify="right")
    train, held_out = experts.train, experts.held_out
    for name, split in (("training", train), ("held out", held_out)):
        plies = experts.games["plies"][split.games]
        has_value = np.isfinite(experts.fields["value"][split.rows])
        is_new = ~split.positions_in(train) if split is held_out else has_value[:0]
        grid.add_row(
            name,
            f"{len(split.games):,}",
            f"{split.size:,}",
            f"{plies.mean():.1f} ({plies.min()} to {plies.max()})" if len(plies) else "",
            _percent(has_value),
            _percent(is_new),
        )
    return grid


def strengths(experts: ExpertArchive) -> Table:
    """Builds the table of quantiles of ratings and ranks."""
    grid = Table(title="strength")
    grid.add_column("")
    for name in ("known", "least", "10 %", "median", "90 %", "most"):
        grid.add_column(name, justify="right")
    texts: dict[str, Callable[[float], str]] = {
        "rating": lambda value: f"{value:.0f}",
        "rank": ranks.rank_to_text,
    }
    for name, text in texts.items():
        for player, player_name in enumerate(experts.game.player_names):
            values = experts.games[name][:, player]
            known = values[~np.isnan(values)]
            if len(known):
                # "nearest", because there is no rank between two ranks.
                marks = np.percentile(known, QUANTILES, method="nearest")
                row = (text(float(mark)) for mark in marks)
                grid.add_row(f"{name} of {player_name}", f"{len(known):,}", *row)
    return grid


def results(experts: ExpertArchive) -> Table:
    """Builds the table of results, by komi if the game has one."""
    first, second = experts.game.player_names
    grid = Table(title="results")
    grid.add_column("" if experts.game.komi is None else "komi")
    for name in ("games", f"{first} won", "drawn", f"{second} won", "no result"):
        grid.add_column(name, justify="right")
    for name, in_group in by_komi(experts):
        known, outcomes = experts.games["known"][in_group], experts.games["outcome"][in_group]
        shares = (_percent(outcomes[known] == outcome) for outcome in (1, 0, -1))
        grid.add_row(name, f"{len(known):,}", *shares, f"{(~known).sum():,}")
    return grid


def openings(experts: ExpertArchive) -> Table:
    """Builds the table of the most frequent first moves; images count as one move."""
    first, _ = experts.game.player_names
    grid = Table(title="first moves, images under symmetry together")
    for name in ("move", "games", "share", f"{first}'s points where a result is known"):
        grid.add_column(name, justify="left" if name == "move" else "right")
    moves = experts.games["opening"][:, 0]
    actions, counts = np.unique(moves[moves >= 0], return_counts=True)
    for place in np.argsort(-counts, kind="stable")[:SHOWN]:
        in_group = (moves == actions[place]) & experts.games["known"]
        points = (experts.games["outcome"][in_group] + 1.0) / 2
        grid.add_row(
            action_to_text(experts.game, int(actions[place])),
            f"{counts[place]:,}",
            f"{counts[place] / len(moves):.1%}",
            _percent(points),
        )
    return grid


def by_komi(experts: ExpertArchive) -> list[tuple[str, np.ndarray]]:
    """Groups the games by komi.

    Returns:
        Name and members, bool [G], of each komi's games, of those without a value target, and of
        all games; only the last if the game has no komi.
    """
    table = experts.games
    everyone = np.ones(len(table["komi"]), bool)
    if experts.game.komi is None:
        return [("all", everyone)]
    has_value = table["taught"]
    values = np.unique(table["komi"][has_value])
    groups = [(f"{komi:g}", has_value & (table["komi"] == komi)) for komi in values]
    return [*groups, ("value not taught", ~has_value), ("all", everyone)]


def _percent(values: np.ndarray) -> str:
    """Formats the mean as a percentage; empty without values."""
    return f"{values.mean():.1%}" if len(values) else ""
