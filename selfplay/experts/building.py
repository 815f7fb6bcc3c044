"""Builds an archive from sources of games, whatever they are: chosen, replayed, written.

The same contents and options make the same bytes. A folder is either absent or complete.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from games.game import Game
from games.go import Go
from selfplay.acting.episode import Rows
from selfplay.experts.archive import GAME, MANIFEST, read_manifest
from selfplay.experts.canonical import OPENING
from selfplay.experts.filters import Filters
from selfplay.experts.game_record import ExpertGame
from selfplay.experts.replaying import replay
from selfplay.experts.selection import (
    Account,
    Candidate,
    collect,
    distinct,
    doubt_no_komi,
    total,
)
from selfplay.experts.writer import Writer
from selfplay.runs.files import check_writable, to_jsonable

NO_ROWS = "filter: no move of a player who is strong enough"

Progress = Callable[[str, int, int], None]
"""``progress(what, done, all)``, called often."""
Source = tuple[Account, Callable[[], Iterable[ExpertGame | str]]]
"""Where games come from; a text in place of a game is the reason why it is none."""


def build(
    folder: Path,
    name: str,
    game: Game,
    sources: Sequence[Source],
    recipe: Mapping[str, Any],
    held_out: float,
    filters: Filters,
    progress: Progress,
) -> tuple[dict[str, Any], bool]:
    """The archive's manifest, and True if the archive was there before.

    Args:
        folder: where the archive goes.
        name: the game, as the registry reads it.
        game: the game.
        sources: where the games come from; not asked if the archive is there.
        recipe: what decides on the archive's content, beside `game` and `held_out`.
        held_out: share of the games that are not to be learnt from.
        filters: which games are wanted.
        progress: is told how far it is.

    Raises:
        ValueError: something else is in the folder, another process is making the archive, or
            no game is left.
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"--held-out must lie in [0, 1), got {held_out}")
    recipe = {**recipe, "rules": repr(game), "held_out": held_out}
    manifest = already(folder, recipe)
    if manifest:
        return manifest, True
    check_writable(Path(os.path.realpath(folder)))  # now: the archive takes its name at the end
    accounts = [account for account, _ in sources]
    candidates: list[Candidate] = []
    with Writer(folder) as writer:  # first: what cannot be written need not be read
        for at, (account, games) in enumerate(sources):
            progress("reading", at, len(sources))
            candidates += collect(games(), game, filters, account)
        progress("reading", len(sources), len(sources))
        if isinstance(game, Go):
            candidates = doubt_no_komi(candidates, game.komi)
        candidates = distinct(candidates, filters.max_games)
        manifest = {"game": name, "held_out": held_out, "recipe": recipe}
        return _write(writer, game, candidates, accounts, manifest, progress), False


def already(folder: Path, recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """The manifest of the archive that this recipe made there before; None if nothing is there.

    Raises:
        ValueError: something else is there.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not (folder / MANIFEST).exists():
        raise ValueError(f"{folder} exists and is no archive of expert games; choose another --out")
    manifest = read_manifest(folder)
    before, now = manifest["recipe"], to_jsonable(recipe)
    if before != now:
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        raise ValueError(
            f"{folder} holds another import (different: {', '.join(names)}); choose another --out"
        )
    return manifest


def _write(
    writer: Writer,
    game: Game,
    candidates: Sequence[Candidate],
    accounts: Sequence[Account],
    manifest: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """Replay the candidates into an archive; its manifest."""
    lines: list[dict[str, Any]] = []
    notes: Counter[str] = Counter()
    done = row = played = 0
    moves = sum(len(one.game.moves) for one in candidates)
    for batch in replay(game, [one.game for one in candidates]):
        replayed = candidates[done : done + len(batch.faults)]
        for one, fault, rows in zip(replayed, batch.faults, batch.counts, strict=True):
            played += len(one.game.moves)
            reason = fault or ("" if rows else NO_ROWS)
            if reason:
                one.account.left_out[reason] += 1
                continue
            one.account.kept += 1
            notes.update(one.game.notes)
            if one.game.untaught:
                notes[f"value not taught: {one.game.untaught}"] += 1
            lines.append(_line(one, row, rows))
            row += rows
        done += len(replayed)
        writer.append(batch.rows)
        progress("replaying", played, moves)
    if not lines:
        raise ValueError(_nothing_kept(accounts))
    return writer.commit(
        _table(lines),
        {
            **manifest,
            "positions": row,
            "kept": len(lines),
            "left_out": dict(sorted(total(accounts).items())),
            "notes": dict(sorted(notes.items())),
            "files": [account.to_json() for account in accounts],
        },
    )


def _nothing_kept(accounts: Sequence[Account]) -> str:
    reasons = ", ".join(f"{reason} ({count})" for reason, count in total(accounts).most_common())
    return f"none of {sum(account.games for account in accounts)} games is kept: {reasons}"


def _line(one: Candidate, start: int, rows: int) -> dict[str, Any]:
    """A game's line in the table."""
    game, opening = one.game, one.key.opening
    return {
        "start": start,
        "rows": rows,
        "plies": len(game.moves),
        "split": one.key.split,
        "order": one.key.order,
        "opening": (*opening, *(-1,) * (OPENING - len(opening))),
        "outcome": game.outcome or 0,
        "known": game.outcome is not None,
        "taught": not game.untaught,
        "komi": game.komi,
        "rating": [player.rating for player in game.players],
        "rank": [player.rank for player in game.players],
    }


def _table(lines: Sequence[Mapping[str, Any]]) -> Rows:
    """The lines as arrays, of the types that `GAME` promises."""
    return {
        name: np.array([line[name] for line in lines], text.partition("[")[0])
        for name, text in GAME.items()
    }
