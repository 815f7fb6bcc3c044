"""The contract of search algorithms, and their exact reference: trees that minimax solves.

    check_search(my_search.make, c=2.0)

raises AssertionError with the law that a search breaks. The laws hold whatever the network says,
so the networks here are planted, and nothing is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game
from selfplay.model.architecture import Evaluate, Params, Prediction
from selfplay.search.algorithm import SearchAlgorithm
from selfplay.search.base import SearchResult
from selfplay.testing.laws import equal, require
from selfplay.testing.planted_trees import Linear, TreeGame, TreeState, zero_evaluator

ACTIONS, DEPTH = 3, 4  # of the trees with illegal actions: 40 inner nodes, 81 leaves
INNER = 40
TREES = 12  # pairs of trees that differ only in the results of illegal actions
BUDGETS = ((False, 120), (True, 3))  # with or without noise, and simulations a move
BOOSTS = (0.0, 50.0)  # what the network adds to the logits of illegal actions

MOVERS = ((0, 1, 0, 1), (1, 0, 0, 1), (0, 0, 1, 0))  # players may move twice in a row
SOLVED_TREES = 24  # for each of them
VALUE_ERROR = 0.4  # of a search's value, against minimax

Run = Callable[[float, Any, int], SearchResult]
"""``run(boost, states [B], seed)`` → the result on the host."""


def check_search(algorithm: SearchAlgorithm, **options: Any) -> None:
    """Checks everything that a search algorithm promises, and that it finds perfect play.

    See `check_contract` and `check_minimax`. The options are the algorithm's own.

    Raises:
        AssertionError: a law is broken; the message says which.
    """
    check_contract(algorithm, **options)
    check_minimax(algorithm, **options)


def check_contract(algorithm: SearchAlgorithm, **options: Any) -> None:
    """Checks the laws that hold at any budget and for any network.

    A result has the right types; only legal actions are chosen and have weight; values lie in
    [−1, 1]; a row does not depend on the rest of the batch; the key decides what the algorithm
    declares; a move evaluates as many positions as declared; the search never plays an illegal
    action, not even inside its tree.

    Raises:
        AssertionError: a law is broken; the message says which.
    """
    game, states = _forest()
    legal = np.asarray(jax.vmap(game.legal_actions)(states))
    for noise, budget in BUDGETS:
        counter = _Counter()
        evaluate = _counted(_boosted(Linear(game, seed=4), game), counter)
        run = _compile(algorithm, game, evaluate, budget, noise, options)
        results = {boost: run(boost, states, 0) for boost in BOOSTS}
        for result in results.values():
            _check_result(result, legal)
        _check_evaluations(algorithm, budget, counter.total() / len(BOOSTS) / len(legal))
        _check_rows(run, states, results[0.0])
        if not noise:
            _check_key(run, states, results[0.0], algorithm.randomness)
            for boost, result in results.items():
                _check_inside(run, boost, states, result)


def check_minimax(
    algorithm: SearchAlgorithm, *, budget: int = 400, draws: bool = False, **options: Any
) -> None:
    """Checks a search without noise against the exact values of trees with one best action.

    The network knows nothing: it is uniform, and values every position at 0. So the search must see
    the results of games, and whose they are: a player may also move twice in a row.

    Args:
        algorithm: the algorithm.
        budget: simulations a move; a tree has 39 nodes below its root.
        draws: let trees contain draws. With them the best action may need more simulations.
        options: of the algorithm.

    Raises:
        AssertionError: it chooses another action, or its value is off by more than 0.4.
    """
    rng, leaves = np.random.default_rng(1), [-1.0, 0.0, 1.0] if draws else [-1.0, 1.0]
    drawn = 250 * SOLVED_TREES  # for each order of moves, of which the first clear ones are kept
    movers = np.repeat(MOVERS, drawn, axis=0)
    outcomes = rng.choice(leaves, (len(movers), ACTIONS**3)).astype(np.float32)
    values = TreeGame(ACTIONS, outcomes, movers).action_values()
    ranked = np.sort(values, axis=1)
    clear = (ranked[:, -1] > ranked[:, -2]).reshape(len(MOVERS), drawn)
    chosen = np.concatenate(
        [drawn * i + np.flatnonzero(row)[:SOLVED_TREES] for i, row in enumerate(clear)]
    )
    assert len(chosen) == len(MOVERS) * SOLVED_TREES
    game: Any = TreeGame(ACTIONS, outcomes[chosen], movers[chosen])
    run = _compile(algorithm, game, zero_evaluator(game), budget, False, options)
    result = run(0.0, jax.vmap(game.init)(np.arange(len(chosen))), 0)
    for order, first in zip(MOVERS, range(0, len(chosen), SOLVED_TREES), strict=True):
        rows = slice(first, first + SOLVED_TREES)
        exact = values[chosen[rows]]
        wrong = int(np.sum(result.action[rows] != exact.argmax(axis=1)))
        turns = f"where players move in the order {order[:3]}"
        require(
            wrong == 0,
            f"after {budget} simulations, {wrong} of {SOLVED_TREES} actions are not the only best "
            f"one {turns}",
        )
        error = np.abs(result.value[rows] - exact.max(axis=1)).max()
        require(
            error <= VALUE_ERROR,
            f"after {budget} simulations, a value for the player to move is off by {error:.2f}, "
            f"more than {VALUE_ERROR}, {turns}",
        )


class _Counter:
    """Counter of the positions that a network evaluates."""

    def __init__(self) -> None:
        self.rows = 0

    def add(self, rows: np.ndarray) -> None:
        """Counts a batch."""
        self.rows += rows.shape[0]

    def total(self) -> int:
        """Returns the count, once all programs have reported."""
        jax.effects_barrier()
        return self.rows


def _counted(evaluate: Evaluate, counter: _Counter) -> Evaluate:
    """Counts the positions that a compiled network evaluates, also inside loops."""

    def counting(params: Params, observations: Array) -> Prediction:
        jax.debug.callback(counter.add, observations[:, 0, 0, 0])
        return evaluate(params, observations)

    return counting


def _forest() -> tuple[Any, TreeState]:
    """Plants trees with illegal actions; returns the game and positions [4 · TREES].

    Trees 2k and 2k + 1 are twins: an illegal action wins in one and loses in the other. The first
    half of the positions are the trees' roots, the others lie one move deeper.
    """
    rng = np.random.default_rng(0)
    legal = rng.random((INNER, ACTIONS)) < 0.5
    legal[np.arange(INNER), rng.integers(0, ACTIONS, INNER)] = True
    legal[0], legal[1] = (True, True, False), (False, True, True)  # of the positions below
    outcomes = rng.choice([-1.0, 0.0, 1.0], (TREES, ACTIONS**DEPTH)).astype(np.float32)
    outcomes[:2] = [[1.0], [-1.0]]  # every legal line loses; the illegal action would win
    twins = np.arange(2 * TREES)
    game: Any = TreeGame(
        ACTIONS,
        outcomes.repeat(2, axis=0),
        np.tile([0, 1, 0, 1, 0], (len(twins), 1)),
        legal,
        np.where(twins % 2 == 0, 1, -1).astype(np.int32),
    )
    roots = jax.vmap(game.init)(twins)
    deeper = jax.vmap(game.step, in_axes=(0, None))(roots, 0)
    states = jax.tree.map(lambda a, b: np.concatenate([a, b]), roots, deeper)
    return game, states


def _boosted(network: Evaluate, game: TreeGame) -> Evaluate:
    """Adds ``params["boost"]`` to a network's logits of illegal actions."""
    illegal = ~np.asarray(game.legal)

    def evaluate(params: Params, observations: Array) -> Prediction:
        logits, value, _ = network(params, observations)
        node = jnp.argmax(observations.reshape(observations.shape[0], -1), axis=1)
        wanted = jnp.asarray(illegal)[jnp.minimum(node, INNER - 1)]
        return Prediction(logits + params["boost"] * wanted.astype(jnp.float32), value)

    return evaluate


