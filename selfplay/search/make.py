"""Builds the search that a config names; the only module that knows the algorithms by name."""

from __future__ import annotations

from games.game import Game
from selfplay.model.architecture import Evaluate
from selfplay.search import gumbel, puct, raw
from selfplay.search.base import SearchFn
from selfplay.search.config import SearchConfig


def make_search(game: Game, evaluate: Evaluate, config: SearchConfig) -> SearchFn:
    """Builds the search of a game at a budget, with a network that `evaluate` applies.

    A budget of 0 is the raw network, whose moves are drawn with the algorithm's own noise.
    """
    budget = config.num_simulations
    match config.algorithm:
        case "gumbel" if budget:
            return gumbel.make(game, evaluate, budget, config.gumbel)
        case "puct" if budget:
            return puct.make(game, evaluate, budget, config.puct)
        case "gumbel":
            return raw.make(game, evaluate, config.gumbel.scale)
        case "puct":
            return raw.make(game, evaluate, config.puct.temperature)
