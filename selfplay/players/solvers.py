"""Perfect play: the score of every position, by exhaustive search or by Connect Four's solver.

Scores are for the player to move, in Pons's convention: 0 is a draw, +k a win with the k-th stone
from the end of a full board, so that a sooner win scores higher and a later loss too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from games import extras
from games.connect_four import ConnectFour
from games.game import Game
from games.hex import Hex
from games.tic_tac_toe import TicTacToe
from selfplay.solved.suite import ILLEGAL

EXHAUSTIVE_CELLS = 16  # 4×4: the table has 3 ** 16 entries of one byte, most of them out of reach

Scores = Callable[[Any], NDArray[np.int8]]
"""``scores(states [B]) → int8 [B, A]``, every legal action's, `ILLEGAL` elsewhere."""


def scores_of(game: Game) -> Scores:
    """The scores of all moves in a game that is solved here.

    Raises:
        ValueError: there is no solver for this game, or it is not installed.
    """
    if isinstance(game, ConnectFour) and (game.rows, game.columns) == (6, 7):
        solver = ConnectFourSolver()

        def solved(states: Any) -> NDArray[np.int8]:
            boards = np.asarray(jax.vmap(game.board)(states))
            over = np.asarray(jax.vmap(game.is_terminal)(states))
            none = np.full(game.num_actions, ILLEGAL, np.int8)
            pairs = zip(boards, over, strict=True)
            return np.stack([none if done else solver.scores(board) for board, done in pairs])

        return solved
    if isinstance(game, TicTacToe) or (
        isinstance(game, Hex) and game.size**2 <= EXHAUSTIVE_CELLS and not game.swap
    ):
        return partial(_looked_up, game)
    raise ValueError(
        f"there is no perfect player of {game!r}; choose connect_four (6×7), tic_tac_toe, or hex "
        "up to size 4 without swap"
    )


class ConnectFourSolver:
    """Scores of every move, remembered: exact ones, or those of a search to `lookahead` plies.

    Each solver keeps a transposition table of its own, so that no estimate reaches exact scores.

    Raises:
        ValueError: the `solver` extra is not installed.
    """

    def __init__(self, lookahead: int = -1) -> None:
        try:
            import bitbully  # pyright: ignore[reportMissingImports]  # the extra, only here
        except ImportError as error:
            raise ValueError(
                f"Connect Four's solver is not installed; install it: {extras.install('solver')}"
            ) from error
        self._board: Any = bitbully.Board
        self._solver: Any = bitbully.BitBully()
        self._solver.reset_transposition_table()
        self._lookahead = lookahead
        self._known: dict[bytes, NDArray[np.int8]] = {}

    def scores(self, board: NDArray[np.int8]) -> NDArray[np.int8]:
        """int8 [7] for the player to move at a board [6, 7] (row 0 = top) that is not over."""
        key = board.tobytes()
        if key not in self._known:
            cells = np.where(board < 0, 2, board).tolist()
            answer = self._solver.score_all_moves(self._board(cells), max_depth=self._lookahead)
            row = [answer.get(column, ILLEGAL) for column in range(board.shape[1])]
            self._known[key] = np.array(row, np.int8)
        return self._known[key]


def _looked_up(game: Any, states: Any) -> NDArray[np.int8]:
    """Scores [B, A] from the table: a move is worth what the position after it is not."""
    legal, codes = _children(game)(states)
    after = exhaust(game)[np.asarray(codes)]
    return np.where(np.asarray(legal), -after, ILLEGAL).astype(np.int8)


@cache
def _children(game: Any) -> Any:
    """Jitted ``states [B] → (legal bool [B, A], int32 [B, A], the codes of the boards after)``."""
    height, width, _ = game.observation_shape
    powers = jnp.asarray(3 ** np.arange(height * width), jnp.int32)

    def code(state: Any, action: Array) -> Array:
        board = game.board(game.step(state, action)).reshape(-1)
        return jnp.sum(jnp.where(board < 0, 2, board.astype(jnp.int32)) * powers)

    each = jax.vmap(jax.vmap(code, (None, 0)), (0, None))
    actions = jnp.arange(game.num_actions)
    return jax.jit(lambda states: (jax.vmap(game.legal_actions)(states), each(states, actions)))


@cache
def exhaust(game: Any) -> NDArray[np.int8]:
    """int8 [3 ** P], the score of every position of a game of stones on P empty cells.

    A position's code has a digit for each cell, cell 0 the lowest: 1 player 0's stone, 2 player
    1's. Out-of-reach codes hold 0. Layer by layer from the full board back to the empty one; a
    position whose last stone has won is over, and lost for the player to move.
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
        best = np.full(len(codes), ILLEGAL, np.int16)
        for cell in range(cells):
            free = (codes // powers[cell]) % 3 == 0
            child = codes[free] + (1 + ply % 2) * powers[cell]
            best[free] = np.maximum(best[free], -table[child].astype(np.int16))
        best = np.where(best == ILLEGAL, 0, best)  # the board is full
        # Stones that this mover would still have put, had the game gone on to a full board.
        table[codes] = np.where(over, -((cells - ply) // 2 + 1), best)
    return table


def _expanded(
    codes: NDArray[Any], ply: int, powers: NDArray[Any], won: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """The distinct codes one ply on, from those that are not over."""
    if ply:
        codes = codes[~_has_won(codes, 1 - ply % 2, powers, won)]
    after = [
        codes[(codes // power) % 3 == 0].astype(np.int32) + np.int32((1 + ply % 2) * power)
        for power in powers
    ]
    return np.unique(np.concatenate(after))


def _has_won(
    codes: NDArray[Any], player: int, powers: NDArray[Any], won: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """bool [N], True = the stones of `player` win."""
    mask = np.zeros(len(codes), np.int32)
    for cell, power in enumerate(powers):
        mask |= ((codes // power) % 3 == 1 + player).astype(np.int32) << cell
    return won[player, mask]


def _wins(game: Any) -> NDArray[np.bool_]:
    """bool [2, 2 ** P], True = these cells, all one player's, win the game: asked of its rules."""
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
