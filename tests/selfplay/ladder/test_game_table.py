"""A ladder's table of games is small, reproducible, and rates like the ladder's database."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from selfplay.ladder import database, game_table, tables
from selfplay.ladder.database import Entry, LadderDatabase, Pairing
from selfplay.ladder.game_table import GameTable, OpeningPair
from selfplay.ladder.match import GameResult
from selfplay.ladder.tally import Tally
from selfplay.players.specs import Player
from selfplay.ratings import elo
from selfplay.runs.files import CorruptedFile
from selfplay.scaling import from_ladder

PLAYERS = ("random", "a@1?sims=0", "a@2?sims=0", 'gtp:x "1, 2"', "bystander")


@pytest.fixture
def ladder(tmp_path: Path) -> Path:
    """Makes a ladder with draws, repeated and failed games, forfeits, and a round in play."""
    path = tmp_path / "ladder.db"
    nan = float("nan")
    players = [
        Player(spec, None, spec.partition("?")[0] if "@" in spec else "", 10 / 3, nan)
        for spec in PLAYERS
    ]
    outcomes = np.random.default_rng(0).integers(-1, 2, (3, 4, 2))
    with closing(LadderDatabase(path, {"game": "tic_tac_toe", "seed": 7}, "a@1?sims=0")) as base:
        ids = [entry.id for entry in base.enter(players)]
        # The later player is first in a pairing, and two deterministic players repeat a game.
        pairs = [(ids[1], ids[0]), (ids[1], ids[2]), (ids[3], ids[2])]
        plan = [Pairing(1, i, a, b, 0, 4) for i, (a, b) in enumerate(pairs)]
        base.begin_round(plan)
        for pairing, results in zip(plan, outcomes.tolist(), strict=True):
            base.finish(
                pairing,
                [
                    GameResult(
                        index,
                        swapped,
                        (index % 3,),
                        (),
                        None
                        if (pairing.slot, index, swapped) == (2, 1, True)
                        else results[index % 3][swapped],
                        "player 0 forfeited" if (pairing.slot, index) == (2, 2) else "",
                    )
                    for index in range(4)
                    for swapped in (False, True)
                ],
                1,
            )
        base.begin_round([Pairing(2, 0, ids[0], ids[4], 0, 4)])
    return path


def test_ladder_is_read_while_another_process_holds_it(ladder: Path) -> None:
    table = game_table.read(ladder)
    with closing(LadderDatabase(ladder, database.settings(ladder))) as base:
        with pytest.raises(ValueError, match="is being written by another process"):
            LadderDatabase(ladder, database.settings(ladder))
        assert game_table.read(ladder).pairs == table.pairs
        with database.reading(ladder) as reader:
            before = len(reader.games())
            pairing = next(each for each in base.pairings() if not each.done)
            results = [GameResult(0, swapped, (), (0,), 1, "") for swapped in (False, True)]
            base.finish(pairing, results, 1)
            assert len(reader.games()) == before  # one state of the file
        assert len(base.games()) == before + 2


def test_table_rates_like_the_database(ladder: Path, tmp_path: Path) -> None:
    table = game_table.read(ladder)
    game_table.write(table, tmp_path / "table")
    again = game_table.read(tmp_path / "table")
    assert again.pairs == table.pairs and again.tally == table.tally
    assert (again.game, again.settings["seed"]) == ("tic_tac_toe", 7)
    tally = again.tally
    assert (tally.games, tally.failed, tally.repeated, tally.rounds) == (24, 1, 4, 1)
    assert tally.forfeits == (("a@2?sims=0", 1), ('gtp:x "1, 2"', 1))
    assert [pair[:3] for pair in again.pairs if None in pair] == [(2, 3, 1)]  # one game failed
    for anchor in (None, "random"):
        state, other = (from_ladder.read_state(p, anchor) for p in (ladder, tmp_path / "table"))
        assert tables.to_csv(state) == tables.to_csv(other)
        assert tables.to_markdown(state) == tables.to_markdown(other)
        assert [e.spec for e in other.entries] == [*PLAYERS[:-1]]
        np.testing.assert_array_equal(np.stack(state.games), np.stack(other.games))
        np.testing.assert_array_equal(state.ratings.covariance, other.ratings.covariance)
    assert from_ladder.read_state(tmp_path / "table").ratings.anchor == 1  # the recorded one


def test_equal_ladders_give_equal_bytes(ladder: Path, tmp_path: Path) -> None:
    table = game_table.read(ladder)
    for name in ("one", "two"):
        game_table.write(table, tmp_path / name)
    for file in (game_table.HEADER, game_table.PLAYERS, game_table.GAMES):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    data = (tmp_path / "one" / game_table.GAMES).read_bytes()
    assert data[3:8] == bytes(5)  # no name and no date
    text = gzip.decompress(data).decode()
    columns, *lines = text.splitlines()
    assert columns == "a,b,opening,outcome_a_first,outcome_b_first"
    assert len(lines) == 4 + 3 + 3  # deterministic players repeat one of their four openings


def test_table_of_80_000_games_is_small(tmp_path: Path) -> None:
    """A study has a megabyte for three of them."""
    rng = np.random.default_rng(0)
    strength = rng.normal(0, 600, 450)
    entries = tuple(
        Entry(i, f"runs/w-{i % 6}_d-{i % 2}_seed-{i % 5}@{i}?sims=8", f"{i * 7919:016x}", i / 3, i)
        for i in range(450)
    )
    pairs: list[OpeningPair] = []
    while len(pairs) < 40_000:
        a, b = sorted(rng.choice(450, 2, replace=False).tolist())
        wins = rng.random((16, 2)) < 1 / (1 + 10 ** ((strength[b] - strength[a]) / 400))
        pairs += [OpeningPair(a, b, i, 2 * x - 1, 1 - 2 * y) for i, (x, y) in enumerate(wins * 1)]
    unique = tuple({pair[:3]: pair for pair in pairs}.values())
    table = GameTable({"game": "x"}, entries[0].spec, entries, unique, Tally(2 * len(unique), 99))
    game_table.write(table, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 300_000
    assert game_table.read(tmp_path).pairs == unique


def rewrite(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    """Returns a function that changes the text of one of a table's files."""

    def rewrite_in(folder: Path) -> None:
        path = folder / name
        data = path.read_bytes()
        text = change((gzip.decompress(data) if name.endswith(".gz") else data).decode())
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())

    return rewrite_in


