"""The pool's dispatch, on a Ray made of plain objects: order, losses, and who is let in.

What an actor answers is decided when it is asked; `wait` hands out the newest answer first.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from jax.errors import JaxRuntimeError

from selfplay.cluster import connection, plan, ray_pool
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.failures import LOST, PoolFailed
from selfplay.cluster.ray_pool import RayPool


class RayError(Exception):
    """Whatever Ray raises."""


class Lost(RayError):
    """What Ray raises for an actor that died."""

    actor_init_failed = False


class Soon(Lost):
    """One that is noticed before all else."""


class Late(Lost):
    """One that is noticed after all else."""


class NotStarted(Lost):
    """The same for one that died while it was made."""

    actor_init_failed = True


class OfCode(RayError):
    """What Ray raises for an exception in an actor's code, which is its cause."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"a stack\nof calls\n{cause}")
        self.cause = cause


@dataclass(eq=False)
class Answer:
    """A reference: a value or an exception, and whose it is."""

    value: Any
    actor: int


@dataclass
class FakeRay:
    """Just what the pool uses. `losses`: how often each stream's actor dies; `probes`: in turn."""

    losses: Counter[int] = field(default_factory=Counter)
    fails: Exception | None = None  # what they die of, if they do not vanish
    probes: dict[int, Any] = field(default_factory=dict)  # of the n-th actor; others "same"
    never: set[int] = field(default_factory=set)  # actors that are not heard of again
    dead: set[int] = field(default_factory=set)  # actors that are lost when they are asked
    fatal: set[int] = field(default_factory=set)  # streams in whose play the only node dies, once
    hung: set[int] = field(default_factory=set)  # streams whose players are not heard of again
    resources: list[dict[str, float]] = field(default_factory=lambda: [{"CPU": 8.0}])  # of nodes
    head: str = "nowhere"  # its address
    started: int = 0
    killed: int = 0
    busiest: int = 0  # most pieces of work one actor had at a time
    played: list[tuple[int, int]] = field(default_factory=list)  # (actor, stream)

    exceptions = SimpleNamespace(
        **dict.fromkeys(LOST, Lost), RayError=RayError, RayTaskError=OfCode
    )

    def remote(self, _: type) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self.start))

    def start(self, *_: Any) -> Any:
        number, self.started = self.started, self.started + 1

        def play(version: int, params: Any, carry: Any, iteration: int, stream: int) -> Answer:
            self.played.append((number, stream))
            if stream in self.fatal:
                self.fatal.remove(stream)
                self.dead = set(range(self.started))
            if number in self.dead:
                return Answer(Late(f"actor {number} had died"), number)
            if stream in self.hung:
                return Answer("hung", number)
            if self.losses[stream]:
                self.losses[stream] -= 1
                return Answer(self.fails or Lost(f"actor {number} died"), number)
            return Answer(((carry + 1, (version, params, iteration, stream)), 0.01), number)

        probe = self.probes.get(number, "same")
        return SimpleNamespace(
            play=SimpleNamespace(remote=play),
            probe=SimpleNamespace(remote=lambda: Answer(probe, number)),
            stay=SimpleNamespace(remote=lambda: Answer("hung", number)),
        )

    def put(self, value: Any) -> Any:
        return value

    def get(self, asked: Any) -> Any:
        if isinstance(asked, list):
            return [self.get(one) for one in asked]
        if isinstance(asked.value, Exception):
            raise asked.value
        return asked.value

    def wait(self, flying: list[Answer], **_: Any) -> tuple[list[Answer], list[Answer]]:
        self.busiest = max(self.busiest, *Counter(answer.actor for answer in flying).values())
        heard = [a for a in flying if a.actor not in self.never and a.value != "hung"]
        if not heard:
            time.sleep(0.001)

        def order(answer: Answer) -> tuple[bool, ...]:  # who joins comes first, then the newest
            value = answer.value
            sooner, later = isinstance(value, Soon), isinstance(value, Late)
            return sooner, value in ("same", "other"), not later

        heard.sort(key=order)
        return heard[-1:], heard[:-1]

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address=self.head)

    def nodes(self) -> list[dict[str, Any]]:
        dead = {"Alive": False, "NodeID": "dead", "Resources": {"CPU": 99.0}}
        alive = enumerate(self.resources)
        return [dead, *({"Alive": True, "NodeID": str(i), "Resources": n} for i, n in alive)]

    def kill(self, _: Any) -> None:
        self.killed += 1

    def shutdown(self) -> None:
        self.killed += 1000


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    ray = FakeRay()
    monkeypatch.setattr(ray_pool, "connect", lambda config, actors: ray)
    monkeypatch.setattr(ray_pool, "TICK", 0.0)
    yield ray


