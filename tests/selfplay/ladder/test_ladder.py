"""The ladder: one table however it is stopped, killed or parallelized; every game stored once."""

from __future__ import annotations

import csv
import io
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sgfmill import sgf

import games
from selfplay.ladder import match, tables
from selfplay.ladder.config import LadderConfig
from selfplay.ladder.ladder import Ladder
from selfplay.ladder.match import GameResult
from selfplay.model.flops import Ledger
from selfplay.players import specs
from selfplay.players.specs import Player
from selfplay.runs.codec import mutable_fields
from selfplay.runs.run import Run
from selfplay.training.trainer import Trainer
from tests.selfplay.players import quirky_engine
from tests.selfplay.serve.analysts import untrained
from tests.small_runs import PLAIN, ROOT, run_cli

NAME = "tic_tac_toe"
GAME = games.make(NAME)
SPECS = ("solver", "random", "rollouts?sims=4", "solver?blunder=0.7", "solver?blunder=0.4")
CONFIG = LadderConfig(opening_plies=2, pairs=4, pairings=4)
GAMES = 160


def players(names: tuple[str, ...] = SPECS) -> list[Player]:
    return [specs.parse(spec, GAME) for spec in names]


def open_ladder(
    path: Path, names: tuple[str, ...] = SPECS, config: LadderConfig = CONFIG
) -> Ladder:
    return Ladder(path, GAME, NAME, players(names), "solver", config)


def play_ladder(path: Path, workers: int = 1) -> tuple[str, list[Any]]:
    with open_ladder(path) as ladder:
        state = ladder.run_until(1.0, GAMES, workers)
        return tables.to_csv(state), ladder.database.games()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Any]]:
    return play_ladder(tmp_path_factory.mktemp("unbroken") / "ladder.db")


def test_table_has_every_player_and_game(unbroken: tuple[str, list[Any]]) -> None:
    table, recorded = unbroken
    rows = list(csv.DictReader(io.StringIO(table)))
    assert sorted(row["player"] for row in rows) == sorted(SPECS)
    assert [float(row["elo"]) for row in rows] == sorted(float(r["elo"]) for r in rows)[::-1]
    assert sum(int(row["games"]) for row in rows) == 2 * len(recorded)
    assert len(recorded) >= GAMES
    solver = next(row for row in rows if row["player"] == "solver")
    assert float(solver["elo"]) == float(solver["stderr"]) == 0
    assert rows[-1]["player"] == "random"


def test_workers_do_not_change_the_games(tmp_path: Path, unbroken: tuple[str, list[Any]]) -> None:
    assert play_ladder(tmp_path / "ladder.db", workers=3) == unbroken


def test_stopped_ladder_continues_with_the_same_games(
    tmp_path: Path, unbroken: tuple[str, list[Any]]
) -> None:
    """Stopped after every third pairing, in the middle of rounds."""

    class Stopped(Exception):
        pass

    path, cuts = tmp_path / "ladder.db", 0
    while True:
        remaining = [3]

        def count(*_: Any, remaining: list[int] = remaining) -> None:
            remaining[0] -= 1
            if not remaining[0]:
                raise Stopped

        try:
            with open_ladder(path) as ladder:
                ladder.run_until(1.0, GAMES, 1, report=count)
                break
        except Stopped:
            cuts += 1
    assert cuts > 3
    assert play_ladder(path) == unbroken


