"""The loss terms that come with oomzero: further targets, from the same games.

    --learner.losses reply soft_policy?temperature=4 td_value?horizon=6

Each is off unless `learner.losses` names it. All but `score` work for every game. Rows of expert
games train `soft_policy` alone: they have no root values, and what follows them is not recorded.

- `reply`: the search's policy at the opponent's next turn (Wu 2019, section 3.4).
- `soft_policy`: the policy target to the power 1/T, which also tells bad moves apart (KataGo's
  "auxiliary soft policy target", 2022; T = 4 and weight 8 are KataGo's).
- `td_value`: the value a few turns later, with an exponential horizon (KataGo's short-term value
  heads, 2020; weight 0.6 is KataGo's).
- `owner`: who holds each cell of the final board (Wu 2019, section 4.1): in Go whose area it is, in
  Hex and Connect Four whose piece is there. Its weight, 1.5 for the mean over cells, is KataGo's.
- `score`: by how many points the game ends, for games that points decide (KataGo predicts the
  score's distribution; this is its mean).
- `moves_left`: how long the game still lasts (the moves-left head of Lc0, 2020, with its loss).
- `lambda_return`: trains the value head itself towards the λ-return of root values, in place of the
  root value of the same turn. The target (1 − w)·outcome + w·G_λ is

      --learner.losses lambda_return?decay=0.8&weight=0.5
      --learner.value-weight 0.5 --learner.root-value-weight 0

- `value_entropy`: trains the value head itself by cross entropy. The gradient of the squared error
  vanishes where the network is sure and wrong. It takes the base loss's place,

      --learner.losses value_entropy --learner.value-weight 0
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.scipy.special import rel_entr

from selfplay.acting import row_schema
from selfplay.learning.auxiliary_fields import (
    MOVES_LEFT,
    OWNER,
    REPLY,
    SCORE,
    UNKNOWN_OWNER,
    return_field,
)
from selfplay.learning.loss_term import (
    Batch,
    LossTerm,
    LossTermFactory,
    masked_cross_entropy,
    masked_log_policy,
)
from selfplay.learning.targets import policy_target, value_target
from selfplay.model.architecture import Prediction

SCALE: Final = 20.0  # moves; the head of moves left predicts multiples of it
POINTS: Final = 10.0  # the head of the score predicts multiples of it; errors beyond count linearly
SURE: Final = 1e-7  # the least probability, of float32
HUBER: Final = 10.0 / SCALE  # errors beyond it count linearly


@LossTermFactory
def reply() -> LossTerm:
    """Makes the cross entropy of the opponent's next policy."""

    def loss(prediction: Prediction, rows: Batch) -> Array:
        predicted = jax.nn.log_softmax(prediction.auxiliary["reply"])
        return masked_cross_entropy(policy_target(rows["reply"]), predicted)

    return LossTerm("reply", loss, (REPLY,), (("reply", "actions"),), weight=0.15)


@LossTermFactory
def soft_policy(*, temperature: float = 4.0) -> LossTerm:
    """Makes the cross entropy of the policy target to the power 1 / `temperature`."""
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")

    def loss(prediction: Prediction, rows: Batch) -> Array:
        policy = rows["policy"]
        soft = jnp.where(policy > 0, jnp.maximum(policy, 1e-9) ** (1 / temperature), 0.0)
        predicted = masked_log_policy(prediction.auxiliary["soft_policy"], rows["legal"])
        return masked_cross_entropy(policy_target(soft), predicted)

    fields = (row_schema.LEGAL, row_schema.POLICY)
    return LossTerm("soft_policy", loss, fields, (("soft_policy", "actions"),), weight=8.0)


@LossTermFactory
def td_value(*, horizon: int = 6) -> LossTerm:
    """Makes the squared error of the value some `horizon` turns later, on average."""
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1, got {horizon}")
    name, field = f"td_value_{horizon}", return_field(horizon / (horizon + 1))

    def loss(prediction: Prediction, rows: Batch) -> Array:
        return _squared_error(jnp.tanh(prediction.auxiliary[name]), rows[field.name])

    return LossTerm(name, loss, (field,), ((name, "scalar"),), weight=0.6)