def _compile(
    algorithm: SearchAlgorithm,
    game: Game,
    evaluate: Evaluate,
    budget: int,
    noise: bool,
    options: dict[str, Any],
) -> Run:
    """Compiles a search, quickly rather than to fast code."""
    search = algorithm.make(game, evaluate, budget, noise, **options)
    program = jax.jit(search, compiler_options={"xla_backend_optimization_level": 0})

    def run(boost: float, states: Any, seed: int) -> SearchResult:
        params = {"boost": np.float32(boost)}
        return SearchResult(*jax.device_get(program(params, states, jax.random.key(seed))))

    return run


def _check_result(result: SearchResult, legal: np.ndarray) -> None:
    """Checks shapes, types and ranges, and that nothing illegal is chosen or has weight."""
    batch, actions = legal.shape
    weights = (batch, actions), "float32"
    expected = (((batch,), "int32"), weights, ((batch,), "float32"), weights)
    for name, array, (shape, dtype) in zip(result._fields, result, expected, strict=True):
        if array is None:  # a search need not return the network's policy
            continue
        require(
            array.shape == shape and array.dtype == dtype,
            f"{name} must be {dtype}{[*shape]}, got {array.dtype}{[*array.shape]}",
        )
    require(legal[np.arange(batch), result.action].all(), "the search chose an illegal action")
    policies = {"policy": result.policy, "prior": result.prior}
    for name, policy in policies.items():
        if policy is None:
            continue
        require(not policy[~legal].any(), f"the {name} has weight on illegal actions")
        require(
            bool(np.all(policy >= 0) and np.allclose(policy.sum(axis=1), 1, atol=1e-5)),
            f"the {name} is no probability distribution",
        )
    require(bool(np.all(np.abs(result.value) <= 1)), "a value lies outside of [−1, 1]")