def collected(workers: RayPool, streams: int, iteration: int = 4) -> list[Any]:
    """Results of one iteration by version 3; stream s's carry is 10 · s."""
    workers.submit(plan.Work(iteration, 3, streams), "params", [10 * s for s in range(streams)])
    return workers.collect()


def right(streams: int, iteration: int = 4) -> list[Any]:
    return [(10 * s + 1, (3, "params", iteration, s)) for s in range(streams)]


@pytest.mark.parametrize("actors", [1, 2, 3, 8])
def test_results_stand_in_stream_order_however_they_come(fake: FakeRay, actors: int) -> None:
    workers = RayPool((), ClusterConfig(actors=actors))
    for iteration in (4, 5):
        assert collected(workers, 6, iteration) == right(6, iteration)
    assert Counter(stream for _, stream in fake.played) == dict.fromkeys(range(6), 2)
    assert fake.busiest == 1 and fake.started == actors and workers.losses == 0
    assert len({actor for actor, _ in fake.played}) >= min(actors, 6)
    workers.close()
    assert fake.killed == 1000 + actors


def test_the_work_of_lost_actors_is_played_again_by_new_ones(fake: FakeRay) -> None:
    fake.losses.update({0: 1, 4: 3})
    workers = RayPool((), ClusterConfig(actors=2, retries=3))
    assert collected(workers, 6) == right(6)
    assert workers.losses == 4 and fake.started == 2 + 4
    played = Counter(stream for _, stream in fake.played)
    assert played == {0: 2, 1: 1, 2: 1, 3: 1, 4: 4, 5: 1}
    # A stream that came through has all its retries again.
    fake.losses.update({4: 3})
    assert collected(workers, 6) == right(6)
    assert workers.losses == 7
    workers.close()


def test_too_many_losses_stop_the_pool_and_name_the_stream(fake: FakeRay) -> None:
    fake.losses.update({2: 9})
    workers = RayPool((), ClusterConfig(actors=2, retries=1))
    with pytest.raises(
        PoolFailed, match=r"stream 2 lost its actor 2 times.*cluster\.retries.*died"
    ):
        collected(workers, 3)
    workers.close()
    assert fake.killed == 1000 + 2


def test_actors_that_died_at_rest_are_no_fault_of_the_stream_they_are_given(fake: FakeRay) -> None:
    """A node that goes while the learner learns takes many actors, and says so of none."""
    workers = RayPool((), ClusterConfig(actors=8, retries=1))
    assert collected(workers, 8) == right(8)
    fake.dead = set(range(8))
    assert collected(workers, 2, 5) == right(2, 5)
    assert workers.losses == 8 and fake.started == 16
    fake.fatal = {8}  # the last one: the others wait for it
    assert collected(workers, 9, 6) == right(9, 6)
    assert workers.losses == 16 and fake.started == 24
    fake.dead = set(range(99))  # those that were heard of since are a fault of it
    with pytest.raises(PoolFailed, match=r"lost its actor 2 times, more than cluster\.retries"):
        collected(workers, 2, 7)
    workers.close()


def test_actors_that_die_together_before_they_join_are_all_replaced(fake: FakeRay) -> None:
    fake.probes.update({n: Soon("its node went away") for n in range(8)})
    workers = RayPool((), ClusterConfig(actors=8, retries=1))
    assert collected(workers, 8) == right(8)
    assert fake.started == 16 and workers.losses == 8
    assert len({actor for actor, _ in fake.played}) == 8
    workers.close()


def test_a_new_node_gives_those_that_could_not_start_another_try(fake: FakeRay) -> None:
    fake.resources, fake.probes[0] = [{"CPU": 2.0}], NotStarted("no such module")
    workers = RayPool((), ClusterConfig(address="auto"))
    assert collected(workers, 4) == right(4) and fake.started == 2
    assert collected(workers, 4, 5) == right(4, 5) and fake.started == 2
    fake.resources.append({"CPU": 1.0})
    assert collected(workers, 4, 6) == right(4, 6) and fake.started == 4
    workers.close()


def test_no_more_actors_than_streams_unless_they_are_asked_for(fake: FakeRay) -> None:
    fake.resources, fake.probes[0] = [{"CPU": 9.0}], "other"
    workers = RayPool((), ClusterConfig(address="auto"), "same", streams=3)
    assert collected(workers, 3) == right(3)
    assert collected(workers, 3, 5) == right(3, 5)
    assert fake.started == 4  # one in the place of who was refused
    workers.close()
    RayPool((), ClusterConfig(actors=5, address="auto"), "same", streams=3).close()
    assert fake.started == 9


