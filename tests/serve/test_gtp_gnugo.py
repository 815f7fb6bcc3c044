"""GNU Go through our client, against our server; then both driven by a client that is not ours."""

import json
import random
import shlex
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from games.go import Go
from selfplay.arena.gtp_engine import Engine, EngineFailure
from tests.runs import ROOT
from tests.serve.matches import Played, gnugo, play
from tests.serve.thinkers import untrained

GAME = Go(size=9, komi=7.0)
GAMES = 100  # of the slow test


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command line of our server with a tiny untrained network."""
    file = tmp_path_factory.mktemp("gtp") / "tiny.safetensors"
    untrained("go?size=9&komi=7.0").export(file)
    words = [sys.executable, str(ROOT / "launch/play.py"), "gtp", f"{file}?sims=2"]
    return shlex.join(words)


def match(server: str, games: int, level: int = 0) -> list[Played]:
    """So many games from random openings, each played twice with the colours swapped.

    Both engines' views of every final board are ours.
    """
    played = []
    with (
        Engine(gnugo(level), timeout_s=60) as gnu,
        Engine(server, timeout_s=60, start_s=120) as ours,
    ):
        for number in range(games):
            black, white = (gnu, ours) if number % 2 else (ours, gnu)
            stones = random.Random(number // 2).sample(range(81), 4)
            opening = [f"{'ABCDEFGHJ'[stone % 9]}{stone // 9 + 1}" for stone in stones]
            played.append(play(GAME, black, white, opening))
            board = np.asarray(GAME.board(played[-1].state))
            for colour, value in (("black", 1), ("white", -1)):
                seen = gnu.send(f"list_stones {colour}").split()
                columns = "ABCDEFGHJ"
                rows, places = np.nonzero(board == value)
                wanted = {f"{columns[c]}{9 - r}" for r, c in zip(rows, places, strict=True)}
                assert set(seen) == wanted, played[-1].moves
            margin = played[-1].margin
            score = "0" if margin == 0 else f"{'B' if margin > 0 else 'W'}+{abs(margin):g}"
            assert ours.send("final_score") == score, played[-1].moves
    return played


def test_two_games_against_gnugo(server: str) -> None:
    played = match(server, 2)
    assert len(played) == 2 and all(len(game.moves) > 20 for game in played)
    assert played[0].margin < 0 < played[1].margin, "GNU Go beats an untrained network"


@pytest.mark.slow
def test_a_hundred_games_against_gnugo_without_a_protocol_error(server: str) -> None:
    start = time.perf_counter()
    played = match(server, GAMES)
    seconds = time.perf_counter() - start
    moves = sum(len(game.moves) for game in played)
    wins = sum((game.margin > 0) == (number % 2 == 0) for number, game in enumerate(played))
    print(
        f"{GAMES} games, {len({tuple(g.moves) for g in played})} of them distinct, {moves} moves, "
        f"0 protocol errors, {seconds / moves:.3f} s a move; our untrained network won {wins}"
    )


def sabaki(server: str, number: int) -> None:
    """Games that Sabaki's client drives: our server against GNU Go, neither knowing of us."""
    folder = ROOT / "build/sabaki"
    node = shutil.which("node")
    if node is None or not (folder / "node_modules/@sabaki/gtp").exists():
        pytest.skip("Sabaki's GTP client is not installed (.ci/run does): no other client drove us")
    script = ROOT / "tests/serve/sabaki_match.js"
    start = time.perf_counter()
    done = subprocess.run(
        [
            node,
            str(script),
            str(folder),
            str(number),
            *map(json.dumps, map(shlex.split, (server, gnugo()))),
        ],
        capture_output=True,
        text=True,
        timeout=2400,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["errors"] == [], "GNU Go accepts our moves, and we its"
    assert "kata-analyze" in result["lists"][0].split("\n")
    played = [tuple(moves) for moves in result["played"] if len(moves) > 20]
    assert len(played) == number
    seconds, moves = time.perf_counter() - start, sum(map(len, played))
    print(
        f"Sabaki's client: {number} games, {len(set(played))} of them distinct, {moves} moves, "
        f"0 errors, {seconds / moves:.3f} s a move"
    )


def test_sabakis_client_drives_our_server(server: str) -> None:
    sabaki(server, 2)


@pytest.mark.slow
def test_sabakis_client_drives_a_hundred_games(server: str) -> None:
    sabaki(server, GAMES)


def test_gnugo_against_itself_and_what_it_refuses() -> None:
    with Engine(gnugo(seed=2), timeout_s=60) as one, Engine(gnugo(seed=3), timeout_s=60) as two:
        played = play(GAME, one, two)
        assert played.moves[-2:] == ["pass", "pass"]
        assert float(one.send("get_komi")) == GAME.komi and one.send("query_boardsize") == "9"
        taken = next(move for move in played.moves if move in one.send("list_stones black"))
        with pytest.raises(EngineFailure, match=f"refused 'play w {taken}': 'illegal move'"):
            one.play("w", taken)
        one.new_game(GAME)
        assert one.send("list_stones black") == ""
