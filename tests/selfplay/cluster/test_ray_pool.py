"""The pool's dispatch, on a Ray of plain objects: order, losses, hangs, a head that goes."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from typing import Any

import pytest
from jax.errors import JaxRuntimeError

from selfplay.cluster import connection, plan, ray_pool
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.ray_errors import PoolFailed
from selfplay.cluster.ray_pool import RayPool
from tests.selfplay.cluster.fake_ray import (
    SPEC,
    FakeRay,
    Lost,
    OfCode,
    RayError,
    expected_results,
    play_iteration,
)

SUBMITTED: tuple[Any, Any] = "params", [0]  # parameters and carries, stand-ins of one stream


@pytest.mark.parametrize("actors", [1, 2, 3, 8])
def test_results_are_in_stream_order_whatever_order_they_arrive_in(
    fake: FakeRay, actors: int
) -> None:
    workers = RayPool(SPEC, ClusterConfig(actors=actors))
    for iteration in (4, 5):
        assert play_iteration(workers, 6, iteration) == expected_results(6, iteration)
    assert Counter(stream for _, stream in fake.played) == dict.fromkeys(range(6), 2)
    assert fake.busiest == 1 and fake.started == actors and workers.losses == 0
    assert len({actor for actor, _ in fake.played}) >= min(actors, 6)
    workers.close()
    assert fake.killed == 1000 + actors


def test_work_of_lost_actors_is_repeated_by_new_ones(fake: FakeRay) -> None:
    fake.losses.update({0: 1, 4: 3})
    workers = RayPool(SPEC, ClusterConfig(actors=2, retries=3))
    assert play_iteration(workers, 6) == expected_results(6)
    assert workers.losses == 4 and fake.started == 2 + 4
    played = Counter(stream for _, stream in fake.played)
    assert played == {0: 2, 1: 1, 2: 1, 3: 1, 4: 4, 5: 1}
    # A stream that came through has all its retries again.
    fake.losses.update({4: 3})
    assert play_iteration(workers, 6) == expected_results(6)
    assert workers.losses == 7
    workers.close()


def test_too_many_losses_stop_the_pool_and_name_the_stream(fake: FakeRay) -> None:
    fake.losses.update({2: 9})
    workers = RayPool(SPEC, ClusterConfig(actors=2, retries=1))
    with pytest.raises(
        PoolFailed, match=r"stream 2 lost its actor 2 times.*cluster\.retries.*died"
    ):
        play_iteration(workers, 3)
    workers.close()
    assert fake.killed == 1000 + 2


def test_actors_that_died_at_rest_are_no_fault_of_the_stream_they_are_given(fake: FakeRay) -> None:
    """A node that goes while the learner learns takes many actors, and says so of none."""
    workers = RayPool(SPEC, ClusterConfig(actors=8, retries=1))
    assert play_iteration(workers, 8) == expected_results(8)
    fake.dead_actors = set(range(8))
    assert play_iteration(workers, 2, 5) == expected_results(2, 5)
    assert workers.losses == 8 and fake.started == 16
    fake.fatal_streams = {8}  # the last one: the others wait for it
    assert play_iteration(workers, 9, 6) == expected_results(9, 6)
    assert workers.losses == 16 and fake.started == 24
    fake.dead_actors = set(range(99))  # those that were heard of since are a fault of it
    with pytest.raises(PoolFailed, match=r"lost its actor 2 times, more than cluster\.retries"):
        play_iteration(workers, 2, 7)
    workers.close()


def test_device_error_counts_as_a_loss_but_code_error_does_not(fake: FakeRay) -> None:
    fake.losses[1], fake.fails = 2, OfCode(JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"))
    workers = RayPool(SPEC, ClusterConfig(actors=2, retries=2))
    assert play_iteration(workers, 3) == expected_results(3)
    assert workers.losses == 2 and fake.started == 4 and fake.killed == 2
    fake.losses[1], fake.fails = 3, OfCode(JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"))
    with pytest.raises(PoolFailed, match=r"(?s)stream 1 lost its actor 3 times.*RESOURCE_EXHAUS"):
        play_iteration(workers, 3, 5)
    workers.close()
    workers = RayPool(SPEC, ClusterConfig(actors=2))
    fake.losses[1], fake.fails = 1, OfCode(KeyError("a bug"))
    with pytest.raises(OfCode, match="a bug"):
        play_iteration(workers, 3)
    workers.close()


def test_parameters_that_cannot_be_sent_raise_pool_failed(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = RayPool(SPEC, ClusterConfig(actors=1))

    def full(_: Any) -> Any:
        raise RayError("the object store is full\nand more")

    monkeypatch.setattr(fake, "put", full)
    with pytest.raises(PoolFailed, match=r"the Ray cluster failed: the object store is full$"):
        play_iteration(workers, 2)
    workers.close()


@pytest.mark.parametrize("hung", [{1}, {0, 1}], ids=["the last one", "all of them"])
def test_hanging_actor_is_killed_and_replaced(
    fake: FakeRay, hung: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is idle to play its stream twice."""
    monkeypatch.setattr(ray_pool, "HANG_MIN_S", 0.2)
    workers = RayPool(SPEC, ClusterConfig(actors=len(hung)))
    assert play_iteration(workers, 2) == expected_results(2)
    fake.hanging_streams = set(hung)

    def kill(actor: Any) -> None:  # what is asked of it is lost then
        for answer, flight in workers._in_flight.items():
            if flight.actor is actor:
                answer.value = Lost("killed")
                fake.hanging_streams.discard(flight.stream)

    monkeypatch.setattr(fake, "kill", kill)
    assert play_iteration(workers, 2, 5) == expected_results(2, 5)
    assert workers.losses == len(hung)
    workers.close()


