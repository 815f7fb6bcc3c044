"""Analysts for tests: an untrained version, and one that computes nothing."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

import games
from games.game import Game
from selfplay.model import network
from selfplay.model.architecture import Prediction
from selfplay.model.config import NetworkConfig
from selfplay.players.version import Version
from selfplay.runs.codec import to_json
from selfplay.search.base import SearchResult
from selfplay.search.config import SearchConfig

TINY = NetworkConfig(kind="mlp", width=16, depth=1, head_width=8)


def untrained(game: str, seed: int = 0) -> Version:
    """Makes a tiny network with random heads, whose policy and value are not uniform."""
    rules = games.make(game)
    params = network.make(rules, TINY).init(jax.random.key(seed))
    for number, head in enumerate(("policy", "value")):
        kernel = params[head]["kernel"]
        key = jax.random.fold_in(jax.random.key(seed), number)
        params[head] = {**params[head], "kernel": jax.random.normal(key, kernel.shape)}
    config = {"game": game, "network": to_json(TINY), "search": to_json(SearchConfig())}
    return Version("untrained", params, config)


@dataclass(frozen=True)
class FirstLegal:
    """An analyst that plays the first legal action and values all positions as even."""

    game: Game

    def with_game_options(self, **options: Any) -> "FirstLegal":
        rules: Any = self.game
        return FirstLegal(dataclasses.replace(rules, **options))

    def evaluate(self, state: Any) -> Prediction:
        return Prediction(jnp.zeros(self.game.num_actions), jnp.float32(0.0))

    def search(self, state: Any, num_simulations: int = 64) -> SearchResult:
        legal = self.game.legal_actions(state)
        policy = jnp.where(legal, 1.0, 0.0) / jnp.maximum(legal.sum(), 1)
        return SearchResult(jnp.argmax(legal).astype(jnp.int32), policy, jnp.float32(0.25))
