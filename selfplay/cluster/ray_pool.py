"""Dispatch to Ray actors: streams go to whichever actor is free.

One piece of work is in flight per actor. An actor that dies or hangs is replaced, and its work is
played again: the same bytes, as the work is a pure function of its arguments. So a stream that
takes long may also be played by an idle actor, and the first result counts. Actors join whenever
they are ready, and whoever computes other bits is refused.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from selfplay import pins
from selfplay.cluster import connection
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.connection import connect
from selfplay.cluster.failures import Failures, PoolFailed, last_line
from selfplay.cluster.plan import Result, Work
from selfplay.cluster.usage import Usage

SLOW, PATIENCE = 2.0, 5.0  # times the median, seconds: a stream that takes longer is played twice
STUCK, HOPELESS = 20.0, 60.0  # the same for an actor that is given up
TICK = 0.5  # seconds between two looks at who joined, and who is slow


@dataclass(frozen=True, eq=False)
class _Flight:
    """A stream that an actor is playing."""

    actor: Any
    work: Work
    stream: int
    began: float
    rested: bool  # the actor may have died long before it was asked


class RayPool:
    """Plays on Ray actors, each its own process; started here or on an existing cluster."""

    def __init__(
        self,
        arguments: tuple[Any, ...],
        config: ClusterConfig,
        probe: str | None = None,
        announce: Callable[[str], None] = lambda text: None,
        streams: int = sys.maxsize,
    ) -> None:
        """Start the actors; see ``pool.make`` for the arguments.

        Of a local cluster all actors are waited for, of another one the first.

        Raises:
            ConnectionError: no Ray cluster answers at the address.
            ValueError: this machine has no room for so many actors.
            PoolFailed: no actor is left: all were refused, or could not start.
        """
        here = config.actors if config.actors > 0 else len(os.sched_getaffinity(0))
        self._config, self._arguments, self._announce = config, arguments, announce
        self._streams = streams
        self._ray = connect(config, here)
        self._failures = Failures(self._ray)
        self._lock = threading.Condition()
        self._queue: deque[int] = deque()
        self._results: dict[int, Result] = {}
        self._call: Any = None  # (work, reference to params, carries)
        self._missing: set[int] = set()  # its streams that are not back
        self._failure: Exception | None = None
        self._closed = False
        self._joining: dict[Any, Any] = {}  # reference to the probe → actor
        self._idle: list[Any] = []  # who has waited longest comes first
        self._rested = 0  # of them have not been heard of since the last submit
        self._flying: dict[Any, _Flight] = {}
        self._refused = self._stillborn = 0  # could not start; died before they joined, in a row
        self._reason = ""  # why the last actor was not let in
        self._lost: dict[int, int] = {}  # stream → actors that it lost
        address = self._ray.get_runtime_context().gcs_address
        self._head = connection.head(address, config.connect_seconds)
        self._turned_away: dict[Any, Any] = {}  # reference to its end → actor with another probe
        self._usage = Usage()
        self.probe, self.losses, self.backups = probe or "", 0, 0
        try:
            self._look_for_room()
            self._grow()
            while self._joining and (not self._idle or not config.address):
                self._take_in(*self._ray.wait(list(self._joining), num_returns=1)[0])
            self._anybody()
        except BaseException:
            self._stop()
            raise
        self._thread = threading.Thread(target=self._dispatch, name="pool", daemon=True)
        self._thread.start()

    def submit(self, work: Work, params: Any, carries: Sequence[Any]) -> None:
        """Send `params` to the object store once and queue every stream."""
        import jax

        try:
            reference = self._ray.put(jax.device_get(params))
        except self._failures.any as error:
            raise self._failures.named(error) from error
        with self._lock:
            assert not self._queue and not self._results, "submit() before the last collect()"
            self._call = work, reference, list(carries)
            self._usage = Usage()
            self._lost, self._rested = {}, len(self._idle)
            self._queue.extend(range(work.streams))
            self._missing = set(self._queue)
            self._lock.notify_all()

    def collect(self) -> list[Result]:
        """Wait until every stream is back; raises what stopped the pool, if anything did."""
        with self._lock:
            work = self._call[0]
            done = lambda: self._failure or len(self._results) == work.streams  # noqa: E731
            while not self._lock.wait_for(done, timeout=connection.PULSE):
                if not self._head.answers():
                    raise PoolFailed(f"the Ray cluster's head at {self._head.address} is gone")
            if self._failure:
                raise self._failure
            results, self._results = self._results, {}
        return [results[stream] for stream in range(work.streams)]

    def usage(self) -> dict[str, float]:
        """Actors, the share of their time in which they played, and how long streams took."""
        lost = {"losses": float(self.losses), "backups": float(self.backups)}
        return self._usage.summary(self._size) | lost

    def close(self) -> None:
        """Kill the actors; a local cluster goes with them."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        if not self._head.there():  # every call of Ray would wait for it; without it actors end
            return
        self._thread.join(timeout=10)
        self._stop()

    @property
    def _size(self) -> int:
        """Actors that have joined."""
        return len(self._idle) + len(self._flying)

    def _stop(self) -> None:
        playing = [flight.actor for flight in self._flying.values()]
        away = self._turned_away.values()
        for actor in [*self._joining.values(), *self._idle, *playing, *away]:
            self._ray.kill(actor)
        self._ray.shutdown()

    def _look_for_room(self) -> None:
        """Say who will have to wait; raises ValueError where no node will ever come."""
        if text := self._config.lacking(self._nodes()):
            if not self._config.address:
                raise ValueError(text)
            self._announce(f"{text}; the others join when nodes come")

    def _grow(self) -> None:
        """Start as many actors as there is room for, beyond those that were refused."""
        away = len(self._turned_away) + self._refused
        wanted = self._config.wanted(self._nodes(), self._streams + away)
        for _ in range(wanted - away - self._size - len(self._joining)):
            self._start_actor()

    def _nodes(self) -> list[dict[str, float]]:
        """The resources of those that are alive."""
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _start_actor(self) -> None:
        from selfplay.cluster.actor import StreamActor

        pinned = pins.environment()
        jax_variables = {n: v for n, v in os.environ.items() if n.startswith("JAX_")}
        actor = (
            self._ray.remote(StreamActor)
            .options(
                num_cpus=self._config.cpus_per_actor,
                num_gpus=self._config.gpus_per_actor,
                resources=self._config.resources or None,
                runtime_env={"env_vars": pinned | jax_variables | self._config.actor_environment()},
            )
            .remote(self._arguments, pinned)
        )
        self._joining[actor.probe.remote()] = actor

    def _anybody(self) -> None:
        """Raises PoolFailed where nobody plays and nobody will."""
        if not (self._joining or self._idle or self._flying):
            raise PoolFailed(f"no actor is left to play: {self._reason}")

    def _dispatch(self) -> None:
        """The pool's thread: keep every actor busy until closed."""
        try:
            while self._turn():
                pass
        except Exception as error:  # handed to whoever waits in collect()
            with self._lock:
                self._failure = self._failures.named(error)
                self._lock.notify_all()

    def _turn(self) -> bool:
        """Hand out work, take in what is ready; False when closed."""
        with self._lock:
            self._lock.wait_for(
                lambda: self._closed or self._queue or self._flying or self._joining
            )
            if self._closed:
                return False
        if self._queue and self._config.address:
            self._grow()  # into nodes that came; without the lock, for it asks the head
        with self._lock:
            self._hand_out()
            self._give_up_the_stuck()
        self._anybody()
        waiting = [*self._joining, *self._flying, *self._turned_away]
        done, _ = self._ray.wait(waiting, num_returns=1, timeout=TICK)
        for reference in done:
            if reference in self._turned_away:  # with its node
                del self._turned_away[reference]
            elif reference in self._joining:
                self._take_in(reference)
            else:
                self._land(reference)
        return True

    def _hand_out(self) -> None:
        """Streams to idle actors: those that wait, then those that take too long elsewhere."""
        while self._idle and (self._queue or self._slow()):
            self.backups += not self._queue
            stream = self._queue.popleft() if self._queue else self._slow()[0]
            work, params, carries = self._call
            actor = self._idle.pop(0)
            reference = actor.play.remote(
                work.version, params, carries[stream], work.iteration, stream
            )
            rested, self._rested = self._rested > 0, max(0, self._rested - 1)
            self._flying[reference] = _Flight(actor, work, stream, time.monotonic(), rested)

    def _slow(self) -> list[int]:
        """Streams of this iteration that one actor plays, for far longer than the others took."""
        limit = self._usage.asked_before(SLOW, PATIENCE)
        mine = [f for f in self._flying.values() if self._wanted(f)]
        players = Counter(f.stream for f in mine)
        return [f.stream for f in mine if f.began < limit and players[f.stream] == 1]

    def _give_up_the_stuck(self) -> None:
        """Kill actors that have played for so long that they never end: they count as lost."""
        limit = self._usage.asked_before(STUCK, HOPELESS)
        for flight in (f for f in self._flying.values() if f.began < limit):
            self._ray.kill(flight.actor)

    def _wanted(self, flight: _Flight) -> bool:
        """Whether its result is still missing."""
        return flight.work == self._call[0] and flight.stream in self._missing

    def _take_in(self, reference: Any) -> None:
        """An actor says its probe, or that it could not start."""
        actor = self._joining.pop(reference)
        try:
            found = self._ray.get(reference)
        except self._failures.any as error:
            self._stillborn += 1
            if self._failures.died(error) and self._stillborn <= self._config.retries:
                self.losses += 1
                self._start_actor()
            else:
                self._ray.kill(actor)
                self._refused += 1
                self._refuse(f"an actor could not start: {last_line(error)}")
            return
        self._stillborn = 0
        self.probe = self.probe or found
        if found == self.probe or self._config.mixing:
            self._idle.append(actor)
            return
        self._turned_away[actor.stay.remote()] = actor  # it keeps its room, where nobody fits
        self._refuse(
            f"an actor's probe is {found[:12]}, the run's is {self.probe[:12]}: its processor, "
            "flags or packages give other bits; use the run's machines and environment, or "
            "--cluster.mixing without the promise of equal bits"
        )

    def _refuse(self, reason: str) -> None:
        self._reason = reason
        self._announce(f"refused: {reason}")

    def _land(self, reference: Any) -> None:
        """A stream's result is there, or its actor is lost."""
        flight = self._flying.pop(reference)
        try:
            result, seconds = self._ray.get(reference)
        except self._failures.any as error:
            if self._failures.of_device(error):
                self._ray.kill(flight.actor)
            elif not self._failures.died(error):
                raise
            self._replay(flight, error)
            return
        with self._lock:
            self._idle.append(flight.actor)
            if self._wanted(flight):  # else another actor was faster
                self._missing.discard(flight.stream)
                self._results[flight.stream] = result
                self._usage.landed(flight.began, seconds)
                self._lock.notify_all()

    def _replay(self, flight: _Flight, error: Exception) -> None:
        """An actor was lost: another one takes its place, and its stream is queued again."""
        self.losses += 1
        self._start_actor()
        with self._lock:
            others = [(f.work, f.stream) for f in self._flying.values()]
            if not self._wanted(flight) or (flight.work, flight.stream) in others:
                return
            excused = flight.rested and self._failures.died(error)
            lost = self._lost.get(flight.stream, 0) + (not excused)
            self._lost[flight.stream] = lost
            if lost > self._config.retries:
                raise PoolFailed(
                    f"stream {flight.stream} lost its actor {lost} times, more than "
                    f"cluster.retries allows; the last time: {error}"
                ) from error
            self._queue.appendleft(flight.stream)
