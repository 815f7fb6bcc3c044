"""Dispatch to Ray actors: streams go to whichever actor is free.

One piece of work is in flight per actor. An actor that dies or hangs is replaced, and its work is
played again: the same bytes, as the work is a pure function of its arguments. So a stream that
takes long may also be played by an idle actor, and the first result counts.
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

from selfplay.acting.config import StreamSpec
from selfplay.cluster import connection
from selfplay.cluster.actors import ActorManager
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.connection import connect
from selfplay.cluster.failures import Failures, PoolFailed
from selfplay.cluster.plan import Result, Work
from selfplay.cluster.usage import Usage

SLOW, PATIENCE = 2.0, 5.0  # times the median, seconds: a stream that takes longer is played twice
STUCK, HOPELESS = 20.0, 60.0  # the same for an actor that is given up
AT_ONCE = 1.0  # seconds in which Ray says of an actor that it has died before
TICK = 0.5  # seconds between two looks at who joined, and who is slow


@dataclass(frozen=True, eq=False)
class _Flight:
    """A stream that an actor is playing."""

    actor: Any
    work: Work
    stream: int
    began: float
    heard: float  # when the actor was heard of last, before it was asked


class RayPool:
    """Plays on Ray actors, each its own process; started here or on an existing cluster."""

    def __init__(
        self,
        spec: StreamSpec,
        config: ClusterConfig,
        fingerprint: str | None = None,
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
        self._config = config
        self._ray = connect(config, here)
        self._failures = Failures(self._ray)
        self._crew = ActorManager(
            self._ray, self._failures, config, spec, fingerprint, announce, streams
        )
        self._lock = threading.Condition()
        self._queue: deque[int] = deque()
        self._results: dict[int, Result] = {}
        self._call: Any = None  # (work, reference to params, carries)
        self._missing: set[int] = set()  # its streams that are not back
        self._failure: Exception | None = None
        self._closed = False
        self._idle: list[tuple[Any, float]] = []  # actor, when it was heard of last
        self._flying: dict[Any, _Flight] = {}
        self._lost: dict[int, tuple[int, float]] = {}  # stream → actors that it lost, last when
        address = self._ray.get_runtime_context().gcs_address
        self._head = connection.head(address, config.connect_seconds)
        self._usage = Usage()
        self._looked = 0.0  # for new nodes, when
        self.backups = 0
        try:
            self._crew.look_for_room()
            self._crew.grow(self._size)
            while self._crew.joining and (not self._idle or not config.address):
                done, _ = self._ray.wait(list(self._crew.joining), num_returns=1)
                self._rest(self._crew.let_in(done[0]))
            self._anybody()
            if config.address:
                self._crew.announce(f"actors that play at {config.address}: {self._size} so far")
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
            self._usage, self._lost = self._usage.following(), {}
            self._queue.extend(range(work.streams))
            self._missing = set(self._queue)
            self._lock.notify_all()

    def collect(self) -> list[Result]:
        """Wait until every stream is back; raises what stopped the pool, if anything did."""
        with self._lock:
            work = self._call[0]

            def done() -> bool:
                return self._failure is not None or len(self._results) == work.streams

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
    def fingerprint(self) -> str:
        """Of the program that the run's actors run."""
        return self._crew.fingerprint

    @property
    def losses(self) -> int:
        """Actors that died and were replaced so far."""
        return self._crew.losses

    @property
    def _size(self) -> int:
        """Actors that have joined."""
        return len(self._idle) + len(self._flying)

    def _stop(self) -> None:
        playing = [flight.actor for flight in self._flying.values()]
        idle = [actor for actor, _ in self._idle]
        for actor in [*self._crew.others, *idle, *playing]:
            self._ray.kill(actor)
        self._ray.shutdown()

    def _anybody(self) -> None:
        """Raises PoolFailed where nobody plays and nobody will."""
        if not (self._crew.joining or self._idle or self._flying):
            raise PoolFailed(f"no actor is left to play: {self._crew.reason}")

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
                lambda: self._closed or self._queue or self._flying or self._crew.joining
            )
            if self._closed:
                return False
        now = time.monotonic()
        if self._queue and self._config.address and now - self._looked >= TICK:
            self._looked = now
            self._crew.grow(self._size)  # without the lock, for it asks the head
        with self._lock:
            self._hand_out()
            self._give_up_the_stuck()
        self._anybody()
        waiting = [*self._crew.joining, *self._flying, *self._crew.turned_away]
        done, _ = self._ray.wait(waiting, num_returns=1, timeout=TICK)
        for reference in done:
            if reference in self._crew.turned_away:  # with its node
                del self._crew.turned_away[reference]
            elif reference in self._crew.joining:
                self._rest(self._crew.let_in(reference))
            else:
                self._land(reference)
        return True

    def _hand_out(self) -> None:
        """Streams to idle actors: those that wait, then those that take too long elsewhere."""
        while self._idle and (self._queue or self._slow()):
            self.backups += not self._queue
            stream = self._queue.popleft() if self._queue else self._slow()[0]
            work, params, carries = self._call
            actor, heard = self._idle.pop(0)
            reference = actor.play.remote(
                work.version, params, carries[stream], work.iteration, stream
            )
            self._flying[reference] = _Flight(actor, work, stream, time.monotonic(), heard)

    def _rest(self, actors: Sequence[Any]) -> None:
        """They have been heard of, and are free."""
        self._idle += [(actor, time.monotonic()) for actor in actors]

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
            self._rest([flight.actor])
            if self._wanted(flight):  # else another actor was faster
                self._missing.discard(flight.stream)
                self._results[flight.stream] = result
                self._usage.landed(flight.actor, flight.began, seconds)
                self._lock.notify_all()

    def _replay(self, flight: _Flight, error: Exception) -> None:
        """An actor was lost: another one takes its place, and its stream is queued again."""
        self._crew.replace()
        if not self._size:
            self._crew.announce("no actor is left: waiting for one to start …")
        with self._lock:
            others = [(f.work, f.stream) for f in self._flying.values()]
            if not self._wanted(flight) or (flight.work, flight.stream) in others:
                return
            lost, last = self._lost.get(flight.stream, (0, self._usage.began))
            now = time.monotonic()
            at_once = self._failures.died(error) and now - flight.began < AT_ONCE
            if flight.heard >= last or not at_once:
                lost, last = lost + 1, now
            # else it had died at rest, with the one that this stream lost before: their node did
            self._lost[flight.stream] = lost, last
            if lost > self._config.retries:
                raise PoolFailed(
                    f"stream {flight.stream} lost its actor {lost} times, more than "
                    f"cluster.retries allows; the last time: {error}"
                ) from error
            self._queue.appendleft(flight.stream)
