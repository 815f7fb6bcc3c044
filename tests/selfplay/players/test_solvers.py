"""Solvers against slow solvers written for the tests, and against published results."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay.players import solvers
from selfplay.solved.suite import ILLEGAL_SCORE

LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]


@cache
def tic_tac_toe_score(board: str) -> int:
    """Solves a string of "x", "o", "." by negamax; +k wins with the k-th stone from the end."""
    mover, other = ("x", "o") if board.count("x") == board.count("o") else ("o", "x")
    if any(all(board[c] == other for c in line) for line in LINES):
        return -(board.count(".") // 2 + 1)
    after = [board[:c] + mover + board[c + 1 :] for c in range(9) if board[c] == "."]
    return max((-tic_tac_toe_score(b) for b in after), default=0)


@cache
def red_wins_3x3(red: frozenset[int], blue: frozenset[int]) -> bool:
    """Solves Hex on 3×3 with plain sets; Red joins top and bottom and moves first."""
    if joined(red, vertical=True):
        return True
    if joined(blue, vertical=False):
        return False
    free = set(range(9)) - red - blue
    if len(red) == len(blue):
        return any(red_wins_3x3(red | {c}, blue) for c in free)
    return all(red_wins_3x3(red, blue | {c}) for c in free)


def joined(cells: frozenset[int], vertical: bool) -> bool:
    place = {c: divmod(c, 3) if vertical else divmod(c, 3)[::-1] for c in cells}
    reach = [c for c in cells if place[c][0] == 0]
    for c in reach:
        row, column = divmod(c, 3)
        for r, k in ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, 1), (1, -1)):
            near = (row + r) * 3 + column + k
            inside = 0 <= row + r < 3 and 0 <= column + k < 3
            if inside and near in cells and near not in reach:
                reach.append(near)
    return any(place[c][0] == 2 for c in reach)


def random_positions(game: Any, count: int, seed: int) -> Any:
    """Plays random games; returns positions [count] that are not over."""
    rng = np.random.default_rng(seed)
    step = jax.jit(game.step)
    states = []
    while len(states) < count:
        state = game.init()
        for _ in range(int(rng.integers(game.max_plies))):
            after = step(state, int(rng.choice(np.flatnonzero(game.legal_actions(state)))))
            if game.is_terminal(after):
                break
            state = after
        states.append(state)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def test_tic_tac_toe_agrees_with_a_slow_solver() -> None:
    game = games.make("tic_tac_toe")
    states = random_positions(game, 150, 0)
    scores = solvers.solver_for(game)(states)
    boards = np.asarray(jax.vmap(game.board)(states)).reshape(-1, 9)
    for row, board in zip(scores, boards, strict=True):
        text = "".join({1: "x", -1: "o", 0: "."}[v] for v in board.tolist())
        mover = "x" if text.count("x") == text.count("o") else "o"
        for cell in range(9):
            after = text[:cell] + mover + text[cell + 1 :]
            expected = -tic_tac_toe_score(after) if text[cell] == "." else ILLEGAL_SCORE
            assert row[cell] == expected, (text, cell)


def test_hex_3x3_agrees_with_a_slow_solver() -> None:
    game = games.make("hex?size=3")
    states = random_positions(game, 100, 1)
    scores = solvers.solver_for(game)(states)
    boards = np.asarray(jax.vmap(game.board)(states)).reshape(-1, 9)
    for row, board in zip(scores, boards, strict=True):
        red, blue = (frozenset(np.flatnonzero(board == sign).tolist()) for sign in (1, -1))
        for action in np.flatnonzero(row != ILLEGAL_SCORE):
            if len(red) == len(blue):
                wins = red_wins_3x3(red | {int(action)}, blue)
            else:  # Blue's actions are cells of his transposed view
                cell = action % 3 * 3 + action // 3
                wins = not red_wins_3x3(red, blue | {int(cell)})
            assert (row[action] > 0) == wins
        assert (row == ILLEGAL_SCORE).sum() == (board != 0).sum()


@pytest.mark.slow
def test_hex_4x4_is_won_only_from_the_short_diagonal() -> None:
    game = games.make("hex?size=4")
    scores = solvers.solver_for(game)(jax.tree.map(lambda x: x[None], game.init()))[0]
    assert np.flatnonzero(scores > 0).tolist() == [3, 6, 9, 12]


def test_sooner_wins_score_higher() -> None:
    """Connect Four's convention: 18 is the win with the fourth stone of 21."""
    game = games.make("tic_tac_toe")
    state = game.init()
    for move in (0, 3, 1, 4):
        state = game.step(state, move)
    scores = solvers.solver_for(game)(jax.tree.map(lambda x: x[None], state))[0]
    assert scores[2] == scores.max() == 3


def test_finished_game_has_no_legal_scores() -> None:
    game = games.make("tic_tac_toe")
    state = game.init()
    for move in (0, 3, 1, 4, 2):
        state = game.step(state, move)
    scores = solvers.solver_for(game)(jax.tree.map(lambda x: x[None], state))
    assert (scores == ILLEGAL_SCORE).all()


@pytest.mark.parametrize(
    "name", ["go?size=5", "hex?size=5", "connect_four?rows=5", "hex?size=3&swap=true"]
)
def test_games_without_a_solver_are_rejected(name: str) -> None:
    with pytest.raises(ValueError, match=r"there is no perfect player of .*; choose connect_four"):
        solvers.solver_for(games.make(name))
