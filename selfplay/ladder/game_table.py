"""A table of a ladder's games, small enough to be published, from which it can be rated again.

ladder.json     settings of the ladder, its anchor, and counts of its games
players.csv     the players with games, in the order in which they entered
games.csv.gz    the games that the ratings use, in the order in which they were played

A line of games.csv has two players, an opening and two outcomes, each for the player who moves
first. An outcome is empty if that game is not rated: it repeats an earlier one, or could not begin.
Such games are counted in ladder.json. Equal ladders give equal bytes.

`read` reads a ladder's database in the same form, so that everything behind it works with both.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from games.spelling import did_you_mean
from selfplay.ladder import database
from selfplay.ladder.database import Entry, LadderReader
from selfplay.ladder.ladder import LadderState, complete_games, rate, rated_games
from selfplay.ladder.tally import Tally
from selfplay.ratings import elo
from selfplay.runs.codec import Json
from selfplay.runs.files import (
    CorruptedFile,
    read_gzip,
    read_json,
    reject_links,
    write_bytes,
    write_gzip,
    write_json,
)

FORMAT_VERSION = 1
FOLDER = "data"  # of published data, in the folder of a ladder or report
HEADER, PLAYERS, GAMES = "ladder.json", "players.csv", "games.csv.gz"
SETTINGS = ("game", "seed", "opening plies", "openings")  # of the database, as far as it has them
PLAYER_COLUMNS = ("number", "player", "digest", "flops_per_move", "training_flops")
GAME_COLUMNS = ("a", "b", "opening", "outcome_a_first", "outcome_b_first")
MAX_BYTES = 2**26  # of a file, uncompressed: 4 million openings
MAX_PLAYERS = 5_000  # the ratings' covariance has a row and a column for each
OUTCOMES = {"1": 1, "0": 0, "-1": -1}


class OpeningPair(NamedTuple):
    """The games of two players from one opening; outcomes are for the player who moves first."""

    a: int  # index of a player; a < b
    b: int
    opening: int  # index in the pairing's list of openings
    outcome_a_first: int | None  # None: not rated
    outcome_b_first: int | None


@dataclass(frozen=True)
class GameTable:
    """The games of a ladder, as its ratings use them.

    Attributes:
        settings: `SETTINGS`, of which "game" is the game's spec.
        anchor: the spec of the player at 0 Elo.
        entries: the players with games, in the order in which they entered.
        pairs: the games, in the order in which they were played.
        tally: counts of all games, including those that are not rated.
    """

    settings: dict[str, Json]
    anchor: str
    entries: tuple[Entry, ...]
    pairs: tuple[OpeningPair, ...]
    tally: Tally

    @property
    def game(self) -> str:
        """The spec of the game."""
        return str(self.settings["game"])

    def rate(self, anchor: str | None = None) -> LadderState:
        """Rates the players; the same as `ladder.compute_state` of the ladder's database.

        Args:
            anchor: the spec of the player at 0 Elo; the recorded one when left out.

        Raises:
            ValueError: the anchor is not among the players.
        """
        anchor = anchor or self.anchor
        specs = [entry.spec for entry in self.entries]
        if anchor not in specs:
            raise ValueError(
                f"{anchor!r} has no games on this ladder of {len(specs)} players"
                f"{did_you_mean(anchor, specs)}; name one of them, as in --anchor {specs[0]!r}"
                if specs
                else "the ladder has no games yet"
            )
        seats = [
            (first, second, outcome, unit)
            for unit, pair in enumerate(self.pairs)
            for first, second, outcome in (
                (pair.a, pair.b, pair.outcome_a_first),
                (pair.b, pair.a, pair.outcome_b_first),
            )
            if outcome is not None
        ]
        games = elo.Games(*np.array(seats, np.int64).reshape(-1, 4).T.copy())
        return rate(list(self.entries), games, anchor, [], [], self.tally)


def is_table(path: Path) -> bool:
    """Tells whether a folder contains a table of games."""
    return (path / HEADER).exists()


def read(path: Path) -> GameTable:
    """Reads a ladder from its database, the file ladder.db, or from the folder of its table.

    Raises:
        ValueError: there is no such ladder, or it has no players.
        CorruptedFile: a table is damaged.
    """
    return _read_table(path) if path.is_dir() else _read_database(path)


def _read_database(path: Path) -> GameTable:
    settings, anchor = database.settings(path), database.anchor(path)
    if not anchor:
        raise ValueError(f"{path} holds no players")
    if not isinstance(settings.get("game"), str):
        raise ValueError(f"{path} does not say which game it rates; make another ladder")
    with database.reading(path) as base:
        return of_database(base, settings, anchor)


def of_database(base: LadderReader, settings: Mapping[str, Json], anchor: str) -> GameTable:
    """Makes the table of all complete rounds in a database.

    Args:
        base: the ladder's database.
        settings: its settings; see `database.settings`.
        anchor: the spec of the player at 0 Elo that it records; see `database.anchor`.
    """
    recorded = complete_games(base)
    included = {i for game in recorded for i in (game.first, game.second)}
    entries = [entry for entry in base.players() if entry.id in included]
    rated = rated_games(recorded, entries)
    index = {entry.id: i for i, entry in enumerate(entries)}
    outcomes: dict[tuple[int, int, int], list[int | None]] = {}
    for game in rated:
        first, second = index[game.first], index[game.second]
        key = (min(first, second), max(first, second), game.opening_index)
        outcomes.setdefault(key, [None, None])[first > second] = game.outcome
    return GameTable(
        settings={name: settings[name] for name in SETTINGS if name in settings},
        anchor=anchor,
        entries=tuple(entries),
        pairs=tuple(OpeningPair(*key, *pair) for key, pair in outcomes.items()),
        tally=Tally.of(recorded, entries, len(rated)),
    )


def write(table: GameTable, folder: Path) -> None:
    """Writes a table's three files; equal tables give equal bytes."""
    header = {
        "format_version": FORMAT_VERSION,
        "settings": table.settings,
        "anchor": table.anchor,
        "counts": asdict(table.tally) | {"forfeits": dict(table.tally.forfeits)},
    }
    write_json(folder / HEADER, header)
    players = [
        (i, entry.spec, entry.digest, repr(entry.flops_per_move), repr(entry.training_flops))
        for i, entry in enumerate(table.entries)
    ]
    write_bytes(folder / PLAYERS, _to_csv(PLAYER_COLUMNS, players))
    write_gzip(folder / GAMES, _to_csv(GAME_COLUMNS, table.pairs))


