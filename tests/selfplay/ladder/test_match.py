"""Matches: games are legal, paired, distinct, and functions of players, opening and key alone."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import games
from selfplay.ladder import match, openings
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.model.flops import Ledger
from selfplay.players import specs
from selfplay.players.version import Version
from selfplay.search.config import SearchConfig
from tests.selfplay.search.planted import random_params

SEED = 5


def drawn(game: games.Game, a: specs.Player, b: specs.Player, count: int) -> list[Any]:
    return openings.draw(game, 2, SEED, match.pairing_number(a, b), 0, count)


def version(game: str, seed: int) -> Version:
    """Returns an untrained version."""
    shape = NetworkConfig(width=4, depth=1, head_width=4)
    params = random_params(network.make(games.make(game), shape).init, seed)
    config = {"game": game, "network": asdict(shape), "search": asdict(SearchConfig())}
    return Version(f"made/up@{seed}", params, config, Ledger(selfplay=10, learning=5))


@cache
def compiled(game: games.Game) -> tuple[Any, Any, Any]:
    def end(state: Any) -> tuple[jax.Array, jax.Array]:
        return game.is_terminal(state), game.outcome(state)

    return jax.jit(game.legal_actions), jax.jit(game.step), jax.jit(end)


def assert_legal(game: games.Game, played: match.GameResult) -> None:
    """Asserts that every move is legal, and that the outcome is that of the rules."""
    legal_actions, step, end = compiled(game)
    state = game.init()
    for action in played.opening + played.moves:
        assert legal_actions(state)[action]
        state = step(state, action)
    over, outcome = end(state)
    assert over and int(outcome) == played.outcome


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("connect_four", "random"),
        ("tic_tac_toe", "rollouts?sims=8"),
        ("go?size=3&komi=0.5&max_plies=12", "random"),
    ],
)
def test_games_are_legal_and_in_pairs(name: str, spec: str) -> None:
    game = games.make(name)
    a, b = specs.parse("random", game), specs.parse(spec, game)
    played = match.play(a, b, game, drawn(game, a, b, 6), SEED)
    assert [(p.index, p.swapped) for p in played] == [
        *((i, False) for i in range(6)),
        *((i, True) for i in range(6)),
    ]
    for straight, swapped in zip(played[:6], played[6:], strict=True):
        assert straight.opening == swapped.opening
        assert_legal(game, straight)
        assert_legal(game, swapped)
    assert played == match.play(a, b, game, drawn(game, a, b, 6), SEED)


def test_game_does_not_depend_on_its_batch() -> None:
    """Rollouts and solvers play the same game alone and in any row of a batch."""
    game = games.make("tic_tac_toe")
    a, b = specs.parse("rollouts?sims=8", game), specs.parse("solver?blunder=0.5", game)
    starts = drawn(game, a, b, 6)
    together = match.play(a, b, game, starts, SEED)
    for i in (0, 4):
        alone = match.play(a, b, game, [starts[i]], SEED, first_index=i)
        assert alone == [together[i], together[6 + i]]


@pytest.mark.parametrize("sims", [0, 4])
def test_game_of_networks_does_not_depend_on_other_rows(sims: int) -> None:
    """The same rows of a batch of one size, among different other games."""
    game = games.make("tic_tac_toe")
    a, b = (specs.of_version(version("tic_tac_toe", seed), sims) for seed in (0, 1))
    starts = drawn(game, a, b, 12)
    together = match.play(a, b, game, starts[:6], SEED)
    others = match.play(a, b, game, starts[:2] + starts[8:], SEED)
    assert [together[i] for i in (0, 1, 6, 7)] == [others[i] for i in (0, 1, 6, 7)]
    assert together != others


def test_stronger_player_wins_with_both_colors() -> None:
    game = games.make("tic_tac_toe")
    a, b = specs.parse("random", game), specs.parse("solver", game)
    for first, second, sign in ((a, b, -1), (b, a, 1)):
        played = match.play(first, second, game, drawn(game, a, b, 24), SEED)
        scores = [p.score for p in played if p.score is not None]
        assert sign * (np.mean(scores) - 0.5) > 0.3
        by_color = [np.mean(scores[:24]), np.mean(scores[24:])]
        assert all(sign * (mean - 0.5) > 0.2 for mean in by_color)


@pytest.mark.parametrize("options", ["sims=0", "sims=4", "sims=4&search=puct"])
def test_versions_play_legal_games(options: str) -> None:
    game = games.make("tic_tac_toe")
    words = dict(part.split("=") for part in options.split("&"))
    networks = [
        specs.of_version(version("tic_tac_toe", seed), int(words["sims"]), words.get("search"))
        for seed in (0, 1)
    ]
    assert networks[0].spec == f"made/up@0?{options}"
    assert networks[0].training_flops == 15 and networks[0].digest != networks[1].digest
    played = match.play(
        networks[0], networks[1], game, drawn(game, networks[0], networks[1], 4), SEED
    )
    for result in played:
        assert_legal(game, result)
    # Two networks differ, or their games would.
    assert played != match.play(
        networks[0], networks[0], game, drawn(game, networks[0], networks[1], 4), SEED
    )


@pytest.mark.slow
def test_rollouts_see_a_win_and_more_of_them_are_stronger() -> None:
    game = games.make("connect_four")
    state = game.init()
    for column in (3, 0, 3, 0, 3, 1):
        state = game.step(state, column)
    states = jax.tree.map(lambda x: jax.numpy.stack([x] * 8), state)
    few, many = (specs.parse(f"rollouts?sims={n}", game) for n in (4, 128))
    assert many.act is not None
    assert (np.asarray(many.act(states, jax.random.split(jax.random.key(0), 8))) == 3).all()
    played = match.play(many, few, game, drawn(game, few, many, 8), SEED)
    assert np.mean([p.score for p in played if p.score is not None]) > 0.7


ENGINE = """
import sys
moves = iter(MOVES)
for line in sys.stdin:
    number, name, *_ = line.split()
    if name == "genmove":
        move = next(moves, "pass")
        if move == "die":
            sys.exit(3)
        print(f"={number} {move}\\n", flush=True)
    elif name == "clear_board":
        moves = iter(MOVES)
        print(f"={number}\\n", flush=True)
    else:
        print(f"={number} 2\\n", flush=True)
