"""Tic-tac-toe, all of it: 5478 positions, each as OpenSpiel has it, and a draw with best play."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import numpy as np
import pytest

from games.tic_tac_toe import TicTacToe

Position = tuple[str, tuple[int, ...], bool, float]  # board, legal actions, terminal, outcome


@cache
def levels() -> list[dict[str, dict[str, Any]]]:
    """Every reachable position by ply: board text -> legal actions, end, outcome, children."""
    game = TicTacToe()

    @jax.jit
    def expand(states: Any) -> Any:
        children = [jax.vmap(game.step, (0, None))(states, a) for a in range(9)]
        look = {
            "board": jax.vmap(game.board)(states),
            "legal": jax.vmap(game.legal_actions)(states),
            "terminal": jax.vmap(game.is_terminal)(states),
            "outcome": jax.vmap(game.outcome)(states),
        }
        return look, children, [jax.vmap(game.board)(c) for c in children]

    level = jax.tree.map(lambda x: np.asarray(x)[None], game.init())
    tables = []
    for _ in range(10):
        number = len(level.status)
        padded = jax.tree.map(lambda x: np.resize(x, (1520, *x.shape[1:])), level)
        look, children, boards = jax.tree.map(np.asarray, expand(padded))
        table, following = {}, {}
        for i in range(number):
            legal = np.flatnonzero(look["legal"][i]).tolist()
            texts = [text(boards[a][i]) for a in legal]
            for a, child in zip(legal, texts, strict=True):
                following[child] = jax.tree.map(lambda x, i=i: x[i], children[a])
            table[text(look["board"][i])] = {
                "legal": legal,
                "terminal": bool(look["terminal"][i]),
                "outcome": float(look["outcome"][i]),
                "children": texts,
            }
        tables.append(table)
        if following:
            level = jax.tree.map(lambda *x: np.stack(x), *following.values())
    return tables


def text(board: np.ndarray) -> str:
    """Nine characters, as OpenSpiel prints them."""
    return "".join(".xo"[int(cell)] for cell in board.reshape(-1))


def test_number_of_positions_is_the_known_one() -> None:
    counts = [len(level) for level in levels()]
    assert counts == [1, 9, 72, 252, 756, 1260, 1520, 1140, 390, 78]
    assert sum(counts) == 5478


def test_every_position_agrees_with_open_spiel() -> None:
    pyspiel = pytest.importorskip("pyspiel")
    states = {"." * 9: pyspiel.load_game("tic_tac_toe").new_initial_state()}
    for level in levels():
        assert set(level) == set(states)
        following = {}
        for key, state in states.items():
            ours = level[key]
            assert ours["terminal"] == state.is_terminal()
            assert ours["legal"] == ([] if state.is_terminal() else state.legal_actions())
            assert ours["outcome"] == state.returns()[0]
            for action in ours["legal"]:
                child = state.child(action)
                following[str(child).replace("\n", "")] = child
        states = following


def test_best_play_is_a_draw() -> None:
    values: dict[str, float] = {}
    for ply, level in reversed(list(enumerate(levels()))):
        best = max if ply % 2 == 0 else min
        for key, position in level.items():
            children = [values[child] for child in position["children"]]
            values[key] = best(children) if children else position["outcome"]
    assert values["." * 9] == 0.0
    # A corner against an edge cell, both known wins: a value that is not 0 everywhere.
    assert values["xo......."] == 1.0
