"""A search of one's own: it follows every move down the line that the network expects.

    oomzero train small --search.algorithm my_search:lines
    oomzero train small --search.algorithm 'my_search:lines?scale=4' --out runs/gentle

The budget goes to the lines in turn, the network's favorite move first. In the improved policy a
move counts more the better its line ends: softmax(logits + scale · Q), as in Grill et al. (2020).
"""

import jax
import jax.numpy as jnp
from jax import Array

from games.game import Game, State
from selfplay.model.architecture import Evaluate, Params
from selfplay.search.algorithm import SearchAlgorithm
from selfplay.search.base import SearchFn, SearchResult, evaluate_states, expansion


@SearchAlgorithm
def lines(
    game: Game, evaluate: Evaluate, num_simulations: int, noise: bool, *, scale: float = 10.0
) -> SearchFn:
    """Builds the search; `scale` is the weight of a line's value Q against the network's logits."""
    expand = expansion(game, evaluate)  # plays a move and evaluates what follows

    def search(params: Params, states: State, key: Array) -> SearchResult:
        logits, value, legal = leaves = evaluate_states(game, evaluate, params, states)
        gumbel = jax.random.gumbel(key, logits.shape) if noise else jnp.zeros_like(logits)
        moves = jnp.argsort(logits + gumbel, axis=-1, descending=True).T  # [A, B], best first

        def extend(every, i):  # by the next move of line i % A
            states, move, total, sign, _ = jax.tree.map(lambda x: x[i % len(moves)], every)
            after, states = expand(params, key, move, states)
            total, sign = total + sign * after.reward, sign * after.discount  # 0 at the end
            reply = jnp.argmax(after.prior_logits, axis=-1)
            line = (states, reply, total, sign, total + sign * after.value)
            return jax.tree.map(lambda x, y: x.at[i % len(moves)].set(y), every, line), None

        start = (states, jnp.zeros_like(value), jnp.ones_like(value), value)
        states, *rest = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(moves), *x.shape)), start)
        every, _ = jax.lax.scan(extend, (states, moves, *rest), jnp.arange(num_simulations))
        q = jnp.take_along_axis(every[-1], jnp.argsort(moves, axis=0), axis=0).T  # [B, A]
        improved = jnp.where(legal, logits + scale * q, -jnp.inf)
        policy = jnp.where(legal, jax.nn.softmax(improved), 0.0)
        action = jnp.argmax(improved + gumbel, axis=-1).astype(jnp.int32)
        mean = jnp.clip(jnp.sum(policy * q, axis=-1), -1.0, 1.0)
        return SearchResult(action, policy, mean, leaves.policy)

    return search
