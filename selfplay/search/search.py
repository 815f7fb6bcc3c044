"""Policy improvement behind one function type: Gumbel, PUCT and the raw network, on mctx.

``search(params, states, key) → SearchResult``, batched over states. Signs: values are for the
player to move, so a child's value enters its parent with discount −1; at a terminal child the
reward is the outcome seen by the player who moved, and value and discount are 0.

mctx masks illegal actions at the root only. Below it, Gumbel's are shut out by their logits;
PUCT's would still be drawn by their Q-value, so our Q-transform sinks them.
"""

# The type checker does not see the fields of chex dataclasses, which mctx's structures are:
# pyright: reportCallIssue=false

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mctx
from jax import Array

from games.game import Game
from selfplay.model.network import Evaluate, Params
from selfplay.search.config import SearchConfig

ILLEGAL = jnp.finfo(jnp.float32).min.item()  # logit of an illegal action


# chex dataclasses, whose constructors a type checker cannot see.
_RootFnOutput: Any = mctx.RootFnOutput
_RecurrentFnOutput: Any = mctx.RecurrentFnOutput


class SearchResult(NamedTuple):
    """What a search found at a batch of states (garbage at terminal ones)."""

    action: Array  # int32[B], the move to play
    policy: Array  # float32[B, A], the improved policy: the training target; 0 where illegal
    value: Array  # float32[B], the root's under `policy`, for the player to move, in [−1, 1]


SearchFn = Callable[[Params, Any, Array], SearchResult]


def make(game: Game, evaluate: Evaluate, config: SearchConfig) -> SearchFn:
    """The search function for a game, a network and a budget; pure and jit-able."""

    def observe_and_evaluate(params: Params, states: Any) -> tuple[Array, Array, Array]:
        legal = jax.vmap(game.legal_actions)(states)  # [B, A]
        logits, value = evaluate(params, jax.vmap(game.observe)(states))  # [B, A], [B]
        return jnp.where(legal, logits, ILLEGAL), value, legal

    def expand(params: Params, _: Array, action: Array, states: Any) -> tuple[Any, Any]:
        mover = jax.vmap(game.player)(states)  # [B]
        over_before = jax.vmap(game.is_terminal)(states)
        states = jax.vmap(game.step)(states, action)
        over = jax.vmap(game.is_terminal)(states)
        outcome = jax.vmap(game.outcome)(states)  # for player 0
        reward = jnp.where(over & ~over_before, jnp.where(mover == 0, outcome, -outcome), 0.0)
        logits, value, _ = observe_and_evaluate(params, states)
        same_mover = jax.vmap(game.player)(states) == mover
        output = _RecurrentFnOutput(
            reward=reward,
            discount=jnp.where(over, 0.0, jnp.where(same_mover, 1.0, -1.0)),
            prior_logits=logits,
            value=jnp.where(over, 0.0, value),
        )
        return output, states

    def search(params: Params, states: Any, key: Array) -> SearchResult:
        logits, value, legal = observe_and_evaluate(params, states)
        if config.num_simulations == 0:
            return _raw(logits, value, legal, key, config)
        root = _RootFnOutput(prior_logits=logits, value=value, embedding=states)
        policy_fn = _gumbel if config.algorithm == "gumbel" else _puct
        output = policy_fn(params, key, root, expand, ~legal, config)
        policy = jnp.where(legal, output.action_weights, 0.0)
        found = _root_value(output.search_tree, policy, config.algorithm)
        return SearchResult(output.action.astype(jnp.int32), policy, jnp.clip(found, -1.0, 1.0))

    return search


def _raw(
    logits: Array, value: Array, legal: Array, key: Array, config: SearchConfig
) -> SearchResult:
    """The network's own policy; the move is drawn with the same noise a search would use."""
    noise = jax.random.gumbel(key, logits.shape)
    scale = config.gumbel.scale if config.algorithm == "gumbel" else config.puct.temperature
    action = jnp.argmax(jnp.where(legal, logits + scale * noise, -jnp.inf), axis=-1)
    policy = jnp.where(legal, jax.nn.softmax(logits), 0.0)
    return SearchResult(action.astype(jnp.int32), policy, value)


