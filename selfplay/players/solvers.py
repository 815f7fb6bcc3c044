"""Solvers: the score of every position, by exhaustive search or by Connect Four's solver.

Scores are for the player to move, in Pons's convention: 0 is a draw, +k a win with the k-th stone
from the end of a full board, so that sooner wins and later losses score higher.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from games import extras
from games.connect_four import ConnectFour
from games.game import Game, State
from selfplay.solved.suite import ILLEGAL_SCORE

EXHAUSTIVE_CELLS = 16  # 4×4: the table has 3 ** 16 entries of one byte, most of them out of reach

Solver: TypeAlias = Callable[[State], NDArray[np.int8]]
"""``solve(states [B])`` → scores int8 [B, A] of all actions, `ILLEGAL_SCORE` for illegal ones."""


def is_standard_connect_four(game: Game) -> bool:
    """Tells whether this is Connect Four on 6×7, which the exam, UCI and bitbully are about."""
    return game == ConnectFour()


def has_built_in_solver(game: Game) -> bool:
    """Tells whether perfect play of a game can be computed wherever this package is installed."""
    height, width, _ = game.observation_shape
    return game.is_positional and height * width <= EXHAUSTIVE_CELLS


def solver_for(game: Game) -> Solver:
    """Returns the solver of a game.

    Raises:
        ValueError: there is no solver for this game, or it is not installed.
    """
    if is_standard_connect_four(game):
        solver = ConnectFourSolver()

        def solve(states: State) -> NDArray[np.int8]:
            boards = np.asarray(jax.vmap(game.board)(states))
            over = np.asarray(jax.vmap(game.is_terminal)(states))
            no_moves = np.full(game.num_actions, ILLEGAL_SCORE, np.int8)
            pairs = zip(boards, over, strict=True)
            return np.stack([no_moves if done else solver.scores(board) for board, done in pairs])

        return solve
    if has_built_in_solver(game):
        return partial(table_lookup, game)
    raise ValueError(
        f"there is no perfect player of {game!r}; choose connect_four (6×7), tic_tac_toe, hex up "
        f"to size 4 without swap, or another positional game of up to {EXHAUSTIVE_CELLS} cells"
    )


class ConnectFourSolver:
    """A solver of Connect Four on 6×7, or a search to `lookahead` plies; remembers all scores.

    Each object has its own transposition table, so that no estimate enters exact scores.

    Raises:
        ValueError: the `solver` extra is not installed.
    """

    def __init__(self, lookahead: int = -1) -> None:
        try:
            import bitbully  # pyright: ignore[reportMissingImports]  # an optional extra
        except ImportError as error:
            raise ValueError(
                f"Connect Four's solver is not installed; install it: {extras.install('solver')}"
            ) from error
        self._board: Any = bitbully.Board
        self._solver: Any = bitbully.BitBully()
        self._solver.reset_transposition_table()
        self._lookahead = lookahead
        self._scores: dict[bytes, NDArray[np.int8]] = {}

    def scores(self, board: NDArray[np.int8]) -> NDArray[np.int8]:
        """Returns the scores int8 [7] of all columns, for the player to move.

        `board`, int8 [6, 7], has row 0 on top; the game must not be over.
        """
        key = board.tobytes()
        if key not in self._scores:
            cells = np.where(board < 0, 2, board).tolist()
            answer = self._solver.score_all_moves(self._board(cells), max_depth=self._lookahead)
            row = [answer.get(column, ILLEGAL_SCORE) for column in range(board.shape[1])]
            self._scores[key] = np.array(row, np.int8)
        return self._scores[key]


def table_lookup(game: Game, states: State) -> NDArray[np.int8]:
    """Looks up the scores int8 [B, A] of all moves: those of the positions after, negated."""
    legal, codes = _children(game)(states)
    after = solve_exhaustively(game)[np.asarray(codes)]
    return np.where(np.asarray(legal), -after, ILLEGAL_SCORE).astype(np.int8)


@cache
def _children(game: Game) -> Callable[[State], tuple[Array, Array]]:
    """Compiles ``states [B]`` → legal bool [B, A], and codes of the boards after, int32 [B, A]."""
    height, width, _ = game.observation_shape
    powers = jnp.asarray(3 ** np.arange(height * width), jnp.int32)

    def code(state: State, action: Array) -> Array:
        board = game.board(game.step(state, action)).reshape(-1)
        return jnp.sum(jnp.where(board < 0, 2, board.astype(jnp.int32)) * powers)

    each = jax.vmap(jax.vmap(code, (None, 0)), (0, None))
    actions = jnp.arange(game.num_actions)
    return jax.jit(lambda states: (jax.vmap(game.legal_actions)(states), each(states, actions)))


@cache
def solve_exhaustively(game: Game) -> NDArray[np.int8]:
    """Computes the score of every position of a positional game (`Game.is_positional`) of P cells.

    Works layer by layer from the full board back to the empty one. A position whose last stone has
    won is over, and lost for the player to move.

    Returns:
        int8 [3 ** P], scores by a position's code: a base-3 number with a digit for each cell, cell
        0 the lowest: 1 for player 0's stone, 2 for player 1's. Unreachable codes hold 0.
    """
    height, width, _ = game.observation_shape
    cells = height * width
    powers = 3 ** np.arange(cells, dtype=np.int64)
    won = _wins(game)
    layers = [np.zeros(1, np.int32)]
    for ply in range(cells):
        layers.append(_expanded(layers[-1], ply, powers, won))
    table = np.zeros(3**cells, np.int8)
    for ply in range(cells, -1, -1):
        codes = layers[ply]
        over = _has_won(codes, 1 - ply % 2, powers, won) if ply else np.zeros(1, bool)
        best = np.full(len(codes), ILLEGAL_SCORE, np.int16)
        for cell in range(cells):
            free = (codes // powers[cell]) % 3 == 0
            child = codes[free] + (1 + ply % 2) * powers[cell]
            best[free] = np.maximum(best[free], -table[child].astype(np.int16))
        best = np.where(best == ILLEGAL_SCORE, 0, best)  # the board is full
        # The stones that the player to move would still have had until the board was full.
        table[codes] = np.where(over, -((cells - ply) // 2 + 1), best)
    return table


def _expanded(
    codes: NDArray[np.integer], ply: int, powers: NDArray[np.integer], won: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Lists the distinct codes after one more ply, from positions that are not over."""
    if ply:
        codes = codes[~_has_won(codes, 1 - ply % 2, powers, won)]
    after = [
        codes[(codes // power) % 3 == 0].astype(np.int32) + np.int32((1 + ply % 2) * power)
        for power in powers
    ]
    return np.unique(np.concatenate(after))


def _has_won(
    codes: NDArray[np.integer], player: int, powers: NDArray[np.integer], won: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Marks the codes [N] in which the stones of `player` win, bool [N]."""
    mask = np.zeros(len(codes), np.int32)
    for cell, power in enumerate(powers):
        mask |= ((codes // power) % 3 == 1 + player).astype(np.int32) << cell
    return won[player, mask]


def _wins(game: Game) -> NDArray[np.bool_]:
    """Asks the rules which sets of cells win the game for players 0 and 1: bool [2, 2 ** P]."""
    height, width, _ = game.observation_shape
    cells = height * width
    masks = np.arange(2**cells)[:, None] >> np.arange(cells) & 1  # [2 ** P, P]

    @jax.jit
    def outcome(boards: Array, player: int) -> Array:
        states = jax.vmap(game.from_board, (0, None))(boards, player)
        return jax.vmap(game.outcome)(states)

    boards = masks.reshape(-1, height, width).astype(np.int8)
    return np.stack(
        [np.asarray(outcome(boards, 1)) > 0, np.asarray(outcome(-boards, 0)) < 0],
    )
