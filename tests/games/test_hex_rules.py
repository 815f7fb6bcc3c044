"""Hex against OpenSpiel, exhaustive search on the smallest boards, and the swap by hand."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games import notation
from games.hex import Hex


@cache
def compiled(game: Hex) -> tuple[Any, ...]:
    return tuple(map(jax.jit, (game.step, game.legal_actions, game.is_terminal, game.outcome)))


def transposed(action: int, size: int) -> int:
    """Returns the same cell in the other player's view."""
    row, column = divmod(action, size)
    return column * size + row


@pytest.mark.parametrize(
    ("size", "number"), [(2, 50), (3, 200), (5, 200), (8, 100), (11, 60), (13, 40)]
)
def test_random_games_agree_with_open_spiel(size: int, number: int) -> None:
    pyspiel = pytest.importorskip("pyspiel")
    game = Hex(size)
    oracle = pyspiel.load_game("hex", {"num_rows": size, "num_cols": size})

    def ply(states: Any, key: jax.Array) -> tuple[Any, Any]:
        legal = jax.vmap(game.legal_actions)(states)
        over = jax.vmap(game.is_terminal)(states)
        logits = jnp.where(legal | over[:, None], 0.0, -jnp.inf)
        actions = jax.random.categorical(key, logits)
        return jax.vmap(game.step)(states, actions), (
            actions,
            legal,
            over,
            jax.vmap(game.outcome)(states),
        )

    start = jax.tree.map(lambda x: jnp.broadcast_to(x, (number, *x.shape)), game.init())
    keys = jax.random.split(jax.random.key(size), game.max_plies + 1)
    _, seen = jax.jit(partial(jax.lax.scan, ply))(start, keys)
    actions, legal, over, outcome = map(np.asarray, seen)
    winners = set()
    for lane in range(number):
        state = oracle.new_initial_state()
        for t in range(len(actions)):
            assert bool(over[t, lane]) == state.is_terminal()
            if state.is_terminal():
                assert outcome[t, lane] == state.returns()[0]
                winners.add(state.returns()[0])
                break
            ours = np.flatnonzero(legal[t, lane]).tolist()
            action = int(actions[t, lane])
            if t % 2:
                ours, action = sorted(transposed(a, size) for a in ours), transposed(action, size)
            assert ours == state.legal_actions()
            state.apply_action(action)
    assert winners == {-1.0, 1.0}


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_no_game_is_drawn_and_the_first_player_wins(size: int) -> None:
    """Every position by exhaustive search: the value of the start, and no full board is a draw."""
    game = Hex(size)
    step, legal, terminal, outcome = compiled(game)
    values: dict[bytes, int] = {}

    def solve(state: Any) -> int:
        """Returns the value for player 0."""
        board = np.asarray(game.board(state))
        if board.tobytes() not in values:
            if bool(terminal(state)):
                value = int(outcome(state))
                assert value != 0
            else:
                actions = np.flatnonzero(np.asarray(legal(state)))
                assert len(actions), f"a full board without a winner: {board}"
                after = [solve(step(state, jnp.int32(a))) for a in actions]
                value = (min if int(game.player(state)) else max)(after)
            values[board.tobytes()] = value
        return values[board.tobytes()]

    assert solve(game.init()) == 1


def test_swap_exchanges_the_colors_and_keeps_the_players() -> None:
    game = Hex(3, swap=True)
    step, legal, terminal, outcome = compiled(game)
    state = game.init()
    assert not legal(state)[9], "nothing to take over yet"
    state = step(state, 1)  # player 0, Red: row 0, column 1
    assert legal(state)[9]
    state = step(state, 9)
    assert int(game.player(state)) == 0 and not legal(state)[9], "nobody swaps twice"
    assert np.asarray(game.board(state))[0, 1] == -1, "the stone is player 1's now"
    assert bool(game.is_blue(state)), "player 0 continues as Blue"
    assert not legal(state)[3], "his view is transposed: the stone is in row 1, column 0"
    assert np.asarray(game.observe(state))[1, 0, 1], "and is the opponent's"
    for move in (0, 4, 1, 7):  # Blue a1, Red b2, Blue a2, Red b3: top to bottom in column b
        assert legal(state)[move] and not terminal(state)
        state = step(state, move)
    assert bool(terminal(state)) and int(outcome(state)) == -1, (
        "player 1 won with the stone he took"
    )


def test_swap_is_legal_only_as_the_answer_to_the_first_move() -> None:
    game = Hex(3, swap=True)
    step, legal, *_ = compiled(game)
    state = step(step(game.init(), 1), 0)
    assert not legal(state)[9] and legal(state).sum() == 7


@pytest.mark.parametrize("seed", [0, 1])
def test_colors_are_alike_up_to_transposition(seed: int) -> None:
    """With colors exchanged and the board transposed, the mover sees and may do the same."""
    game = Hex(4)
    step, legal, terminal, _ = compiled(game)
    rng = np.random.default_rng(seed)
    state = game.init()
    while not terminal(state):
        board = np.asarray(game.board(state))
        twin = game.from_board(-board.T, 1 - int(game.player(state)))
        np.testing.assert_array_equal(game.observe(twin), game.observe(state))
        np.testing.assert_array_equal(legal(twin), legal(state))
        action = int(rng.choice(np.flatnonzero(np.asarray(legal(state)))))
        state, twin = step(state, action), step(twin, action)
        np.testing.assert_array_equal(game.board(twin), -np.asarray(game.board(state)).T)
        assert int(game.outcome(twin)) == -int(game.outcome(state))


def test_action_names_are_those_of_the_board() -> None:
    game = Hex(3)
    state = game.step(game.init(), notation.text_to_action(game, "b1", game.init()))
    assert notation.text_to_action(game, "a2", state) == 1, "Blue sees the board transposed"
    assert notation.action_to_text(game, 1, state) == "a2"
    text = notation.board_to_text(game, game.step(state, 1), 1)
    assert text.splitlines()[1:3] == ["1 \\ . X . \\", " 2 \\(O). . \\"]


def test_invalid_size_is_rejected() -> None:
    for size in (1, 14):
        with pytest.raises(ValueError, match=f"hex: size={size} is out of range; choose 2..13"):
            games.make("hex", size=size)
