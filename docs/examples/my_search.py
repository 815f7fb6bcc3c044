"""A search of one's own: it looks one move ahead, at the moves that the network likes most.

    oomzero train small --search.algorithm my_search:one_ply
    oomzero train small --search.algorithm 'my_search:one_ply?scale=4' --out runs/gentle

The budget is the number of moves that it looks at; a larger one than the game has moves is wasted.
In its policy a move counts more the better it turned out: softmax(logits + scale · Q), where Q is
its value (Grill et al. 2020, at one ply).
"""

import jax
import jax.numpy as jnp
from jax import Array

from games.game import Game, State
from selfplay.model.architecture import Evaluate, Params
from selfplay.search.algorithm import SearchAlgorithm
from selfplay.search.base import SearchFn, SearchResult, evaluate_states, expansion


@SearchAlgorithm
def one_ply(
    game: Game, evaluate: Evaluate, num_simulations: int, noise: bool, *, scale: float = 10.0
) -> SearchFn:
    """Builds the search; `scale` is the weight of a move's value against the network's logits."""
    expand = expansion(game, evaluate)  # plays a move and evaluates what follows

    def search(params: Params, states: State, key: Array) -> SearchResult:
        logits, value, legal = evaluate_states(game, evaluate, params, states)  # [B, A], [B], …
        gumbel = jax.random.gumbel(key, logits.shape) if noise else jnp.zeros_like(logits)
        order = jnp.argsort(logits + gumbel, axis=-1, descending=True)  # best moves first
        moves = order[:, jnp.arange(num_simulations) % game.num_actions]  # [B, num_simulations]

        def look(move: Array) -> Array:  # int32 [B] → float32 [B], for the player who moves
            after, _ = expand(params, key, move, states)
            return after.reward + after.discount * after.value

        q = jnp.broadcast_to(value[:, None], logits.shape)  # of a move that it does not look at
        q = q.at[jnp.arange(len(moves))[:, None], moves].set(jax.vmap(look, 1, 1)(moves))
        improved = jnp.where(legal, logits + scale * q, -jnp.inf)
        policy = jnp.where(legal, jax.nn.softmax(improved), 0.0)
        action = jnp.argmax(improved + gumbel, axis=-1).astype(jnp.int32)
        return SearchResult(action, policy, jnp.clip(jnp.sum(policy * q, axis=-1), -1.0, 1.0))

    return search
