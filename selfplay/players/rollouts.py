"""Monte Carlo tree search without a network: uniform priors, and a random game at every leaf.

The tree search is `selfplay.search`'s PUCT. What it evaluates is not a network but a playout: legal
moves at random until the game ends. A playout's noise comes from a key that every node carries:
the game's own key folded with the moves since the root. So a move is a function of position and
key, whoever else is searched in the same batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from games.game import Game
from selfplay.search.config import SearchConfig
from selfplay.search.make import make_search

TIE = 1e-3  # standard deviation of the prior's logits


class Keyed(NamedTuple):
    """A position and the key of its playout."""

    state: Any
    key: Array  # uint32 [2], the key's data: mctx stores nodes in arrays of numbers


class KeyedGame:
    """A game whose states carry keys and are observed whole; as much of `Game` as search asks."""

    def __init__(self, game: Game) -> None:
        self._game = game
        self.num_actions = game.num_actions

    def step(self, keyed: Keyed, action: Array) -> Keyed:
        """The position after a move; its key is another one for every action."""
        key = jax.random.fold_in(jax.random.wrap_key_data(keyed.key), action)
        return Keyed(self._game.step(keyed.state, action), jax.random.key_data(key))

    def observe(self, keyed: Keyed) -> Keyed:
        """The playout's start."""
        return keyed

    def legal_actions(self, keyed: Keyed) -> Array:
        """bool [A]."""
        return self._game.legal_actions(keyed.state)

    def is_terminal(self, keyed: Keyed) -> Array:
        """bool []."""
        return self._game.is_terminal(keyed.state)

    def outcome(self, keyed: Keyed) -> Array:
        """float32 [], for player 0."""
        return self._game.outcome(keyed.state)

    def player(self, keyed: Keyed) -> Array:
        """int32 [], to move."""
        return self._game.player(keyed.state)


def make(game: Game, num_simulations: int) -> Callable[[Any, Array], Array]:
    """``act(states [B], keys [B]) → int32 [B]``, the moves after so many playouts each."""
    config = SearchConfig(algorithm="puct").for_evaluation(num_simulations)
    rules: Any = KeyedGame(game)

    def evaluate(_: Any, leaves: Keyed) -> tuple[Array, Array]:
        keys = jax.random.wrap_key_data(leaves.key)
        nearly_even = jax.vmap(lambda key: TIE * jax.random.normal(key, (game.num_actions,)))(keys)
        return nearly_even, playout(game, leaves.state, keys)

    unlearned: Any = evaluate  # it sees whole states, and no parameters
    find = make_search(rules, unlearned, config)

    def act(states: Any, keys: Array) -> Array:
        search_keys, rank_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        found = find({}, Keyed(states, jax.random.key_data(search_keys)), jax.random.key(0))
        return most_visited(found.policy, rank_keys)

    return act


def most_visited(policy: Array, keys: Array) -> Array:
    """int32 [B], the actions with the most visits, policy float32 [B, A]; keys [B] decide ties."""
    ranks = jax.vmap(lambda key: jax.random.uniform(key, policy.shape[1:]))(keys)
    ties = policy == policy.max(axis=-1, keepdims=True)
    return jnp.argmax(jnp.where(ties, ranks, -1.0), axis=-1).astype(jnp.int32)


def playout(game: Game, starts: Any, start_keys: Array) -> Array:
    """float32 [B], the results of random games for the players to move at their starts [B]."""

    def running(carry: tuple[Any, Array]) -> Array:
        return ~jnp.all(jax.vmap(game.is_terminal)(carry[0]))

    def ply(carry: tuple[Any, Array]) -> tuple[Any, Array]:
        states, t = carry
        legal = jax.vmap(game.legal_actions)(states)
        keys = jax.vmap(jax.random.fold_in, (0, None))(start_keys, t)
        actions = jax.vmap(uniform)(keys, legal)
        return jax.vmap(game.step)(states, actions), t + 1

    # Beyond any action, so that a playout's draws are not those of a child's key.
    states, _ = jax.lax.while_loop(running, ply, (starts, jnp.int32(game.num_actions)))
    outcome = jax.vmap(game.outcome)(states)
    return jnp.where(jax.vmap(game.player)(starts) == 0, outcome, -outcome)


def uniform(key: Array, legal: Array) -> Array:
    """int32 [], a legal action drawn uniformly, legal bool [A]; garbage where none is."""
    return jax.random.categorical(key, jnp.where(legal, 0.0, -jnp.inf)).astype(jnp.int32)
