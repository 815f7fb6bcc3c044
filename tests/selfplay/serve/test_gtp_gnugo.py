"""GNU Go in our matches, against a version and our server; then Sabaki's client."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time

import pytest

from games.go import Go
from selfplay.ladder import match, openings
from selfplay.ladder.match import GameResult
from selfplay.players import specs
from selfplay.players.gtp_engine import Engine, EngineFailure
from selfplay.players.specs import GTP, Player
from tests.selfplay.serve.analysts import untrained
from tests.small_runs import ROOT

NAME = "go?size=9&komi=7.0"
GAME = Go(size=9, komi=7.0)
OPTIONS = "--chinese-rules --positional-superko --capture-all-dead --never-resign"
GAMES = 100  # of the slow tests


def gnugo(seed: int = 1) -> str:
    """Returns GNU Go's command line; skips the test if it is not installed."""
    path = shutil.which("gnugo", path=os.environ.get("PATH", os.defpath) + ":/usr/games")
    if path is None:
        pytest.skip("GNU Go is not installed (apt-get install gnugo): no real engine was played")
    return f"{path} --mode gtp --level 0 --seed {seed} {OPTIONS}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Returns the command line of our server with a tiny untrained network."""
    file = tmp_path_factory.mktemp("gtp") / "tiny.safetensors"
    untrained(NAME).export(file)
    words = [sys.executable, str(ROOT / "launch/play.py"), "gtp", f"{file}?sims=2"]
    return shlex.join(words)


def against_gnugo(ours: Player, games: int) -> list[GameResult]:
    """Plays `games` games from random openings, each opening twice with colors swapped."""
    theirs = specs.parse(GTP + gnugo(), GAME)
    starts = openings.draw(GAME, 4, 0, match.pairing_number(ours, theirs), 0, games // 2)
    return match.play(ours, theirs, GAME, starts, seed=0)


@pytest.mark.slow
def test_gnugo_beats_an_untrained_server(server: str) -> None:
    played = against_gnugo(specs.parse(GTP + server, GAME), 2)
    assert [game.reason for game in played] == ["", ""], "both speak the protocol"
    assert all(len(game.moves) > 20 for game in played)
    assert [game.score for game in played] == [0, 0], "the network has learned nothing"


@pytest.mark.slow
def test_a_hundred_games_have_no_protocol_error() -> None:
    start = time.perf_counter()
    played = against_gnugo(specs.of_version(untrained(NAME), 2), GAMES)
    seconds = time.perf_counter() - start
    assert len(played) == GAMES and not any(game.reason for game in played)
    moves = sum(len(game.moves) for game in played)
    print(
        f"{GAMES} games, {len({game.opening + game.moves for game in played})} of them distinct, "
        f"{moves} moves, 0 protocol errors, {seconds / moves:.3f} s a move; our untrained network "
        f"won {sum(game.score or 0 for game in played):g}"
    )


def sabaki(server: str, number: int) -> None:
    """Plays games that Sabaki's client controls: our server against GNU Go."""
    folder = ROOT / "build/sabaki"
    node = shutil.which("node")
    if node is None or not (folder / "node_modules/@sabaki/gtp").exists():
        pytest.skip("Sabaki's GTP client is not installed (.ci/run does): no other client drove us")
    script = ROOT / "tests/selfplay/serve/sabaki_match.js"
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


def test_sabakis_client_drives_the_server(server: str) -> None:
    sabaki(server, 2)


@pytest.mark.slow
def test_sabakis_client_drives_a_hundred_games(server: str) -> None:
    sabaki(server, GAMES)


def test_gnugo_rejects_an_occupied_point() -> None:
    with Engine(gnugo(), timeout_s=60) as engine:
        engine.new_game(GAME)
        assert float(engine.send("get_komi")) == GAME.komi
        assert engine.send("query_boardsize") == "9"
        taken = engine.genmove("b")
        assert engine.send("list_stones black") == taken
        with pytest.raises(EngineFailure, match=f"refused 'play w {taken}': 'illegal move'"):
            engine.play("w", taken)
        engine.new_game(GAME)
        assert engine.send("list_stones black") == ""
