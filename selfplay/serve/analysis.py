"""What a search sees in a position, move by move: for GUIs and for hints."""

from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np
from jax import Array

from games.game import Game
from selfplay.search.base import SearchResult
from selfplay.serve.rules import compiled

MIN_SHARE = 0.01  # of the policy: moves below are no candidates, unless too few are above


class Thinker(Protocol):
    """Who can be asked about a position; `selfplay.version.Version` is one."""

    @property
    def game(self) -> Game:
        """The rules."""
        ...

    def evaluate(self, state: Any) -> tuple[Array, Array]:
        """``(policy logits float32[A], value float32[])``, for the player to move."""
        ...

    def search(self, state: Any, num_simulations: int = ...) -> SearchResult:
        """The search's move, policy and value at one position (no batch dimension)."""
        ...


@dataclass(frozen=True)
class Candidate:
    """One move, as a search sees it. Values are for the player to move, in [−1, 1]."""

    action: int
    share: float  # of the search's improved policy
    prior: float  # the network's probability, among legal moves
    value: float  # after the move: a search's value, or the outcome if the move ends the game
    line: tuple[int, ...]  # the move and the reply that the search expects

    @property
    def winrate(self) -> float:
        """The expected share of points, in [0, 1]: a win is 1, a draw ½."""
        return (1 + self.value) / 2


def analyse(
    thinker: Thinker,
    state: Any,
    num_simulations: int,
    most: int = 5,
    least: int = 1,
    forbidden: frozenset[int] = frozenset(),
) -> list[Candidate]:
    """The moves worth looking at, the one that the search plays first, then by share.

    A search chooses the candidates, and each is valued by a search of its own from the position
    after it: `num_simulations` evaluations for the position and for every candidate.

    Args:
        thinker: whose network and search are asked.
        state: a position; a terminal one has no candidates.
        num_simulations: the budget of each search; 0 asks the raw network.
        most: no more candidates than that.
        least: so many candidates if there are as many moves, even without a share.
        forbidden: actions that are no candidates. The search still sees them.
    """
    game = thinker.game
    legal = compiled(game).legal_actions(state)  # bool [A]
    actions = [a for a in np.flatnonzero(legal).tolist() if a not in forbidden]
    if not actions:
        return []
    root = thinker.search(state, num_simulations)
    policy = np.asarray(root.policy)
    logits, _ = thinker.evaluate(state)
    # Of one shape at every position: the number of legal moves would be another program each time.
    priors = np.asarray(jax.nn.softmax(logits, where=legal))
    chosen = int(root.action)
    ranked = sorted(actions, key=lambda a: (a != chosen, -policy[a], -priors[a]))
    worthy = sum(policy[action] >= MIN_SHARE or action == chosen for action in ranked)
    found = []
    for action in ranked[: min(most, max(worthy, least))]:
        value, line = _look(thinker, state, action, num_simulations)
        found.append(Candidate(action, float(policy[action]), float(priors[action]), value, line))
    return found


def _look(
    thinker: Thinker, state: Any, action: int, num_simulations: int
) -> tuple[float, tuple[int, ...]]:
    """The value of a move for the player who makes it, and the line it begins."""
    game = thinker.game
    mover, after = int(game.player(state)), compiled(game).step(state, action)
    if bool(game.is_terminal(after)):
        outcome = float(game.outcome(after))
        return (outcome if mover == 0 else -outcome), (action,)
    found = thinker.search(after, num_simulations)
    value = float(found.value)
    return (value if int(game.player(after)) == mover else -value), (action, int(found.action))
