"""Search algorithms: how a search is built for a game, and what a third party's must provide.

    @SearchAlgorithm
    def make(game, evaluate, num_simulations, noise, *, c=1.25):
        ...
        return search

``--search.algorithm my_package.search:make?c=2`` then builds it. Keyword-only parameters are the
options behind the "?". The tools of `selfplay.search.base` evaluate states and grow mctx's trees;
`selfplay.testing.search_reference.check_search` tests the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from selfplay.search.base import SearchFn


def _root_and_simulations(num_simulations: int) -> int:
    return num_simulations + 1


@dataclass(frozen=True)
class SearchAlgorithm:
    """A way to build searches; as a decorator, it makes a function one.

    ``@partial(SearchAlgorithm, randomness="result")`` sets the other attributes.

    Attributes:
        make: ``make(game: Game, evaluate: Evaluate, num_simulations: int, noise: bool, *, …)`` →
            `SearchFn`. The budget is at least 1; at 0 every algorithm plays the raw network.
            ``noise`` is True in self-play, where the search may explore at the root, and False
            where strength is measured. Self-play itself draws early moves from the result's policy.
        evaluations_per_move: budget → positions that the network evaluates for one move; by
            default one for the root and one for each simulation. The compute ledger counts them.
        randomness: what depends on the key when the search has no noise. "none": the same
            position has the same result. "ties": only which of several actions with the highest
            policy is the move. "result": the whole result. On a ladder every move has a key of its
            own, which then breaks the ties, or is the key of the search.
    """

    make: Callable[..., SearchFn] = field(repr=False)
    evaluations_per_move: Callable[[int], int] = _root_and_simulations
    randomness: Literal["none", "ties", "result"] = "none"
