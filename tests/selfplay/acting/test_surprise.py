"""Policy surprise: divergences, their mean in a game, and how often rows count."""

from __future__ import annotations

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games import plugins
from selfplay.acting.config import SelfPlayConfig, StreamSpec
from selfplay.acting.row_schema import Episodes, Played
from selfplay.acting.stream_player import StreamPlayer
from selfplay.acting.surprise import RELATIVE_SURPRISE
from selfplay.imitation.config import ImitationConfig
from selfplay.learning import loss_terms
from selfplay.learning.config import LearnerConfig
from selfplay.learning.row_sources import by_surprise
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.search.algorithm import SearchAlgorithm
from selfplay.search.base import SearchResult
from selfplay.search.config import SearchConfig

GAME = games.make("tic_tac_toe")
(DIVERGENCE,) = RELATIVE_SURPRISE.reads


class Window:
    """A replay window with one column."""

    def __init__(self, surprise: list[float]) -> None:
        self.surprise, self.size = np.array(surprise, np.float16), len(surprise)

    def column(self, name: str) -> np.ndarray:
        assert name == "relative_surprise"
        return self.surprise

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return {"row": indices}


def test_divergence_is_in_nats_and_0_without_a_policy() -> None:
    """Certain of one of two moves that the network held to be equal: log 2."""
    result = SearchResult(
        action=jnp.zeros(3, jnp.int32),
        policy=jnp.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]),
        value=jnp.zeros(3),
        prior=jnp.array([[0.5, 0.5, 0.0]] * 3),
    )
    played = Played(None, jnp.zeros(3), result, result.action, None)
    assert DIVERGENCE.record
    np.testing.assert_allclose(DIVERGENCE.record(GAME, played), [np.log(2), 0, 0], atol=1e-6)


def test_surprise_is_relative_to_the_rows_of_the_game_that_have_a_policy() -> None:
    """1 and 3 nats are half and one and a half of their mean; the row between has no policy."""
    policy = np.zeros((5, 9), np.float16)
    policy[[0, 2, 3, 4], 0] = 1
    rows = {"policy": policy, "divergence": np.array([1, 0, 3, 0, 0], np.float32)}
    episodes = Episodes(rows, np.array([2, 2, 2, 4, 4]), np.zeros(5, np.int8))
    relative = RELATIVE_SURPRISE.at_end(GAME, episodes)
    assert relative.tolist() == [0.5, 1, 1.5, 1, 1]
    assert RELATIVE_SURPRISE.absent(GAME, 2).tolist() == [1, 1]


def test_rows_count_in_proportion_and_the_drawing_depends_on_the_iteration() -> None:
    """With s = 1/2, surprises of 0, 1 and 4 times the mean weigh 1/2, 1 and 5/2."""
    window = Window([0.0, 1.0, 4.0] * 2000)
    first, again, other = (by_surprise(window, 0.5, 7, iteration) for iteration in (3, 3, 4))
    rows = first.gather(np.arange(first.size))["row"]
    np.testing.assert_array_equal(rows, np.sort(rows))
    counts = np.bincount(rows, minlength=6000).reshape(-1, 3)
    assert (counts[:, 1] == 1).all() and set(counts[:, 0]) == {0, 1} and set(counts[:, 2]) == {2, 3}
    np.testing.assert_allclose(counts.mean(axis=0), [0.5, 1, 2.5], atol=4.5 * 0.5 / 2000**0.5)
    np.testing.assert_array_equal(rows, again.gather(np.arange(again.size))["row"])
    assert first.size != other.size


def test_without_a_weight_the_window_is_drawn_from_as_it_is() -> None:
    window = Window([0.0, 4.0])
    assert by_surprise(window, 0.0, 7, 1) is window
    assert by_surprise(Window([]), 0.5, 7, 1).size == 0


@pytest.mark.parametrize("algorithm", ["gumbel", "puct"])
def test_self_play_records_the_divergence_of_its_own_searches(algorithm: str) -> None:
    """Compares with the network's policy at the recorded observations."""
    fields = loss_terms.row_fields((), surprise=True)
    spec = StreamSpec(
        "tic_tac_toe",
        NetworkConfig("mlp", width=4, depth=1, head_width=2),
        SearchConfig(algorithm, 4),
        SelfPlayConfig(batch_size=8, segment_length=12, full_search_fraction=0.5),
        seed=0,
        surprise=True,
    )
    model = network.make(GAME, spec.network)
    params = network.pseudo_random(model.init)
    player = StreamPlayer.from_spec(spec, fields)
    _, rows = player.play(params, player.start(0), 1, 0, 0)
    planes = np.unpackbits(rows["planes"], axis=-1, count=18).reshape(-1, 3, 3, 2).astype(bool)
    legal = np.unpackbits(rows["legal"], axis=-1, count=9).astype(bool)
    logits = np.where(legal, model.apply(params, jnp.array(planes)).policy_logits, -np.inf)
    prior = np.array(jax.nn.softmax(logits))
    policy = rows["policy"].astype(float)
    ratio = np.log(np.maximum(policy, 1e-9) / np.maximum(prior, 1e-9))
    divergence = (policy * ratio).sum(axis=1)
    ends, compared = np.flatnonzero(rows["last"]), 0
    for start, end in zip(np.r_[0, ends[:-1] + 1], ends + 1, strict=True):
        searched = policy[start:end].any(axis=1)
        mean = divergence[start:end].sum() / max(searched.sum(), 1)
        if 0 < mean < 0.01:
            continue  # float16 rounds the recorded policies
        expected = np.where(searched & (mean > 0), divergence[start:end] / max(mean, 0.01), 1)
        compared += len(set(expected)) > 1
        np.testing.assert_allclose(rows["relative_surprise"][start:end], expected, atol=0.05)
    assert compared >= 3


def test_search_without_a_prior_is_refused_by_name() -> None:
    plugins.trust([f"{__name__}:blind"])
    spec = StreamSpec(
        "tic_tac_toe",
        NetworkConfig("mlp", width=4, depth=1, head_width=2),
        SearchConfig(f"{__name__}:blind", 4),
        SelfPlayConfig(batch_size=2, segment_length=2),
        seed=0,
        surprise=True,
    )
    player = StreamPlayer.from_spec(spec, loss_terms.row_fields((), surprise=True))
    with pytest.raises(ValueError, match=r"surprise-weight .* search .*:blind does not return"):
        player.start(0)


def test_imitation_has_no_surprise() -> None:
    with pytest.raises(ValueError, match=r"imitation\.learner\.surprise-weight must be 0"):
        ImitationConfig(learner=LearnerConfig(surprise_weight=0.5))


@SearchAlgorithm
def blind(game: Any, evaluate: Any, num_simulations: int, noise: bool) -> Any:
    """Plays the first action, and does not say what the network thinks."""

    def search(params: Any, states: Any, key: Any) -> SearchResult:
        legal = jax.vmap(game.legal_actions)(states)
        action = jnp.argmax(legal, axis=-1).astype(jnp.int32)
        policy = cast("Any", jax.nn.one_hot(action, legal.shape[1]))
        return SearchResult(action, policy, jnp.zeros(len(action)))

    return search