def _check_rows(run: Run, states: Any, whole: SearchResult) -> None:
    """Checks that the first half of a batch is the same beside another second half."""
    half = len(states.tree) // 2
    kept = np.arange(2 * half) < half
    others = _take(states, np.where(kept, np.arange(2 * half), 0))  # one root over and over
    first = np.arange(half)
    require(
        equal(_take(whole, first), _take(run(0.0, others, 0), first)),
        "a row's result depends on the other rows of its batch",
    )


def _check_key(run: Run, states: Any, result: SearchResult, randomness: str) -> None:
    """Checks that the key, and the place in the batch, decide no more than the claim allows."""
    if randomness == "result":
        return
    order = np.random.default_rng(0).permutation(len(states.tree))
    first, second = _take(result, order), run(0.0, _take(states, order), 1)
    if randomness == "ties":
        best = second.policy[np.arange(len(order)), second.action]
        highest = np.sort(second.policy, axis=1)
        require(bool(np.all(best == highest[:, -1])), "a move has not the policy's highest weight")
        clear = highest[:, -1] > highest[:, -2]
        second = second._replace(action=np.where(clear, second.action, first.action))
    require(
        equal(first, second),
        f'without noise, randomness="{randomness}" is not true: the result depends on the key or '
        "on the place in the batch",
    )


def _check_evaluations(algorithm: SearchAlgorithm, budget: int, evaluations: float) -> None:
    """Checks how many positions the network evaluates for a move, which the ledger counts."""
    claim = algorithm.evaluations_per_move(budget)
    require(
        evaluations == claim,
        f"evaluations_per_move({budget}) is {claim}, but the network evaluated {evaluations:g} "
        "positions a move",
    )


def _check_inside(run: Run, boost: float, states: Any, result: SearchResult) -> None:
    """Checks that twins have the same result, and that what is won or lost is seen."""
    twins = np.arange(len(states.tree)) ^ 1
    other = run(boost, _take(states, twins), 0)
    require(equal(result, other), "the search plays illegal actions inside its tree")
    require(
        bool(np.all(result.value[:2] > 0.5) and np.all(result.value[2:4] < -0.5)),
        "the value of a position is not near 1 where every game is won for the player to move, or "
        "not near −1 where every game is lost",
    )


def _take(tree: Any, indices: np.ndarray) -> Any:
    """Returns some rows of a batch."""
    return jax.tree.map(lambda leaf: leaf[indices], tree)
