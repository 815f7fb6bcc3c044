"""Building of an archive: selects games from any sources, replays them and writes their rows.

The same games and options give the same bytes. A folder is either absent or complete.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from games.game import Game
from selfplay.acting.episode import Rows
from selfplay.experts.archive import GAME, MANIFEST, Contents, Manifest, read_manifest
from selfplay.experts.canonical import OPENING
from selfplay.experts.filters import Filters
from selfplay.experts.game_record import ExpertGame, Rejected
from selfplay.experts.replaying import replay
from selfplay.experts.selection import (
    Candidate,
    SourceStats,
    deduplicate,
    distrust_zero_komi,
    filter_games,
    total_left_out,
)
from selfplay.experts.writer import Writer
from selfplay.runs.files import check_writable, to_jsonable

NO_ROWS = Rejected("filter: no move of a player who is strong enough")

Progress: TypeAlias = Callable[[str, int, int], None]
"""``progress(activity, done, total)``, called often."""


@dataclass(frozen=True)
class GameSource:
    """A source of games.

    Attributes:
        stats: counts of the games, filled while the archive is built.
        read: yields the games, and the records that are rejected.
    """

    stats: SourceStats
    read: Callable[[], Iterable[ExpertGame | Rejected]]


class Built(NamedTuple):
    """The result of `build`.

    Attributes:
        manifest: the archive's manifest.
        existed: True = the archive had been built before, and nothing was done.
    """

    manifest: Manifest
    existed: bool


def build(
    folder: Path,
    name: str,
    game: Game,
    sources: Sequence[GameSource],
    recipe: Mapping[str, object],
    held_out: float,
    filters: Filters,
    progress: Progress,
) -> Built:
    """Builds an archive, unless the same one exists.

    Args:
        folder: the archive's folder.
        name: the game's spec.
        game: the game.
        sources: where the games come from; not read if the archive exists.
        recipe: everything that decides the archive's contents, besides `game` and `held_out`.
        held_out: fraction of the games that are not to be learned from.
        filters: which games are kept.
        progress: called with the progress of the work.

    Raises:
        ValueError: the folder holds something else, another process is writing the archive, or
            no game is kept.
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"--held-out must be in [0, 1), got {held_out}")
    recipe = {**recipe, "rules": repr(game), "held_out": held_out}
    manifest = existing_manifest(folder, recipe)
    if manifest:
        return Built(manifest, True)
    check_writable(Path(os.path.realpath(folder)))  # early: the folder is created at the end
    candidates: list[Candidate] = []
    with Writer(folder) as writer:  # before reading, which is in vain if writing is impossible
        for at, source in enumerate(sources):
            progress("reading", at, len(sources))
            candidates += filter_games(source.read(), game, filters, source.stats)
        progress("reading", len(sources), len(sources))
        if game.komi is not None:
            candidates = distrust_zero_komi(candidates, game.komi)
        candidates = deduplicate(candidates, filters.max_games)
        replayed = _replay(writer, game, candidates, progress)
        stats = [source.stats for source in sources]
        if not replayed.lines:
            raise ValueError(_nothing_kept(stats))
        contents = Contents(
            game=name,
            held_out=held_out,
            recipe=recipe,
            positions=replayed.positions,
            kept=len(replayed.lines),
            left_out=dict(sorted(total_left_out(stats).items())),
            notes=dict(sorted(replayed.notes.items())),
            files=[source.to_json() for source in stats],
        )
        return Built(writer.commit(_table(replayed.lines), contents), False)


def existing_manifest(folder: Path, recipe: Mapping[str, object]) -> Manifest | None:
    """Returns the manifest of the archive that this recipe made before; None for an empty folder.

    Raises:
        ValueError: the folder holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not (folder / MANIFEST).exists():
        raise ValueError(
            f"{folder} exists and is not an archive of expert games; choose another --out"
        )
    manifest = read_manifest(folder)
    before, now = manifest["recipe"], to_jsonable(recipe)
    if before != now:
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        raise ValueError(
            f"{folder} holds another import (different: {', '.join(names)}); choose another --out"
        )
    return manifest


class _Replayed(NamedTuple):
    """The result of replaying the candidates: lines of the table, counts of notes, and rows."""

    lines: list[Mapping[str, object]]
    notes: Counter[str]
    positions: int


def _replay(
    writer: Writer, game: Game, candidates: Sequence[Candidate], progress: Progress
) -> _Replayed:
    """Replays the candidates, writes their rows, and counts each one in its source's statistics."""
    lines: list[Mapping[str, object]] = []
    notes: Counter[str] = Counter()
    done = positions = plies = 0
    all_plies = sum(len(candidate.game.moves) for candidate in candidates)
    for batch in replay(game, [candidate.game for candidate in candidates]):
        replayed = candidates[done : done + len(batch.faults)]
        for candidate, fault, rows in zip(replayed, batch.faults, batch.counts, strict=True):
            plies += len(candidate.game.moves)
            rejected = fault or (None if rows else NO_ROWS)
            if rejected:
                candidate.stats.reject(rejected)
                continue
            candidate.stats.kept += 1
            notes.update(candidate.game.notes)
            if candidate.game.no_value_reason:
                notes[f"value not taught: {candidate.game.no_value_reason}"] += 1
            lines.append(_line(candidate, positions, rows))
            positions += rows
        done += len(replayed)
        writer.append(batch.rows)
        progress("replaying", plies, all_plies)
    return _Replayed(lines, notes, positions)


def _nothing_kept(sources: Sequence[SourceStats]) -> str:
    """Writes the error message for an archive without games."""
    left_out = total_left_out(sources).most_common()
    reasons = ", ".join(f"{reason} ({count})" for reason, count in left_out)
    return f"none of {sum(stats.games for stats in sources)} games is kept: {reasons}"


def _line(candidate: Candidate, start: int, rows: int) -> Mapping[str, object]:
    """Returns a game's line in the table of games, with the columns of `GAME`."""
    game, key = candidate.game, candidate.key
    return {
        "start": start,
        "rows": rows,
        "plies": len(game.moves),
        "split": key.split_hash,
        "order": key.sample_hash,
        "opening": (*key.opening, *(-1,) * (OPENING - len(key.opening))),
        "outcome": game.outcome or 0,
        "known": game.outcome is not None,
        "taught": not game.no_value_reason,
        "komi": game.komi,
        "rating": [player.rating for player in game.players],
        "rank": [player.rank for player in game.players],
    }


def _table(lines: Sequence[Mapping[str, object]]) -> Rows:
    """Converts lines into arrays of the dtypes that `GAME` gives."""
    return {
        name: np.array([line[name] for line in lines], text.partition("[")[0])
        for name, text in GAME.items()
    }