@LossTermFactory
def moves_left() -> LossTerm:
    """Makes the Huber loss of the number of moves until the end of the game."""

    def loss(prediction: Prediction, rows: Batch) -> Array:
        left = rows["moves_left"]
        error = jnp.abs(prediction.auxiliary["moves_left"] - left / SCALE)
        huber = jnp.where(error < HUBER, error**2 / 2, HUBER * (error - HUBER / 2))
        return jnp.where(left > 0, huber, 0.0)

    return LossTerm("moves_left", loss, (MOVES_LEFT,), (("moves_left", "scalar"),), weight=0.1)


@LossTermFactory
def owner() -> LossTerm:
    """Makes the cross entropy of who holds each cell at the end; an empty one counts as half."""

    def loss(prediction: Prediction, rows: Batch) -> Array:
        owners = rows["owner"]
        mine = (owners + 1) / 2
        entropy = optax.sigmoid_binary_cross_entropy(prediction.auxiliary["owner"], mine)
        return jnp.where(owners == UNKNOWN_OWNER, 0.0, entropy).mean(axis=(1, 2))

    return LossTerm("owner", loss, (OWNER,), (("owner", "cells"),), weight=1.5)


@LossTermFactory
def score() -> LossTerm:
    """Makes the Huber loss of the lead in points at the end of the game."""

    def loss(prediction: Prediction, rows: Batch) -> Array:
        lead = rows["score"]
        known = ~jnp.isnan(lead)
        target = jnp.where(known, lead, 0.0) / POINTS
        error = optax.huber_loss(prediction.auxiliary["score"], target, delta=1.0)
        return jnp.where(known, error, 0.0)

    return LossTerm("score", loss, (SCORE,), (("score", "scalar"),), weight=0.1)


@LossTermFactory
def lambda_return(*, decay: float = 0.8) -> LossTerm:
    """Makes the squared error of the value head against the λ-return with λ = `decay`."""
    if not 0 <= decay <= 1:
        raise ValueError(f"decay must be from 0 to 1, got {decay}")
    field = return_field(decay)

    def loss(prediction: Prediction, rows: Batch) -> Array:
        return _squared_error(prediction.value, rows[field.name])

    return LossTerm("lambda_return", loss, (field,), weight=0.5)


@LossTermFactory
def value_entropy(*, root_value_weight: float = 0.5) -> LossTerm:
    """Makes the divergence of the value head from the value target, as probabilities of a win.

    A value v is the probability (1 + v) / 2; a draw is half a win. The loss is twice the
    divergence, so that near v = 0 it is the squared error. With v = tanh(s) its gradient in s is
    2 (v − target).

    Args:
        root_value_weight: w in the value target, as in `LearnerConfig`.
    """
    if not 0 <= root_value_weight <= 1:
        raise ValueError(f"root_value_weight must be from 0 to 1, got {root_value_weight}")

    def loss(prediction: Prediction, rows: Batch) -> Array:
        target, has_target = value_target(rows, root_value_weight)
        wins = (1 + target) / 2
        predicted = jnp.clip((1 + prediction.value) / 2, SURE, 1 - SURE)
        divergence = rel_entr(wins, predicted) + rel_entr(1 - wins, 1 - predicted)
        return jnp.where(has_target, 2 * divergence, 0.0)

    fields = (row_schema.VALUE, row_schema.MOVER_OUTCOME)
    return LossTerm("value_entropy", loss, fields, weight=1.0)


def _squared_error(value: Array, target: Array) -> Array:
    """Returns (value − target)², 0 where the target is NaN."""
    known = ~jnp.isnan(target)
    return jnp.where(known, (value - jnp.where(known, target, value)) ** 2, 0.0)


BUILT_IN: Final[Mapping[str, LossTermFactory]] = MappingProxyType(
    {
        "reply": reply,
        "soft_policy": soft_policy,
        "td_value": td_value,
        "moves_left": moves_left,
        "owner": owner,
        "score": score,
        "lambda_return": lambda_return,
        "value_entropy": value_entropy,
    }
)