def test_slow_stream_is_also_played_by_an_idle_actor(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "BACKUP_MIN_S", 0.0)
    workers = RayPool(SPEC, ClusterConfig(actors=2))
    fake.silent_actors = {0}  # it has joined, and hangs
    assert play_iteration(workers, 4) == expected_results(4)
    (hung,) = (stream for actor, stream in fake.played if actor == 0)
    assert (1, hung) in fake.played and workers.usage()["backups"] == 1 and workers.losses == 0
    fake.silent_actors = set()  # its answer comes when nobody waits for it any more
    assert play_iteration(workers, 4, 5) == expected_results(4, 5)
    workers.close()


def test_cluster_failure_raises_pool_failed(fake: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = RayPool(SPEC, ClusterConfig(actors=1))

    def gone(*_: Any, **__: Any) -> Any:
        raise RayError("the head is gone\nand more")

    monkeypatch.setattr(fake, "wait", gone)
    with pytest.raises(PoolFailed, match=r"the Ray cluster failed: the head is gone$"):
        play_iteration(workers, 2)
    workers.close()


def test_lost_head_stops_the_pool_without_waiting(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEARTBEAT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as head:
        fake.head = "{}:{}".format(*head.getsockname())
        workers = RayPool(SPEC, ClusterConfig(actors=1, connect_seconds=0.1))
        fake.silent_actors = {0}
        workers.submit(plan.Work(4, 3, 1), *SUBMITTED)
        later = threading.Timer(0.3, head.close)
        later.start()
        with pytest.raises(PoolFailed, match=rf"head at {fake.head} is gone"):
            workers.collect()
    workers.close()
    assert fake.killed == 0  # Ray is not asked for anything any more


def test_head_that_was_never_reachable_counts_as_alive(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEARTBEAT_S", 0.01)
    fake.head = "127.0.0.1:1"  # nobody listens there
    workers = RayPool(SPEC, ClusterConfig(actors=1, connect_seconds=0.0))
    fake.silent_actors = {0}
    workers.submit(plan.Work(4, 3, 1), *SUBMITTED)
    threading.Timer(0.2, fake.silent_actors.clear).start()
    assert workers.collect() == expected_results(1)
    workers.close()
