"""The contract of every registered game; a new game is tested as soon as it has a name.

The laws are those that third parties use (`selfplay.testing.game_contract`). Hypothesis then plays
single games with moves of its own choice.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import games
from games.game import Game
from selfplay.testing import game_contract
from selfplay.testing.game_contract import Law, look, play

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

ALL = [games.make(name) for name in (*games.names(), *MORE)]
each_game = pytest.mark.parametrize("game", ALL, ids=repr)

# Costly laws, and the games whose code another game or size runs as well: for `make test-slow`.
SIZES = (*MORE[:6], "pgx:tic_tac_toe")
REPEATED = {
    game_contract.eager_and_single_agree_with_jit_and_vmap: SIZES,
    game_contract.symmetries_commute_with_the_rules: ("go", "hex?size=12"),
}


def is_repeated(game: Game, law: Law) -> bool:
    return game in map(games.make, REPEATED.get(law, ()))


def answers_are_those_of_the_name(game: Game) -> None:
    """Asserts what the laws find out by themselves, for games whose answers are known."""
    kind = game.name.partition(":")[0]
    assert isinstance(game, Game) and game.version == 1
    assert kind == "pgx" or game.name in games.names()
    assert game.can_start_from_board == (kind != "pgx")
    alike = kind in ("connect_four", "tic_tac_toe")
    assert game_contract.colors_are_interchangeable(game) == alike
    record = play(game)
    assert record.board[0].any() == (game.name == "pgx:othello")
    if alike:
        mine = record.board == (1 - 2 * record.player)[..., None, None]
        assert record.observation.shape[-1] == 2
        np.testing.assert_array_equal(record.observation[..., 0], mine)
        np.testing.assert_array_equal(record.observation[..., 1], (record.board != 0) & ~mine)


# The laws of one game follow each other, because they share its record.
@pytest.mark.parametrize(
    ("game", "law"),
    [
        pytest.param(
            game,
            law,
            id=f"{game!r}-{law.__name__}",
            marks=[pytest.mark.slow] if is_repeated(game, law) else [],
        )
        for game in ALL
        for law in (*game_contract.LAWS, answers_are_those_of_the_name)
    ],
)
def test_built_in_game_keeps_the_law(game: Game, law: Law) -> None:
    law(game)


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
            jax.tree.map(np.testing.assert_array_equal, state, before[0])
            continue
        assert float(before[1]["outcome"]) == 0.0
        if not game.has_history:
            changed = np.asarray(seen["board"]) - before[1]["board"]
            assert np.count_nonzero(changed) == 1
            assert changed.sum() == 1 - 2 * before[1]["player"]


def test_no_device_is_touched_before_a_method_call() -> None:
    """Ray workers choose their device after they import the games, and before they play."""
    script = """
import games
from games import notation
for name in games.names():
    game = games.make(name)
    hash(game), game.num_actions, game.observation_shape, game.max_plies
    game.symmetries(), notation.action_to_text(game, 0)
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
