"""The loss: cross entropy of the policy, and the squared error of the value."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from games import symmetry
from games.game import Game
from selfplay.acting.episode import Rows
from selfplay.learning.config import LearnerConfig
from selfplay.learning.row_sources import unpack
from selfplay.learning.targets import policy_target, value_target
from selfplay.model.architecture import Evaluate, Params

LossFn = Callable[[Params, Rows, Array], tuple[Array, dict[str, Array]]]
"""``loss(params, rows, key) → (mean loss, metrics)``; `key` draws the symmetries."""

ILLEGAL_LOGIT = -1e9


def make_loss(game: Game, evaluate: Evaluate, config: LearnerConfig) -> LossFn:
    """Builds the loss of a network on rows with the fields `BATCH_FIELDS`.

    A row whose ``value`` is NaN trains the policy only; one without a policy, the value only.
    """
    group = game.symmetries()

    def loss(params: Params, rows: Rows, key: Array) -> tuple[Array, dict[str, Array]]:
        observation = unpack(jnp.asarray(rows["planes"]), game.observation_shape)
        legal = unpack(jnp.asarray(rows["legal"]), (game.num_actions,))
        policy = jnp.asarray(rows["policy"]).astype(jnp.float32)  # [n, A]
        if config.symmetries and len(group) > 1:
            index = jax.random.randint(key, (legal.shape[0],), 0, len(group))
            observation = _of_each(symmetry.transform_observation, group, index, observation)
            legal = _of_each(symmetry.transform_policy, group, index, legal)
            policy = _of_each(symmetry.transform_policy, group, index, policy)

        target = policy_target(policy)
        logits, value, _ = evaluate(params, observation)
        cross_entropy = masked_cross_entropy(target, masked_log_policy(logits, legal))
        entropy = masked_cross_entropy(target, jnp.log(jnp.maximum(target, 1e-9)))
        policy_loss = jnp.mean(cross_entropy)
        value_loss = jnp.mean(_value_error(value, *value_target(rows, config.root_value_weight)))
        total = policy_loss + config.value_weight * value_loss
        metrics = {
            "loss": total,
            "policy_loss": policy_loss,
            "policy_kl": jnp.mean(cross_entropy - entropy),
            "policy_entropy": jnp.mean(entropy),
            "value_loss": value_loss,  # rows without a value count as 0
        }
        return total, metrics

    return loss


def masked_log_policy(logits: Array, legal: Array) -> Array:
    """Returns the logarithms of the network's policy over legal actions, float32[n, A]."""
    return jax.nn.log_softmax(jnp.where(legal, logits, ILLEGAL_LOGIT))


def masked_cross_entropy(target: Array, log_policy: Array) -> Array:
    """Returns −Σ target · log_policy over actions whose target is above 0, float32[n], in nats."""
    return -jnp.sum(jnp.where(target > 0, target * log_policy, 0.0), axis=-1)


def _of_each(
    transform: Callable[[symmetry.Symmetries, Array, Array], Array],
    group: symmetry.Symmetries,
    index: Array,
    arrays: Array,
) -> Array:
    """Transforms each row of `arrays` [n, …] by its own symmetry, `index` int32[n]."""
    return jax.vmap(partial(transform, group))(index, arrays)


def _value_error(value: Array, target: Array, has_target: Array) -> Array:
    """Returns each row's squared error, float32[n]; 0 for rows without a value target."""
    return jnp.where(has_target, (value - target) ** 2, 0.0)
