"""Evaluators and games whose answers are known before any search.

`Linear` is an evaluator that NumPy (float64) and JAX (float32) compute alike. `TreeGame` is a game
whose whole tree is chosen by the test, so that minimax knows the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game
from selfplay.model.architecture import Evaluate, Params, Prediction


def quick_jit(function: Any) -> Any:
    """``jax.jit`` that compiles in half the time to slower code, where bits do not matter."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


class Linear:
    """Priors and values from a fixed random linear map of the observation; no two alike."""

    def __init__(self, game: Game, seed: int) -> None:
        rng = np.random.default_rng(seed)
        size = int(np.prod(game.observation_shape))
        self.policy = (rng.standard_normal((size + 1, game.num_actions)) * 0.5).astype(np.float32)
        self.value = (rng.standard_normal(size + 1) * 0.3).astype(np.float32)

    def exact(self, observation: np.ndarray) -> tuple[np.ndarray, float]:
        """Logits float64 [A] and value of one observation [H, W, C]."""
        x = np.append(observation.reshape(-1), True).astype(np.float64)
        return x @ self.policy.astype(np.float64), float(np.tanh(x @ self.value.astype(np.float64)))

    def __call__(self, params: Params, observations: Array) -> Prediction:
        """Logits float32 [B, A] and values float32 [B], no matrix product: each row by itself."""
        del params
        flat = observations.reshape(observations.shape[0], -1)
        x = jnp.concatenate([flat, jnp.ones((flat.shape[0], 1), bool)], axis=1)
        logits = jnp.sum(jnp.where(x[:, :, None], self.policy[None], 0.0), axis=1)
        return Prediction(logits, jnp.tanh(jnp.sum(jnp.where(x, self.value[None], 0.0), axis=1)))


def zero_evaluator(game: Game) -> Evaluate:
    """Returns a network that is uniform over actions and values every position at 0."""

    def evaluate(params: Params, observations: Array) -> Prediction:
        del params
        batch = observations.shape[0]
        return Prediction(jnp.zeros((batch, game.num_actions)), jnp.zeros(batch))

    return evaluate


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


class TreeState(NamedTuple):
    """Where a game on a planted tree stands."""

    tree: Array  # int32 [], which of the planted trees
    node: Array  # int32 [], heap numbering: child a of n is n * branching + 1 + a
    depth: Array  # int32 [], moves made
    trap: Array  # int32 [], ±1: the result for player 0 after an illegal action; 0 before


@dataclass(frozen=True, eq=False)
class TreeGame(Game):
    """Complete trees with planted leaves. An illegal action ends the game with the mover's win.

    `outcomes` float32 [K, branching ** depth] are the leaves of K trees, for player 0; `legal`
    bool [nodes, branching] holds for all of them; `movers` says who moves at each depth.
    """

    branching: int
    outcomes: np.ndarray
    legal: np.ndarray | None = None
    movers: tuple[int, ...] = (0, 1, 0, 1, 0, 1)

    @property
    def max_plies(self) -> int:
        return round(np.log(self.outcomes.shape[1]) / np.log(self.branching))

    @property
    def num_actions(self) -> int:
        return self.branching

    @cached_property
    def inner(self) -> int:
        """Number of nodes that are not leaves: the number of the first leaf."""
        return sum(self.branching**d for d in range(self.max_plies))

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        return (1, self.inner + self.outcomes.shape[1], 1)

    def init(self, tree: Any = 0) -> TreeState:
        return TreeState(jnp.int32(tree), jnp.int32(0), jnp.int32(0), jnp.int32(0))

    def step(self, state: TreeState, action: Any) -> TreeState:
        action = jnp.asarray(action, jnp.int32)
        child = state.node * self.branching + 1 + action
        illegal = ~self.legal_actions(state)[action]
        sign = 1 - 2 * self.player(state)
        after = TreeState(
            state.tree, child, state.depth + 1, jnp.where(illegal, sign, 0).astype(jnp.int32)
        )
        over = self.is_terminal(state)
        return jax.tree.map(lambda old, new: jnp.where(over, old, new), state, after)

    def legal_actions(self, state: TreeState) -> Array:
        table = np.ones((self.inner, self.branching), bool) if self.legal is None else self.legal
        return jnp.asarray(table)[state.node] & ~self.is_terminal(state)[None]

    def observe(self, state: TreeState) -> Array:
        return (jnp.arange(self.observation_shape[1]) == state.node[None])[None, :, None]

    def is_terminal(self, state: TreeState) -> Array:
        return (state.depth == self.max_plies) | (state.trap != 0)

    def outcome(self, state: TreeState) -> Array:
        leaf = jnp.asarray(self.outcomes)[state.tree, state.node - self.inner]
        running = jnp.where(state.depth == self.max_plies, leaf, 0.0)
        return jnp.where(state.trap != 0, state.trap.astype(jnp.float32), running)

    def player(self, state: TreeState) -> Array:
        return jnp.asarray(self.movers, jnp.int32)[state.depth]

    def minimax(self, tree: int, node: int = 0, depth: int = 0) -> float:
        """The outcome for player 0 under perfect play of both."""
        if node >= self.inner:
            return float(self.outcomes[tree, node - self.inner])
        values = [
            self.minimax(tree, node * self.branching + 1 + a, depth + 1)
            for a in range(self.branching)
            if self.legal is None or self.legal[node, a]
        ]
        return max(values) if self.movers[depth] == 0 else min(values)
