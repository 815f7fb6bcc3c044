"""Archives of start states: what enters them, how games start from them, and by which regret."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay.acting import segment, start_states
from selfplay.acting.config import SelfPlayConfig
from selfplay.acting.row_schema import unpack
from selfplay.acting.start_states import MIN_REGRET, Archive, Places
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.search.config import SearchConfig

GAME = games.make("tic_tac_toe")
CONFIG = SelfPlayConfig(
    batch_size=4, segment_length=24, archive_fraction=1.0, archive_size=5, random_opening_fraction=0
)


def places(*numbers: int) -> Places:
    """Positions that are told apart by a number; each was reached after as many moves."""
    return Places(jnp.array(numbers, jnp.float32), jnp.array(numbers, jnp.int32))


def archive_of(*ended: tuple[int, float, float]) -> Archive:
    """An archive after games of lane 0 with a position, its value for player 0 and the result."""
    archive = start_states.empty_archive(CONFIG, places(0, 0, 0, 0))
    assert archive
    over = jnp.array([True, False, False, False])
    for number, value, outcome in ended:
        shown = places(number, 0, 0, 0)
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
    archive = start_states.empty_archive(CONFIG, places(0, 0, 0, 0))
    assert archive
    archive = start_states.visit(archive, places(1, 2, 3, 4), jnp.zeros(4), jax.random.key(0))
    over = jnp.array([True, False, True, True])
    archive = start_states.enter(archive, over, jnp.ones(4))
    assert archive.state.tolist() == [1, 3, 4, 0, 0] and archive.seen.tolist() == [0, 1, 0, 0]


def test_every_position_of_a_game_is_as_likely_to_enter() -> None:
    lanes, plies = 6000, 5
    config = replace(CONFIG, batch_size=lanes, archive_size=lanes)
    archive = start_states.empty_archive(config, places(*[0] * lanes))
    assert archive
    for ply in range(plies):
        shown = Places(jnp.full(lanes, float(ply)), jnp.full(lanes, ply))
        key = jax.random.fold_in(jax.random.key(3), ply)
        archive = start_states.visit(archive, shown, jnp.zeros(lanes), key)
    shares = np.bincount(archive.candidate_ply, minlength=plies) / lanes
    np.testing.assert_allclose(shares, 1 / plies, atol=4.5 * (0.16 / lanes) ** 0.5)


@pytest.mark.parametrize("by_regret", [False, True])
@pytest.mark.parametrize("fraction", [0.3, 1.0])
def test_starts_are_drawn_in_the_configured_proportions(fraction: float, by_regret: bool) -> None:
    archive = archive_of((1, 1.0, 1.0), (2, 0.5, 1.0), (3, 1.0, -1.0))
    count = 8000
    config = replace(CONFIG, archive_fraction=fraction, archive_by_regret=by_regret)
    fresh = places(*[9] * count)
    starts = start_states.start_from(archive, config, fresh, jax.random.key(1))
    assert starts.state.tolist() == starts.ply.tolist()
    weights = np.array([0, 0.5, 2]) + MIN_REGRET if by_regret else np.ones(3)
    expected = np.zeros(10)
    expected[1:4], expected[9] = fraction * weights / weights.sum(), 1 - fraction
    shares = np.bincount(starts.ply, minlength=10) / count
    np.testing.assert_array_less(abs(shares - expected), 4.5 * (0.25 / count) ** 0.5)


def test_games_start_afresh_while_the_archive_is_empty() -> None:
    starts = start_states.start_from(archive_of(), CONFIG, places(9, 9), jax.random.key(1))
    assert starts.ply.tolist() == [9, 9]
    assert start_states.empty_archive(replace(CONFIG, archive_fraction=0), places(0)) is None


def test_games_of_a_segment_start_from_positions_that_earlier_ones_visited() -> None:
    model = network.make(GAME, NetworkConfig("mlp", 4, 1, 2))
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"archive_fraction": 1.5}, r"selfplay\.archive-fraction must be from 0 to 1, got 1\.5"),
        ({"archive_fraction": 0.5, "archive_size": 3}, r"archive-size must be at least .*, 4, .*3"),
    ],
)
def test_archive_out_of_range_is_rejected(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **options)