def _to_csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """Writes CSV; None becomes an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def _read_table(folder: Path) -> GameTable:
    """Reads a table, which may come from an untrusted source.

    Raises:
        ValueError: the folder contains links, no table, or one of another format.
        CorruptedFile: a file is damaged, or too large.
    """
    if not is_table(folder):
        raise ValueError(f"{folder} is not the table of a ladder: it has no {HEADER}")
    reject_links(folder)
    path = folder / HEADER
    header = read_json(check_size(path))
    if not isinstance(header, dict) or header.get("format_version") != FORMAT_VERSION:
        version = header.get("format_version") if isinstance(header, dict) else None
        raise ValueError(f"{path} has format {version}, this program reads {FORMAT_VERSION}")
    settings, anchor = header.get("settings"), header.get("anchor")
    if not isinstance(settings, dict) or not is_printable(settings.get("game")):
        raise CorruptedFile(path, "its settings do not name a game")
    if not is_printable(anchor):
        raise CorruptedFile(path, "it does not name the anchor")
    tally = _parse_tally(path, header.get("counts"))
    entries = _read_players(folder / PLAYERS)
    pairs = _read_pairs(folder / GAMES, len(entries))
    listed = sum((p.outcome_a_first is not None) + (p.outcome_b_first is not None) for p in pairs)
    if listed != tally.rated:
        raise CorruptedFile(
            folder / GAMES, f"it has {listed:,} games, and {HEADER} counts {tally.rated:,}"
        )
    return GameTable(settings, str(anchor), entries, pairs, tally)


def check_size(path: Path) -> Path:
    """Returns the path of a file that is to be read whole.

    Raises:
        CorruptedFile: it is missing, or larger than any that this program writes.
    """
    if not path.is_file():
        raise CorruptedFile(path, "the file is missing")
    if path.stat().st_size > MAX_BYTES:
        raise CorruptedFile(path, f"it has more than {MAX_BYTES:,} bytes")
    return path


def is_printable(value: object) -> bool:
    """Tells whether a value is a name that can be printed: not empty, on one line."""
    return isinstance(value, str) and bool(value) and value.isprintable()


def _parse_tally(path: Path, counts: object) -> Tally:
    names = [field.name for field in fields(Tally) if field.name != "forfeits"]
    if not isinstance(counts, dict) or not isinstance(counts.get("forfeits"), dict):
        raise CorruptedFile(path, "it has no counts of games")
    numbers = {name: counts.get(name) for name in names}
    forfeits = tuple(counts["forfeits"].items())
    for name, number in (*numbers.items(), *forfeits):
        if type(number) is not int or number < 0 or not is_printable(name):
            raise CorruptedFile(path, f"its count {name!r} is {number!r}")
    return Tally(**numbers, forfeits=forfeits)  # pyright: ignore[reportArgumentType]


def _read_players(path: Path) -> tuple[Entry, ...]:
    nan = math.nan
    entries: list[Entry] = []

    def parse(row: list[str]) -> None:
        number, spec, digest, per_move, training = row
        if number != str(len(entries)):
            raise ValueError(f"its number is {number!r}, expected {len(entries)}")
        if not is_printable(spec) or not (digest + "-").isprintable():
            raise ValueError(f"{spec!r} is not a printable name")
        if len(entries) == MAX_PLAYERS:
            raise ValueError(f"a table has at most {MAX_PLAYERS:,} players")
        flops = [nan if text == "nan" else float(text) for text in (per_move, training)]
        if any(value < 0 or math.isinf(value) for value in flops):
            raise ValueError(f"{per_move!r} or {training!r} is not a number of FLOPs")
        entries.append(Entry(len(entries) + 1, spec, digest, *flops))

    _parse_rows(path, check_size(path).read_bytes(), PLAYER_COLUMNS, parse)
    if len({entry.spec for entry in entries}) < len(entries):
        raise CorruptedFile(path, "it names a player twice")
    return tuple(entries)


def _read_pairs(path: Path, players: int) -> tuple[OpeningPair, ...]:
    pairs: list[OpeningPair] = []
    keys = set[tuple[int, int, int]]()

    def parse(row: list[str]) -> None:
        a, b, opening = (_to_index(text) for text in row[:3])
        if not a < b < players:
            raise ValueError(f"a and b are {a} and {b}: expected 0 ≤ a < b < {players}")
        if (a, b, opening) in keys:
            raise ValueError(f"it repeats the opening {opening} of the players {a} and {b}")
        keys.add((a, b, opening))
        if row[3:] == ["", ""] or not {*row[3:]} <= {*OUTCOMES, ""}:
            raise ValueError(f"its outcomes are {row[3]!r} and {row[4]!r}: expected 1, 0 or -1")
        pairs.append(OpeningPair(a, b, opening, OUTCOMES.get(row[3]), OUTCOMES.get(row[4])))

    _parse_rows(path, read_gzip(path, MAX_BYTES), GAME_COLUMNS, parse)
    return tuple(pairs)


def _to_index(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{text[:40]!r} is not an index")
    return int(text)


def _parse_rows(
    path: Path, data: bytes, columns: Sequence[str], parse: Callable[[list[str]], None]
) -> None:
    """Calls `parse` with the cells of each row.

    Raises:
        CorruptedFile: the header is another one, or a row is damaged or rejected by `parse`.
    """
    line = 1
    try:
        for row in _rows(data):
            if len(row) != len(columns):
                raise ValueError(f"it has {len(row)} cells, expected {', '.join(columns)}")
            if line == 1 and row != [*columns]:
                raise ValueError(f"the columns are {', '.join(row)}; expected {', '.join(columns)}")
            if line > 1:
                parse(row)
            line += 1
    except (ValueError, csv.Error) as error:
        raise CorruptedFile(path, f"line {line}: {error}") from None
    if line == 1:
        raise CorruptedFile(path, "it is empty")


def _rows(data: bytes) -> Iterator[list[Any]]:
    return csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
