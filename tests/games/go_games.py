"""Random games of Go for the tests: uniform, or steered into captures and kos."""

from __future__ import annotations

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.go import Go

PASS = -4.0  # logit of a pass; a legal point has 0
FIGHT = 3.0  # added to the logit of a capture, in steered games


class Games(NamedTuple):
    """NumPy arrays [max_plies + 1, N, …]; entry t is before action t, −1 once the game is over."""

    action: np.ndarray
    legal: np.ndarray
    over: np.ndarray
    outcome: np.ndarray
    score: np.ndarray
    board: np.ndarray
    observation: np.ndarray  # only of steered games, to save half a gigabyte


def start(game: Go, number: int) -> Any:
    """Returns `number` first positions."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (number, *x.shape)), game.init())


@cache
def play(game: Go, number: int, seed: int = 0, steered: bool = False) -> Games:
    """Plays `number` games to their ends."""

    def wish(state: Any, observation: jax.Array) -> jax.Array:
        points = jnp.zeros(game.size**2)
        if steered:
            atari = jnp.pad(observation[..., 5], 1)
            beside = atari[:-2, 1:-1] | atari[2:, 1:-1] | atari[1:-1, :-2] | atari[1:-1, 2:]
            points = jnp.where(beside.reshape(-1), FIGHT, 0.0)
        return jnp.append(points, PASS)

    def look(state: Any) -> dict[str, jax.Array]:
        return {
            "legal": game.legal_actions(state),
            "over": game.is_terminal(state),
            "outcome": game.outcome(state),
            "score": game.score(state),
            "board": game.board(state),
            "observation": game.observe(state) if steered else jnp.zeros(0, bool),
        }

    def ply(states: Any, key: jax.Array) -> tuple[Any, Any]:
        seen = jax.vmap(look)(states)
        logits = jax.vmap(wish)(states, seen["observation"])
        drawn = jax.random.categorical(key, jnp.where(seen["legal"], logits, -jnp.inf))
        action = jnp.where(seen["over"], -1, drawn)
        return jax.vmap(game.step)(states, action), {"action": action, **seen}

    keys = jax.random.split(jax.random.key(seed), game.max_plies + 1)
    _, seen = jax.jit(partial(jax.lax.scan, ply))(start(game, number), keys)
    return Games(**jax.tree.map(np.asarray, seen))