@pytest.mark.slow
def test_killed_command_continues_with_the_same_table(tmp_path: Path) -> None:
    """After SIGKILL in the middle of a match the table is that of an undisturbed command."""

    def command(folder: Path) -> list[str]:
        options = "--game tic_tac_toe --opening-plies 2 --pairs 4 --pairings 3 --max-games 200"
        names = ["--players", "random", "solver?blunder=0.7", "solver?blunder=0.4"]
        script = [sys.executable, str(ROOT / "launch/ladder.py"), *options.split(), "--plain"]
        return [*script, "--until-stderr", "1", *names, "--out", str(folder)]

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    process = subprocess.Popen(command(tmp_path / "cut"), stdout=subprocess.DEVNULL)
    while process.poll() is None and recorded(tmp_path / "cut" / "ladder.db") < 8:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert recorded(tmp_path / "cut" / "ladder.db") < 200
    subprocess.run(command(tmp_path / "cut"), check=True, capture_output=True)
    for name in ("ladder.csv", "ladder.md"):
        assert (tmp_path / "cut" / name).read_text() == (tmp_path / "whole" / name).read_text()
    assert (tmp_path / "cut" / "ladder.png").stat().st_size > 10_000
    assert recorded(tmp_path / "cut" / "ladder.db") == recorded(tmp_path / "whole" / "ladder.db")


@pytest.mark.slow
def test_terminated_command_writes_its_table(tmp_path: Path) -> None:
    options = "--game tic_tac_toe --opening-plies 2 --pairs 4 --until-stderr 1 --plain"
    script = [sys.executable, str(ROOT / "launch/ladder.py"), *options.split()]
    process = subprocess.Popen([*script, "--players", "random", "--out", str(tmp_path)])
    while process.poll() is None and recorded(tmp_path / "ladder.db") < 16:
        time.sleep(0.005)
    process.terminate()
    assert process.wait() == 130
    assert {"ladder.csv", "ladder.md", "ladder.png"} <= {path.name for path in tmp_path.iterdir()}


def store_run(folder: Path, versions: int) -> None:
    """Writes a run whose versions are initial parameters of different seeds."""
    with Run.create_or_open(
        folder, PLAIN, window=PLAIN.replay, mutable=mutable_fields(type(PLAIN))
    ) as run:
        for version in range(versions):
            state, _ = Trainer.build(replace(PLAIN, seed=version)).start()
            spent = asdict(Ledger(selfplay=1_000_000 * version))
            row = {"ledger": spent}
            run.commit(version, state, row, state.acting_params, carries=[], ledger=spent)


def test_command_rates_a_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    store_run(run, 3)
    options = "--sims 0 4 --players random --opening-plies 2 --pairs 4 --max-games 60"
    script = [sys.executable, str(ROOT / "launch/ladder.py"), str(run), *options.split()]
    subprocess.run([*script, "--until-stderr", "1", "--plain"], check=True, capture_output=True)
    with (run / "ladder" / "ladder.csv").open() as file:
        rated = {row["player"]: float(row["training_flops"]) for row in csv.DictReader(file)}
    versions = [f"{run}@{version}?sims={budget}" for version in (1, 2) for budget in (0, 4)]
    assert set(rated) == {"solver", "random", *versions}
    assert 0 < rated[versions[0]] == rated[versions[1]] < rated[versions[2]]


def recorded(path: Path) -> int:
    """Counts the games in the file; 0 while there is no file."""
    try:
        base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        count = base.execute("SELECT count(*) FROM games").fetchone()[0]
        base.close()
    except sqlite3.Error:
        return 0
    return count


def test_ladder_stops_at_the_wanted_precision(tmp_path: Path) -> None:
    with open_ladder(tmp_path / "ladder.db", ("solver", "solver?blunder=0.4")) as ladder:
        state = ladder.run_until(60.0, 100_000)
        assert state.max_stderr < 60
        played = len(state.games.first)
        assert 0 < played < 4000
        assert len(ladder.run_until(60.0, 100_000).games.first) == played, (
            "no more games are needed"
        )


