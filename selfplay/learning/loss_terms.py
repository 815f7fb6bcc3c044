"""Loss terms: what the network learns, as a mapping of named and weighted functions of rows.

The terms "policy" and "value" are in every run. ``--learner.losses`` adds those of `auxiliary` by
name, and others by their import path, ``my_losses:reply?weight=0.15``: a `LossTerm`, or a function
that makes one from the options behind the "?",

    @LossTermFactory
    def reply(*, temperature=1.0):
        return LossTerm("reply", function, fields, heads)

A term names the row fields that it reads and the auxiliary heads that it trains. Self-play records
the fields, and the learner's network has the heads; whoever plays with the parameters ignores them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache, partial

import jax.numpy as jnp
from jax import Array

from games import plugins
from selfplay.acting import row_schema
from selfplay.acting.row_schema import RowField
from selfplay.acting.surprise import RELATIVE_SURPRISE
from selfplay.learning import auxiliary
from selfplay.learning.config import LOSS, LearnerConfig
from selfplay.learning.loss_term import (
    Batch,
    LossFunction,
    LossTerm,
    LossTermFactory,
    masked_cross_entropy,
    masked_log_policy,
)
from selfplay.learning.targets import policy_target, value_target
from selfplay.model.architecture import Heads, Prediction

__all__ = [
    "Batch",
    "LossFunction",
    "LossTerm",
    "LossTermFactory",
    "batch_fields",
    "heads",
    "load_terms",
    "row_fields",
    "terms",
]

MAIN_HEADS = ("policy", "value")  # of every network


def terms(config: LearnerConfig) -> dict[str, LossTerm]:
    """Returns the terms of a learner by name, in the order in which they are added up.

    Raises:
        ValueError: see `load_terms`.
    """
    value = partial(_value_error, root_value_weight=config.root_value_weight)
    base = (
        LossTerm("policy", _policy_error, (row_schema.LEGAL, row_schema.POLICY)),
        LossTerm(
            "value", value, (row_schema.VALUE, row_schema.MOVER_OUTCOME), weight=config.value_weight
        ),
    )
    return {term.name: term for term in (*base, *load_terms(config.losses))}


def batch_fields(config: LearnerConfig) -> tuple[RowField, ...]:
    """Returns the row fields that a learner reads: the observation, then those of its terms."""
    read = [row_schema.PLANES, *(f for term in terms(config).values() for f in term.fields)]
    return tuple({f.name: f for f in read}.values())


@lru_cache(maxsize=16)
def load_terms(specs: tuple[str, ...]) -> tuple[LossTerm, ...]:
    """Returns the loss terms that specs name; equal specs give the same objects in a process.

    Raises:
        ValueError: a term is unknown or not trusted, or has no such option; or two of them, or one
            and the base loss, have the same name, head, or name of different row fields.
    """
    result = tuple(_make(spec) for spec in specs)
    _check_unique("a loss term", [*MAIN_HEADS, *(term.name for term in result)])
    _check_unique("a head", [*MAIN_HEADS, *(name for term in result for name, _ in term.heads)])
    declared = [f for term in result for field in term.fields for f in (field, *field.reads)]
    _check_unique("a row field", [f.name for f in dict.fromkeys((*row_schema.BASE, *declared))])
    return result


def row_fields(*learners: tuple[str, ...], surprise: bool = False) -> tuple[RowField, ...]:
    """Returns the row fields that a run adds to `row_schema.BASE`.

    Args:
        learners: the loss terms of one or more learners.
        surprise: add how far the search's policy is from the network's.
    """
    read = dict.fromkeys(f for specs in learners for term in load_terms(specs) for f in term.fields)
    fields = [f for f in read if f not in row_schema.BASE]
    fields += [RELATIVE_SURPRISE] * surprise
    _check_unique("a row field", [f.name for f in fields])
    return tuple(fields)


def heads(*learners: tuple[str, ...]) -> Heads:
    """Returns the auxiliary heads that the terms of one or more learners train, ordered by name."""
    every = {head for specs in learners for term in load_terms(specs) for head in term.heads}
    _check_unique("a head", [*MAIN_HEADS, *(name for name, _ in every)])
    return tuple(sorted(every))


def _policy_error(prediction: Prediction, rows: Batch) -> Array:
    """Returns the cross entropy of the network's policy; 0 for rows without a policy target."""
    log_policy = masked_log_policy(prediction.policy_logits, rows["legal"])
    return masked_cross_entropy(policy_target(rows["policy"]), log_policy)


def _value_error(prediction: Prediction, rows: Batch, root_value_weight: float) -> Array:
    """Returns the squared error of the value; 0 for rows without a value target."""
    target, has_target = value_target(rows, root_value_weight)
    return jnp.where(has_target, (prediction.value - target) ** 2, 0.0)


def _make(spec: str) -> LossTerm:
    name, _, text = spec.partition("?")
    thing: LossTerm | LossTermFactory = auxiliary.BUILT_IN.get(name) or plugins.load(
        LOSS,
        name,
        lambda thing: isinstance(thing, (LossTerm, LossTermFactory)),
        "a LossTerm, or a function decorated with selfplay.learning.loss_terms.LossTermFactory",
    )
    types = plugins.keyword_types(thing.make) if isinstance(thing, LossTermFactory) else {}
    options = plugins.parse_arguments(f"loss {name}", text, {**types, "weight": float})
    weight = options.pop("weight", None)
    if isinstance(thing, LossTermFactory):
        term = plugins.build(LOSS, name, thing.make, LossTerm, **options)
    else:
        term = thing
    return term if weight is None else replace(term, weight=weight)


def _check_unique(what: str, names: Iterable[str]) -> None:
    """Raises ValueError if a name occurs twice among the losses of a run."""
    names = list(names)
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"learner.losses: {name!r} is the name of {what} twice; rename one of them, or "
                "leave one term out"
            )
