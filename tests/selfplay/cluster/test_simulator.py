"""The simulator: exact where arithmetic is, and right about what cannot be outrun."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.cluster.simulator import Costs, costs_from_metrics, simulate
from selfplay.runs.metrics_row import parse

seconds = st.floats(0, 10)


def test_simulator_matches_hand_computed_schedule() -> None:
    costs = Costs(segment=6, learn=4, commit=1)
    alone = simulate(costs, streams=4, actors=1, policy_lag=0)
    # 24 s of play, 4 s of learning; the commit is done while the next one plays.
    assert alone.seconds == pytest.approx(28) and alone.actors_busy == pytest.approx(24 / 28)
    assert alone.per_hour == pytest.approx(3600 / 28)
    two = simulate(costs, streams=4, actors=2, policy_lag=0)
    assert two.seconds == pytest.approx(16) and two.learner_busy == pytest.approx(5 / 16)
    overlapping = simulate(costs, streams=4, actors=2, policy_lag=1)
    assert overlapping.seconds == pytest.approx(12) and overlapping.bottleneck == "actors"
    assert simulate(costs, streams=4, actors=4, policy_lag=1).seconds == pytest.approx(6)
    assert simulate(costs, streams=4, actors=400, policy_lag=1).seconds == pytest.approx(6)


def test_each_part_can_be_the_bottleneck() -> None:
    learner = simulate(Costs(segment=1, learn=20), streams=8, actors=8, policy_lag=1)
    assert learner.bottleneck == "learner" and learner.seconds == pytest.approx(20)
    driver = simulate(Costs(segment=1, send=0.5), streams=100, actors=100, policy_lag=1)
    assert driver.bottleneck == "driver" and driver.seconds == pytest.approx(51)


def test_uneven_streams_leave_actors_waiting() -> None:
    even = simulate(Costs(segment=5), streams=64, actors=64, policy_lag=0)
    uneven = simulate(Costs(segment=5, spread=0.3), streams=64, actors=64, policy_lag=0)
    assert even.actors_busy == pytest.approx(1) and uneven.actors_busy < 0.7
    more = simulate(Costs(segment=5, spread=0.3), streams=640, actors=64, policy_lag=0)
    assert more.actors_busy > 0.85  # several streams an actor even them out


@settings(max_examples=60, deadline=None)
@given(
    costs=st.builds(
        Costs,
        segment=st.floats(0.01, 10),
        send=st.floats(0, 1),
        receive=st.floats(0, 1),
        learn=seconds,
        commit=seconds,
    ),
    streams=st.integers(1, 12),
    actors=st.integers(1, 8),
)
def test_iteration_is_never_faster_than_its_parts(costs: Costs, streams: int, actors: int) -> None:
    lag0, lag1 = (simulate(costs, streams, actors, lag) for lag in (0, 1))
    assert lag1.seconds <= lag0.seconds * (1 + 1e-9)
    for found in (lag0, lag1):
        least = max(
            costs.segment * streams / actors,
            streams * (costs.send + costs.receive),
            costs.learn + costs.commit,
        )
        assert found.seconds >= least * (1 - 1e-9)
        assert 0 <= found.actors_busy <= 1 + 1e-9 and 0 <= found.learner_busy <= 1 + 1e-9
    assert lag0.seconds >= costs.segment * -(-streams // actors) + costs.learn - 1e-9
    more = simulate(costs, streams, actors + 1, 0)
    assert more.seconds <= lag0.seconds * (1 + 1e-9)


def test_costs_are_medians_of_metrics_and_the_mean_exam() -> None:
    rows = [
        {
            "iteration": 1,
            "pool": {"actors": 2.0, "stream_seconds": 1.2 + x, "play_seconds": 1.0, "spread": 0.1},
            "seconds": {"learn": 3.0, "commit": x, "exam": 4.0 * (x == 0.2) + 60 * (x == 9)},
        }
        for x in (0.0, 0.2, 9.0)  # the last one has the long exam
    ]
    found = costs_from_metrics([parse(row) for row in ({"iteration": 0}, {"iteration": 1}, *rows)])
    assert found.send == found.receive == pytest.approx(0.2)
    assert found == Costs(1.0, found.send, found.receive, 3.0, 0.2 + 2.0, 0.1)
    with pytest.raises(ValueError, match="have no times of actors"):
        costs_from_metrics([parse({"iteration": 0}), parse({"iteration": 1})])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actors": 0}, "at least 1.* got 4, 0, 20 and 0"),
        ({"policy_lag": 2}, "policy lag 0 or 1"),
        ({"iterations": 3}, "more than 3"),
    ],
)
def test_impossible_simulation_is_rejected(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate(Costs(segment=1), **{"streams": 4, "actors": 1, "policy_lag": 0, **change})
    for bad in ({"segment": 0.0}, {"segment": 1.0, "learn": -1.0}, {"segment": float("nan")}):
        with pytest.raises(ValueError, match=r"must be positive|must be 0 or more"):
            Costs(**bad)
