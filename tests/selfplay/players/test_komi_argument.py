"""Programs that take komi as an argument: the same bits as with komi as a constant."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from games.connect_four import ConnectFour
from games.go import Go
from selfplay.players import komi_argument

GAME = Go(size=3, komi=0.0)
PASS = GAME.num_actions - 1


@pytest.fixture(scope="module")
def before_the_end() -> Any:
    """Black's stone in the middle owns nine points; White has passed."""
    step = komi_argument.jit(GAME, getattr, "step")
    return step(step(GAME.init(), 4), PASS)


def final(rules: Go) -> Callable[[Any, int], tuple[Any, ...]]:
    """Builds what depends on komi: the last move, its outcome, observation and score."""

    def fields(state: Any, action: int) -> tuple[Any, ...]:
        after = rules.step(state, action)
        return after, rules.outcome(after), rules.observe(after), rules.score(after)

    return fields


@pytest.mark.parametrize("komi", [-3, 0, 0.5, 3.5, 4, 6.5, 7, 9])
def test_komi_argument_changes_no_bit(before_the_end: Any, komi: float) -> None:
    game = replace(GAME, komi=komi)
    shared = komi_argument.jit(game, final)(before_the_end, PASS)
    constant = final(game)(before_the_end, PASS)
    assert float(shared[1]) == np.sign(9 - komi)
    for leaf, expected in zip(jax.tree.leaves(shared), jax.tree.leaves(constant), strict=True):
        assert leaf.dtype == expected.dtype
        assert np.array_equal(leaf, expected)


def test_games_that_differ_in_komi_share_a_program() -> None:
    traced: list[int] = []

    def make(rules: Go) -> Callable[[], Any]:
        traced.append(rules.size)
        return rules.init

    for komi in (7, 0.5, -2.0):
        komi_argument.jit(replace(GAME, komi=komi), make)()
    assert traced == [3]
    komi_argument.jit(replace(GAME, size=2, komi=1.0), make)()
    komi_argument.jit(replace(GAME, max_plies=9), make)()
    assert traced == [3, 2, 3]


def test_game_without_komi_is_compiled() -> None:
    game = ConnectFour()
    assert int(game.player(komi_argument.jit(game, getattr, "init")())) == 0


def test_komi_that_is_a_number_is_checked() -> None:
    for komi in (0.25, 10, float("inf")):
        with pytest.raises(ValueError, match="komi"):
            Go(size=3, komi=komi)
