"""Archives of start states: what enters them, how games start from them, and by which regret."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay.acting import segment, start_states
from selfplay.acting.config import SelfPlayConfig
from selfplay.acting.row_schema import unpack
from selfplay.acting.start_states import MIN_REGRET, Archive, Positions
from selfplay.model import network
from selfplay.model.architecture import Prediction
from selfplay.model.config import NetworkConfig
from selfplay.search.config import SearchConfig
from selfplay.testing.planted_trees import TreeGame

GAME = games.make("tic_tac_toe")
MOVERS = np.array([[0, 1, 0, 1]])
CONFIG = SelfPlayConfig(
    batch_size=4, segment_length=24, archive_fraction=0.9, archive_size=5, random_opening_fraction=0
)


def positions(*numbers: int) -> Positions:
    """Returns positions that are numbers, each reached after as many moves."""
    return Positions(jnp.array(numbers, jnp.float32), jnp.array(numbers, jnp.int32))


def archive_of(*ended: tuple[int, float, float]) -> Archive:
    """Returns an archive after games of lane 0: (position, its value for player 0, result)."""
    archive = start_states.empty_archive(CONFIG, positions(0, 0, 0, 0))
    assert archive
    over = jnp.array([True, False, False, False])
    for number, value, outcome in ended:
        shown = positions(number, 0, 0, 0)
        archive = start_states.visit(archive, shown, jnp.full(4, value), jax.random.key(number))
        archive = start_states.enter(archive, over, jnp.full(4, outcome))
    return archive


def test_ended_games_enter_with_the_distance_of_value_and_result() -> None:
    archive = archive_of((1, 0.5, 1.0), (2, 0.5, -1.0), (3, 0.0, 0.0))
    assert archive.entered == 3
    assert archive.state.tolist() == archive.ply.tolist() == [1, 2, 3, 0, 0]
    np.testing.assert_allclose(archive.regret, [0.5, 1.5, 0, 0, 0])


def test_newest_positions_replace_the_oldest() -> None:
    archive = archive_of(*((number, 0.0, 0.0) for number in range(1, 8)))
    assert archive.state.tolist() == [6, 7, 3, 4, 5]


def test_games_that_end_together_enter_in_the_order_of_their_lanes() -> None:
    archive = start_states.empty_archive(CONFIG, positions(0, 0, 0, 0))
    assert archive
    archive = start_states.visit(archive, positions(1, 2, 3, 4), jnp.zeros(4), jax.random.key(0))
    over = jnp.array([True, False, True, True])
    archive = start_states.enter(archive, over, jnp.ones(4))
    assert archive.state.tolist() == [1, 3, 4, 0, 0] and archive.seen.tolist() == [0, 1, 0, 0]


def test_every_position_of_a_game_is_as_likely_to_enter() -> None:
    lanes, plies = 6000, 5
    config = replace(CONFIG, batch_size=lanes, archive_size=lanes)
    archive = start_states.empty_archive(config, positions(*[0] * lanes))
    assert archive
    for ply in range(plies):
        shown = Positions(jnp.full(lanes, float(ply)), jnp.full(lanes, ply))
        key = jax.random.fold_in(jax.random.key(3), ply)
        archive = start_states.visit(archive, shown, jnp.zeros(lanes), key)
    shares = np.bincount(archive.candidate_ply, minlength=plies) / lanes
    np.testing.assert_allclose(shares, 1 / plies, atol=4.5 * (0.16 / lanes) ** 0.5)


@pytest.mark.parametrize("by_regret", [False, True])
@pytest.mark.parametrize("fraction", [0.3, 0.9])
def test_starts_are_drawn_in_the_configured_proportions(fraction: float, by_regret: bool) -> None:
    archive = archive_of((1, 1.0, 1.0), (2, 0.5, 1.0), (3, 1.0, -1.0))
    count = 8000
    config = replace(CONFIG, archive_fraction=fraction, archive_by_regret=by_regret)
    fresh = positions(*[9] * count)
    starts = start_states.start_from(archive, config, fresh, jax.random.key(1))
    assert starts.state.tolist() == starts.ply.tolist()
    weights = np.array([0, 0.5, 2]) + MIN_REGRET if by_regret else np.ones(3)
    expected = np.zeros(10)
    expected[1:4], expected[9] = fraction * weights / weights.sum(), 1 - fraction
    shares = np.bincount(starts.ply, minlength=10) / count
    np.testing.assert_array_less(abs(shares - expected), 4.5 * (0.25 / count) ** 0.5)


def test_games_start_afresh_while_the_archive_is_empty() -> None:
    starts = start_states.start_from(archive_of(), CONFIG, positions(9, 9), jax.random.key(1))
    assert starts.ply.tolist() == [9, 9]
    assert start_states.empty_archive(replace(CONFIG, archive_fraction=0), positions(0)) is None


def test_games_of_a_segment_start_from_positions_that_earlier_ones_visited() -> None:
    model = network.make(GAME, NetworkConfig("mlp", width=4, depth=1, head_width=2))
    functions = segment.make(GAME, model.apply, SearchConfig(num_simulations=0), CONFIG)
    lanes = functions.start(jax.random.key(0))
    params = network.pseudo_random(model.init)
    after, record = jax.jit(functions.advance)(params, lanes, jax.random.key(1))
    packed = record.fields["planes"].reshape(-1, record.fields["planes"].shape[-1])
    planes = np.array(unpack(packed, GAME.observation_shape)).reshape(24, 4, -1)
    over, ply = np.array(record.over), np.array(record.fields["ply"])
    assert over.sum() >= 10 and after.archive and after.archive.entered == over.sum()
    for t, lane in np.argwhere(over[:-1]):
        visited = {bytes(shown) for shown in planes[: t + 1].reshape(-1, planes.shape[-1])}
        assert bytes(planes[t + 1, lane]) in visited
    starts = ply[1:][over[:-1]]
    assert len(set(starts.tolist())) >= 3  # and not only from the empty board


def test_regret_is_0_where_the_root_value_is_right_for_both_players() -> None:
    """A network that knows the tree plays it perfectly, whoever is to move."""
    rng = np.random.default_rng(0)
    game: Any = TreeGame(2, rng.choice([-1.0, 1.0], (1, 8)).astype(np.float32), MOVERS)
    values = [game.outcomes[0]]  # for player 0, of the leaves and the depths above
    for depth in (2, 1, 0):
        pairs = values[0].reshape(-1, 2)
        values.insert(0, pairs.max(axis=1) if MOVERS[0, depth] == 0 else pairs.min(axis=1))
    exact = np.concatenate(values)  # [15], by node

    def evaluate(params: Any, observations: Any) -> Prediction:
        node = jnp.argmax(observations.reshape(len(observations), -1), axis=1)
        mover = jnp.asarray(MOVERS[0, np.repeat([0, 1, 2, 3], [1, 2, 4, 8])])[node]
        sign = jnp.where(mover == 0, 1.0, -1.0)
        children = jnp.asarray(np.append(exact, np.zeros(16)))[
            2 * node[:, None] + 1 + jnp.arange(2)[None]
        ]
        return Prediction(100 * sign[:, None] * children, sign * jnp.asarray(exact)[node])

    config = replace(CONFIG, archive_fraction=0.5, temperature_plies=0)
    functions = segment.make(game, evaluate, SearchConfig(num_simulations=0, noise=False), config)
    lanes, _ = jax.jit(functions.advance)({}, functions.start(jax.random.key(0)), jax.random.key(1))
    assert lanes.archive and lanes.archive.entered >= 20
    np.testing.assert_allclose(lanes.archive.regret, 0, atol=1e-6)
    np.testing.assert_array_equal(lanes.archive.state.depth, lanes.archive.ply)
    assert len(set(lanes.archive.ply.tolist())) >= 2  # both players


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"archive_fraction": 1.5}, r"selfplay\.archive-fraction must be from 0 to 1, got 1\.5"),
        ({"archive_fraction": 1.0}, r"selfplay\.archive-fraction must be below 1: .* got 1"),
        ({"archive_fraction": 0.5, "archive_size": 3}, r"archive-size must be at least .*, 4, .*3"),
    ],
)
def test_archive_out_of_range_is_rejected(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **options)
