"""AlphaZero in 81 lines of code: play against oneself, learn from the games, measure, repeat.

    python docs/examples/self_play_loop.py

It needs three parts of oomzero: a game's rules, a network, a search. After fifteen rounds of
tic-tac-toe, 17 seconds of one core, the network without search hardly ever loses to random moves.
"""

from selfplay import determinism

determinism.pin()  # before JAX is imported: arithmetic that does not depend on the number of cores

import jax
import jax.numpy as jnp
import optax
from jax import Array

import games
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.search.config import SearchConfig
from selfplay.search.make import make_search

B = 256  # games that are played at the same time, and positions of a gradient step
game = games.make("tic_tac_toe")
model = network.make(game, NetworkConfig(kind="mlp", width=64, depth=1))
search = make_search(game, model.apply, SearchConfig(num_simulations=32))  # it explores
raw = make_search(game, model.apply, SearchConfig().for_evaluation(0))  # the network alone
optimizer = optax.adam(5e-3)


def play_games(choose, key):
    """Plays B games with `choose(states, ply, key) → (actions [B], row)`; returns states, rows."""

    def play_ply(states, ply):
        action, row = choose(states, ply, jax.random.fold_in(key, ply))
        return jax.vmap(game.step)(states, action), row  # a finished game stays as it is

    first = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (B, *leaf.shape)), game.init())
    return jax.lax.scan(play_ply, first, jnp.arange(game.max_plies))


def random_moves(states, key) -> Array:
    """Draws a legal move in each state, int32 [B]."""
    legal = jax.vmap(game.legal_actions)(states)
    return jax.random.categorical(key, jnp.where(legal, 0.0, -jnp.inf))


@jax.jit
def self_play(params, key) -> dict[str, Array]:
    """Lets the search play against itself, after an opening of up to five random moves."""
    opening = jax.random.randint(jax.random.fold_in(key, game.max_plies), (B,), 0, 6)  # plies

    def choose(states, ply, key):
        search_key, random_key = jax.random.split(key)
        result = search(params, states, search_key)
        row = {
            "observation": jax.vmap(game.observe)(states),  # [B, H, W, C], as the mover sees it
            "policy": result.policy,  # [B, A], the move probabilities that the search found
            "value": 1 - 2 * jax.vmap(game.player)(states),  # [B], a sign until the games end
            "weight": (ply >= opening) & ~jax.vmap(game.is_terminal)(states),  # [B], False = skip
        }
        return jnp.where(ply < opening, random_moves(states, random_key), result.action), row

    states, rows = play_games(choose, key)
    rows["value"] *= jax.vmap(game.outcome)(states)[None]  # [T, B], the result for the mover
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), rows)  # [T * B, …]


@jax.jit
def learn(params, moments, rows):
    """Moves the policy towards the search's and the value towards the result, by one step."""

    def loss(params):
        prediction = model.apply(params, rows["observation"])
        error = optax.softmax_cross_entropy(prediction.policy_logits, rows["policy"])
        return jnp.mean(rows["weight"] * (error + (prediction.value - rows["value"]) ** 2))

    updates, moments = optimizer.update(jax.grad(loss)(params), moments)
    return optax.apply_updates(params, updates), moments


@jax.jit
def results(params, key) -> Array:
    """Plays against random moves and moves first in every other game; returns +1, 0 or -1, [B]."""
    side = jnp.arange(B) % 2

    def choose(states, ply, key):
        mine = jax.vmap(game.player)(states) == side
        return jnp.where(mine, raw(params, states, key).action, random_moves(states, key)), None

    return jax.vmap(game.outcome)(play_games(choose, key)[0]) * (1 - 2 * side)


def main(rounds: int = 15) -> None:
    """Trains, and prints after each round how the network does against random moves."""
    params = model.init(jax.random.key(0))
    moments = optimizer.init(params)
    for i in range(rounds + 1):
        play_key, batch_key, test_key = jax.random.split(jax.random.key(i), 3)
        if i > 0:  # round 0 shows the untrained network
            rows, size = self_play(params, play_key), game.max_plies * B
            for batch in jax.random.randint(batch_key, (4 * size // B, B), 0, size):
                params, moments = learn(params, moments, {k: rows[k][batch] for k in rows})
        result = results(params, test_key)
        print(f"round {i:2}: won {(result > 0).mean():4.0%}, lost {(result < 0).mean():4.0%}")


if __name__ == "__main__":
    main()
