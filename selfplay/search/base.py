"""The type of a search, and how its tree grows.

``search(params, states, key) → SearchResult`` improves the network's policy at a batch of states.
Signs: values are for the player to move, so a child's value enters its parent with discount −1; at
a terminal child the reward is the outcome for the player who moved, and value and discount are 0.

mctx masks illegal actions at the root only. Below it, Gumbel's are excluded by their logits; PUCT
would still choose them for their Q-value, so `selfplay.search.puct.puct_q` sinks them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import mctx
from jax import Array

from games.game import Game, State
from selfplay.model.architecture import Evaluate, Params

ILLEGAL_LOGIT = jnp.finfo(jnp.float32).min.item()

Mctx: TypeAlias = Any
"""A structure of mctx: a chex dataclass, whose constructor and fields type checkers do not see."""

_RootFnOutput: Mctx = mctx.RootFnOutput
_RecurrentFnOutput: Mctx = mctx.RecurrentFnOutput


class SearchResult(NamedTuple):
    """Result of a search at a batch of states; meaningless at terminal ones."""

    action: Array  # int32[B], the move to play
    policy: Array  # float32[B, A], the improved policy: the training target; 0 where illegal
    value: Array  # float32[B], the root's under `policy`, for the player to move, in [−1, 1]
    prior: Array | None = None  # float32[B, A], the network's policy without noise; None: unknown


SearchFn = Callable[[Params, State, Array], SearchResult]
"""``search(params, states [B, …], key) → SearchResult``: pure, and made for ``jit``."""


class Leaves(NamedTuple):
    """The network's view of a batch of states."""

    logits: Array  # float32[B, A], ILLEGAL_LOGIT where illegal
    value: Array  # float32[B], for the player to move
    legal: Array  # bool[B, A], True = legal

    @property
    def policy(self) -> Array:
        """The network's policy, float32[B, A]; 0 where illegal."""
        return jnp.where(self.legal, jax.nn.softmax(self.logits), 0.0)


def evaluate_states(game: Game, evaluate: Evaluate, params: Params, states: State) -> Leaves:
    """Evaluates a batch of states."""
    legal = jax.vmap(game.legal_actions)(states)
    logits, value, _ = evaluate(params, jax.vmap(game.observe)(states))
    return Leaves(jnp.where(legal, logits, ILLEGAL_LOGIT), value, legal)


def root_of(leaves: Leaves, states: State) -> Mctx:
    """Returns the root that mctx starts from."""
    return _RootFnOutput(prior_logits=leaves.logits, value=leaves.value, embedding=states)


def expansion(game: Game, evaluate: Evaluate) -> Callable[..., tuple[Mctx, State]]:
    """Builds mctx's recurrent function: it plays an action and evaluates the next state."""

    def expand(params: Params, _: Array, action: Array, states: State) -> tuple[Mctx, State]:
        mover = jax.vmap(game.player)(states)  # [B]
        over_before = jax.vmap(game.is_terminal)(states)
        states = jax.vmap(game.step)(states, action)
        over = jax.vmap(game.is_terminal)(states)
        outcome = jax.vmap(game.outcome)(states)  # for player 0
        reward = jnp.where(over & ~over_before, jnp.where(mover == 0, outcome, -outcome), 0.0)
        logits, value, _ = evaluate_states(game, evaluate, params, states)
        same_mover = jax.vmap(game.player)(states) == mover
        output = _RecurrentFnOutput(
            reward=reward,
            discount=jnp.where(over, 0.0, jnp.where(same_mover, 1.0, -1.0)),
            prior_logits=logits,
            value=jnp.where(over, 0.0, value),
        )
        return output, states

    return expand
