"""pgx's games under our protocol: facts, draws, forced passes, ends, and what does not fit."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest

import games
from games import pgx_adapter

pgx = pytest.importorskip("pgx")
COSTLY = ("animal_shogi", "chess", "shogi")  # half a minute of tracing each
SMALL = ("connect_four", "othello", "tic_tac_toe")


@pytest.mark.parametrize(
    "env",
    [
        pytest.param(env, marks=[pytest.mark.slow] if env in COSTLY else [])
        for env in sorted(pgx_adapter.GAMES)
    ],
)
def test_facts_agree_with_pgx(env: str) -> None:
    """Actions, planes, and which planes count: their values are not 0 or 1."""
    facts, game = pgx_adapter.GAMES[env], games.make(f"pgx:{env}")
    with jax.numpy_rank_promotion("allow"):
        theirs = pgx.make(env)
        assert theirs.num_players == 2
        state = jax.eval_shape(theirs.init, jax.random.key(0))
        seen = jax.eval_shape(theirs.observe, state)
    assert state.legal_action_mask.shape == (facts.actions,)
    assert seen.shape == facts.shape
    shape = jax.eval_shape(game.observe, jax.eval_shape(game.init)).shape
    assert shape == game.observation_shape
    assert (seen.dtype == np.bool_) or facts.counts or env in ("shogi",)


@pytest.mark.slow
@pytest.mark.parametrize("env", ["animal_shogi", "chess", "gardner_chess"])
def test_numeric_planes_are_all_declared(env: str) -> None:
    with jax.numpy_rank_promotion("allow"):
        theirs = pgx.make(env)
        init, step = jax.jit(theirs.init), jax.jit(theirs.step)
        state, rng = init(jax.random.key(0)), np.random.default_rng(0)
        counting: set[int] = set()
        for _ in range(60):
            planes = np.asarray(state.observation)
            counting |= set(np.flatnonzero(((planes != 0) & (planes != 1)).any((0, 1))).tolist())
            if state.terminated:
                break
            state = step(state, int(rng.choice(np.flatnonzero(state.legal_action_mask))))
    assert counting and counting <= set(pgx_adapter.GAMES[env].counts)


@pytest.mark.parametrize("env", SMALL)
def test_moves_and_outcomes_agree_with_pgx(env: str) -> None:
    """The same moves on both sides: legality, who moves, ends and results."""
    game = games.make(f"pgx:{env}")
    step, look = jax.jit(game.step), jax.jit(lambda s: (game.legal_actions(s), game.board(s)))
    passes, outcomes = 0, set()
    with jax.numpy_rank_promotion("allow"):
        theirs = pgx.make(env)
        theirs_init, theirs_step = jax.jit(theirs.init), jax.jit(theirs.step)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        with jax.numpy_rank_promotion("allow"):
            other, mine = theirs_init(jax.random.key(seed)), game.init()
        first = int(other.current_player)
        while True:
            legal, board = map(np.asarray, look(mine))
            assert bool(game.is_terminal(mine)) == bool(other.terminated)
            assert int(game.player(mine)) == (int(other.current_player) != first)
            if other.terminated:
                break
            np.testing.assert_array_equal(legal, other.legal_action_mask)
            seen = np.asarray(other.observation)
            np.testing.assert_array_equal(
                board * (1 - 2 * int(game.player(mine))), seen[..., 0].astype(int) - seen[..., 1]
            )
            action = int(rng.choice(np.flatnonzero(legal)))
            passes += env == "othello" and action == 64
            with jax.numpy_rank_promotion("allow"):
                other = theirs_step(other, action)
            mine = step(mine, action)
        assert int(game.outcome(mine)) == int(other.rewards[first])
        outcomes.add(int(game.outcome(mine)))
        again = step(mine, 0)
        for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(mine), strict=True):
            np.testing.assert_array_equal(a, b)
        assert not np.asarray(look(mine)[0]).any()
    assert {1, -1} <= outcomes
    assert env != "othello" or passes


def play(game: Any, moves: list[int]) -> Any:
    state, step = game.init(), jax.jit(game.step)
    for move in moves:
        assert game.legal_actions(state)[move]
        state = step(state, move)
    return state


def test_draw_has_outcome_zero() -> None:
    game = games.make("pgx:tic_tac_toe")
    state = play(game, [0, 1, 2, 4, 3, 5, 7, 6, 8])
    assert bool(game.is_terminal(state)) and float(game.outcome(state)) == 0.0


def test_truncated_game_is_terminal() -> None:
    game = games.make("pgx:tic_tac_toe")
    state = game.init().replace(truncated=np.True_)
    assert bool(game.is_terminal(state)) and not np.asarray(game.legal_actions(state)).any()
    assert float(game.outcome(state)) == 0.0
    assert not np.asarray(game.board(game.step(state, 0))).any()


@pytest.mark.parametrize("env", ["2048", "backgammon", "kuhn_poker", "minatar-breakout", "otello"])
def test_unsupported_games_are_rejected(env: str) -> None:
    with pytest.raises(ValueError, match=f"pgx has no game '{env}' for two players.* choose from"):
        games.make(f"pgx:{env}")


def test_missing_pgx_is_one_sentence_and_pgx_is_imported_late() -> None:
    """Without pgx one sentence; with it, nothing of it is imported before a game is played."""
    script = """
import sys
import games
games.make("pgx:othello").num_actions
assert "pgx" not in sys.modules
sys.modules["pgx"] = None
import importlib.util
importlib.util.find_spec = lambda name: None
from games import pgx_adapter
pgx_adapter.find_spec = lambda name: None
try:
    games.make("pgx:othello")
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.startswith('game "pgx:othello" needs pgx, which is not installed'), done
