"""The row fields of the loss terms in `auxiliary`: what a game shows only when it has ended."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game
from selfplay.acting.row_schema import Episodes, Played, RowField

UNKNOWN_OWNER: Final = 2


def _next_policy(game: Game, episodes: Episodes) -> np.ndarray:
    """Returns the policy of the next position of the same game; all 0 at the last one."""
    following = np.roll(episodes.rows["policy"], -1, axis=0)
    return np.where(episodes.last[:, None], 0, following)


def _moves_left(game: Game, episodes: Episodes) -> np.ndarray:
    """Counts the moves from each position to the end of its game, at least 1."""
    return episodes.end - np.arange(len(episodes.end)) + 1


def _lambda_return(game: Game, episodes: Episodes, decay: float) -> np.ndarray:
    """Computes G = (1 − λ) · root value + λ · (G of the next turn), for the player to move.

    Behind the last position G is the game's result.
    """
    sign = np.where(episodes.rows["player"] == 0, 1.0, -1.0)
    value = sign * episodes.rows["value"].astype(np.float64)  # for player 0, as the outcome
    left = _moves_left(game, episodes)
    returns = episodes.outcome.astype(np.float64)
    for k in range(1, int(left.max(initial=0)) + 1):
        at = np.flatnonzero(left == k)
        following = returns[at] if k == 1 else returns[at + 1]
        returns[at] = (1 - decay) * value[at] + decay * following
    return sign * returns


REPLY: Final = RowField(
    "reply",
    "the search's policy at the opponent's next turn, in the opponent's view; all 0: none",
    "float16",
    lambda game: (game.num_actions,),
    symmetry="actions",
    finish=_next_policy,
)
MOVES_LEFT: Final = RowField(
    "moves_left", "moves until the game ended; 0: unknown", "int16", finish=_moves_left
)


@lru_cache(maxsize=64)
def return_field(decay: float) -> RowField:
    """Returns the row field of the λ-return with this λ; equal decays give the same field."""
    return RowField(
        f"return_{round(1e4 * decay):05}",
        f"the λ-return of root values for the player to move, λ = {decay:g}; NaN: unknown",
        "float16",
        finish=partial(_lambda_return, decay=decay),
        missing=np.nan,
    )


def _board(game: Game) -> tuple[int, int]:
    return game.observation_shape[:2]


def _view(game: Game, played: Played) -> Array:
    """Returns the number of the board's cell at each place that the player to move sees."""
    height, width = _board(game)
    cells = jnp.arange(height * width, dtype=jnp.int16).reshape(height, width)
    return jax.vmap(lambda state: game.view(state, cells))(played.state)


def _final_owners(game: Game, episodes: Episodes) -> np.ndarray:
    """Returns who holds each cell at the end, as the player to move sees the board: +1 its own."""
    rows, (height, width) = episodes.rows, _board(game)
    flat = len(episodes.end), height * width  # possibly no game ended, which "−1" does not allow
    final = rows["owners_after"][episodes.end].reshape(flat)
    seen = np.take_along_axis(final, rows["view"].reshape(flat).astype(np.int64), axis=1)
    sign = np.where(rows["player"] == 0, 1, -1)
    return (sign[:, None] * seen).reshape(-1, height, width)


def _points(game: Game) -> tuple[int, ...]:
    """Returns the shape of a score; raises ValueError if points do not decide the game."""
    if jax.eval_shape(lambda: game.score(game.init())) is None:
        raise ValueError(
            f"loss term score: points do not decide {game.name}. Leave it out of learner.losses"
        )
    return ()


def _score_after(game: Game, played: Played) -> Array:
    score = jax.vmap(game.score)(played.after)
    assert score is not None
    return score


def _final_score(game: Game, episodes: Episodes) -> np.ndarray:
    sign = np.where(episodes.rows["player"] == 0, 1, -1)
    return sign * episodes.rows["score_after"][episodes.end]


OWNER: Final = RowField(
    "owner",
    "who holds each cell at the end: +1 the player to move, -1 the opponent, 0 nobody, 2 unknown",
    "int8",
    _board,
    symmetry="cells",
    finish=_final_owners,
    reads=(
        RowField(
            "owners_after",
            "who holds each cell of the board after the move: +1 player 0, -1 player 1",
            "int8",
            _board,
            record=lambda game, played: jax.vmap(game.owners)(played.after),
        ),
        RowField(
            "view",
            "the cell of the board at each place that is seen",
            "int16",
            _board,
            record=_view,
        ),
    ),
    missing=UNKNOWN_OWNER,
)
SCORE: Final = RowField(
    "score",
    "points of the player to move at the end minus the opponent's; NaN: unknown",
    "float32",
    _points,
    finish=_final_score,
    reads=(
        RowField(
            "score_after",
            "player 0's lead after the move, in points",
            "float32",
            record=_score_after,
        ),
    ),
    missing=np.nan,
)
