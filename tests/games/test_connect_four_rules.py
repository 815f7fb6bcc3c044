"""Connect Four against what is known: counts of positions, OpenSpiel, pgx, every line of four."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games.connect_four import ConnectFour

# https://oeis.org/A212693: distinct positions after n plies; games that ended are not continued.
POSITIONS = [1, 7, 49, 238, 1120, 4263, 16422, 54859, 184275]


def start(game: ConnectFour, size: int) -> Any:
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (size, *x.shape)), game.init())


@cache
def random_games(game: ConnectFour, size: int) -> tuple[np.ndarray, ...]:
    """Actions, legal actions, ends, outcomes, boards of random games, each [max_plies + 1, size].

    Entry t is before action t; the action of a finished game is -1.
    """

    def ply(states: Any, key: jax.Array) -> tuple[Any, Any]:
        legal = jax.vmap(game.legal_actions)(states)
        over = jax.vmap(game.is_terminal)(states)
        logits = jnp.where(legal | over[:, None], 0.0, -jnp.inf)
        actions = jnp.where(over, -1, jax.random.categorical(key, logits))
        seen = (actions, legal, over, jax.vmap(game.outcome)(states), jax.vmap(game.board)(states))
        return jax.vmap(game.step)(states, actions), seen

    keys = jax.random.split(jax.random.key(0), game.max_plies + 1)
    _, seen = jax.jit(partial(jax.lax.scan, ply))(start(game, size), keys)
    return tuple(map(np.asarray, seen))


def test_number_of_positions_by_ply_is_the_known_one() -> None:
    game = ConnectFour()
    size = POSITIONS[7]

    @jax.jit
    def expand(states: Any) -> Any:
        children = [jax.vmap(game.step, (0, None))(states, a) for a in range(7)]
        legal = jax.vmap(game.legal_actions)(states)
        return jax.tree.map(lambda *x: jnp.concatenate(x), *children), legal.T.reshape(-1)

    level = jax.tree.map(lambda x: np.asarray(x)[None], game.init())
    counts = [1]
    for _ in POSITIONS[1:]:
        number = len(level.status)
        # One shape for every level, so that one program serves all; the padding is cut off below.
        padded = jax.tree.map(lambda x: np.resize(x, (size, *x.shape[1:])), level)
        children, legal = jax.tree.map(np.asarray, expand(padded))
        keep = legal & np.tile(np.arange(size) < number, 7)
        stones = np.ascontiguousarray(children.stones[keep].reshape(-1, 4))
        _, first = np.unique(stones.view("V16")[:, 0], return_index=True)
        level = jax.tree.map(lambda x, k=keep, f=first: x[k][f], children)
        counts.append(len(first))
    assert counts == POSITIONS


@pytest.mark.parametrize(
    ("rows", "columns", "size"), [(6, 7, 600), (4, 4, 600), (5, 8, 200), (9, 12, 60)]
)
def test_every_move_of_random_games_agrees_with_open_spiel(
    rows: int, columns: int, size: int
) -> None:
    pyspiel = pytest.importorskip("pyspiel")
    oracle = pyspiel.load_game("connect_four", {"rows": rows, "columns": columns})
    actions, legal, over, outcome, _ = random_games(ConnectFour(rows, columns), size)
    results = set()
    for lane in range(size):
        state = oracle.new_initial_state()
        for t in range(len(actions)):
            assert bool(over[t, lane]) == state.is_terminal()
            if state.is_terminal():
                assert outcome[t, lane] == state.returns()[0]
                results.add(state.returns()[0])
                break
            assert np.flatnonzero(legal[t, lane]).tolist() == state.legal_actions()
            state.apply_action(int(actions[t, lane]))
    assert {-1.0, 1.0} <= results
    if (rows, columns) == (4, 4):
        assert 0.0 in results, "small boards are there to try draws"


def test_every_move_of_random_games_agrees_with_pgx() -> None:
    pgx = pytest.importorskip("pgx")
    actions, legal, over, outcome, board = random_games(ConnectFour(), 600)
    # pgx promotes ranks, and that is its own affair.
    with jax.numpy_rank_promotion("allow"):
        env = pgx.make("connect_four")
        first = jax.vmap(env.init)(jax.random.split(jax.random.key(1), 600))

        def ply(states: Any, action: jax.Array) -> tuple[Any, Any]:
            return jax.vmap(env.step)(states, jnp.maximum(action, 0)), states

        _, theirs = jax.jit(partial(jax.lax.scan, ply))(first, jnp.asarray(actions))
    running = ~over
    np.testing.assert_array_equal(theirs.terminated, over)
    np.testing.assert_array_equal(np.asarray(theirs.legal_action_mask)[running], legal[running])
    cells = np.asarray(theirs._x.board).reshape(*over.shape, 6, 7)
    np.testing.assert_array_equal(np.where(cells < 0, 0, 1 - 2 * cells), board)
    # pgx seats its players at random and pays once, on arrival.
    arrival = over & ~np.roll(over, 1, axis=0)
    lanes = np.arange(600)
    paid = np.asarray(theirs.rewards)[:, lanes, np.asarray(first.current_player)]
    np.testing.assert_array_equal(paid[arrival], outcome[arrival])
    assert arrival.sum() == 600


def lines_of_four(rows: int, columns: int) -> list[list[tuple[int, int]]]:
    """Every line of four cells, from the definition."""
    lines = []
    for row in range(rows):
        for column in range(columns):
            for down, right in ((0, 1), (1, 0), (1, 1), (-1, 1)):
                line = [(row + i * down, column + i * right) for i in range(4)]
                if all(0 <= r < rows and 0 <= c < columns for r, c in line):
                    lines.append(line)
    return lines


@pytest.mark.parametrize(("rows", "columns"), [(6, 7), (4, 9), (16, 16)])
def test_every_line_of_four_wins_and_no_three_of_it(rows: int, columns: int) -> None:
    """Boards in the air are fine here: device arrays are taken as they are."""
    game = ConnectFour(rows, columns)
    lines = lines_of_four(rows, columns)
    if (rows, columns) == (6, 7):
        assert len(lines) == 69
    boards = np.zeros((len(lines), 5, rows, columns), np.int8)
    for number, line in enumerate(lines):
        for missing in range(5):
            for i, (row, column) in enumerate(line):
                boards[number, missing, row, column] = i != missing
    outcome = jax.jit(jax.vmap(lambda b: game.outcome(game.from_board(b, 0))))
    for piece in (1, -1):
        result = np.asarray(outcome(piece * boards.reshape(-1, rows, columns)))
        wanted = np.zeros((len(lines), 5), np.float32)
        wanted[:, 4] = piece
        np.testing.assert_array_equal(result.reshape(-1, 5), wanted)


def test_lines_among_other_stones_win() -> None:
    """Random boards, in which a line that wraps around an edge would show as a false win."""
    boards = np.random.default_rng(3).integers(0, 2, (4000, 6, 7)).astype(np.int8)
    boards[np.random.default_rng(4).random(boards.shape) < 0.35] = 0
    wanted = np.zeros(len(boards), bool)
    for line in lines_of_four(6, 7):
        wanted |= np.all([boards[:, r, c] for r, c in line], axis=0)
    game = ConnectFour()
    outcome = jax.jit(jax.vmap(lambda b: game.outcome(game.from_board(b, 1))))(boards)
    np.testing.assert_array_equal(np.asarray(outcome) == 1, wanted)
    assert 0.2 < wanted.mean() < 0.8


@pytest.mark.parametrize(("player", "winner"), [(0, -1), (1, 1)])
def test_two_lines_go_to_the_player_who_moved_last(player: int, winner: int) -> None:
    board = np.zeros((6, 7), np.int8)
    board[5, :4], board[4, :4] = 1, -1
    game = ConnectFour()
    assert game.outcome(game.from_board(board, player)) == winner


def test_floating_stone_is_rejected() -> None:
    board = np.zeros((6, 7), np.int8)
    board[4, 2] = 1
    with pytest.raises(ValueError, match="row 5 of column 3 hangs in the air"):
        ConnectFour().from_board(board, 0)


def test_state_takes_17_bytes() -> None:
    state = jax.eval_shape(games.make("connect_four").init)
    assert sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)) == 17