def test_actors_with_another_probe_are_refused_and_the_others_play(fake: FakeRay) -> None:
    said: list[str] = []
    fake.probes[0] = "other arithmetic"
    workers = RayPool((), ClusterConfig(actors=2), "same", said.append)
    assert len(said) == 1 and "probe is other arithm, the run's is same" in said[0]
    assert collected(workers, 4) == right(4)
    assert {actor for actor, _ in fake.played} == {1}
    assert fake.started == 2 and workers.usage()["actors"] == 1  # nobody takes its place
    workers.close()


def test_who_is_refused_keeps_its_room_until_its_node_goes(fake: FakeRay) -> None:
    """Else every replacement would be started there, and be refused, too."""
    fake.resources, fake.probes[1] = [{"CPU": 1.0}, {"CPU": 1.0}], "other"
    workers = RayPool((), ClusterConfig(address="auto"), "same")
    assert collected(workers, 3) == right(3) and fake.started == 2 and not fake.killed
    assert collected(workers, 3, 5) == right(3, 5) and fake.started == 2  # no room to grow into
    (end,) = workers._crew.turned_away
    end.value = Lost("its node went away")  # and another one comes
    while workers._crew.turned_away:
        assert collected(workers, 3, 6) == right(3, 6)
    assert collected(workers, 3, 7) == right(3, 7)
    assert fake.started == 3 and {actor for actor, _ in fake.played} <= {0, 2}
    workers.close()


def test_without_any_actor_of_the_runs_probe_nothing_begins(fake: FakeRay) -> None:
    with pytest.raises(PoolFailed, match=r"no actor is left.*the run's is of the run"):
        RayPool((), ClusterConfig(actors=2), probe="of the run")
    assert fake.killed == 1000 + 2


def test_a_replacement_with_another_probe_is_refused_too(fake: FakeRay) -> None:
    fake.probes[1], fake.losses[1] = "other", 1
    workers = RayPool((), ClusterConfig(actors=1))
    assert workers.probe == "same"
    with pytest.raises(PoolFailed, match="probe is other, the run's is same"):
        collected(workers, 3)
    workers.close()


def test_mixing_lets_every_probe_in(fake: FakeRay) -> None:
    fake.probes[1] = "other"
    workers = RayPool((), ClusterConfig(actors=2, mixing=True), "same")
    assert collected(workers, 6) == right(6)
    assert {actor for actor, _ in fake.played} == {0, 1}
    workers.close()


def test_an_actor_that_cannot_start_is_not_tried_again(fake: FakeRay) -> None:
    fake.probes[0] = NotStarted("a stack\n  of calls\nno such module\n")
    said: list[str] = []
    workers = RayPool((), ClusterConfig(actors=2), announce=said.append)
    assert collected(workers, 3) == right(3)
    assert fake.started == 2 and "could not start: no such module" in said[0]
    workers.close()


def test_one_that_dies_before_it_joins_is_replaced(fake: FakeRay) -> None:
    fake.probes[0] = Lost("its node went away")
    workers = RayPool((), ClusterConfig(actors=1))
    assert collected(workers, 3) == right(3)
    assert fake.started == 2 and workers.losses == 1
    workers.close()


def test_those_that_die_before_they_join_again_and_again_are_given_up(fake: FakeRay) -> None:
    fake.probes.update({n: Lost("killed, for its memory") for n in range(99)})
    with pytest.raises(PoolFailed, match=r"no actor is left.*could not start: killed, for its mem"):
        RayPool((), ClusterConfig(actors=1, retries=3))
    assert fake.started == 4


