"""Trees that grow in place are mctx's.

With XLA's fusion emitters, which commands use, results are equal to the bit; the golden digests,
recorded with mctx's own simulation, hold that. Where `make test` switches the emitters off to
compile faster, two programs may round differently.
"""

from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

import games
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.search import tree_growth
from selfplay.search.base import SearchResult
from selfplay.search.config import SearchConfig
from selfplay.search.make import make_search
from tests.selfplay.search.planted import quick_jit, random_positions


@pytest.mark.parametrize("budget", [1, 48])
@pytest.mark.parametrize("algorithm", ["gumbel", "puct"])
def test_searches_equal_mctx_with_its_own_simulation(
    algorithm: str, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = games.make("connect_four")
    positions, _ = random_positions(game, 24, seed=3, max_plies=34)  # some near their end
    shape = NetworkConfig("mlp", width=8, depth=1, head_width=8)
    model = network.make(game, shape)
    drawn = network.pseudo_random(model.init)
    params = jax.tree.map(lambda leaf: 0.3 * leaf, drawn)  # priors that leave a choice

    def results() -> SearchResult:
        config = SearchConfig(algorithm, num_simulations=budget, noise=True)
        search: Any = make_search(game, model.apply, config)
        return jax.device_get(quick_jit(search)(params, positions, jax.random.key(1)))

    ours = results()
    monkeypatch.setattr(tree_growth, "in_place", lambda _: jax.lax.fori_loop)
    same = partial(np.testing.assert_allclose, rtol=0, atol=1e-6)
    jax.tree.map(same, ours, results())
