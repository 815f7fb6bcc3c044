"""Go against independent rules: OpenSpiel, pgx, and a slow reference with superko."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games.go import Go
from tests.games.go_games import Games, play
from tests.games.reference_go import SlowGo, after, liberties

MANY = [(5, 2000), (9, 2000), (13, 60), (19, 30)]
RANDOM = [(5, 300), (9, 60), *(pytest.param(*these, marks=pytest.mark.slow) for these in MANY)]

FIGHTS = [(3, 40, 150), (4, 24, 200), (5, 12, 150), (7, 4, 150)]


def repeated(record: Games, lane: int, t: int, extra: list[int]) -> None:
    """Asserts that moves which only our rules forbid repeat an earlier board."""
    seen = {record.board[s, lane].tobytes() for s in range(t + 1)}
    size = record.board.shape[-1]
    color = 1 - 2 * (t % 2)
    for point in extra:
        new = after(tuple(map(int, record.board[t, lane].reshape(-1))), size, point, color)
        assert new is not None
        assert np.array(new, np.int8).tobytes() in seen


@pytest.mark.parametrize(("size", "number"), RANDOM)
def test_random_games_agree_with_open_spiel(size: int, number: int) -> None:
    """Compares legal actions up to superko, ends and scores; OpenSpiel calls a repetition a tie."""
    pyspiel = pytest.importorskip("pyspiel")
    game = games.make("go", size=size, komi=7.5)
    record = play(game, number)
    options = {"board_size": size, "komi": 7.5, "max_game_length": game.max_plies}
    oracle = pyspiel.load_game("go", options)
    superko = 0
    for lane in range(number):
        state = oracle.new_initial_state()
        for t in range(len(record.action)):
            assert bool(record.over[t, lane]) == state.is_terminal(), (lane, t)
            if state.is_terminal():
                assert record.outcome[t, lane] == state.returns()[0], lane
                break
            ours = np.flatnonzero(record.legal[t, lane]).tolist()
            theirs = state.legal_actions()
            if ours != theirs:
                assert set(ours) < set(theirs)
                repeated(record, lane, t, sorted(set(theirs) - set(ours)))
                superko += 1
            state.apply_action(int(record.action[t, lane]))
    if size == 5:
        assert superko > 0, "no superko in 2 000 games: the test cannot fail"


@pytest.mark.parametrize(
    ("size", "number"),
    [
        (9, 60),
        pytest.param(9, 2000, marks=pytest.mark.slow),
        pytest.param(19, 30, marks=pytest.mark.slow),
    ],
)
def test_random_games_agree_with_pgx(size: int, number: int) -> None:
    pgx = pytest.importorskip("pgx")
    record = play(games.make("go", size=size, komi=7.5), number)
    # pgx promotes ranks, and that is its own affair.
    with jax.numpy_rank_promotion("allow"):
        env = pgx.make(f"go_{size}x{size}")
        first = jax.vmap(env.init)(jax.random.split(jax.random.key(1), number))

        def ply(states: Any, action: jax.Array) -> tuple[Any, Any]:
            seen = (states.terminated, states.legal_action_mask, states.rewards)
            return jax.vmap(env.step)(states, jnp.maximum(action, 0)), seen

        _, (over, legal, rewards) = jax.jit(partial(jax.lax.scan, ply))(first, record.action)
    over, legal, rewards = map(np.asarray, (over, legal, rewards))
    np.testing.assert_array_equal(over, record.over)
    lanes = np.arange(number)
    for t, lane in np.argwhere(~over & (legal != record.legal).any(axis=-1)):
        ours, theirs = (set(np.flatnonzero(x[t, lane]).tolist()) for x in (record.legal, legal))
        assert ours < theirs
        repeated(record, lane, t, sorted(theirs - ours))
    arrival = over & ~np.roll(over, 1, axis=0)
    assert arrival.sum() == number
    paid = rewards[:, lanes, np.asarray(first.current_player)]
    np.testing.assert_array_equal(paid[arrival], record.outcome[arrival])


@pytest.mark.parametrize(
    ("size", "number", "max_plies"),
    [
        (2, 40, 60),
        (3, 16, 120),
        (4, 8, 120),
        *(pytest.param(*these, marks=pytest.mark.slow) for these in FIGHTS),
    ],
)
def test_fights_agree_with_the_slow_reference(size: int, number: int, max_plies: int) -> None:
    """Games full of kos: every legal action, capture, liberty and score, superko included."""
    game = games.make("go", size=size, komi=0.5, max_plies=max_plies)
    assert isinstance(game, Go)
    record = play(game, number, seed=size, steered=True)
    forbidden = 0
    for lane in range(number):
        slow = SlowGo(size, game.komi, max_plies, (0,) * size**2)
        for t in range(len(record.action)):
            assert tuple(record.board[t, lane].reshape(-1)) == slow.board
            assert bool(record.over[t, lane]) == slow.over
            if slow.over:
                assert record.outcome[t, lane] == slow.outcome()
                break
            moves = slow.moves()
            assert np.flatnonzero(record.legal[t, lane]).tolist() == [*sorted(moves), size**2]
            planes = record.observation[t, lane].reshape(size**2, -1)
            forbidden += int(planes[:, 11].sum())
            few = [
                min(liberties(slow.board, size, p), 3) if v else 0 for p, v in enumerate(slow.board)
            ]
            mine = np.array(slow.board) * (1 - 2 * slow.player) > 0
            for number_of, plane in ((1, 2), (2, 3), (3, 4)):
                exactly = np.array(few) == number_of
                np.testing.assert_array_equal(planes[:, plane], exactly & mine)
                np.testing.assert_array_equal(planes[:, plane + 3], exactly & ~mine)
            slow.play(int(record.action[t, lane]))
    assert forbidden > number, "hardly a ko: the test has lost its teeth"