def header(**changes: object) -> Callable[[Path], None]:
    return rewrite("ladder.json", lambda text: json.dumps(json.loads(text) | changes))


def line(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(f"\n{old}", f"\n{new}", 1)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (header(format_version=9), "has format 9"),
        (header(anchor="\x07"), "does not name the anchor"),
        (header(settings={}), "do not name a game"),
        (header(counts={"forfeits": {}}), "its count 'games' is None"),
        (rewrite("ladder.json", lambda text: "[" * 100_000), "it is not JSON"),
        (rewrite("games.csv.gz", line("0,1,0", "0,9,0")), r"line 2: a and b are 0 and 9"),
        (rewrite("games.csv.gz", line("0,1,0", "1,0,0")), r"line 2: a and b are 1 and 0"),
        (rewrite("games.csv.gz", line("0,1,1", "0,1,0")), "line 3: it repeats the opening 0"),
        (rewrite("games.csv.gz", line("0,1,0", "0,1,-1")), "'-1' is not an index"),
        (rewrite("games.csv.gz", line("0,1,0", "0,1," + "9" * 5000)), "is not an index"),
        (rewrite("games.csv.gz", line("0,1,0,", "0,1,0,7")), "line 2: its outcomes are '7"),
        (rewrite("games.csv.gz", lambda text: text[: len(text) // 2]), "line|games, and"),
        (rewrite("games.csv.gz", lambda text: text + "0,1\n"), "it has 2 cells"),
        (rewrite("games.csv.gz", lambda text: "x" + text), "the columns are xa, b"),
        (rewrite("games.csv.gz", lambda text: ""), "it is empty"),
        (rewrite("players.csv", line("1,", "2,")), "line 3: its number is '2'"),
        (rewrite("players.csv", line("1,a@1?sims=0", "1,random")), "names a player twice"),
        (rewrite("players.csv", line("0,random", "0,ran\x1bdom")), "not a printable name"),
        (rewrite("players.csv", lambda text: text.replace("3.33", "-3.33")), "number of FLOPs"),
        (lambda folder: (folder / "games.csv.gz").write_bytes(b"\x1f\x8b"), "cannot be decom"),
        (lambda folder: (folder / "games.csv.gz").unlink(), "the file is missing"),
        (lambda folder: (folder / "players.csv").unlink(), "the file is missing"),
        (lambda folder: (folder / "x").symlink_to("/etc/passwd"), "is a link"),
    ],
)
def test_damaged_table_is_refused(
    ladder: Path, tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    folder = tmp_path / "table"
    game_table.write(game_table.read(ladder), folder)
    damage(folder)
    with pytest.raises((ValueError, CorruptedFile), match=words):
        game_table.read(folder)


def test_huge_files_are_refused(
    ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "table"
    game_table.write(game_table.read(ladder), folder)
    monkeypatch.setattr(game_table, "MAX_BYTES", 1_000)
    bomb = gzip.compress(b"a" * 2_000)
    assert len(bomb) < 1_000
    (folder / game_table.GAMES).write_bytes(bomb)
    with pytest.raises(CorruptedFile, match="more than 1,000 bytes uncompressed"):
        game_table.read(folder)
    (folder / game_table.PLAYERS).write_bytes(b"a" * 2_000)
    with pytest.raises(CorruptedFile, match=r"players\.csv is damaged: it has more than"):
        game_table.read(folder)
    monkeypatch.undo()
    monkeypatch.setattr(game_table, "MAX_PLAYERS", 3)
    game_table.write(game_table.read(ladder), folder)
    with pytest.raises(CorruptedFile, match="at most 3 players"):
        game_table.read(folder)


def test_anchor_that_is_not_on_the_ladder_is_named(ladder: Path) -> None:
    with pytest.raises(ValueError, match=r"'randon' has no games .*random"):
        game_table.read(ladder).rate("randon")
    assert isinstance(game_table.read(ladder).rate("random").ratings, elo.Ratings)
