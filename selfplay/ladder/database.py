"""The database of a ladder: players, rounds and games in one append-only SQLite file.

The pairings of a round are written when it begins, and the games of each pairing in one
transaction. So a ladder that was killed continues with the missing pairings of its last round, and
no game is lost or played twice. Players, opening index and colors identify a game uniquely. Only
one process at a time can open the file.
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
from sqlite3 import Connection
from typing import Any, Literal

from selfplay.ladder.match import GameResult
from selfplay.players.specs import GTP, Player
from selfplay.runs.files import describe, take_lock

FORMAT = 1
FILE = "ladder.db"  # in a ladder's folder
ANCHOR = "anchor"  # name of a setting; ladders of earlier versions of this program lack it
MULTI_FILE_JOURNAL = bytes.fromhex("d9d505f920a163d7")  # SQLite's magic number at the end of one
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
    """A player as the ladder has recorded it; the other fields are those of `Player`."""

    id: int
    spec: str
    digest: str
    flops_per_move: float
    training_flops: float

    @property
    def deterministic(self) -> bool:
        """True = its moves are not random, so it may repeat a game from the same opening."""
        return bool(self.digest) or self.spec.startswith(GTP)


@dataclass(frozen=True)
class Pairing:
    """Two players who meet in a round, and the part of their list of openings that they play."""

    round: int  # 1 for the first one
    slot: int  # number within the round
    a: int  # player ids
    b: int
    start: int  # index of the first opening
    pairs: int  # number of openings, each played twice with colors swapped
    done: bool = False  # True = the file has its games


@dataclass(frozen=True)
class RecordedGame:
    """One game in the file; `first` is player 0."""

    round: int
    slot: int
    first: int  # player ids
    second: int
    opening_index: int
    opening: tuple[int, ...]
    moves: tuple[int, ...]  # after the opening
    outcome: int | None  # for `first`: +1, 0 or -1; None: not rated
    reason: str  # how it ended; "" if by the rules


def settings(path: Path) -> dict[str, Any]:
    """Reads the settings of a ladder's file, which `LadderDatabase` needs to open it.

    Raises:
        ValueError: there is no such file, or it is not a ladder.
    """
    if not path.is_file():
        raise ValueError(f"there is no ladder {path}")
    with _readable(path), closing(_connect(path)) as base:
        return {n: json.loads(v) for n, v in base.execute("SELECT name, value FROM settings")}


def count(path: Path) -> int:
    """Counts the games in a ladder's file without taking its lock; 0 if there is no file.

    Raises:
        ValueError: the file is not a ladder, or is damaged.
    """
    if not os.path.lexists(path):
        return 0
    with _readable(path), closing(_connect(path)) as base:
        if not _tables(base):
            return 0  # the ladder was stopped while it created the file
        return base.execute("SELECT count(*) FROM games").fetchone()[0]


def anchor(path: Path) -> str:
    """Returns the player at 0 Elo that a ladder's file records, without taking its lock.

    A file that records none has the first player at 0 Elo. "" if the file is absent or has no
    players.

    Raises:
        ValueError: the file is not a ladder, or is damaged.
    """
    if not os.path.lexists(path):
        return ""
    with _readable(path), closing(_connect(path)) as base:
        if not _tables(base):
            return ""  # the ladder was stopped while it created the file
        recorded = base.execute("SELECT value FROM settings WHERE name = ?", (ANCHOR,)).fetchone()
        if recorded:
            return str(json.loads(recorded[0]))
        first = base.execute("SELECT spec FROM players ORDER BY id LIMIT 1").fetchone()
        return str(first[0]) if first else ""


@dataclass(frozen=True)
class StoredGame:
    """A game as a reader sees it; players by their specs."""

    number: int  # in the file
    first: str  # player 0
    second: str
    moves: tuple[int, ...]  # those of the opening included
    outcome: int | None  # as in `RecordedGame`


def games_of(path: Path, spec: str, most: int = -1) -> list[StoredGame]:
    """Reads the newest games of a player without taking the lock of a ladder's file.

    At most `most` games are read, in the order in which they were stored; -1 = all.

    Raises:
        ValueError: there is no such file, it is not a ladder, or it is damaged.
    """
    if not path.is_file():
        raise ValueError(f"there is no ladder {path}")
    with _readable(path), closing(_connect(path)) as base:
        rows = base.execute(
            "SELECT games.id, one.spec, two.spec, opening, moves, outcome FROM games "
            "JOIN players AS one ON one.id = first JOIN players AS two ON two.id = second "
            "WHERE ? IN (one.spec, two.spec) ORDER BY games.id DESC LIMIT ?",
            (spec, most),
        )
        games = [
            StoredGame(number, first, second, (*json.loads(opening), *json.loads(moves)), outcome)
            for number, first, second, opening, moves, outcome in rows
        ]
        return games[::-1]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Converts SQLite's errors to a ValueError that names the file."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise ValueError(
            f"{path} cannot be read as a ladder ({error}); move it away, or name another folder"
        ) from None


def _tables(base: Connection) -> int:
    return base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _connect(path: Path, isolation_level: Literal["DEFERRED"] | None = "DEFERRED") -> Connection:
    """Opens a ladder's file, which may come from an untrusted source.

    Raises:
        ValueError: it is a link, holds anything but tables, or has a rollback journal that names
            another file, which SQLite would delete.
    """
    journal = path.with_name(f"{path.name}-journal")
    for file in (path, journal, *(path.with_name(f"{path.name}-{k}") for k in ("wal", "shm"))):
        if file.is_symlink():
            raise ValueError(f"{path} is not a valid ladder: {file.name} is a link")
    if journal.exists() and journal.read_bytes().endswith(MULTI_FILE_JOURNAL):
        raise ValueError(f"{path} is not a valid ladder: {journal.name} names another file")
    base = sqlite3.connect(path, isolation_level=isolation_level)
    try:
        base.execute("PRAGMA trusted_schema = OFF")
        for kind, name, statement in base.execute("SELECT type, name, sql FROM sqlite_master"):
            if kind != "index" and not str(statement).startswith("CREATE TABLE "):
                raise ValueError(f"{path} is not a valid ladder: it has a {kind} {name!r}")
    except BaseException:
        base.close()
        raise
    return base


class LadderReader:
    """What the file of a ladder contains."""

    def __init__(self, path: Path, base: Connection) -> None:
        """Reads from an open file; see `reading`."""
        self._path, self._base = path, base

    def players(self) -> list[Entry]:
        """Returns all players in the order in which they entered.

        Raises:
            ValueError: a player's name has unprintable characters.
        """
        rows = self._rows(
            "SELECT id, spec, digest, flops_per_move, training_flops FROM players ORDER BY id"
        )
        nan = float("nan")
        entries = [Entry(*row[:3], *(nan if x is None else x for x in row[3:])) for row in rows]
        if invalid := [entry.spec for entry in entries if not entry.spec.isprintable()]:
            raise ValueError(
                f"{self._path} has a player {invalid[0]!r}, which is not a printable name"
            )
        return entries

    def pairings(self) -> list[Pairing]:
        """Returns all pairings, ordered by round and slot."""
        rows = self._rows(
            "SELECT round, slot, a, b, start, pairs, EXISTS (SELECT 1 FROM games WHERE "
            "games.round = pairings.round AND games.slot = pairings.slot) "
            "FROM pairings ORDER BY round, slot"
        )
        return [Pairing(*row[:6], done=bool(row[6])) for row in rows]

    def games(self) -> list[RecordedGame]:
        """Returns all games, in an order that does not depend on when they were played."""
        rows = self._rows(
            "SELECT round, slot, first, second, opening_index, opening, moves, outcome, reason "
            "FROM games ORDER BY round, slot, opening_index, first"
        )
        return [
            RecordedGame(
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

    def _rows(self, query: str) -> list[tuple[Any, ...]]:  # SQLite's values
        with _readable(self._path):
            return self._base.execute(query).fetchall()


@contextmanager
def reading(path: Path) -> Iterator[LadderReader]:
    """Opens a ladder's file as it is now, without its lock: another process may play on.

    Raises:
        ValueError: there is no such file, it is not a ladder, or it is damaged.
    """
    if not path.is_file():
        raise ValueError(f"there is no ladder {path}")
    with _readable(path), closing(_connect(path, isolation_level=None)) as base:
        base.execute("BEGIN")  # one state of the file for all that is read
        _check_settings(path, base, {"format": json.dumps(FORMAT)})
        yield LadderReader(path, base)


def _check_settings(path: Path, base: Connection, expected: Mapping[str, str]) -> None:
    """Raises ValueError if the file has other settings."""
    stored = dict(base.execute("SELECT name, value FROM settings"))
    for name, value in expected.items():
        if stored.get(name) != value:
            raise ValueError(
                f"{path} was made with {name} {stored.get(name)}, not {value}; "
                "games of both cannot be compared: choose another file"
            )


class LadderDatabase(LadderReader):
    """The open file of one ladder, locked for this process."""

    def __init__(self, path: Path, settings: Mapping[str, object], anchor: str = "") -> None:
        """Opens or creates the file.

        Args:
            path: the file.
            settings: JSON values on which the games depend; they must equal those of the file.
            anchor: the spec of the player at 0 Elo, which a new file records.

        Raises:
            ValueError: the file is not a ladder, was made with other settings, cannot be created,
                or is in use.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = take_lock(path.parent)
        except OSError as error:
            raise ValueError(f"the ladder {path} cannot be created: {describe(error)}") from None
        try:
            super().__init__(path, self._open(path, settings, anchor))
        except BaseException:
            os.close(self._lock)
            raise

    @staticmethod
    def _open(path: Path, settings: Mapping[str, object], anchor: str) -> Connection:
        expected = {
            name: json.dumps(value) for name, value in {"format": FORMAT, **settings}.items()
        }
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
                        first = expected | ({ANCHOR: json.dumps(anchor)} if anchor else {})
                        base.executemany("INSERT INTO settings VALUES (?, ?)", first.items())
                _check_settings(path, base, expected)
            on_error.pop_all()
        return base

    def enter(self, players: Sequence[Player]) -> list[Entry]:
        """Adds the players that are new, and returns the entries of all `players`.

        Raises:
            ValueError: a player's parameters are not those that the ladder rated.
        """
        entries = {entry.spec: entry for entry in self.players()}
        for player in players:
            if player.spec in entries and entries[player.spec].digest != player.digest:
                raise ValueError(
                    f"{player.spec} is not the player that {self._path} has rated: its parameters "
                    f"were {entries[player.spec].digest}, now they are {player.digest}"
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
        entries = {entry.spec: entry for entry in self.players()}
        return [entries[player.spec] for player in players]

    def begin_round(self, plan: Sequence[Pairing]) -> None:
        """Writes the pairings of a new round, before their games are played."""
        with self._transaction():
            self._base.executemany(
                "INSERT INTO pairings (round, slot, a, b, start, pairs) VALUES (?, ?, ?, ?, ?, ?)",
                [(p.round, p.slot, p.a, p.b, p.start, p.pairs) for p in plan],
            )

    def withdraw(self, pairing: Pairing) -> None:
        """Deletes a pairing that has no games yet."""
        with self._transaction():
            self._base.execute(
                "DELETE FROM pairings WHERE round = ? AND slot = ? AND NOT EXISTS (SELECT 1 FROM "
                "games WHERE games.round = pairings.round AND games.slot = pairings.slot)",
                (pairing.round, pairing.slot),
            )

    def finish(self, pairing: Pairing, results: Sequence[GameResult], seed: int) -> None:
        """Stores all games of a pairing in one transaction."""
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
            for game in results
        ]
        with self._transaction():
            self._base.executemany(
                "INSERT INTO games (round, slot, first, second, opening_index, opening, moves, "
                "outcome, reason, plies, seed, played_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def close(self) -> None:
        """Closes the file and releases its lock."""
        self._base.close()
        os.close(self._lock)

    def _transaction(self) -> _Transaction:
        return _Transaction(self._base)


class _Transaction:
    """A transaction as a context manager; once committed, its changes are safe on the disk."""

    def __init__(self, base: Connection) -> None:
        self._base = base

    def __enter__(self) -> None:
        self._base.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *error: object) -> None:
        with closing(self._base.cursor()) as cursor:
            cursor.execute("ROLLBACK" if kind else "COMMIT")
