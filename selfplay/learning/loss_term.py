"""A term of the loss: a named and weighted function of predictions and rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import get_args

import jax
import jax.numpy as jnp
from jax import Array

from selfplay.acting.row_schema import RowField
from selfplay.model.architecture import HeadKind, Heads, Prediction

Batch = Mapping[str, Array]
"""Rows as a loss reads them, by field: [n, …], unpacked (`RowField.unpack`), and all transformed by
the symmetry that was drawn for the row."""

LossFunction = Callable[[Prediction, Batch], Array]
"""``(prediction, rows) → float32[n]``, pure, and made for ``jit`` and ``grad``."""

ILLEGAL_LOGIT = -1e9


@dataclass(frozen=True)
class LossTerm:
    """One term of the loss: the mean of a function over rows, times a weight.

    Attributes:
        name: an identifier; its metric is ``NAME_loss``, without the weight.
        function: the loss of each row, 0 for a row without a target. It must not be NaN there.
        fields: the row fields that it reads, those of `row_schema.BASE` included.
        heads: the auxiliary heads whose outputs it reads.
        weight: unless the spec has ``weight=…``.
    """

    name: str
    function: LossFunction
    fields: tuple[RowField, ...] = ()
    heads: Heads = ()
    weight: float = 1.0

    def __post_init__(self) -> None:
        for name in (self.name, *(name for name, _ in self.heads)):
            if not name.isidentifier():
                raise ValueError(f"a loss term or head is called {name!r}: use an identifier")
        for name, kind in self.heads:
            if kind not in get_args(HeadKind):
                raise ValueError(
                    f"loss term {self.name}: the kind of head {name} is {kind!r}, expected one of "
                    f"{', '.join(get_args(HeadKind))}"
                )
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(
                f"loss term {self.name}: weight must be at least 0 and finite, got {self.weight}"
            )


@dataclass(frozen=True)
class LossTermFactory:
    """A way to make a loss term from options; as a decorator, it makes a function one.

    Attributes:
        make: ``make(*, …) → LossTerm``. Its keyword-only parameters are the options of its spec,
            which also has ``weight``.
    """

    make: Callable[..., LossTerm] = field(repr=False)


def masked_log_policy(logits: Array, legal: Array) -> Array:
    """Returns the logarithms of the network's policy over legal actions, float32[n, A]."""
    return jax.nn.log_softmax(jnp.where(legal, logits, ILLEGAL_LOGIT))


def masked_cross_entropy(target: Array, log_policy: Array) -> Array:
    """Returns −Σ target · log_policy over actions whose target is above 0, float32[n], in nats."""
    return -jnp.sum(jnp.where(target > 0, target * log_policy, 0.0), axis=-1)
