"""Builds the search that a config names; the only module that knows the algorithms by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from games import plugins
from games.game import Game
from selfplay.model.architecture import Evaluate
from selfplay.search import gumbel, puct, raw
from selfplay.search.algorithm import SearchAlgorithm
from selfplay.search.base import SearchFn
from selfplay.search.config import KIND, SearchConfig

_ALGORITHMS: Mapping[str, SearchAlgorithm] = MappingProxyType(
    {"gumbel": gumbel.make, "puct": puct.make}
)


def make_search(game: Game, evaluate: Evaluate, config: SearchConfig) -> SearchFn:
    """Builds the search of a game at a budget, with a network that `evaluate` applies.

    A budget of 0 is the raw network, whose moves are drawn with the algorithm's own noise.

    Raises:
        ValueError: the algorithm is unknown or not trusted, or has no such option.
    """
    algorithm, options = _resolve(config)
    if config.num_simulations == 0:
        return raw.make(game, evaluate, _noise_scale(config))
    budget, noise = config.num_simulations, config.noise
    spec, make = config.algorithm, algorithm.make
    return plugins.build(KIND, spec, make, None, game, evaluate, budget, noise, **options)


def find_algorithm(config: SearchConfig) -> SearchAlgorithm:
    """Finds the algorithm that a config names; raises ValueError as `make_search` does."""
    return _resolve(config)[0]


def evaluations_per_move(config: SearchConfig) -> int:
    """Counts the positions that the network evaluates for one move; 1 at a budget of 0."""
    algorithm = find_algorithm(config)
    budget = config.num_simulations
    return algorithm.evaluations_per_move(budget) if budget else 1


def _resolve(config: SearchConfig) -> tuple[SearchAlgorithm, dict[str, Any]]:
    """Returns the algorithm that a config names, and its options."""
    name, _, text = config.algorithm.partition("?")
    if name in _ALGORITHMS:  # its options are the fields of its section
        plugins.parse_arguments(f"search {name}", text, {})
        return _ALGORITHMS[name], {"config": getattr(config, name)}
    return plugins.resolve(KIND, config.algorithm, {}, SearchAlgorithm)


def _noise_scale(config: SearchConfig) -> float:
    """Returns the scale of the noise with which the raw network's moves are drawn."""
    scales = {"gumbel": config.gumbel.scale, "puct": config.puct.temperature}
    return scales.get(config.algorithm.partition("?")[0], 1.0) if config.noise else 0.0
