"""Games and networks whose answers are known before any search.

`TreeGame` is a game whose whole tree is chosen by the test, so that minimax knows the truth.
`Linear` is a network that NumPy (float64) and JAX (float32) compute alike.
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


class Linear:
    """Priors and values from a fixed random linear map of the observation; no two alike."""

    def __init__(self, game: Game, seed: int) -> None:
        rng = np.random.default_rng(seed)
        size = int(np.prod(game.observation_shape))
        self.policy = (rng.standard_normal((size + 1, game.num_actions)) * 0.5).astype(np.float32)
        self.value = (rng.standard_normal(size + 1) * 0.3).astype(np.float32)

    def exact(self, observation: np.ndarray) -> tuple[np.ndarray, float]:
        """Computes logits float64 [A] and the value of one observation [H, W, C]."""
        x = np.append(observation.reshape(-1), True).astype(np.float64)
        return x @ self.policy.astype(np.float64), float(np.tanh(x @ self.value.astype(np.float64)))

    def __call__(self, params: Params, observations: Array) -> Prediction:
        """Predicts without a matrix product, so that each row is computed by itself."""
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


class TreeState(NamedTuple):
    """A position of a planted tree."""

    tree: Array  # int32 [], which of the planted trees
    node: Array  # int32 [], heap numbering: child a of n is n * branching + 1 + a
    depth: Array  # int32 [], moves made
    trap: Array  # int32 [], ±1: the result for player 0 after an illegal action; 0 before


@dataclass(frozen=True, eq=False)
class TreeGame(Game):
    """Complete trees with planted leaves. An illegal action ends the game.

    Attributes:
        branching: actions at every node, A.
        outcomes: float32 [K, A ** depth], the leaves of K trees, for player 0.
        movers: int [K, depth + 1], the player to move at each depth of each tree.
        legal: bool [inner nodes, A], for all trees; None: every action is legal.
        reward: int [K], the result of an illegal action for the player who chose it; None: 1.
    """

    branching: int
    outcomes: np.ndarray
    movers: np.ndarray
    legal: np.ndarray | None = None
    reward: np.ndarray | None = None

    @property
    def max_plies(self) -> int:
        """Depth of the trees."""
        return round(np.log(self.outcomes.shape[1]) / np.log(self.branching))

    @property
    def num_actions(self) -> int:
        """Number of actions at every node."""
        return self.branching

    @cached_property
    def inner(self) -> int:
        """Number of nodes that are not leaves: the number of the first leaf."""
        return sum(self.branching**d for d in range(self.max_plies))

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """A row with a cell for every node."""
        return (1, self.inner + self.outcomes.shape[1], 1)

    def init(self, tree: Any = 0) -> TreeState:
        """Returns the root of a tree."""
        return TreeState(jnp.int32(tree), jnp.int32(0), jnp.int32(0), jnp.int32(0))

    def step(self, state: TreeState, action: Any) -> TreeState:
        """Moves to a child; an illegal action ends the game."""
        action = jnp.asarray(action, jnp.int32)
        child = state.node * self.branching + 1 + action
        illegal = ~self.legal_actions(state)[action]
        reward = jnp.int32(1) if self.reward is None else jnp.asarray(self.reward)[state.tree]
        trap = jnp.where(illegal, reward * (1 - 2 * self.player(state)), 0).astype(jnp.int32)
        after = TreeState(state.tree, child, state.depth + 1, trap)
        over = self.is_terminal(state)
        return jax.tree.map(lambda old, new: jnp.where(over, old, new), state, after)

    def legal_actions(self, state: TreeState) -> Array:
        """Returns the mask of legal actions, bool [A]."""
        table = np.ones((self.inner, self.branching), bool) if self.legal is None else self.legal
        return jnp.asarray(table)[state.node] & ~self.is_terminal(state)[None]

    def observe(self, state: TreeState) -> Array:
        """Marks the node's cell."""
        return (jnp.arange(self.observation_shape[1]) == state.node[None])[None, :, None]

    def is_terminal(self, state: TreeState) -> Array:
        """Tells whether the position is a leaf, or follows an illegal action."""
        return (state.depth == self.max_plies) | (state.trap != 0)

    def outcome(self, state: TreeState) -> Array:
        """Returns the result for player 0."""
        leaf = jnp.asarray(self.outcomes)[state.tree, state.node - self.inner]
        running = jnp.where(state.depth == self.max_plies, leaf, 0.0)
        return jnp.where(state.trap != 0, state.trap.astype(jnp.float32), running)

    def player(self, state: TreeState) -> Array:
        """Returns the player to move."""
        return jnp.asarray(self.movers, jnp.int32)[state.tree, state.depth]

    def action_values(self) -> np.ndarray:
        """Computes each root action's value under perfect play, for the player to move: [K, A].

        Raises:
            ValueError: some actions are illegal.
        """
        if self.legal is not None:
            raise ValueError("the values of trees with illegal actions are not computed")
        values = self.outcomes  # of the nodes at a depth, for player 0
        for depth in range(self.max_plies - 1, 0, -1):
            children = values.reshape(len(values), -1, self.branching)
            first = self.movers[:, depth, None] == 0
            values = np.where(first, children.max(axis=2), children.min(axis=2))
        return np.where(self.movers[:, :1] == 0, values, -values)
