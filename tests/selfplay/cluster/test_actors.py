"""Who may play, on a Ray made of plain objects: room, fingerprints, and those that cannot start."""

from __future__ import annotations

import pytest

from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.failures import PoolFailed
from selfplay.cluster.ray_pool import RayPool
from tests.selfplay.cluster.fake_ray import (
    SPEC,
    FakeRay,
    Lost,
    NotStarted,
    RayError,
    Soon,
    collected,
    right,
)


def test_actors_that_die_together_before_they_join_are_all_replaced(fake: FakeRay) -> None:
    fake.fingerprints.update({n: Soon("its node went away") for n in range(8)})
    workers = RayPool(SPEC, ClusterConfig(actors=8, retries=1))
    assert collected(workers, 8) == right(8)
    assert fake.started == 16 and workers.losses == 8
    assert len({actor for actor, _ in fake.played}) == 8
    workers.close()


def test_a_new_node_gives_those_that_could_not_start_another_try(fake: FakeRay) -> None:
    fake.resources, fake.fingerprints[0] = [{"CPU": 2.0}], NotStarted("no such module")
    workers = RayPool(SPEC, ClusterConfig(address="auto"))
    assert collected(workers, 4) == right(4) and fake.started == 2
    assert collected(workers, 4, 5) == right(4, 5) and fake.started == 2
    fake.resources.append({"CPU": 1.0})
    assert collected(workers, 4, 6) == right(4, 6) and fake.started == 4
    workers.close()


def test_no_more_actors_than_streams_unless_they_are_asked_for(fake: FakeRay) -> None:
    fake.resources, fake.fingerprints[0] = [{"CPU": 9.0}], "other"
    workers = RayPool(SPEC, ClusterConfig(address="auto"), "same", streams=3)
    assert collected(workers, 3) == right(3)
    assert collected(workers, 3, 5) == right(3, 5)
    assert fake.started == 4  # one in the place of who was refused
    workers.close()
    RayPool(SPEC, ClusterConfig(actors=5, address="auto"), "same", streams=3).close()
    assert fake.started == 9


def test_actors_with_another_fingerprint_are_refused_and_the_others_play(fake: FakeRay) -> None:
    said: list[str] = []
    fake.fingerprints[0] = "other arithmetic"
    workers = RayPool(SPEC, ClusterConfig(actors=2), "same", said.append)
    assert len(said) == 1 and "fingerprint is other arithm, the run's is same" in said[0]
    assert collected(workers, 4) == right(4)
    assert {actor for actor, _ in fake.played} == {1}
    assert fake.started == 2 and workers.usage()["actors"] == 1  # nobody takes its place
    workers.close()


def test_who_is_refused_keeps_its_room_until_its_node_goes(fake: FakeRay) -> None:
    """Else every replacement would be started there, and be refused, too."""
    fake.resources, fake.fingerprints[1] = [{"CPU": 1.0}, {"CPU": 1.0}], "other"
    workers = RayPool(SPEC, ClusterConfig(address="auto"), "same")
    assert collected(workers, 3) == right(3) and fake.started == 2 and not fake.killed
    assert collected(workers, 3, 5) == right(3, 5) and fake.started == 2  # no room to grow into
    (end,) = workers._crew.turned_away
    end.value = Lost("its node went away")  # and another one comes
    while workers._crew.turned_away:
        assert collected(workers, 3, 6) == right(3, 6)
    assert collected(workers, 3, 7) == right(3, 7)
    assert fake.started == 3 and {actor for actor, _ in fake.played} <= {0, 2}
    workers.close()


def test_without_any_actor_of_the_runs_fingerprint_nothing_begins(fake: FakeRay) -> None:
    with pytest.raises(PoolFailed, match=r"no actor is left.*the run's is of the run"):
        RayPool(SPEC, ClusterConfig(actors=2), fingerprint="of the run")
    assert fake.killed == 1000 + 2