def _gumbel(
    params: Params, key: Array, root: Any, expand: Any, illegal: Array, config: SearchConfig
) -> Any:
    return mctx.gumbel_muzero_policy(
        params,
        key,
        root,
        expand,
        config.num_simulations,
        invalid_actions=illegal,
        max_num_considered_actions=config.gumbel.max_considered_actions,
        gumbel_scale=config.gumbel.scale,
        qtransform=partial(
            mctx.qtransform_completed_by_mix_value,
            value_scale=config.gumbel.c_scale,
            maxvisit_init=config.gumbel.c_visit,
            rescale_values=config.gumbel.rescale_values,
        ),
    )


def _puct(
    params: Params, key: Array, root: Any, expand: Any, illegal: Array, config: SearchConfig
) -> Any:
    noise_key, search_key = jax.random.split(key)
    if config.puct.dirichlet_fraction > 0:
        noise = dirichlet_over(noise_key, ~illegal, config.puct.dirichlet_concentration)
        mixed = (1 - config.puct.dirichlet_fraction) * jax.nn.softmax(root.prior_logits)
        mixed = mixed + config.puct.dirichlet_fraction * noise
        logits = jnp.where(illegal, ILLEGAL, jnp.log(jnp.maximum(mixed, 1e-20)))
        root = root.replace(prior_logits=logits)
    return mctx.muzero_policy(
        params,
        search_key,
        root,
        expand,
        config.num_simulations,
        invalid_actions=illegal,
        qtransform=partial(puct_q, fpu_reduction=config.puct.fpu_reduction),
        dirichlet_fraction=0.0,
        pb_c_init=config.puct.pb_c_init,
        pb_c_base=config.puct.pb_c_base,
        temperature=config.puct.temperature,
    )


def _root_value(tree: Any, policy: Array, algorithm: str) -> Array:
    """The root's value under the policy that the search found, float32[B].

    PUCT visits as it would play, so the mean of its simulations is that value. Gumbel's
    sequential halving gives every considered action its share of visits, however bad; there the
    visited actions' Q-values are weighted by the improved policy instead.
    """
    if algorithm == "puct":
        return tree.node_values[:, tree.ROOT_INDEX]
    found = tree.summary()
    weight = jnp.where(found.visit_counts > 0, policy, 0.0)  # [B, A]
    total = jnp.sum(weight, axis=-1)
    mean = jnp.sum(weight * found.qvalues, axis=-1) / jnp.maximum(total, 1e-6)
    return jnp.where(total > 1e-6, mean, found.value)


def dirichlet_over(key: Array, legal: Array, concentration: float) -> Array:
    """Symmetric Dirichlet noise over each row's legal actions, float32[B, A], 0 elsewhere."""
    count = jnp.maximum(legal.sum(axis=-1, keepdims=True), 1)  # [B, 1]
    alpha = jnp.broadcast_to(concentration / count, legal.shape)
    # Logarithms of gamma draws: small concentrations underflow otherwise.
    draws = jnp.where(legal, jax.random.loggamma(key, alpha), -jnp.inf)
    draws = jnp.where(legal.any(axis=-1, keepdims=True), draws, 0.0)
    return jnp.where(legal, jax.nn.softmax(draws), 0.0)


def puct_q(tree: Any, node: Any, fpu_reduction: float) -> Array:
    """AlphaZero's (q + 1)/2 for PUCT, float32[A], with first-play urgency; illegal ones sink.

    mctx's default min-max-normalises values; with outcomes known to lie in [−1, 1] that only
    exaggerates noise.
    """
    logits = tree.children_prior_logits[node]  # [A]
    visited = tree.children_visits[node] > 0
    mass = jnp.sum(jnp.where(visited, jax.nn.softmax(logits), 0.0))
    reduction = jnp.where(node == tree.ROOT_INDEX, 0.0, fpu_reduction * jnp.sqrt(mass))
    unvisited_q = jnp.maximum(tree.node_values[node] - reduction, -1.0)
    q = jnp.where(visited, tree.qvalues(node), unvisited_q)
    legal = logits > ILLEGAL / 2
    # Below a terminal node nothing matters but depth: sunk alike, its children would form a chain
    # that every further visit walks to the end.
    return jnp.where(legal | ~legal.any(), (q + 1.0) / 2.0, ILLEGAL / 4)
