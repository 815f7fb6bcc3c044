"""Analysis of a position, move by move, for GUIs and for hints."""

from dataclasses import dataclass
from typing import Protocol

import jax
import numpy as np

from games.game import Game, State
from selfplay.model.architecture import Prediction
from selfplay.search.base import SearchResult
from selfplay.serve.rules import compiled

MIN_SHARE = 0.01  # of the policy; moves below are listed only if there are too few candidates


class Analyst(Protocol):
    """A network with a search; `selfplay.players.version.Version` is one."""

    @property
    def game(self) -> Game:
        """The rules of the positions."""
        ...

    def evaluate(self, state: State) -> Prediction:
        """Returns policy logits float32[A] and the value float32[], for the player to move."""
        ...

    def search(self, state: State, num_simulations: int = ...) -> SearchResult:
        """Searches one position (no batch dimension); returns move, policy and value."""
        ...


@dataclass(frozen=True)
class Candidate:
    """One move with the results of the search. Values are for the player to move, in [−1, 1]."""

    action: int
    share: float  # of the search's improved policy
    prior: float  # the network's probability, among legal moves
    value: float  # after the move: a search's value, or the outcome if the move ends the game
    line: tuple[int, ...]  # the move and the reply that the search expects

    @property
    def winrate(self) -> float:
        """Expected points, in [0, 1]: a win is 1, a draw ½."""
        return (1 + self.value) / 2


def analyze(
    analyst: Analyst,
    state: State,
    num_simulations: int,
    most: int = 5,
    least: int = 1,
    forbidden: frozenset[int] = frozenset(),
) -> list[Candidate]:
    """Lists the best moves: first the one that the search plays, then by share.

    One search chooses the candidates. The value of each comes from another search of the position
    after it, so the cost is `num_simulations` evaluations for the position and for every candidate.

    Args:
        analyst: the network and the search.
        state: a position; a terminal one has no candidates.
        num_simulations: the budget of each search; 0 uses the raw network.
        most: the largest number of candidates.
        least: the smallest number of candidates, if there are as many legal moves.
        forbidden: actions that are not listed; the search still considers them.
    """
    game = analyst.game
    legal = compiled(game).legal_actions(state)  # bool [A]
    actions = [a for a in np.flatnonzero(legal).tolist() if a not in forbidden]
    if not actions:
        return []
    root = analyst.search(state, num_simulations)
    policy = np.asarray(root.policy)
    logits = analyst.evaluate(state).policy_logits
    # A mask keeps one shape: each number of legal moves would compile another program.
    priors = np.asarray(jax.nn.softmax(logits, where=legal))
    chosen = int(root.action)
    ranked = sorted(actions, key=lambda a: (a != chosen, -policy[a], -priors[a]))
    worthy = sum(policy[action] >= MIN_SHARE or action == chosen for action in ranked)
    candidates = []
    for action in ranked[: min(most, max(worthy, least))]:
        value, line = _look_ahead(analyst, state, action, num_simulations)
        share, prior = float(policy[action]), float(priors[action])
        candidates.append(Candidate(action, share, prior, value, line))
    return candidates


def _look_ahead(
    analyst: Analyst, state: State, action: int, num_simulations: int
) -> tuple[float, tuple[int, ...]]:
    """Returns the value of a move for the player who makes it, and the line that it begins."""
    game = analyst.game
    mover, after = int(game.player(state)), compiled(game).step(state, action)
    if bool(game.is_terminal(after)):
        outcome = float(game.outcome(after))
        return (outcome if mover == 0 else -outcome), (action,)
    result = analyst.search(after, num_simulations)
    value = float(result.value)
    return (value if int(game.player(after)) == mover else -value), (action, int(result.action))
