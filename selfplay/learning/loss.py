"""The loss: the weighted sum of its terms on rows that are unpacked and augmented."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from games import symmetry
from games.game import Game
from selfplay.acting.row_schema import RowField, Rows
from selfplay.learning import loss_terms
from selfplay.learning.config import LearnerConfig
from selfplay.learning.loss_term import Batch, LossTerm, masked_cross_entropy
from selfplay.learning.targets import policy_target
from selfplay.model.architecture import Evaluate, Params, Prediction

LossFn = Callable[[Params, Rows, Array], tuple[Array, dict[str, Array]]]
"""``loss(params, rows, key) → (mean loss, metrics)``; `key` draws the symmetries."""


def metric_names(config: LearnerConfig) -> tuple[str, ...]:
    """Names the metrics of a loss, each a number."""
    parts = (f"{name}_loss" for name in loss_terms.terms(config))
    return ("loss", "policy_kl", "policy_entropy", *parts)


def make_loss(game: Game, evaluate: Evaluate, config: LearnerConfig) -> LossFn:
    """Builds the loss of a network on rows with the fields ``loss_terms.batch_fields(config)``.

    A row whose ``value`` is NaN trains no value; one without a policy, no policy.

    Args:
        game: the game.
        evaluate: the network, with the heads that the terms need.
        config: names the terms, and says whether symmetries are drawn.
    """
    terms, fields = loss_terms.terms(config), loss_terms.batch_fields(config)

    def loss(params: Params, rows: Rows, key: Array) -> tuple[Array, dict[str, Array]]:
        batch = unpack_batch(game, fields, rows, key if config.symmetries else None)
        prediction = evaluate(params, batch["planes"])
        each = {name: _rows_loss(term, prediction, batch) for name, term in terms.items()}
        means = {name: jnp.mean(losses) for name, losses in each.items()}
        total = means["policy"] * terms["policy"].weight
        for name in list(terms)[1:]:
            total = total + terms[name].weight * means[name]
        target = policy_target(batch["policy"])
        entropy = masked_cross_entropy(target, jnp.log(jnp.maximum(target, 1e-9)))
        divergence = jnp.mean(each["policy"] - entropy)
        metrics = (total, divergence, jnp.mean(entropy), *means.values())
        return total, dict(zip(metric_names(config), metrics, strict=True))

    return loss


def _rows_loss(term: LossTerm, prediction: Prediction, batch: Batch) -> Array:
    """Computes a term's loss of each row, float32[n].

    Raises ValueError if its function returns something else, or reads what it did not declare.
    """
    try:
        loss = term.function(prediction, batch)
    except KeyError as error:
        raise ValueError(
            f"loss term {term.name} reads {error}, which is in neither its fields nor its heads"
        ) from error
    shape, dtype = jnp.shape(loss), jnp.result_type(loss)
    if shape != prediction.value.shape or dtype != jnp.float32:
        raise ValueError(
            f"loss term {term.name} returns {dtype}{list(shape)}, expected a number per row, "
            f"float32{list(prediction.value.shape)}"
        )
    return loss


def unpack_batch(game: Game, fields: tuple[RowField, ...], rows: Rows, key: Array | None) -> Batch:
    """Unpacks rows [n] for the loss, each transformed by a symmetry of its own.

    `key` draws the symmetries; None: rows stay as they are.
    """
    batch = {f.name: f.unpack(game, jnp.asarray(rows[f.name])) for f in fields}
    group = game.symmetries()
    if key is None or len(group) == 1:
        return batch
    index = jax.random.randint(key, (len(batch["planes"]),), 0, len(group))
    return {f.name: _transformed(f, group, index, batch[f.name]) for f in fields}


def _transformed(
    row_field: RowField, group: symmetry.Symmetries, index: Array, rows: Array
) -> Array:
    """Transforms each row [n, …] of a field by its own symmetry, `index` int32[n]."""

    def each(transform: Callable[[symmetry.Symmetries, Array, Array], Array]) -> Array:
        return jax.vmap(partial(transform, group))(index, rows)

    match row_field.symmetry:
        case "cells" if rows.ndim == 3:  # [n, H, W]
            return _transformed(row_field, group, index, rows[..., None])[..., 0]
        case "cells":
            return each(symmetry.transform_observation)
        case "actions":
            return each(symmetry.transform_policy)
        case "action":
            return jnp.where(rows < 0, rows, each(symmetry.transform_action))
        case "none":
            return rows
