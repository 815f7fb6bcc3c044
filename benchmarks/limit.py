"""Times self-play and its network evaluations alone, for the share of the limit."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import games
from selfplay.acting.config import SelfPlayConfig, StreamSpec
from selfplay.acting.row_schema import unpack
from selfplay.acting.stream_player import StreamPlayer
from selfplay.model import network
from selfplay.model.architecture import Params
from selfplay.model.config import NetworkConfig
from selfplay.search.config import SearchConfig
from selfplay.search.make import evaluations_per_move


def weights(game: str, config: NetworkConfig, key: Array) -> Params:
    """Draws untrained parameters, including the layers that the project initializes to zero.

    A network with zero heads rates all moves equal, which keeps search trees flatter than those of
    the peer, whose layers are all drawn. So these layers are drawn as the peer's are, LeCun-normal.
    """
    params = network.make(games.make(game), config).init(key)
    leaves, structure = jax.tree.flatten(params)

    def drawn(index: int, leaf: Array) -> Array:
        if leaf.ndim < 2 or leaf.any():
            return leaf
        noise = jax.random.normal(jax.random.fold_in(key, index), leaf.shape, leaf.dtype)
        return noise / np.sqrt(leaf.size / leaf.shape[-1])

    return jax.tree.unflatten(structure, [drawn(i, leaf) for i, leaf in enumerate(leaves)])


class Segments:
    """Segments of one stream, and their network evaluations alone, to be timed in turns."""

    def __init__(
        self, game: str, net: NetworkConfig, search: SearchConfig, config: SelfPlayConfig, seed: int
    ) -> None:
        """Compiles both programs."""
        self._player = StreamPlayer.from_spec(StreamSpec(game, net, search, config, seed))
        self._params = jax.device_put(weights(game, net, jax.random.key(seed)))
        self._carry, rows = self._player.play(self._params, self._player.start(0), 0, 0, 0)
        # Observations of real play, repeated if a short segment has too few.
        planes = np.concatenate([rows["planes"], self._carry.pending["planes"]])
        shape = (config.segment_length, config.batch_size, planes.shape[-1])
        self._planes = jax.device_put(np.resize(planes, shape))
        self._evaluations = _evaluations(game, net, evaluations_per_move(search))
        self._iteration = 0
        self.evaluations()

    def segment(self) -> float:
        """Measures the seconds of one segment, episodes included."""
        self._iteration += 1
        start = time.perf_counter()
        self._carry, _ = self._player.play(self._params, self._carry, self._iteration, 0, 0)
        return time.perf_counter() - start

    def evaluations(self) -> float:
        """Measures the seconds of a segment's evaluations: the root's and each simulation's."""
        start = time.perf_counter()
        jax.block_until_ready(self._evaluations(self._params, self._planes))
        return time.perf_counter() - start


def _evaluations(name: str, net: NetworkConfig, repeats: int) -> Callable[[Params, Array], Any]:
    """``(params, planes uint8[T, B, P]) → sums``: T · `repeats` evaluations of B positions.

    Every evaluation gets a batch in another order and adds to the result, so that XLA can
    neither move one out of the loop nor drop it.
    """
    game = games.make(name)
    evaluate = network.make(game, net).apply

    def once(_: Array, carry: Any) -> Any:
        params, observations, logits_sum, value_sum = carry
        logits, value = evaluate(params, observations)[:2]
        observations = jnp.roll(observations, 1, axis=0)
        return params, observations, logits_sum + logits, value_sum + value

    @jax.jit
    def evaluations(params: Params, planes: Array) -> tuple[Array, Array]:
        def ply(sums: tuple[Array, Array], packed: Array) -> tuple[tuple[Array, Array], None]:
            observations = unpack(packed, game.observation_shape)  # [B, H, W, C]
            start = (params, observations, *sums)
            _, _, *after = jax.lax.fori_loop(0, repeats, once, start)
            return (after[0], after[1]), None

        lanes = planes.shape[1]
        zeros = jnp.zeros((lanes, game.num_actions)), jnp.zeros(lanes)
        return jax.lax.scan(ply, zeros, planes)[0]

    return evaluations
