"""From games to an archive: filtered, without duplicates, replayed, split and accounted for.

Every game that comes in is kept or left out for one reason: ``games = kept + left out``, for each
file and in all. The result depends on what the files hold, not on their names or their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from games.game import Game
from games.go import Go
from selfplay.episode import Rows
from selfplay.experts import canonical, sgf, sources
from selfplay.experts.archive import GAME, MANIFEST, read_manifest
from selfplay.experts.canonical import OPENING, Key
from selfplay.experts.filters import Filters
from selfplay.experts.record import ExpertGame, LeftOut
from selfplay.experts.replay import replay
from selfplay.experts.writer import Writer
from selfplay.store.files import plain

DUPLICATE = "duplicate"
SURPLUS = "filter: more than --max-games"
NO_ROWS = "filter: no move of a player who is strong enough"

Progress = Callable[[str, int, int], None]
"""``progress(what, done, all)``, called often."""


@dataclass
class Account:
    """What became of the games of one file (or other source)."""

    name: str
    identity: str  # of its content
    games: int = 0
    kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest.

        Raises:
            AssertionError: a game is neither kept nor left out.
        """
        assert self.games == self.kept + self.left_out.total(), f"{self.name} does not add up"
        return {
            "name": self.name,
            "sha256": self.identity,
            "games": self.games,
            "kept": self.kept,
            "left_out": dict(sorted(self.left_out.items())),
        }


@dataclass(frozen=True, eq=False)
class Candidate:
    """A game that passed the filters."""

    key: Key
    game: ExpertGame
    account: Account

    @property
    def preference(self) -> tuple[Any, ...]:
        """Of duplicates the least is kept: one whose value is taught, then the longest."""
        game = self.game
        facts = (game.komi, game.outcome or 0, [asdict(player) for player in game.players])
        return (
            bool(game.untaught),
            game.outcome is None,
            -len(game.moves),
            repr(facts),
            game.moves.tobytes(),
            self.account.identity,
            self.account.name,
        )


def collect(
    source: Iterable[ExpertGame | str], game: Game, filters: Filters, account: Account
) -> list[Candidate]:
    """The games of a source that pass the filters; a text is the reason why one cannot be read."""
    found = []
    for played in source:
        account.games += 1
        reason = played if isinstance(played, str) else filters.refuses(played)
        if reason:
            account.left_out[reason] += 1
        else:
            played = replace(played, taught=filters.taught(played))
            found.append(Candidate(canonical.key(game, played), played, account))
    return found


def distinct(candidates: Iterable[Candidate], most: int = 0) -> list[Candidate]:
    """One candidate of each key, at most `most` (0: all), shortest games first."""
    best: dict[bytes, Candidate] = {}
    for one in candidates:
        other = best.setdefault(one.key.digest, one)
        if other is not one:
            keep, leave = (one, other) if one.preference < other.preference else (other, one)
            leave.account.left_out[DUPLICATE] += 1
            best[one.key.digest] = keep
    chosen = sorted(best.values(), key=lambda one: (one.key.order, one.key.digest))
    if most:
        for one in chosen[most:]:
            one.account.left_out[SURPLUS] += 1
        chosen = chosen[:most]
    # Those with a first position of their own take another program: they come together.
    return sorted(chosen, key=lambda c: (c.game.start is not None, len(c.game.moves), c.key))


def write(
    folder: Path,
    game: Game,
    candidates: Sequence[Candidate],
    accounts: Sequence[Account],
    manifest: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """Replay the candidates into an archive; its manifest.

    Raises:
        ValueError: no game is left; nothing is written.
    """
    rules = replace(game, max_plies=sgf.most_plies(game.size)) if isinstance(game, Go) else game
    lines: list[dict[str, Any]] = []
    notes: Counter[str] = Counter()
    done = row = played = 0
    moves = sum(len(one.game.moves) for one in candidates)
    with Writer(folder) as writer:
        for batch in replay(rules, [one.game for one in candidates]):
            replayed = candidates[done : done + len(batch.faults)]
            for one, fault, rows in zip(replayed, batch.faults, batch.counts, strict=True):
                reason = fault or ("" if rows else NO_ROWS)
                played += len(one.game.moves)
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
            raise ValueError(f"nothing to keep: {_why(accounts)}")
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


def total(accounts: Iterable[Account]) -> Counter[str]:
    """All games left out, by reason."""
    return sum((account.left_out for account in accounts), Counter())


def _why(accounts: Sequence[Account]) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in total(accounts).most_common())
    return f"of {sum(account.games for account in accounts)} games left out: {reasons}"


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


def already(folder: Path, recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """The manifest of the archive that this recipe has made there before; None if nothing is there.

    Raises:
        ValueError: something else is there.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not (folder / MANIFEST).exists():
        raise ValueError(f"{folder} exists and is no archive of expert games; choose another --out")
    manifest = read_manifest(folder)
    before, now = manifest["recipe"], plain(recipe)
    if before != now:
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        raise ValueError(
            f"{folder} holds other games (different: {', '.join(names)}); choose another --out"
        )
    return manifest


def import_sgf(
    name: str,
    game: Go,
    paths: Sequence[Path],
    filters: Filters,
    held_out: float,
    folder: Path,
    progress: Progress,
) -> tuple[dict[str, Any], bool]:
    """Import files and folders of SGF records: (the manifest, True = it was there before).

    Raises:
        ValueError: a path that does not exist, a folder with something else in it, or no game left.
    """
    files = sources.find(paths)
    accounts = [Account(str(path), sources.sha256(path)) for path in files]
    recipe = {
        "made by": "import",
        "rules": repr(game),
        "filters": asdict(filters),
        "held_out": held_out,
        "contents": sorted(account.identity for account in accounts),
    }
    manifest = already(folder, recipe)
    if manifest:
        return manifest, True
    candidates = []
    for at, (path, account) in enumerate(zip(files, accounts, strict=True)):
        progress("reading", at, len(files))
        candidates += collect(_read(path, game), game, filters, account)
    progress("reading", len(files), len(files))
    candidates = distinct(candidates, filters.max_games)
    manifest = {"game": name, "held_out": held_out, "recipe": recipe}
    return write(folder, game, candidates, accounts, manifest, progress), False


def _read(path: Path, game: Go) -> Iterator[ExpertGame | str]:
    """The file's games; where there is none, the reason."""
    for line in sources.games_in(path):
        try:
            yield line if isinstance(line, str) else sgf.read(line, game)
        except LeftOut as reason:
            yield str(reason)
