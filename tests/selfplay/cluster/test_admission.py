"""Admission of actors on a fake Ray: resources, fingerprints, and actors that cannot start."""

from __future__ import annotations

import pytest

from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.ray_errors import PoolFailed
from selfplay.cluster.ray_pool import RayPool
from tests.selfplay.cluster.fake_ray import (
    SPEC,
    FakeRay,
    Lost,
    NotStarted,
    RayError,
    Soon,
    expected_results,
    play_iteration,
)


def test_actors_that_die_together_while_starting_are_all_replaced(fake: FakeRay) -> None:
    fake.fingerprints.update({n: Soon("its node went away") for n in range(8)})
    workers = RayPool(SPEC, ClusterConfig(actors=8, retries=1))
    assert play_iteration(workers, 8) == expected_results(8)
    assert fake.started == 16 and workers.losses == 8
    assert len({actor for actor, _ in fake.played}) == 8
    workers.close()


def test_new_node_lets_failed_starts_be_tried_again(fake: FakeRay) -> None:
    fake.resources, fake.fingerprints[0] = [{"CPU": 2.0}], NotStarted("no such module")
    workers = RayPool(SPEC, ClusterConfig(address="auto"))
    assert play_iteration(workers, 4) == expected_results(4) and fake.started == 2
    assert play_iteration(workers, 4, 5) == expected_results(4, 5) and fake.started == 2
    fake.resources.append({"CPU": 1.0})
    assert play_iteration(workers, 4, 6) == expected_results(4, 6) and fake.started == 4
    workers.close()


def test_number_of_actors_is_limited_by_streams_unless_configured(fake: FakeRay) -> None:
    fake.resources, fake.fingerprints[0] = [{"CPU": 9.0}], "other"
    workers = RayPool(SPEC, ClusterConfig(address="auto"), "same", streams=3)
    assert play_iteration(workers, 3) == expected_results(3)
    assert play_iteration(workers, 3, 5) == expected_results(3, 5)
    assert fake.started == 4  # one in the place of who was refused
    workers.close()
    RayPool(SPEC, ClusterConfig(actors=5, address="auto"), "same", streams=3).close()
    assert fake.started == 9


def test_actor_with_another_fingerprint_is_rejected_and_others_play(fake: FakeRay) -> None:
    sentences: list[str] = []
    fake.fingerprints[0] = "other arithmetic"
    workers = RayPool(SPEC, ClusterConfig(actors=2), "same", sentences.append)
    assert len(sentences) == 1 and "fingerprint is other arithm, the run's is same" in sentences[0]
    assert play_iteration(workers, 4) == expected_results(4)
    assert {actor for actor, _ in fake.played} == {1}
    assert fake.started == 2 and workers.usage()["actors"] == 1  # nobody takes its place
    workers.close()


def test_rejected_actor_keeps_its_resources_until_its_node_goes(fake: FakeRay) -> None:
    """Otherwise every replacement would be started there and rejected as well."""
    fake.resources, fake.fingerprints[1] = [{"CPU": 1.0}, {"CPU": 1.0}], "other"
    workers = RayPool(SPEC, ClusterConfig(address="auto"), "same")
    assert (
        play_iteration(workers, 3) == expected_results(3) and fake.started == 2 and not fake.killed
    )
    assert (
        play_iteration(workers, 3, 5) == expected_results(3, 5) and fake.started == 2
    )  # no room to grow into
    (end,) = workers._manager.rejected
    end.value = Lost("its node went away")  # and another one comes
    while workers._manager.rejected:
        assert play_iteration(workers, 3, 6) == expected_results(3, 6)
    assert play_iteration(workers, 3, 7) == expected_results(3, 7)
    assert fake.started == 3 and {actor for actor, _ in fake.played} <= {0, 2}
    workers.close()


def test_pool_fails_without_any_matching_actor(fake: FakeRay) -> None:
    with pytest.raises(PoolFailed, match=r"no actor is left.*the run's is of the run"):
        RayPool(SPEC, ClusterConfig(actors=2), fingerprint="of the run")
    assert fake.killed == 1000 + 2


