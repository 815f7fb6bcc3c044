"""The ladder's memory: players, rounds and games in one SQLite file that only grows.

A round's plan is written when it begins, and the games of one of its pairings in one transaction,
so a ladder that is killed goes on with the pairings that its last round still lacks, and no game is
lost or played twice. What identifies a game (its players, opening index and colours) is unique. One
process at a time has the file.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfplay.ladder.match import Played
from selfplay.players.specs import GTP, Player
from selfplay.runs.files import describe, take_lock

FORMAT = 1
FILE = "ladder.db"  # in a ladder's folder
NAMES_A_FILE = bytes.fromhex("d9d505f920a163d7")  # ends a journal of several files (SQLite's magic)
SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE players (
    id INTEGER PRIMARY KEY, spec TEXT NOT NULL UNIQUE, digest TEXT NOT NULL,
    flops_per_move REAL, training_flops REAL, since REAL NOT NULL
);
CREATE TABLE pairings (
    round INTEGER NOT NULL, slot INTEGER NOT NULL,
    a INTEGER NOT NULL REFERENCES players, b INTEGER NOT NULL REFERENCES players,
    start INTEGER NOT NULL, pairs INTEGER NOT NULL,
    PRIMARY KEY (round, slot)
);
CREATE TABLE games (
    id INTEGER PRIMARY KEY, round INTEGER NOT NULL, slot INTEGER NOT NULL,
    first INTEGER NOT NULL REFERENCES players, second INTEGER NOT NULL REFERENCES players,
    opening_index INTEGER NOT NULL, opening TEXT NOT NULL, moves TEXT NOT NULL,
    outcome INTEGER, reason TEXT NOT NULL, plies INTEGER NOT NULL, seed INTEGER NOT NULL,
    played_at REAL NOT NULL,
    UNIQUE (first, second, opening_index)
);
"""


@dataclass(frozen=True)
class Entry:
    """A player as the ladder knows it."""

    id: int
    spec: str
    digest: str
    flops_per_move: float
    training_flops: float

    @property
    def repeats(self) -> bool:
        """True = its moves are not drawn, so that the same opening may become the same game."""
        return bool(self.digest) or self.spec.startswith(GTP)


@dataclass(frozen=True)
class Pairing:
    """Two players who meet in a round, and which openings of their list they play."""

    round: int
    slot: int
    a: int  # player ids
    b: int
    start: int
    pairs: int
    done: bool = False


@dataclass(frozen=True)
class Game:
    """A game as it was recorded; `first` is player 0."""

    round: int
    slot: int
    first: int
    second: int
    opening_index: int
    opening: tuple[int, ...]
    moves: tuple[int, ...]
    outcome: int | None  # for `first`; None: not rated
    reason: str


def settings(path: Path) -> dict[str, Any]:
    """What made the games of a ladder's file comparable, to open it with.

    Raises:
        ValueError: there is no such file, or it is no ladder.
    """
    if not path.is_file():
        raise ValueError(f"there is no ladder {path}")
    with _readable(path), closing(_connect(path)) as base:
        return {n: json.loads(v) for n, v in base.execute("SELECT name, value FROM settings")}


def count(path: Path) -> int:
    """Counts the games in a ladder's file without taking its lock; 0 if it has not begun.

    Raises:
        ValueError: the file is not a ladder, or is damaged.
    """
    if not os.path.lexists(path):
        return 0
    with _readable(path), closing(_connect(path)) as base:
        if not _tables(base):
            return 0  # the ladder was stopped while it made its file
        return base.execute("SELECT count(*) FROM games").fetchone()[0]


def player_specs(path: Path) -> list[str]:
    """Returns the players in a ladder's file in the order in which they entered, without its lock.

    An absent or empty file has none.

    Raises:
        ValueError: the file is not a ladder, or is damaged.
    """
    if not os.path.lexists(path):
        return []
    with _readable(path), closing(_connect(path)) as base:
        if not _tables(base):
            return []
        return [str(row[0]) for row in base.execute("SELECT spec FROM players ORDER BY id")]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what SQLite says of a file into a ValueError that names the file."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise ValueError(
            f"{path} cannot be read as a ladder ({error}); move it away, or name another folder"
        ) from None


def _tables(base: sqlite3.Connection) -> int:
    return base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _connect(path: Path, **options: Any) -> sqlite3.Connection:
    """A ladder's file opened, from whomever it comes.

    Raises:
        ValueError: it is a link, holds more than tables, or lies beside a rollback journal that
            names a file: SQLite would delete that one.
    """
    journal = path.with_name(f"{path.name}-journal")
    for beside in (path, journal, *(path.with_name(f"{path.name}-{k}") for k in ("wal", "shm"))):
        if beside.is_symlink():
            raise ValueError(f"{path} is no ladder of ours: {beside.name} is a link")
    if journal.exists() and journal.read_bytes().endswith(NAMES_A_FILE):
        raise ValueError(f"{path} is no ladder of ours: {journal.name} names another file")
    base = sqlite3.connect(path, **options)
    try:
        base.execute("PRAGMA trusted_schema = OFF")
        for kind, name, made in base.execute("SELECT type, name, sql FROM sqlite_master"):
            if kind != "index" and not str(made).startswith("CREATE TABLE "):
                raise ValueError(f"{path} is no ladder of ours: it has a {kind} {name!r}")
    except BaseException:
        base.close()
        raise
    return base


