"""Monte Carlo tree search without a network: uniform priors, and a random game at every leaf.

The tree search is `selfplay.search`'s PUCT. Instead of a network, it evaluates a leaf by a playout:
random legal moves until the game ends. The playout's randomness comes from a key in every node: the
game's key folded with the moves since the root. So a move depends only on the position and the key,
not on the rest of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

from games.game import Game, State
from selfplay.model.architecture import Prediction
from selfplay.search.config import SearchConfig
from selfplay.search.make import make_search

TIE = 1e-3  # standard deviation of the prior's logits


class Keyed(NamedTuple):
    """A position and the key of its playout."""

    state: State
    key: Array  # uint32 [2], the key's data, since mctx stores nodes in arrays of numbers


Act: TypeAlias = Callable[[State, Array], Array]
"""``act(states [B], keys [B])`` → actions int32 [B]."""


class KeyedGame:
    """The part of a `Game` that a search uses; states carry keys, and an observation is a state."""

    def __init__(self, game: Game) -> None:
        self._game = game
        self.num_actions = game.num_actions

    def step(self, keyed: Keyed, action: Array) -> Keyed:
        """Plays a move; every action leads to a different key."""
        key = jax.random.fold_in(jax.random.wrap_key_data(keyed.key), action)
        return Keyed(self._game.step(keyed.state, action), jax.random.key_data(key))

    def observe(self, keyed: Keyed) -> Keyed:
        """Returns the state itself, from which the playout starts."""
        return keyed

    def legal_actions(self, keyed: Keyed) -> Array:
        """Returns the mask of legal actions, bool [A]."""
        return self._game.legal_actions(keyed.state)

    def is_terminal(self, keyed: Keyed) -> Array:
        """Tells whether the game is over, bool []."""
        return self._game.is_terminal(keyed.state)

    def outcome(self, keyed: Keyed) -> Array:
        """Returns the result for player 0, float32 []."""
        return self._game.outcome(keyed.state)

    def player(self, keyed: Keyed) -> Array:
        """Returns the player to move, int32 []."""
        return self._game.player(keyed.state)


def make_rollouts(game: Game, num_simulations: int) -> Act:
    """Builds a player that chooses each move after `num_simulations` playouts."""
    config = SearchConfig(algorithm="puct").for_evaluation(num_simulations)
    keyed_game: Any = KeyedGame(game)  # a part of `Game`, and all that the search uses

    def evaluate(_: object, leaves: Keyed) -> Prediction:
        keys = jax.random.wrap_key_data(leaves.key)
        nearly_even = jax.vmap(lambda key: TIE * jax.random.normal(key, (game.num_actions,)))(keys)
        return Prediction(nearly_even, playout(game, leaves.state, keys))

    evaluate_states: Any = evaluate  # of states instead of observations, without parameters
    search = make_search(keyed_game, evaluate_states, config)

    def act(states: State, keys: Array) -> Array:
        search_keys, rank_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        result = search({}, Keyed(states, jax.random.key_data(search_keys)), jax.random.key(0))
        return most_visited(result.policy, rank_keys)

    return act


def most_visited(policy: Array, keys: Array) -> Array:
    """Chooses the actions with the most visits, int32 [B]; keys [B] break ties.

    `policy`, float32 [B, A], holds the fractions of the visits.
    """
    ranks = jax.vmap(lambda key: jax.random.uniform(key, policy.shape[1:]))(keys)
    ties = policy == policy.max(axis=-1, keepdims=True)
    return jnp.argmax(jnp.where(ties, ranks, -1.0), axis=-1).astype(jnp.int32)


def playout(game: Game, starts: State, start_keys: Array) -> Array:
    """Plays random games; returns results for the players to move at the start, float32 [B].

    `starts` are states [B], `start_keys` their keys [B].
    """

    def running(carry: tuple[State, Array]) -> Array:
        return ~jnp.all(jax.vmap(game.is_terminal)(carry[0]))

    def ply(carry: tuple[State, Array]) -> tuple[State, Array]:
        states, t = carry
        legal = jax.vmap(game.legal_actions)(states)
        keys = jax.vmap(jax.random.fold_in, (0, None))(start_keys, t)
        actions = jax.vmap(uniform)(keys, legal)
        return jax.vmap(game.step)(states, actions), t + 1

    # Counts from above all actions, so that no playout folds a key with a number that is an action.
    states, _ = jax.lax.while_loop(running, ply, (starts, jnp.int32(game.num_actions)))
    outcome = jax.vmap(game.outcome)(states)
    return jnp.where(jax.vmap(game.player)(starts) == 0, outcome, -outcome)


def uniform(key: Array, legal: Array) -> Array:
    """Draws a legal action uniformly, int32 [], by its mask bool [A]; meaningless without one."""
    return jax.random.categorical(key, jnp.where(legal, 0.0, -jnp.inf)).astype(jnp.int32)
