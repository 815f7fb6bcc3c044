"""The contract of every registered game; a new game is tested as soon as it has a name.

Each game plays a few hundred random games at once, a few steps beyond their end; most tests
read that one record. Hypothesis then plays single games with moves of its own choice.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import games
from games.game import Game

# Options beside the defaults, so that a game's constants do not hide in its usual size.
MORE = (
    "connect_four?rows=4&columns=5",
    "connect_four?rows=9&columns=14",
    "go?size=2&komi=0",
    "go?size=5&max_plies=60",
    "hex?size=2",
    "hex?size=12",
    "hex?size=4&swap=true",
    "pgx:othello",
    "pgx:tic_tac_toe",
)
# Games whose rules tell the players apart, or with other planes: colors cannot be exchanged.
ASYMMETRIC = ("go", "hex", "pgx:othello", "pgx:tic_tac_toe")
# Games whose state holds more than board and player, or cannot be made from a board.
WITH_HISTORY = ("go", "hex", "pgx:othello", "pgx:tic_tac_toe")
# Games that begin with pieces.
SET_UP = ("pgx:othello",)

ALL = [games.make(name) for name in (*games.names(), *MORE)]
each_game = pytest.mark.parametrize("game", ALL, ids=repr)

BATCH = 256
BEYOND = 3  # steps after the longest possible game


@dataclass
class Record:
    """Random games, NumPy, [T + 1, BATCH, ...]; entry t is the position before action t."""

    states: Any
    actions: np.ndarray
    legal: np.ndarray
    observation: np.ndarray
    terminal: np.ndarray
    outcome: np.ndarray
    player: np.ndarray
    board: np.ndarray


def look(game: Game, state: Any) -> dict[str, jax.Array]:
    return {
        "legal": game.legal_actions(state),
        "observation": game.observe(state),
        "terminal": game.is_terminal(state),
        "outcome": game.outcome(state),
        "player": game.player(state),
        "board": game.board(state),
    }


def batch_of(game: Game, size: int) -> Any:
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (size, *x.shape)), game.init())


@cache
def play(game: Game) -> Record:
    """Plays BATCH random games; in a finished game any action is drawn."""

    def ply(states: Any, key: jax.Array) -> tuple[Any, Any]:
        seen = jax.vmap(partial(look, game))(states)
        mask = seen["legal"] | seen["terminal"][:, None]
        actions = jax.random.categorical(key, jnp.where(mask, 0.0, -jnp.inf))
        return jax.vmap(game.step)(states, actions), (states, actions, seen)

    keys = jax.random.split(jax.random.key(7), game.max_plies + 1 + BEYOND)
    _, rows = jax.jit(partial(jax.lax.scan, ply))(batch_of(game, BATCH), keys)
    states, actions, seen = jax.tree.map(np.asarray, rows)
    return Record(states=states, actions=actions, **seen)


def flat(game: Game) -> tuple[Any, Record]:
    """Returns the record's positions as one batch, [N, ...]."""
    record = play(game)

    def merge(x: np.ndarray) -> np.ndarray:
        return x.reshape(-1, *x.shape[2:])

    return jax.tree.map(merge, record.states), Record(
        **{name: jax.tree.map(merge, value) for name, value in vars(record).items()}
    )


