"""Architectures: how a network is built for a game, and what a third party's must provide.

    @Architecture
    def make(shape, config, heads, *, blocks=4):
        ...
        return Model(init, apply, flops)

``--network.kind my_package.nets:make?blocks=8`` then builds it. Keyword-only parameters are the
options behind the "?".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from jax import Array

from games.game import Game

Params: TypeAlias = dict[str, Any]
"""A network's parameters: nested dictionaries of float32 arrays."""


class Prediction(NamedTuple):
    """What a network says of a batch of observations, for the player to move."""

    policy_logits: Array  # float32[B, A], meaningless at illegal actions
    value: Array  # float32[B], the expected outcome in [−1, 1]
    auxiliary: Mapping[str, Array] = {}  # by head: float32[B, A], [B, H, W] or [B]


Evaluate: TypeAlias = Callable[[Params, Array], Prediction]
"""``(params, observations bool[B, H, W, C]) → Prediction``: pure, and made for ``jit``."""

HeadKind: TypeAlias = Literal["actions", "cells", "scalar"]
"""Outputs of an auxiliary head for one position: [A], [H, W] or []; raw, without activation."""

Heads: TypeAlias = tuple[tuple[str, HeadKind], ...]
"""Auxiliary heads that loss terms need: (name, kind), in order of their names."""


class Shape(NamedTuple):
    """What a network needs to know of a game."""

    observation: tuple[int, int, int]  # (H, W, C)
    actions: int  # A

    @classmethod
    def of(cls, game: Game) -> Shape:
        """Returns the shape of a game."""
        return cls(game.observation_shape, game.num_actions)


def _unchanged(params: Params) -> Params:
    return params


class Model(NamedTuple):
    """A network for one game: pure functions, and its cost."""

    init: Callable[[Array], Params]  # key → fresh parameters
    apply: Evaluate
    flops: int  # of evaluating one position, 2 per multiply-add of a weight (see `flops`)
    for_play: Callable[[Params], Params] = _unchanged  # for `apply`: the same results, less work


@dataclass(frozen=True)
class Architecture:
    """A way to build networks; as a decorator, it makes a function one.

    Attributes:
        make: ``make(shape: Shape, config: NetworkConfig, heads: Heads, *, …) → Model``. It builds
            no array, so that no device is touched before the network is used.
    """

    make: Callable[..., Model] = field(repr=False)
