"""What networks think of positions, computed outside the page's event loop.

Searches of all visitors wait in one queue, and `WORKERS` threads compute them; a visitor has one
request at a time, and a newer one takes the place of his older one while that still waits. So one
visitor delays another by a search or two, never by his whole queue. A program is compiled at its
first use; `warm_up` does that beforehand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from selfplay.model import flops
from selfplay.players import komi_argument
from selfplay.players.solvers import Solver, solver_for
from selfplay.players.version import Version
from selfplay.search.make import evaluations_per_move
from selfplay.serve.rules import compiled
from selfplay.solved.suite import ILLEGAL_SCORE

WORKERS = 2
BUDGETS = (0, 1, 4, 16, 64, 256, 1024)  # simulations, log-spaced
LINE = 6  # moves of the line that is expected
MOST_WAITING = 64  # visitors

T = TypeVar("T")


class Busy(RuntimeError):
    """Too many requests wait."""


class Superseded(RuntimeError):
    """A newer request of the same visitor took this one's place."""


@dataclass(frozen=True)
class Thought:
    """What a version thinks of a position, for the player to move.

    Attributes:
        action: the move that it plays.
        value: of the position, in [−1, 1].
        prior: the network's policy, float[A].
        policy: the search's, float[A].
    """

    action: int
    value: float
    prior: np.ndarray
    policy: np.ndarray


def think(version: Version, state: State, budget: int) -> Thought:
    """Searches a position, which must not be terminal."""
    game = version.game
    legal = np.asarray(compiled(game).legal_actions(state))
    result = version.search(state, budget)
    prior = result.prior
    if prior is None:
        logits = jnp.where(legal, version.evaluate(state).policy_logits, -jnp.inf)
        prior = jax.nn.softmax(logits)
    return Thought(
        int(result.action),
        float(result.value),
        np.asarray(prior, np.float64) * legal,
        np.asarray(result.policy, np.float64) * legal,
    )


def values_of_moves(version: Version, state: State) -> dict[int, float]:
    """Computes the network's value of each legal move, for who makes it; results where it ends."""
    game = version.game
    actions = np.flatnonzero(np.asarray(compiled(game).legal_actions(state)))
    children = komi_argument.jit(game, _children)
    after, over, outcome, same = children(state, jnp.arange(game.num_actions))
    values = np.asarray(version.evaluate(after).value)
    sign = np.where(np.asarray(same), 1.0, -1.0)
    mover = 1.0 if int(game.player(state)) == 0 else -1.0
    all_values = np.where(np.asarray(over), mover * np.asarray(outcome), sign * values)
    return {int(action): float(all_values[action]) for action in actions}


def has_truths(game: Game) -> bool:
    """Tells whether a perfect player of the game is at hand."""
    try:
        _solver(game)
    except ValueError:
        return False
    return True


def truths(game: Game, state: State) -> dict[int, str]:
    """Says what each legal move leads to under perfect play: "win", "draw" or "loss".

    Raises:
        ValueError: there is no perfect player of the game here.
    """
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], state)
    (scores,) = _solver(game)(batch)
    words = {1: "win", 0: "draw", -1: "loss"}
    return {
        action: words[int(np.sign(score))]
        for action, score in enumerate(scores)
        if score != ILLEGAL_SCORE
    }


def expected_line(version: Version, state: State, first: int, budget: int) -> list[int]:
    """Follows a version's moves for both sides, `LINE` of them at most, from the first on."""
    game, line = version.game, [first]
    state = compiled(game).step(state, first)
    while len(line) < LINE and not bool(game.is_terminal(state)):
        line.append(int(version.search(state, budget).action))
        state = compiled(game).step(state, line[-1])
    return line


def flops_per_move(version: Version, budget: int) -> float:
    """Counts the FLOPs of the network for one move."""
    evaluations = evaluations_per_move(version.search_config.for_evaluation(budget))
    return float(flops.move(version.game, version.network_config, evaluations))


def warm_rules(game: Game) -> State:
    """Compiles the rules of a game; returns its first position."""
    rules = compiled(game)
    state = rules.init()
    rules.step(state, int(np.argmax(rules.legal_actions(state))))
    return state


def warm_up(version: Version, budget: int) -> None:
    """Compiles what the page needs of a version at a budget."""
    state = warm_rules(version.game)
    values_of_moves(version, state)
    version.search(state, budget)


class Thinkers:
    """The threads that compute, and the queue in front of them."""

    def __init__(self, workers: int = WORKERS) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="think")
        self._background = ThreadPoolExecutor(1, thread_name_prefix="compile")
        self._newest: dict[str, Future[Any]] = {}  # of each visitor who waits for an answer

    async def run(self, visitor: str, task: Callable[..., T], *arguments: Any) -> T:
        """Computes ``task(*arguments)`` for a visitor, outside the event loop.

        Raises:
            Busy: too many visitors wait.
            Superseded: the visitor asked for something else, or left, before this was computed.
        """
        if older := self._newest.pop(visitor, None):
            older.cancel()
        if len(self._newest) >= MOST_WAITING:
            raise Busy("too many visitors are searching")
        future = self._newest[visitor] = self._pool.submit(task, *arguments)
        try:
            answer = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if self._newest.get(visitor) is future:  # whoever asked was cancelled
                raise
            raise Superseded("a newer request took this one's place") from None
        finally:
            is_newest = self._newest.get(visitor) is future
            if is_newest:
                del self._newest[visitor]
        if not is_newest:
            raise Superseded("a newer request took this one's place")
        return answer

    def forget(self, visitor: str) -> None:
        """Drops what a visitor who has left was waiting for."""
        if waiting := self._newest.pop(visitor, None):
            waiting.cancel()

    def in_background(self, task: Callable[..., Any], *arguments: Any) -> None:
        """Computes something for nobody, on a thread of its own, after what was given before."""
        self._background.submit(task, *arguments)

    def close(self) -> None:
        """Lets running searches end, and drops the others."""
        for pool in (self._pool, self._background):
            pool.shutdown(wait=False, cancel_futures=True)


@lru_cache(maxsize=4)
def _solver(game: Game) -> Solver:
    return solver_for(game)


def _children(game: Game) -> Callable[[State, Any], tuple[State, Any, Any, Any]]:
    """Returns a function: the positions after actions, whether they end the game, who moves."""

    def child(state: State, action: Any) -> tuple[State, Any, Any, Any]:
        after = game.step(state, action)
        same = game.player(after) == game.player(state)
        return after, game.is_terminal(after), game.outcome(after), same

    return jax.vmap(child, in_axes=(None, 0))
