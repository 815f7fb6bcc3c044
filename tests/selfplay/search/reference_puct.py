"""A slow, exact PUCT in NumPy (float64), one position and one simulation at a time.

Written from the formulas (Silver et al. 2018; KataGo's first-play urgency), not from mctx's code:
nodes are objects, the descent is a loop, and a value always belongs to the player to move at its
own node.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game

Exact = Callable[[np.ndarray], tuple[np.ndarray, float]]
"""``observation [H, W, C] → (logits float64 [A], value for the player to move)``"""


class ExactResult(NamedTuple):
    """The reference's result at one position."""

    visits: np.ndarray  # int [A], of the root's children
    value: float  # the root's average, for the player to move
    margin: float  # the smallest lead of a chosen action over the runner-up, anywhere


@dataclass
class Node:
    """One position of the tree."""

    state: Any
    player: int
    terminal: bool
    outcome: float  # for player 0
    prior: dict[int, float]  # legal actions only
    total: float  # sum of all values seen here, its own evaluation among them
    own: float  # its own evaluation
    visits: int = 1
    children: dict[int, Node] = field(default_factory=dict)

    @property
    def value(self) -> float:
        return self.total / self.visits


@partial(jax.jit, static_argnums=0)
def _inspect(game: Game, state: Any) -> Any:
    return (
        game.player(state),
        game.is_terminal(state),
        game.outcome(state),
        game.legal_actions(state),
        game.observe(state),
    )


@partial(jax.jit, static_argnums=0)
def _step(game: Game, state: Any, action: int) -> Any:
    return game.step(state, action)


def _node(game: Game, exact: Exact, state: Any) -> Node:
    player, terminal, outcome, legal, observation = jax.device_get(_inspect(game, state))
    if terminal:
        return Node(state, int(player), True, float(outcome), {}, 0.0, 0.0)
    logits, value = exact(observation)
    weights = {int(a): math.exp(logits[a] - logits[legal].max()) for a in np.flatnonzero(legal)}
    whole = sum(weights.values())
    prior = {a: w / whole for a, w in weights.items()}
    return Node(state, int(player), False, 0.0, prior, value, value)


def _gain(node: Node, child: Node) -> float:
    """The value of moving to `child`, for the player to move at `node`."""
    if child.terminal:
        return child.outcome if node.player == 0 else -child.outcome
    return child.value if child.player == node.player else -child.value


def _factor(node: Node, stdev_scale: float) -> float:
    """KataGo's factor of exploration, from its own evaluation and its children's values."""
    values = [node.own, *(_gain(node, child) for child in node.children.values())]
    weights = [1, *(child.visits for child in node.children.values())]
    if sum(weights) == 1:
        return 1.0
    mean = float(np.average(values, weights=weights))
    squares = float(np.average(np.square(values), weights=weights))
    total = (mean**2 + 0.4**2) * 2 + squares * sum(weights)
    variance = total / (2 + sum(weights) - 1) - mean**2
    return 1 + stdev_scale * (math.sqrt(variance) / 0.4 - 1)


def _select(
    node: Node,
    is_root: bool,
    pb_c_init: float,
    pb_c_base: float,
    fpu_reduction: float,
    stdev_scale: float,
) -> tuple[int, float]:
    """The action with the highest PUCT score, and its lead over the runner-up."""
    exploration = pb_c_init + math.log((node.visits + pb_c_base + 1) / pb_c_base)
    exploration *= _factor(node, stdev_scale)
    seen = sum(node.prior[a] for a in node.children)
    unseen_q = node.value if is_root else node.value - fpu_reduction * math.sqrt(seen)
    scores = {}
    for action, prior in node.prior.items():
        child = node.children.get(action)
        visits = child.visits if child else 0
        q = _gain(node, child) if child else max(unseen_q, -1.0)
        bonus = exploration * prior * math.sqrt(node.visits) / (1 + visits)
        scores[action] = (q + 1) / 2 + bonus
    ranked = sorted(scores, key=lambda action: scores[action], reverse=True)
    lead = scores[ranked[0]] - scores[ranked[1]] if len(ranked) > 1 else math.inf
    return ranked[0], lead


def search(
    game: Game,
    exact: Exact,
    state: Any,
    num_simulations: int,
    pb_c_init: float = 1.25,
    pb_c_base: float = 19652.0,
    fpu_reduction: float = 0.2,
    stdev_scale: float = 0.0,
) -> ExactResult:
    """PUCT from `state` with `num_simulations` evaluations below the root."""
    root, margin = _node(game, exact, state), math.inf
    for _ in range(num_simulations):
        path, fresh = [root], False
        while not path[-1].terminal:
            node = path[-1]
            action, lead = _select(
                node, node is root, pb_c_init, pb_c_base, fpu_reduction, stdev_scale
            )
            margin = min(margin, lead)
            fresh = action not in node.children
            if fresh:
                node.children[action] = _node(game, exact, _step(game, node.state, action))
            path.append(node.children[action])
            if fresh:
                break
        _back_up(path, fresh)
    visits = np.zeros(game.num_actions, int)
    for action, child in root.children.items():
        visits[action] = child.visits
    return ExactResult(visits, root.value, margin)


def _back_up(path: list[Node], fresh: bool) -> None:
    """Add the leaf's result to every node above it, turned to that node's player."""
    leaf = path[-1]
    if not fresh:
        leaf.visits += 1  # a known end of the game, reached again
    if leaf.terminal:
        for_player_0 = leaf.outcome
    else:
        for_player_0 = leaf.value if leaf.player == 0 else -leaf.value
    for node in path[:-1]:
        node.total += for_player_0 if node.player == 0 else -for_player_0
        node.visits += 1
