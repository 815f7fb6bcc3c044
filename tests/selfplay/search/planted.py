"""Random parameters and random positions; see also `selfplay.testing.planted_trees`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game
from selfplay.model.architecture import Params


def quick_jit(function: Any) -> Any:
    """``jax.jit`` that compiles in half the time to slower code, where bits do not matter."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def random_params(init: Any, seed: int = 0) -> Params:
    """Parameters whose heads are not zero, so that every output depends on the position."""
    shapes = jax.eval_shape(init, jax.random.key(0))
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda s: (rng.standard_normal(s.shape) * max(s.size, 1) ** -0.25).astype(s.dtype), shapes
    )


def random_positions(game: Game, count: int, seed: int, max_plies: int) -> tuple[Any, np.ndarray]:
    """Draws `count` running positions after random legal moves, [count, …], and who moves there."""
    keys = jax.random.split(jax.random.key(seed), (8 * count, max_plies))
    lengths = np.arange(8 * count) % (max_plies + 1)

    @quick_jit
    @jax.vmap
    def play(key: Array, length: Array) -> Any:
        def body(state: Any, t: Array) -> tuple[Any, None]:
            scores = jnp.where(
                game.legal_actions(state),
                jax.random.uniform(key[t], (game.num_actions,)),
                -1.0,
            )
            after = game.step(state, jnp.argmax(scores))
            return jax.tree.map(lambda a, b: jnp.where(t < length, a, b), after, state), None

        state = jax.lax.scan(body, game.init(), jnp.arange(max_plies))[0]
        return state, game.is_terminal(state), game.player(state)

    states, over, player = jax.device_get(play(keys, jnp.asarray(lengths)))
    running = np.flatnonzero(~over)[:count]
    assert len(running) == count
    return jax.tree.map(lambda leaf: leaf[running], states), player[running]
