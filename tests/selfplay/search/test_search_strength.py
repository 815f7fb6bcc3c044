"""Searches that know nothing but the rules must play well and see values with the right sign.

The evaluator is zero everywhere, so all strength is the search's own.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import numpy as np
import pytest

import games
from selfplay.search import gumbel, puct
from selfplay.search.algorithm import SearchAlgorithm
from selfplay.search.base import SearchResult
from selfplay.search.config import GumbelConfig, PuctConfig, SearchConfig
from selfplay.search.make import make_search
from selfplay.testing.planted_trees import zero_evaluator
from selfplay.testing.search_reference import check_minimax

LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]
BATCH = 128  # positions per call: one program for every level of the tree
Cells = tuple[int, ...]  # nine of +1 (player 0), -1 (player 1), 0; player 0 began

CONFIGS = {
    "gumbel": SearchConfig("gumbel", gumbel=GumbelConfig(scale=0.0)),
    "puct": SearchConfig("puct", puct=PuctConfig(dirichlet_fraction=0.0, temperature=0.0)),
}
# These searches run for longer than they compile, unlike most programs of the tests.
RUN_LONG: dict[str, Any] = {"xla_backend_optimization_level": 2}
if "xla_cpu_use_fusion_emitters" in os.environ.get("XLA_FLAGS", ""):  # newer ones have no others
    RUN_LONG["xla_cpu_use_fusion_emitters"] = True


def winner(cells: Cells) -> int:
    return next((cells[a] for a, b, c in LINES if cells[a] == cells[b] == cells[c] != 0), 0)


def is_over(cells: Cells) -> bool:
    return winner(cells) != 0 or 0 not in cells


def to_move(cells: Cells) -> int:
    return sum(map(abs, cells)) % 2


def after(cells: Cells, action: int) -> Cells:
    assert cells[action] == 0, "the search chose an occupied cell"
    return (*cells[:action], 1 - 2 * to_move(cells), *cells[action + 1 :])


@cache
def solve(cells: Cells) -> int:
    """The outcome for player 0 under perfect play of both."""
    if is_over(cells):
        return winner(cells)
    results = [solve(after(cells, a)) for a in range(9) if cells[a] == 0]
    return max(results) if to_move(cells) == 0 else min(results)


@cache
def searcher(algorithm: str, budget: int) -> Any:
    """``list of positions → (actions, values for the player to move)``."""
    game = games.make("tic_tac_toe")
    config = replace(CONFIGS[algorithm], num_simulations=budget)
    program = make_search(game, zero_evaluator(game), config)

    @partial(jax.jit, compiler_options=RUN_LONG)
    def on_boards(boards: jax.Array, player: jax.Array) -> SearchResult:
        return program({}, jax.vmap(game.from_board)(boards, player), jax.random.key(0))

    def ask(positions: list[Cells]) -> tuple[np.ndarray, np.ndarray]:
        actions, values = [], []
        for start in range(0, len(positions), BATCH):
            part = positions[start : start + BATCH]
            padded = part + [(0,) * 9] * (BATCH - len(part))
            boards = np.array(padded, np.int8).reshape(-1, 3, 3)
            result = jax.device_get(on_boards(boards, np.array([to_move(p) for p in padded])))
            actions.append(result.action[: len(part)])
            values.append(result.value[: len(part)])
        return np.concatenate(actions), np.concatenate(values)

    return ask


# PUCT's program is the slower to compile: the tests of planted trees hold it to perfect play.
@pytest.mark.parametrize(
    ("algorithm", "budget"),
    [
        ("gumbel", 256),
        pytest.param("puct", 256, marks=pytest.mark.slow),
        pytest.param("gumbel", 600, marks=pytest.mark.slow),
    ],
)
def test_search_never_loses_tic_tac_toe(algorithm: str, budget: int) -> None:
    """Moves first and meets every reply, so every perfect one as well."""
    ask, level, games_over = searcher(algorithm, budget), {(0,) * 9}, 0
    while level:
        mine = sorted(level)
        actions, _ = ask(mine)
        level = {after(p, int(a)) for p, a in zip(mine, actions, strict=True)}
        for reply in (False, True):
            for position in [p for p in level if is_over(p)]:
                assert winner(position) >= 0, f"lost: {position}"
                games_over += 1
            level = {p for p in level if not is_over(p)}
            if not reply:
                level = {after(p, a) for p in level for a in range(9) if p[a] == 0}
    assert games_over > 20


@pytest.mark.parametrize("algorithm", ["gumbel", pytest.param("puct", marks=pytest.mark.slow)])
def test_search_keeps_the_game_value_and_its_sign(algorithm: str) -> None:
    """In an eighth of all positions with four stones or more, whoever is to move.

    With fewer, a search that knows nothing finds nothing at this budget: no game ends before the
    fifth stone, and from one stone on the board that is 8·7·6·5 = 1 680 lines away.
    """
    positions, level = [], {(0,) * 9}
    while level:
        positions += [p for p in sorted(level) if sum(map(abs, p)) >= 4]
        level = {after(p, a) for p in level for a in range(9) if p[a] == 0}
        level = {p for p in level if not is_over(p)}
    assert len(positions) == 4186  # of 5 478: 334 have fewer stones, 958 are over
    positions = positions[::8]
    actions, values = searcher(algorithm, 256)(positions)
    seen = set()
    for position, action, value in zip(positions, actions, values, strict=True):
        player = to_move(position)
        truth = solve(position) * (1 - 2 * player)
        played = solve(after(position, int(action))) * (1 - 2 * player)
        assert played == truth, f"{position}: threw away {truth} with {action}"
        if truth != 0:
            assert value * truth > 0, f"{position}: value {value} but it is {truth}"
            seen.add((player, truth))
        if wins_at_once(position):
            assert value > 0.85, f"{position}: a win in one, valued {value}"
    assert seen == {(0, 1), (0, -1), (1, 1), (1, -1)}


def wins_at_once(position: Cells) -> bool:
    sign = 1 - 2 * to_move(position)
    return any(position[a] == 0 and winner(after(position, a)) == sign for a in range(9))


@pytest.mark.parametrize("algorithm", ["gumbel", pytest.param("puct", marks=pytest.mark.slow)])
def test_search_blocks_a_threat(algorithm: str) -> None:
    # X X .      O to move loses unless it blocks on 2; below, the same with colors exchanged.
    # . O .
    # . . .
    x_threatens = (1, 1, 0, 0, -1, 0, 0, 0, 0)
    # X . X
    # O O .      X to move blocks on 5 or wins on 1: the win comes first.
    # . . .
    both_threaten = (1, 0, 1, -1, -1, 0, 0, 0, 0)
    # O O .
    # X . .      X to move must block on 2.
    # X . .
    o_threatens = (-1, -1, 0, 1, 0, 0, 1, 0, 0)
    actions, values = searcher(algorithm, 256)([x_threatens, both_threaten, o_threatens])
    assert actions.tolist() == [2, 1, 2]
    assert abs(values[0]) < 0.5 and values[1] > 0.85


# Below the root, Gumbel's unvisited actions count as the mean of their visited siblings (mctx's
# "mixed value"): after a draw and a loss, a win may never be tried. So its trees have no draws.
@pytest.mark.parametrize(
    ("algorithm", "config", "draws"),
    [(gumbel.make, GumbelConfig(), False), (puct.make, PuctConfig(), True)],
    ids=["gumbel", "puct"],
)
def test_search_finds_the_planted_best_move(
    algorithm: SearchAlgorithm, config: GumbelConfig | PuctConfig, draws: bool
) -> None:
    """Depth-3 trees of chosen outcomes; a player may also move twice in a row."""
    check_minimax(algorithm, draws=draws, config=config)