def test_a_device_that_fails_is_a_loss_and_code_that_fails_is_not(fake: FakeRay) -> None:
    fake.losses[1], fake.fails = 2, OfCode(JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"))
    workers = RayPool((), ClusterConfig(actors=2, retries=2))
    assert collected(workers, 3) == right(3)
    assert workers.losses == 2 and fake.started == 4 and fake.killed == 2
    fake.losses[1], fake.fails = 3, OfCode(JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"))
    with pytest.raises(PoolFailed, match=r"(?s)stream 1 lost its actor 3 times.*RESOURCE_EXHAUS"):
        collected(workers, 3, 5)
    workers.close()
    workers = RayPool((), ClusterConfig(actors=2))
    fake.losses[1], fake.fails = 1, OfCode(KeyError("a bug"))
    with pytest.raises(OfCode, match="a bug"):
        collected(workers, 3)
    workers.close()


def test_a_new_node_that_cannot_start_actors_stops_nobody(fake: FakeRay) -> None:
    fake.probes[1] = RayError("a runtime environment\ncannot be made: no space left")
    said: list[str] = []
    workers = RayPool((), ClusterConfig(actors=2), announce=said.append)
    assert collected(workers, 3) == right(3)
    assert said == ["refused: an actor could not start: cannot be made: no space left"]
    workers.close()


def test_parameters_that_cannot_be_sent_are_a_sentence(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = RayPool((), ClusterConfig(actors=1))

    def full(_: Any) -> Any:
        raise RayError("the object store is full\nand more")

    monkeypatch.setattr(fake, "put", full)
    with pytest.raises(PoolFailed, match=r"the Ray cluster failed: the object store is full$"):
        collected(workers, 2)
    workers.close()


@pytest.mark.parametrize("hung", [{1}, {0, 1}], ids=["the last one", "all of them"])
def test_an_actor_that_hangs_is_given_up(
    fake: FakeRay, hung: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is idle to play its stream twice."""
    monkeypatch.setattr(ray_pool, "HOPELESS", 0.2)
    workers = RayPool((), ClusterConfig(actors=len(hung)))
    assert collected(workers, 2) == right(2)
    fake.hung = set(hung)

    def kill(actor: Any) -> None:  # what is asked of it is lost then
        for answer, flight in workers._flying.items():
            if flight.actor is actor:
                answer.value = Lost("killed")
                fake.hung.discard(flight.stream)

    monkeypatch.setattr(fake, "kill", kill)
    assert collected(workers, 2, 5) == right(2, 5)
    assert workers.losses == len(hung)
    workers.close()


def test_a_cluster_is_played_on_as_soon_as_one_actor_is_there(fake: FakeRay) -> None:
    fake.resources = [{"CPU": 2.0}, {"CPU": 1.5}]
    fake.never = {0, 1}
    workers = RayPool((), ClusterConfig(address="auto"))
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
        RayPool((), ClusterConfig(actors=1, gpus_per_actor=0.5))
    said: list[str] = []
    fake.never = {1, 2}  # as Ray leaves an actor without room
    workers = RayPool((), ClusterConfig(actors=3, address="auto"), announce=said.append)
    assert "room for 1 of 3 actors: each takes CPU 1" in said[0] and "the others join" in said[0]
    assert said[1:] == ["actors that play at auto: 1 so far"]
    assert collected(workers, 4) == right(4)
    workers.close()


def test_a_slow_stream_is_also_played_by_an_idle_actor(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "PATIENCE", 0.0)
    workers = RayPool((), ClusterConfig(actors=2))
    fake.never = {0}  # it has joined, and hangs
    assert collected(workers, 4) == right(4)
    (hung,) = (stream for actor, stream in fake.played if actor == 0)
    assert (1, hung) in fake.played and workers.usage()["backups"] == 1 and workers.losses == 0
    fake.never = set()  # its answer comes when nobody waits for it any more
    assert collected(workers, 4, 5) == right(4, 5)
    workers.close()


def test_a_cluster_that_fails_is_named(fake: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = RayPool((), ClusterConfig(actors=1))

    def gone(*_: Any, **__: Any) -> Any:
        raise RayError("the head is gone\nand more")

    monkeypatch.setattr(fake, "wait", gone)
    with pytest.raises(PoolFailed, match=r"the Ray cluster failed: the head is gone$"):
        collected(workers, 2)
    workers.close()


def test_a_head_that_is_gone_stops_the_pool_and_nothing_waits_for_it(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PULSE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as head:
        fake.head = "{}:{}".format(*head.getsockname())
        workers = RayPool((), ClusterConfig(actors=1, connect_seconds=0.1))
        fake.never = {0}
        workers.submit(plan.Work(4, 3, 1), "params", [0])
        later = threading.Timer(0.3, head.close)
        later.start()
        with pytest.raises(PoolFailed, match=rf"head at {fake.head} is gone"):
            workers.collect()
    workers.close()
    assert fake.killed == 0  # Ray is not asked for anything any more


def test_a_head_that_could_never_be_reached_is_not_missed(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PULSE", 0.01)
    fake.head = "127.0.0.1:1"  # nobody listens there
    workers = RayPool((), ClusterConfig(actors=1, connect_seconds=0.0))
    fake.never = {0}
    workers.submit(plan.Work(4, 3, 1), "params", [0])
    threading.Timer(0.2, fake.never.clear).start()
    assert workers.collect() == right(1)
    workers.close()