class LadderDatabase:
    """One ladder's file."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Open or create it.

        Args:
            path: the file.
            settings: what makes games comparable; a file that was made with others is refused.

        Raises:
            ValueError: the file is no ladder, was made with other settings, cannot be made, or is
                in use.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = take_lock(path.parent)
        except OSError as error:
            raise ValueError(f"the ladder {path} cannot be made: {describe(error)}") from None
        try:
            self._base = self._open(settings)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, settings: Mapping[str, Any]) -> sqlite3.Connection:
        path = self._path
        wanted = {name: json.dumps(value) for name, value in {"format": FORMAT, **settings}.items()}
        with ExitStack() as on_error:
            with _readable(path):
                base = _connect(path, isolation_level=None)
                on_error.callback(base.close)
                base.execute("PRAGMA journal_mode = WAL")
                base.execute("PRAGMA foreign_keys = ON")
                if not _tables(base):
                    with _Transaction(base):
                        for statement in SCHEMA.split(";"):
                            base.execute(statement)
                        base.executemany("INSERT INTO settings VALUES (?, ?)", wanted.items())
                found = dict(base.execute("SELECT name, value FROM settings"))
            for name, value in wanted.items():
                if found.get(name) != value:
                    raise ValueError(
                        f"{path} was made with {name} {found.get(name)}, not {value}; "
                        "games of both cannot be compared: choose another file"
                    )
            on_error.pop_all()
        return base

    def enter(self, players: Sequence[Player]) -> list[Entry]:
        """The entries of these players, new ones added.

        Raises:
            ValueError: a player's parameters are not those that the ladder rated.
        """
        known = {entry.spec: entry for entry in self.players()}
        for player in players:
            if player.spec in known and known[player.spec].digest != player.digest:
                raise ValueError(
                    f"{player.spec} is not the player that {self._path} has rated: its parameters "
                    f"were {known[player.spec].digest}, now they are {player.digest}"
                )
        with self._transaction():
            for player in players:
                self._base.execute(
                    "INSERT OR IGNORE INTO players "
                    "(spec, digest, flops_per_move, training_flops, since) VALUES (?, ?, ?, ?, ?)",
                    (
                        player.spec,
                        player.digest,
                        player.flops_per_move,
                        player.training_flops,
                        time.time(),
                    ),
                )
        known = {entry.spec: entry for entry in self.players()}
        return [known[player.spec] for player in players]

    def players(self) -> list[Entry]:
        """All players, in the order of their coming."""
        rows = self._rows(
            "SELECT id, spec, digest, flops_per_move, training_flops FROM players ORDER BY id"
        )
        nan = float("nan")
        found = [Entry(*row[:3], *(nan if x is None else x for x in row[3:])) for row in rows]
        if odd := [entry.spec for entry in found if not entry.spec.isprintable()]:
            raise ValueError(f"{self._path} has a player {odd[0]!r}, which is no name")
        return found

    def pairings(self) -> list[Pairing]:
        """All pairings, by round and slot."""
        rows = self._rows(
            "SELECT round, slot, a, b, start, pairs, EXISTS (SELECT 1 FROM games WHERE "
            "games.round = pairings.round AND games.slot = pairings.slot) "
            "FROM pairings ORDER BY round, slot"
        )
        return [Pairing(*row[:6], done=bool(row[6])) for row in rows]

    def begin_round(self, plan: Sequence[Pairing]) -> None:
        """Write down what a round will play."""
        with self._transaction():
            self._base.executemany(
                "INSERT INTO pairings (round, slot, a, b, start, pairs) VALUES (?, ?, ?, ?, ?, ?)",
                [(p.round, p.slot, p.a, p.b, p.start, p.pairs) for p in plan],
            )

    def withdraw(self, pairing: Pairing) -> None:
        """Take a pairing out of the plan; it has no games, so nothing is lost."""
        with self._transaction():
            self._base.execute(
                "DELETE FROM pairings WHERE round = ? AND slot = ? AND NOT EXISTS (SELECT 1 FROM "
                "games WHERE games.round = pairings.round AND games.slot = pairings.slot)",
                (pairing.round, pairing.slot),
            )

    def finish(self, pairing: Pairing, played: Sequence[Played], seed: int) -> None:
        """The games of a pairing, all or none."""
        now = time.time()
        rows = [
            (
                pairing.round,
                pairing.slot,
                *((pairing.b, pairing.a) if game.swapped else (pairing.a, pairing.b)),
                game.index,
                json.dumps(game.opening),
                json.dumps(game.moves),
                game.outcome,
                game.reason,
                len(game.opening) + len(game.moves),
                seed,
                now,
            )
            for game in played
        ]
        with self._transaction():
            self._base.executemany(
                "INSERT INTO games (round, slot, first, second, opening_index, opening, moves, "
                "outcome, reason, plies, seed, played_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def games(self) -> list[Game]:
        """All games, in an order that does not depend on when they were played."""
        rows = self._rows(
            "SELECT round, slot, first, second, opening_index, opening, moves, outcome, reason "
            "FROM games ORDER BY round, slot, opening_index, first"
        )
        return [
            Game(
                round=row[0],
                slot=row[1],
                first=row[2],
                second=row[3],
                opening_index=row[4],
                opening=tuple(json.loads(row[5])),
                moves=tuple(json.loads(row[6])),
                outcome=row[7],
                reason=row[8],
            )
            for row in rows
        ]

    def close(self) -> None:
        """Close the file, for others to open."""
        self._base.close()
        os.close(self._lock)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with _readable(self._path):
            return self._base.execute(query).fetchall()

    def _transaction(self) -> Any:
        return _Transaction(self._base)


class _Transaction:
    """All or nothing, and safe on the disk at its end."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def __enter__(self) -> None:
        self._base.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *error: object) -> None:
        with closing(self._base.cursor()) as cursor:
            cursor.execute("ROLLBACK" if kind else "COMMIT")