"""


@pytest.mark.parametrize(
    ("moves", "outcome", "reason"),
    [
        (["pass"], {1, -1}, ""),
        (["resign"], {1, -1}, "resigned"),
        (["die"], {1, -1}, "forfeited: exited with status 3"),
        (["C3", "C3"], {1, -1}, "forfeited: played the illegal move C3"),
        (["nonsense"], {1, -1}, "forfeited: answered garbage"),
    ],
)
def test_engine_that_fails_loses_its_games(
    tmp_path: Path, moves: list[str], outcome: set[int | None], reason: str
) -> None:
    """Both games of every opening are recorded, each with its reason."""
    file = tmp_path / "engine.py"
    file.write_text(ENGINE.replace("MOVES", repr(moves)))
    game = games.make("go?size=3&komi=0.5&max_plies=12")
    engine = specs.parse("gtp:" + shlex.join([sys.executable, "-ISu", str(file)]), game)
    other = specs.parse("random", game)
    played = match.play(engine, other, game, [(0,), (8,)], SEED, timeout_s=20)
    assert len(played) == 4
    assert {p.outcome for p in played} <= outcome
    assert all(reason in p.reason for p in played)
    if reason:  # lost: the engine is player 0 first, and then player 1
        assert [p.outcome for p in played] == [-1, -1, 1, 1]
        assert [p.score for p in played] == [0, 0, 0, 0]
    else:
        for result in played:
            assert_legal(game, result)


def test_game_of_an_engine_that_cannot_begin_is_not_rated(tmp_path: Path) -> None:
    file = tmp_path / "engine.py"
    file.write_text("import sys\nsys.exit(4)")
    game = games.make("go?size=3&komi=0.5&max_plies=12")
    engine = specs.parse("gtp:" + shlex.join([sys.executable, "-ISu", str(file)]), game)
    played = match.play(specs.parse("random", game), engine, game, [(0,)], SEED)
    assert [p.outcome for p in played] == [None, None] and not any(p.moves for p in played)
    assert "player 1 could not begin: exited with status 4" in played[0].reason
    assert "player 0 could not begin" in played[1].reason


def test_cache_of_compiled_matches_is_bounded() -> None:
    assert match._programs.cache_info().maxsize == 32
