"""Dispatches streams to Ray actors: each goes to whichever actor is free.

An actor plays one stream at a time. An actor that dies or hangs is replaced and its stream is
played again, with the same result, because play is a pure function of its arguments. A stream that
takes long may therefore also be given to an idle actor; the first result counts.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from selfplay.acting.config import StreamSpec
from selfplay.cluster import connection
from selfplay.cluster.admission import Actor, ActorManager, Reference
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.connection import connect
from selfplay.cluster.plan import Result, Work
from selfplay.cluster.ray_errors import Failures, PoolFailed
from selfplay.cluster.usage import Usage

if TYPE_CHECKING:
    from selfplay.acting.episode import Carry
    from selfplay.model.architecture import Params

# A stream is played twice when it takes longer than the larger of these: times the median, seconds.
BACKUP_FACTOR, BACKUP_MIN_S = 2.0, 5.0
HANG_FACTOR, HANG_MIN_S = 20.0, 60.0  # the same limits for killing an actor that hangs
DEAD_ON_CALL_S = 1.0  # a call that fails within this time means that the actor was already dead
POLL_S = 0.5  # between two checks for new actors, new nodes and slow streams


class _Call(NamedTuple):
    """The submitted iteration."""

    work: Work
    params: Reference
    carries: Sequence[Carry]


class _Idle(NamedTuple):
    """An admitted actor without work."""

    actor: Actor
    last_alive: float  # on the monotonic clock


@dataclass(frozen=True, eq=False)
class _InFlight:
    """A stream that an actor is playing."""

    actor: Actor
    work: Work
    stream: int
    dispatched: float  # on the monotonic clock
    last_alive: float  # when the actor was known to be alive, before the dispatch


class RayPool:
    """Pool that plays on Ray actors, started here or on an existing cluster."""

    def __init__(
        self,
        spec: StreamSpec,
        config: ClusterConfig,
        fingerprint: str | None = None,
        announce: Callable[[str], None] = lambda text: None,
        streams: int = sys.maxsize,
    ) -> None:
        """Starts the actors and waits for them. Arguments as in `pool.make`.

        It waits for all actors of a local cluster, or for the first one of a remote cluster.

        Raises:
            ConnectionError: no Ray cluster answers at the address.
            ValueError: this machine has no room for so many actors.
            PoolFailed: no actor is left: all were rejected or could not start.
        """
        local = config.actors if config.actors > 0 else len(os.sched_getaffinity(0))
        self._config = config
        self._ray = connect(config, local)
        self._failures = Failures(self._ray)
        self._manager = ActorManager(
            self._ray, self._failures, config, spec, fingerprint, announce, streams
        )
        self._lock = threading.Condition()
        self._queue: deque[int] = deque()
        self._results: dict[int, Result] = {}
        self._call: _Call | None = None
        self._missing: set[int] = set()  # streams of the call without a result
        self._failure: Exception | None = None
        self._closed = False
        self._idle: list[_Idle] = []
        self._in_flight: dict[Reference, _InFlight] = {}
        self._losses_by_stream: dict[int, tuple[int, float]] = {}  # actors lost, last time
        address = self._ray.get_runtime_context().gcs_address
        self._head = connection.head(address, config.connect_seconds)
        self._usage = Usage()
        self._last_scaling = 0.0
        self.backups = 0
        try:
            self._wait_for_actors()
        except BaseException:
            self._stop()
            raise
        self._thread = threading.Thread(target=self._dispatch_loop, name="pool", daemon=True)
        self._thread.start()

    def submit(self, work: Work, params: Params, carries: Sequence[Carry]) -> None:
        """Sends `params` to the object store once and queues every stream.

        Raises:
            RuntimeError: the results of the previous iteration were not collected.
        """
        import jax

        try:
            reference = self._ray.put(jax.device_get(params))
        except self._failures.ray_error as error:
            raise self._failures.as_pool_error(error) from error
        with self._lock:
            if self._queue or self._results:
                raise RuntimeError("collect() the previous iteration before submit()")
            self._call = _Call(work, reference, list(carries))
            self._usage, self._losses_by_stream = self._usage.next_iteration(), {}
            self._queue.extend(range(work.streams))
            self._missing = set(self._queue)
            self._lock.notify_all()

    def collect(self) -> list[Result]:
        """Waits for every stream and returns the results in stream order.

        Raises:
            PoolFailed: no actor is left, or the cluster is gone.
            RuntimeError: nothing was submitted.
        """
        with self._lock:
            if self._call is None:
                raise RuntimeError("submit() an iteration before collect()")
            streams = self._call.work.streams

            def is_done() -> bool:
                return self._failure is not None or len(self._results) == streams

            while not self._lock.wait_for(is_done, timeout=connection.HEARTBEAT_S):
                if not self._head.is_alive():
                    raise PoolFailed(f"the Ray cluster's head at {self._head.address} is gone")
            if self._failure:
                raise self._failure
            results, self._results = self._results, {}
        return [results[stream] for stream in range(streams)]

    def usage(self) -> dict[str, float]:
        """Returns the number of actors, their busy fraction, and how long streams took."""
        events = {"losses": float(self.losses), "backups": float(self.backups)}
        return self._usage.summary(self._size) | events

    def close(self) -> None:
        """Kills the actors, and the local cluster if there is one."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        if not self._head.wait_until_alive():  # without a head, calls block and actors end anyway
            return
        self._thread.join(timeout=10)
        self._stop()

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the run's actors."""
        return self._manager.fingerprint

    @property
    def losses(self) -> int:
        """Number of actors that died and were replaced so far."""
        return self._manager.losses

    @property
    def _size(self) -> int:
        """Number of admitted actors."""
        return len(self._idle) + len(self._in_flight)

    def _wait_for_actors(self) -> None:
        """Starts the first actors and waits until play can begin."""
        manager, address = self._manager, self._config.address
        manager.check_capacity()
        manager.scale_up(self._size)
        while manager.starting and not (self._idle and address):
            ready, _ = self._ray.wait(list(manager.starting), num_returns=1)
            self._mark_idle(manager.admit(ready[0]))
        self._require_actors()
        if address:
            manager.announce(f"actors that play at {address}: {self._size} so far")

    def _stop(self) -> None:
        """Kills all actors and disconnects from Ray."""
        playing = [flight.actor for flight in self._in_flight.values()]
        idle = [entry.actor for entry in self._idle]
        for actor in [*self._manager.all_actors, *idle, *playing]:
            self._ray.kill(actor)
        self._ray.shutdown()

    def _require_actors(self) -> None:
        """Raises PoolFailed if no actor is running and none is starting."""
        if not (self._manager.starting or self._idle or self._in_flight):
            raise PoolFailed(f"no actor is left to play: {self._manager.reason}")

    def _dispatch_loop(self) -> None:
        """Keeps every actor busy until the pool is closed; runs in the pool's thread."""
        try:
            while self._step():
                pass
        except Exception as error:  # collect() raises it
            with self._lock:
                self._failure = self._failures.as_pool_error(error)
                self._lock.notify_all()

    def _step(self) -> bool:
        """Dispatches work and handles what is ready; returns False once the pool is closed."""
        with self._lock:
            self._lock.wait_for(
                lambda: self._closed or self._queue or self._in_flight or self._manager.starting
            )
            if self._closed:
                return False
        now = time.monotonic()
        if self._queue and self._config.address and now - self._last_scaling >= POLL_S:
            self._last_scaling = now
            self._manager.scale_up(self._size)  # asks the head, so it must not hold the lock
        with self._lock:
            self._dispatch()
            self._kill_hanging_actors()
        self._require_actors()
        rejected = self._manager.rejected
        pending = [*self._manager.starting, *self._in_flight, *rejected]
        ready, _ = self._ray.wait(pending, num_returns=1, timeout=POLL_S)
        for reference in ready:
            if reference in rejected:
                self._manager.forget_rejected(reference)
            elif reference in self._manager.starting:
                self._mark_idle(self._manager.admit(reference))
            else:
                self._on_result(reference)
        return True

    def _dispatch(self) -> None:
        """Gives idle actors the queued streams, then copies of streams that take too long."""
        while self._call and self._idle and (self._queue or self._slow_streams()):
            self.backups += not self._queue
            stream = self._queue.popleft() if self._queue else self._slow_streams()[0]
            work, params, carries = self._call
            actor, last_alive = self._idle.pop(0)
            reference = actor.play.remote(
                work.version, params, carries[stream], work.iteration, stream
            )
            self._in_flight[reference] = _InFlight(
                actor, work, stream, time.monotonic(), last_alive
            )

    def _mark_idle(self, actors: Sequence[Actor]) -> None:
        """Marks actors as idle and alive now."""
        self._idle += [_Idle(actor, time.monotonic()) for actor in actors]

    def _slow_streams(self) -> list[int]:
        """Returns the missing streams that a single actor has been playing for too long."""
        limit = self._usage.latest_start(BACKUP_FACTOR, BACKUP_MIN_S)
        flights = [f for f in self._in_flight.values() if self._still_needed(f)]
        players = Counter(f.stream for f in flights)
        return [f.stream for f in flights if f.dispatched < limit and players[f.stream] == 1]

    def _kill_hanging_actors(self) -> None:
        """Kills actors that have played for so long that they hang; they count as lost."""
        limit = self._usage.latest_start(HANG_FACTOR, HANG_MIN_S)
        for flight in (f for f in self._in_flight.values() if f.dispatched < limit):
            self._ray.kill(flight.actor)

    def _still_needed(self, flight: _InFlight) -> bool:
        """Tells whether a stream's result is still missing."""
        current = self._call is not None and flight.work == self._call.work
        return current and flight.stream in self._missing

    def _on_result(self, reference: Reference) -> None:
        """Stores a stream's result, or requeues the stream if its actor was lost."""
        flight = self._in_flight.pop(reference)
        try:
            result, seconds = self._ray.get(reference)
        except self._failures.ray_error as error:
            if self._failures.is_device_error(error):
                self._ray.kill(flight.actor)
            elif not self._failures.is_actor_death(error):
                raise
            self._requeue(flight, error)
            return
        with self._lock:
            self._mark_idle([flight.actor])
            if self._still_needed(flight):  # otherwise another actor was faster
                self._missing.discard(flight.stream)
                self._results[flight.stream] = result
                self._usage.record(flight.actor, flight.dispatched, seconds)
                self._lock.notify_all()

    def _requeue(self, flight: _InFlight, error: Exception) -> None:
        """Replaces a lost actor and queues its stream again.

        Raises:
            PoolFailed: the stream has lost more actors than `cluster.retries` allows.
        """
        self._manager.start_replacement()
        if not self._size:
            self._manager.announce("no actor is left: waiting for one to start …")
        with self._lock:
            others = [(f.work, f.stream) for f in self._in_flight.values()]
            if not self._still_needed(flight) or (flight.work, flight.stream) in others:
                return
            default = (0, self._usage.began)
            losses, last_loss = self._losses_by_stream.get(flight.stream, default)
            now = time.monotonic()
            failed_at_once = (
                self._failures.is_actor_death(error) and now - flight.dispatched < DEAD_ON_CALL_S
            )
            # Otherwise the actor was already dead, lost with its node together with the one that
            # this stream lost before: do not charge the stream again.
            if flight.last_alive >= last_loss or not failed_at_once:
                losses, last_loss = losses + 1, now
            self._losses_by_stream[flight.stream] = losses, last_loss
            if losses > self._config.retries:
                raise PoolFailed(
                    f"stream {flight.stream} lost its actor {losses} times, more than "
                    f"cluster.retries allows; the last time: {error}"
                ) from error
            self._queue.appendleft(flight.stream)
