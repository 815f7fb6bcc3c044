"""What an archive holds, as tables for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from games.go import Go
from games.notation import action_to_text
from selfplay.experts.archive import ExpertArchive
from selfplay.experts.sgf import ranks

SHOWN = 10  # openings
QUANTILES = (0, 10, 50, 90, 100)


def accounts(manifest: Mapping[str, Any]) -> Table:
    """What became of the games of every file, and why."""
    caption = "".join(f"\n{count:,} {note}" for note, count in _sorted(manifest["notes"]))
    grid = Table(caption=caption and f"of the games kept:{caption}", caption_justify="left")
    grid.add_column("file", overflow="fold", ratio=2)
    for name in ("games", "kept", "left out"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("why", overflow="fold", ratio=3)
    files = manifest["files"]
    for file in files:
        grid.add_row(file["name"], *_account([file]), _reasons(file["left_out"]))
    if len(files) > 1:
        grid.add_section()
        grid.add_row("all", *_account(files), _reasons(manifest["left_out"]))
    return grid


def _account(files: Sequence[Mapping[str, Any]]) -> list[str]:
    games, kept = (sum(file[name] for file in files) for name in ("games", "kept"))
    return [f"{games:,}", f"{kept:,}", f"{games - kept:,}"]


def _reasons(left_out: Mapping[str, int]) -> str:
    return "\n".join(f"{count:,} {reason}" for reason, count in _sorted(left_out))


def _sorted(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def tables(experts: ExpertArchive) -> Iterator[Table]:
    """All tables: sizes, strength, results and openings."""
    yield sizes(experts)
    if not all(np.isnan(experts.games[name]).all() for name in ("rating", "rank")):
        yield strengths(experts)
    yield results(experts)
    if (experts.games["opening"][:, 0] >= 0).any():
        yield openings(experts)


def sizes(experts: ExpertArchive) -> Table:
    """Games, positions and lengths of both sides, and what they have in common."""
    grid = Table(title=f"{experts.folder}: {experts.manifest['game']}")
    grid.add_column("")
    for name in ("games", "positions", "moves a game", "teach a value", "not in training"):
        grid.add_column(name, justify="right")
    train, held_out = experts.train, experts.held_out
    for name, view in (("training", train), ("held out", held_out)):
        plies = experts.games["plies"][view.games]
        taught = np.isfinite(experts.fields["value"][view.rows])
        unseen = ~view.seen_in(train) if view is held_out else taught[:0]
        grid.add_row(
            name,
            f"{len(view.games):,}",
            f"{view.size:,}",
            f"{plies.mean():.1f} ({plies.min()} to {plies.max()})" if len(plies) else "",
            _share(taught),
            _share(unseen),
        )
    return grid


def strengths(experts: ExpertArchive) -> Table:
    """The spread of ratings and ranks."""
    grid = Table(title="strength")
    grid.add_column("")
    for name in ("known", "least", "10 %", "median", "90 %", "most"):
        grid.add_column(name, justify="right")
    texts: dict[str, Callable[[float], str]] = {
        "rating": lambda value: f"{value:.0f}",
        "rank": ranks.rank_to_text,
    }
    for name, text in texts.items():
        for player, colour in enumerate(colours(experts)):
            values = experts.games[name][:, player]
            known = values[~np.isnan(values)]
            if len(known):
                # Of ranks there is nothing between two.
                marks = np.percentile(known, QUANTILES, method="nearest")
                row = (text(float(mark)) for mark in marks)
                grid.add_row(f"{name} of {colour}", f"{len(known):,}", *row)
    return grid


def results(experts: ExpertArchive) -> Table:
    """Who won, by komi where there is one."""
    first, second = colours(experts)
    grid = Table(title="results")
    grid.add_column("komi" if isinstance(experts.game, Go) else "")
    for name in ("games", f"{first} won", "drawn", f"{second} won", "no result"):
        grid.add_column(name, justify="right")
    for name, chosen in by_komi(experts):
        known, outcome = experts.games["known"][chosen], experts.games["outcome"][chosen]
        shares = (_share(outcome[known] == one) for one in (1, 0, -1))
        grid.add_row(name, f"{len(known):,}", *shares, f"{(~known).sum():,}")
    return grid


def openings(experts: ExpertArchive) -> Table:
    """The commonest first moves, each for all its images."""
    first, _ = colours(experts)
    grid = Table(title="first moves, images under symmetry together")
    for name in ("move", "games", "share", f"{first}'s points where a result is known"):
        grid.add_column(name, justify="left" if name == "move" else "right")
    moves = experts.games["opening"][:, 0]
    actions, counts = np.unique(moves[moves >= 0], return_counts=True)
    for place in np.argsort(-counts, kind="stable")[:SHOWN]:
        chosen = (moves == actions[place]) & experts.games["known"]
        points = (experts.games["outcome"][chosen] + 1.0) / 2
        grid.add_row(
            action_to_text(experts.game, int(actions[place])),
            f"{counts[place]:,}",
            f"{counts[place] / len(moves):.1%}",
            _share(points),
        )
    return grid


def colours(experts: ExpertArchive) -> tuple[str, str]:
    """What players 0 and 1 are called."""
    return ("Black", "White") if isinstance(experts.game, Go) else ("first", "second")


def by_komi(experts: ExpertArchive) -> list[tuple[str, np.ndarray]]:
    """(name, bool [G]) of the games of each komi, of those that teach no value, and of all."""
    table = experts.games
    everyone = np.ones(len(table["komi"]), bool)
    if not isinstance(experts.game, Go):
        return [("all", everyone)]
    taught = table["taught"]
    values = np.unique(table["komi"][taught])
    found = [(f"{komi:g}", taught & (table["komi"] == komi)) for komi in values]
    return [*found, ("value not taught", ~taught), ("all", everyone)]


def _share(values: np.ndarray) -> str:
    """The mean as per cent; empty without values."""
    return f"{values.mean():.1%}" if len(values) else ""