def test_replacement_with_another_fingerprint_is_rejected(fake: FakeRay) -> None:
    fake.fingerprints[1], fake.losses[1] = "other", 1
    workers = RayPool(SPEC, ClusterConfig(actors=1))
    assert workers.fingerprint == "same"
    with pytest.raises(PoolFailed, match="fingerprint is other, the run's is same"):
        play_iteration(workers, 3)
    workers.close()


def test_mismatched_actors_are_admitted_if_allowed(fake: FakeRay) -> None:
    fake.fingerprints[1] = "other"
    workers = RayPool(SPEC, ClusterConfig(actors=2, allow_mismatched_actors=True), "same")
    assert play_iteration(workers, 6) == expected_results(6)
    assert {actor for actor, _ in fake.played} == {0, 1}
    workers.close()


def test_actor_that_cannot_start_is_not_started_again(fake: FakeRay) -> None:
    fake.fingerprints[0] = NotStarted("a stack\n  of calls\nno such module\n")
    sentences: list[str] = []
    workers = RayPool(SPEC, ClusterConfig(actors=2), announce=sentences.append)
    assert play_iteration(workers, 3) == expected_results(3)
    assert fake.started == 2 and "could not start: no such module" in sentences[0]
    workers.close()


def test_actor_that_dies_while_starting_is_replaced(fake: FakeRay) -> None:
    fake.fingerprints[0] = Lost("its node went away")
    workers = RayPool(SPEC, ClusterConfig(actors=1))
    assert play_iteration(workers, 3) == expected_results(3)
    assert fake.started == 2 and workers.losses == 1
    workers.close()


def test_repeated_deaths_while_starting_end_the_pool(fake: FakeRay) -> None:
    fake.fingerprints.update({n: Lost("killed, for its memory") for n in range(99)})
    with pytest.raises(PoolFailed, match=r"no actor is left.*could not start: killed, for its mem"):
        RayPool(SPEC, ClusterConfig(actors=1, retries=3))
    assert fake.started == 4


def test_node_that_cannot_start_actors_does_not_stop_the_others(fake: FakeRay) -> None:
    fake.fingerprints[1] = RayError("a runtime environment\ncannot be made: no space left")
    sentences: list[str] = []
    workers = RayPool(SPEC, ClusterConfig(actors=2), announce=sentences.append)
    assert play_iteration(workers, 3) == expected_results(3)
    assert sentences == ["refused: an actor could not start: cannot be made: no space left"]
    workers.close()


def test_remote_cluster_plays_with_its_first_actor(fake: FakeRay) -> None:
    fake.resources = [{"CPU": 2.0}, {"CPU": 1.5}]
    fake.silent_actors = {0, 1}
    workers = RayPool(SPEC, ClusterConfig(address="auto"))
    assert fake.started == 3 and play_iteration(workers, 4) == expected_results(4)
    assert {actor for actor, _ in fake.played} == {2}
    fake.silent_actors = {0}  # one joins late
    assert play_iteration(workers, 4, 5) == expected_results(4, 5)
    assert {actor for actor, _ in fake.played} == {1, 2}
    fake.resources.append({"CPU": 2.5})  # a node comes
    assert play_iteration(workers, 9, 6) == expected_results(9, 6)
    assert fake.started == 5
    workers.close()


def test_missing_resources_are_reported(fake: FakeRay) -> None:
    fake.resources = [{"CPU": 1.5}, {"CPU": 0.5}]
    with pytest.raises(
        ValueError, match=r"room for 0 of 1 actors.*takes CPU 1, GPU 0\.5.*GPU 0 on 2 nodes$"
    ):
        RayPool(SPEC, ClusterConfig(actors=1, gpus_per_actor=0.5))
    sentences: list[str] = []
    fake.silent_actors = {1, 2}  # as Ray leaves an actor without room
    workers = RayPool(SPEC, ClusterConfig(actors=3, address="auto"), announce=sentences.append)
    assert (
        "room for 1 of 3 actors: each takes CPU 1" in sentences[0]
        and "the others join" in sentences[0]
    )
    assert sentences[1:] == ["actors that play at auto: 1 so far"]
    assert play_iteration(workers, 4) == expected_results(4)
    workers.close()