def test_a_replacement_with_another_fingerprint_is_refused_too(fake: FakeRay) -> None:
    fake.fingerprints[1], fake.losses[1] = "other", 1
    workers = RayPool(SPEC, ClusterConfig(actors=1))
    assert workers.fingerprint == "same"
    with pytest.raises(PoolFailed, match="fingerprint is other, the run's is same"):
        collected(workers, 3)
    workers.close()


def test_mixing_lets_every_fingerprint_in(fake: FakeRay) -> None:
    fake.fingerprints[1] = "other"
    workers = RayPool(SPEC, ClusterConfig(actors=2, allow_mismatched_actors=True), "same")
    assert collected(workers, 6) == right(6)
    assert {actor for actor, _ in fake.played} == {0, 1}
    workers.close()


def test_an_actor_that_cannot_start_is_not_tried_again(fake: FakeRay) -> None:
    fake.fingerprints[0] = NotStarted("a stack\n  of calls\nno such module\n")
    said: list[str] = []
    workers = RayPool(SPEC, ClusterConfig(actors=2), announce=said.append)
    assert collected(workers, 3) == right(3)
    assert fake.started == 2 and "could not start: no such module" in said[0]
    workers.close()


def test_one_that_dies_before_it_joins_is_replaced(fake: FakeRay) -> None:
    fake.fingerprints[0] = Lost("its node went away")
    workers = RayPool(SPEC, ClusterConfig(actors=1))
    assert collected(workers, 3) == right(3)
    assert fake.started == 2 and workers.losses == 1
    workers.close()


def test_those_that_die_before_they_join_again_and_again_are_given_up(fake: FakeRay) -> None:
    fake.fingerprints.update({n: Lost("killed, for its memory") for n in range(99)})
    with pytest.raises(PoolFailed, match=r"no actor is left.*could not start: killed, for its mem"):
        RayPool(SPEC, ClusterConfig(actors=1, retries=3))
    assert fake.started == 4


def test_a_new_node_that_cannot_start_actors_stops_nobody(fake: FakeRay) -> None:
    fake.fingerprints[1] = RayError("a runtime environment\ncannot be made: no space left")
    said: list[str] = []
    workers = RayPool(SPEC, ClusterConfig(actors=2), announce=said.append)
    assert collected(workers, 3) == right(3)
    assert said == ["refused: an actor could not start: cannot be made: no space left"]
    workers.close()


def test_a_cluster_is_played_on_as_soon_as_one_actor_is_there(fake: FakeRay) -> None:
    fake.resources = [{"CPU": 2.0}, {"CPU": 1.5}]
    fake.never = {0, 1}
    workers = RayPool(SPEC, ClusterConfig(address="auto"))
    assert fake.started == 3 and collected(workers, 4) == right(4)
    assert {actor for actor, _ in fake.played} == {2}
    fake.never = {0}  # one joins late
    assert collected(workers, 4, 5) == right(4, 5)
    assert {actor for actor, _ in fake.played} == {1, 2}
    fake.resources.append({"CPU": 2.5})  # a node comes
    assert collected(workers, 9, 6) == right(9, 6)
    assert fake.started == 5
    workers.close()


def test_who_finds_no_room_is_told(fake: FakeRay) -> None:
    fake.resources = [{"CPU": 1.5}, {"CPU": 0.5}]
    with pytest.raises(
        ValueError, match=r"room for 0 of 1 actors.*takes CPU 1, GPU 0\.5.*GPU 0 on 2 nodes$"
    ):
        RayPool(SPEC, ClusterConfig(actors=1, gpus_per_actor=0.5))
    said: list[str] = []
    fake.never = {1, 2}  # as Ray leaves an actor without room
    workers = RayPool(SPEC, ClusterConfig(actors=3, address="auto"), announce=said.append)
    assert "room for 1 of 3 actors: each takes CPU 1" in said[0] and "the others join" in said[0]
    assert said[1:] == ["actors that play at auto: 1 so far"]
    assert collected(workers, 4) == right(4)
    workers.close()