def assert_same(a: Any, b: Any) -> None:
    """Asserts that both trees hold the same bits, dtypes included."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


@each_game
def test_game_is_a_hashable_value(game: Game) -> None:
    assert isinstance(game, Game)
    assert game.name in games.names() or game.name.startswith("pgx:")
    twin = type(game)(**vars(game))
    assert twin is not game and twin == game and hash(twin) == hash(game)
    for number in (game.num_actions, game.max_plies, *game.observation_shape):
        assert type(number) is int and number > 0


@each_game
def test_capabilities_have_documented_types(game: Game) -> None:
    first, second = game.player_names
    assert first != second
    assert game.komi is None or isinstance(game.komi, int | float)
    assert game.pass_action is None or 0 <= game.pass_action < game.num_actions


@each_game
def test_arrays_have_the_documented_shapes_and_dtypes(game: Game) -> None:
    state = jax.eval_shape(game.init)
    height, width, _ = game.observation_shape
    action = jax.ShapeDtypeStruct((), jnp.int32)
    wanted = {
        "legal": ((game.num_actions,), jnp.bool_),
        "observation": (game.observation_shape, jnp.bool_),
        "terminal": ((), jnp.bool_),
        "outcome": ((), jnp.float32),
        "player": ((), jnp.int32),
        "board": ((height, width), jnp.int8),
    }
    seen = jax.eval_shape(partial(look, game), state)
    assert {k: (v.shape, v.dtype) for k, v in seen.items()} == wanted
    board = jax.ShapeDtypeStruct((height, width), jnp.int8)
    others = [jax.eval_shape(game.step, state, action)]
    if not game.name.startswith("pgx:"):  # pgx starts from no board
        others.append(jax.eval_shape(game.from_board, board, action))
    for other in others:
        assert jax.tree.structure(other) == jax.tree.structure(state)
        for x, y in zip(jax.tree.leaves(other), jax.tree.leaves(state), strict=True):
            assert (x.shape, x.dtype, x.weak_type) == (y.shape, y.dtype, False)


@each_game
def test_first_position_is_player_0_to_move(game: Game) -> None:
    record = play(game)
    assert not record.terminal[0].any() and record.legal[0].any()
    assert not record.player[0].any()
    assert record.board[0].any() == (game.name in SET_UP)


@each_game
def test_games_end_within_max_plies_and_stay_ended(game: Game) -> None:
    record = play(game)
    assert record.terminal[game.max_plies].all()
    for t in range(len(record.terminal) - 1):
        ended = record.terminal[t]
        for leaf in jax.tree.leaves(record.states):
            np.testing.assert_array_equal(leaf[t + 1][ended], leaf[t][ended])


@each_game
def test_state_is_terminal_exactly_if_no_action_is_legal(game: Game) -> None:
    record = play(game)
    np.testing.assert_array_equal(record.legal.any(axis=-1), ~record.terminal)


@each_game
def test_outcome_is_a_sign_and_zero_while_the_game_runs(game: Game) -> None:
    record = play(game)
    assert set(np.unique(record.outcome)) <= {-1.0, 0.0, 1.0}
    assert not record.outcome[~record.terminal].any()
    assert {-1.0, 1.0} <= set(record.outcome[-1]), "random play should let both sides win"


@each_game
def test_players_alternate(game: Game) -> None:
    record = play(game)
    running = ~record.terminal[:-1]
    np.testing.assert_array_equal((record.player[1:] + record.player[:-1])[running], 1)


@each_game
def test_observation_is_the_movers_view(game: Game) -> None:
    """With colors and mover exchanged, the observation is the same and the outcome opposite."""
    if game.name in ASYMMETRIC:
        pytest.skip("this game's rules tell the players apart")
    _, record = flat(game)
    swap = jax.jit(jax.vmap(lambda b, p: look(game, game.from_board(-b, 1 - p))))
    seen = swap(record.board, record.player)
    np.testing.assert_array_equal(seen["observation"], record.observation)
    np.testing.assert_array_equal(seen["legal"], record.legal)
    np.testing.assert_array_equal(seen["outcome"], -record.outcome)
    mine = record.board == (1 - 2 * record.player)[:, None, None]
    np.testing.assert_array_equal(record.observation[..., 0], mine)
    np.testing.assert_array_equal(record.observation[..., 1], (record.board != 0) & ~mine)


@each_game
def test_from_board_inverts_board(game: Game) -> None:
    if game.name in WITH_HISTORY:
        pytest.skip("this game's state holds more than board and player")
    states, record = flat(game)
    again = jax.jit(jax.vmap(game.from_board))(record.board, record.player)
    assert_same(jax.tree.map(np.asarray, again), states)


@each_game
def test_from_board_rejects_a_wrong_shape(game: Game) -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 9\)"):
        game.from_board(np.zeros((2, 9), np.int8), 0)


@each_game
def test_eager_and_single_agree_with_jit_and_vmap(game: Game) -> None:
    record = play(game)
    for t in (0, game.max_plies // 3, game.max_plies // 2):
        state = jax.tree.map(lambda x, t=t: jnp.asarray(x[t, 1]), record.states)
        for name, value in look(game, state).items():
            np.testing.assert_array_equal(value, getattr(record, name)[t, 1])
        after = game.step(state, int(record.actions[t, 1]))
        assert_same(after, jax.tree.map(lambda x, t=t: jnp.asarray(x[t + 1, 1]), record.states))


@cache
def compiled(game: Game) -> Any:
    def move(state: Any, action: jax.Array) -> Any:
        after = game.step(state, action)
        return after, look(game, after)

    return jax.jit(lambda: (game.init(), look(game, game.init()))), jax.jit(move)


@each_game
@given(choices=st.lists(st.integers(0, 2**16), max_size=60))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_playout_of_any_choices_keeps_the_rules(game: Game, choices: list[int]) -> None:
    """A legal action changes one cell of the board, and a terminal state stays as it is."""
    init, move = compiled(game)
    state, seen = init()
    for choice in choices:
        before = jax.tree.map(np.asarray, (state, seen))
        legal = np.flatnonzero(before[1]["legal"])
        over = len(legal) == 0
        action = choice % game.num_actions if over else legal[choice % len(legal)]
        state, seen = move(state, jnp.int32(action))
        assert bool(before[1]["terminal"]) == over
        if over:
            assert_same(jax.tree.map(np.asarray, state), before[0])
            continue
        assert float(before[1]["outcome"]) == 0.0
        if game.name not in WITH_HISTORY:
            changed = np.asarray(seen["board"]) - before[1]["board"]
            assert np.count_nonzero(changed) == 1
            assert changed.sum() == 1 - 2 * before[1]["player"]


def test_no_device_is_touched_before_a_method_call() -> None:
    """Ray workers choose their device after they import the games, and before they play."""
    script = """
import games
from games import notation, symmetry
for name in games.names():
    game = games.make(name)
    hash(game), game.num_actions, game.observation_shape, game.max_plies
    symmetry.symmetries(game), notation.action_to_text(game, 0)
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