def test_inactive_players_keep_their_games(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    with open_ladder(path, ("solver", "random")) as ladder:
        before = ladder.run_until(1.0, 40)
    with open_ladder(path, ("solver", "solver?blunder=0.7")) as ladder:
        after = ladder.run_until(1.0, 120)
    assert [entry.spec for entry in after.entries] == ["solver", "random", "solver?blunder=0.7"]
    games = after.games
    against_random = (games.first == 1) | (games.second == 1)
    assert against_random.sum() == len(before.games.first), "an inactive player does not play"


def test_other_parameters_under_the_same_name_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    act = specs.parse("random", GAME).act
    first = [specs.parse("solver", GAME), Player("runs/a@1?sims=0", act, digest="one")]
    Ladder(path, GAME, NAME, first, "solver", CONFIG).database.close()
    second = [first[0], Player("runs/a@1?sims=0", act, digest="two")]
    with pytest.raises(ValueError, match="its parameters were one, now they are two"):
        Ladder(path, GAME, NAME, second, "solver", CONFIG)


def test_other_settings_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    open_ladder(path).database.close()
    with pytest.raises(ValueError, match="made with opening plies 2, not 3"):
        open_ladder(path, config=LadderConfig(opening_plies=3))
    (tmp_path / "text.db").write_text("this is no database, whatever its name may say " * 30)
    with pytest.raises(ValueError, match=r"text\.db cannot be read as a ladder"):
        open_ladder(tmp_path / "text.db")


def test_unfinished_round_continues_without_inactive_players(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    with open_ladder(path) as ladder:
        with pytest.raises(KeyboardInterrupt):
            ladder.run_until(1.0, GAMES, report=interrupt)
        assert ladder.database.games() and not len(ladder.state().games.first), (
            "only complete rounds count"
        )
    messages: list[str] = []
    with open_ladder(path, ("solver", "random")) as ladder:
        before = {(g.round, g.slot, g.first, g.opening_index) for g in ladder.database.games()}
        ladder.run_until(1.0, GAMES, announce=messages.append)
        after = {(g.round, g.slot, g.first, g.opening_index) for g in ladder.database.games()}
    assert len(messages) == 1 and "continues without" in messages[0]
    assert "blunder" in messages[0] and before < after, "no stored game is lost"


def test_interrupted_ladder_stores_the_matches_in_progress(tmp_path: Path) -> None:
    """Ctrl-C after the first match: the second one, already begun, is stored as well."""
    path = tmp_path / "ladder.db"
    with open_ladder(path) as ladder:
        with pytest.raises(KeyboardInterrupt):
            ladder.run_until(1.0, GAMES, workers=4, report=interrupt)
        stored = len(ladder.database.games())
    assert stored > 2 * CONFIG.pairs and stored % (2 * CONFIG.pairs) == 0


def test_repeated_game_counts_once(tmp_path: Path) -> None:
    """Two deterministic networks have only two different games from one opening."""
    networks = [specs.of_version(untrained(NAME, seed), 0) for seed in (0, 1)]
    networks = [replace(p, spec=f"{p.spec}&{i}") for i, p in enumerate(networks)]
    path, anchor = tmp_path / "ladder.db", networks[0].spec
    with Ladder(path, GAME, NAME, networks, anchor, CONFIG, [(4,)]) as ladder:
        state = ladder.run_until(1.0, 1000)
        recorded = len(state.recorded)
    assert len(state.games.first) == 2, "the two colours"
    assert recorded <= 4 * CONFIG.pairs, "and then no more is played"
    assert "2 of them distinct" in tables.caption(state)
    assert state.max_stderr > 200, "two games give little information"


def one_sided(monkeypatch: pytest.MonkeyPatch, strength: dict[str, int], spoiled: int = 0) -> None:
    """Lets the stronger player win all openings but the first `spoiled`; equals win in turn."""

    def play(a: Player, b: Player, _: Any, starts: Any, seed: int, first: int, *__: Any) -> Any:
        ahead = strength[a.spec] - strength[b.spec]
        results = []
        for index, opening in enumerate(starts, start=first):
            outcome = (1 if index % 2 else -1) if ahead == 0 else 1 if ahead > 0 else -1
            outcome *= -1 if index < spoiled else 1
            results += [
                GameResult(index, swapped, opening, (index,), -outcome if swapped else outcome, "")
                for swapped in (False, True)
            ]
        return results

    monkeypatch.setattr(match, "play", play)


def in_a_circle(monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    """Lets each player win four openings in five against the next two of the circle."""

    def play(a: Player, b: Player, _: Any, starts: Any, seed: int, first: int, *__: Any) -> Any:
        apart = (names.index(b.spec) - names.index(a.spec)) % len(names)
        results = []
        for index, opening in enumerate(starts, start=first):
            outcome = (1 if apart <= 2 else -1) * (1 if index % 5 else -1)
            results += [
                GameResult(index, swapped, opening, (index,), -outcome if swapped else outcome, "")
                for swapped in (False, True)
            ]
        return results

    monkeypatch.setattr(match, "play", play)


def play_apart(path: Path, names: tuple[str, ...], budget: int) -> tuple[Any, list[str]]:
    """Plays a ladder of players that need no rules; returns its state and announcements."""
    act, messages = specs.parse("random", GAME).act, list[str]()
    everyone = [Player(spec, act) for spec in names]
    with Ladder(path, GAME, NAME, everyone, names[0], replace(CONFIG, pairs=10), [(4,)]) as ladder:
        return ladder.run_until(25.0, budget, announce=messages.append), messages


def test_pair_too_far_apart_stops_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_sided(monkeypatch, {"solver": 1, "random": 0})
    state, messages = play_apart(tmp_path / "ladder.db", ("solver", "random"), 20_000)
    assert 100 <= len(state.recorded) < 400, "fewer than the budget"
    assert len(messages) == 1 and messages[0].startswith("solver and random are too far apart")
    assert messages[0].endswith("would help: solver?blunder=0.5")
    assert f"100% of {len(state.recorded)} games" in messages[0]
    again, repeated = play_apart(tmp_path / "ladder.db", ("solver", "random"), 20_000)
    assert len(again.recorded) == len(state.recorded) and repeated == messages


def test_pair_with_losses_plays_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_sided(monkeypatch, {"solver": 1, "random": 0}, spoiled=20)
    state, messages = play_apart(tmp_path / "ladder.db", ("solver", "random"), 600)
    assert len(state.recorded) == 600 and not messages


def test_players_far_from_the_anchor_are_compared_with_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_sided(monkeypatch, {"solver": 2, "a": 1, "b": 1})
    state, messages = play_apart(tmp_path / "ladder.db", ("solver", "a", "b"), 20_000)
    assert state.ratings.difference(1, 2)[1] < 25 < state.ratings.stderr[1]
    assert len(messages) == 1 and len(state.recorded) < 2_000


def test_gap_is_reported_for_parts_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("solver", "runs/a@9?sims=16", "random")
    one_sided(monkeypatch, dict(zip(names, (2, 1, 0), strict=True)))
    _, messages = play_apart(tmp_path / "ladder.db", names, 20_000)
    assert [text.rpartition("help: ")[2] for text in messages] == [
        "solver?blunder=0.5",
        "runs/a@9?sims=4",
    ]


def test_precision_that_pair_effects_forbid_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_circle(monkeypatch, "abcde")
    state, messages = play_apart(tmp_path / "ladder.db", tuple("abcde"), 20_000)
    assert len(state.recorded) < 5_000 and state.ratings.pair_spread > 100
    (message,) = messages
    assert message.startswith("±25 Elo is out of reach for 5 players") and "some ±" in message


def test_engine_with_wrong_answers_is_rejected_before_any_game(tmp_path: Path) -> None:
    go = games.make("go?size=9")
    quirky = shlex.join([sys.executable, "-ISu", quirky_engine.__file__, "komi refused"])
    both = [specs.parse("random", go), specs.parse(f"gtp:{quirky}", go)]
    with Ladder(tmp_path / "ladder.db", go, "go?size=9", both, "random", CONFIG, [(0,)]) as ladder:
        with pytest.raises(ValueError, match="cannot be rated: it refused 'komi 7") as refusal:
            ladder.run_until(1.0, 40)
        assert quirky in str(refusal.value) and not ladder.database.pairings()


def test_second_process_on_the_same_ladder_is_rejected(tmp_path: Path) -> None:
    with open_ladder(tmp_path / "ladder.db"), pytest.raises(ValueError, match="by another process"):
        open_ladder(tmp_path / "ladder.db")


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("names", [("solver", "random", "random"), ("random",)])
def test_repeated_player_or_missing_anchor_is_rejected(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match=r"is named twice|the anchor 'solver' is not among"):
        open_ladder(tmp_path / "ladder.db", names)


def test_sgf_contains_every_game(tmp_path: Path) -> None:
    go = games.make("go?size=3")
    first = specs.parse("random", go)
    both = [first, replace(first, spec="another")]
    starts = [(0, 8), (9, 4)]
    path = tmp_path / "ladder.db"
    with Ladder(path, go, "go?size=3", both, "random", LadderConfig(pairs=2), starts) as ladder:
        ladder.run_until(1.0, 4)
        text = tables.to_sgf(go, ladder.database.players(), ladder.database.games()).decode()
        recorded_games = ladder.database.games()
    parsed = [sgf.Sgf_game.from_string(line) for line in text.split("\n(") if line.startswith("(")]
    parsed += [sgf.Sgf_game.from_string("(" + part) for part in text.split("\n(")[1:]]
    assert len(parsed) == len(recorded_games) == 4
    for tree, game in zip(parsed, recorded_games, strict=True):
        moves = [node.get_move() for node in tree.get_main_sequence()[1:]]
        assert len(moves) == len(game.opening + game.moves)
        for (_, point), action in zip(moves, game.opening + game.moves, strict=True):
            assert action == (9 if point is None else (2 - point[0]) * 3 + point[1])
        assert tree.get_winner() == {1: "b", -1: "w"}[game.outcome or 0]


@pytest.mark.parametrize("width", [80, 140])
def test_table_fits_the_terminal_and_shows_whole_names(
    unbroken: tuple[str, list[Any]], tmp_path: Path, width: int
) -> None:
    """Names are printed whole in a terminal of any width, whatever characters they have."""
    odd = replace(players(("random",))[0], spec="runs/[red]very_long_name_of_a_run@128?sims=64")
    with open_ladder(tmp_path / "ladder.db") as ladder:
        ladder.database.enter([odd])
        state = ladder.run_until(1.0, 40)
    entries = [replace(e, spec=odd.spec) if e.spec == "random" else e for e in state.entries]
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(tables.table(state._replace(entries=entries), "[/odd] title", width))
    output = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert odd.spec in output and "[/odd] title" in output and "of them distinct" in output
    assert max(map(len, output.splitlines())) <= width


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("runs/none", "runs/none is not a run folder"),
        ("--game tic_tac_toe", "a ladder takes two players"),
        ("--game tic_tac_toe --players random --versions 0", "--versions must be above 0, got 0"),
        ("--game tic_tac_toe --players random --timeout-s -1", "--timeout-s must be above 0"),
        (
            "--game tic_tac_toe --players random --openings /no/such",
            "read: /no/such: it does not exist",
        ),
        ("--game tic_tac_toe --players random --sgf", "tic_tac_toe have no SGF"),
        ("--game tic_tac_toe --players random --sims -1", "got -1"),
        ("--game tic_tac_toe --players random --out /proc/none", "/proc/none/ladder.db cannot be"),
    ],
)
def test_invalid_input_is_one_sentence(options: str, sentence: str) -> None:
    assert sentence in answers()[options]


@cache
def answers() -> dict[str, str]:
    """Runs the command with all options in one process; returns its messages."""
    marks: Any = test_invalid_input_is_one_sentence
    questions = [options for options, _ in marks.pytestmark[0].args[1]]
    results = run_cli("launch.ladder", [options.split() for options in questions])
    assert all(status == 2 for status, _ in results), results
    return dict(zip(questions, (message for _, message in results), strict=True))
