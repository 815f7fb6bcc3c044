"""Budgets that grow over the run: their schedule, what they play, and what they cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

import games
from selfplay.acting.config import SelfPlayConfig, StreamSpec
from selfplay.acting.cost import evaluations_per_segment, mean_evaluations
from selfplay.acting.stream_player import StreamPlayer
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.runs.digest import digest
from selfplay.search.config import SearchConfig
from selfplay.training.config import TrainConfig

SEARCH = SearchConfig(num_simulations=6)
GROWING = SelfPlayConfig(batch_size=3, segment_length=6, first_simulations=2, doubling_iterations=3)


def test_budget_doubles_until_it_is_that_of_the_search() -> None:
    budgets = [GROWING.search_at(SEARCH, i).num_simulations for i in range(1, 12)]
    assert budgets == [2, 2, 2, 4, 4, 4, 6, 6, 6, 6, 6]
    assert GROWING.search_at(SEARCH, 10**6).num_simulations == 6
    assert replace(GROWING, first_simulations=0).search_at(SEARCH, 1) is SEARCH


@pytest.mark.parametrize(("iteration", "budget"), [(1, 2), (4, 4)])
def test_iteration_is_played_with_its_budget(iteration: int, budget: int) -> None:
    spec = StreamSpec(
        "tic_tac_toe", NetworkConfig("mlp", width=4, depth=1, head_width=2), SEARCH, GROWING, 0
    )
    fixed = replace(
        spec,
        search=replace(SEARCH, num_simulations=budget),
        selfplay=replace(GROWING, first_simulations=0),
    )
    params = network.pseudo_random(network.make(games.make("tic_tac_toe"), spec.network).init)
    results = []
    for each in (spec, fixed):
        player = StreamPlayer.from_spec(each)
        results.append(digest(player.play(params, player.start(0), iteration, 0, 0)))
    assert results[0] == results[1]


def test_cost_counts_the_budget_of_each_iteration() -> None:
    assert [s.num_simulations for s in GROWING.searches(SEARCH)] == [2, 4, 6]
    assert replace(GROWING, first_simulations=0).searches(SEARCH) == [SEARCH]
    assert mean_evaluations(SEARCH, GROWING, 4) / 18 == (3 * 3 + 5) / 4
    assert mean_evaluations(SEARCH, GROWING, 0) / 18 == 3
    capped = replace(GROWING, full_search_fraction=0.5, fast_simulations=1)
    assert evaluations_per_segment(capped.search_at(SEARCH, 4), capped) == 3 * (3 * 5 + 3 * 2)


def test_schedule_out_of_range_is_rejected() -> None:
    with pytest.raises(
        ValueError, match=r"selfplay\.doubling-iterations must be at least 1, got 0"
    ):
        replace(GROWING, doubling_iterations=0)
    with pytest.raises(ValueError, match=r"selfplay\.first-simulations must be at least 0, got -1"):
        replace(GROWING, first_simulations=-1)
    with pytest.raises(ValueError, match=r"first-simulations is 9, more than .*simulations, 6"):
        TrainConfig(search=SEARCH, selfplay=replace(GROWING, first_simulations=9))
