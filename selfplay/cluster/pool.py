"""Dispatch: streams go to whichever actor is free; results come back in stream order.

Two pools with one face: :class:`InProcess` plays here and never imports Ray; :class:`RayPool`
keeps one piece of work in flight per actor, replaces actors that die and plays their work
again: the same bytes, because the work is a pure function of its arguments.
"""

import contextlib
import logging
import math
import os
import signal
import socket
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from selfplay import pins
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.plan import Work

Result = tuple[Any, Any]
"""``(carry, rows)`` of one stream."""


class Pool(Protocol):
    """Plays the plan's work, one iteration at a time."""

    probe: str  # of the program every actor runs
    losses: int  # actors that died and were replaced so far

    def submit(self, work: Work, params: Any, carries: Sequence[Any]) -> None:
        """Start an iteration's play from one carry per stream."""
        ...

    def collect(self) -> list[Result]:
        """Wait for the submitted iteration; results in stream order."""
        ...

    def close(self) -> None:
        """Stop all work and every process that was started for it."""
        ...


class InProcess:
    """Plays in this process when asked for the results."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        """Compile the player and take its probe."""
        from selfplay.stream import StreamPlayer

        self._player = StreamPlayer(*arguments)
        self.probe, self.losses = self._player.probe(), 0
        self._submitted: tuple[Work, Any, Sequence[Any]] | None = None

    def submit(self, work: Work, params: Any, carries: Sequence[Any]) -> None:
        """Remember the work; `params` may be device arrays that the learner donates later."""
        import jax

        self._submitted = work, jax.device_get(params), list(carries)

    def collect(self) -> list[Result]:
        """Play the submitted iteration."""
        assert self._submitted is not None, "collect() before submit()"
        (work, params, carries), self._submitted = self._submitted, None
        return [
            self._player.play(params, carry, work.iteration, stream, work.version)
            for stream, carry in enumerate(carries)
        ]

    def close(self) -> None:
        """Nothing to stop."""


class RayPool:
    """Plays on Ray actors, each its own process; started here or on an existing cluster."""

    def __init__(
        self, arguments: tuple[Any, ...], config: ClusterConfig, probe: str | None = None
    ) -> None:
        """Start the actors and check that all have the same probe (the run's, where given).

        Raises:
            ConnectionError: no Ray cluster answers at the address.
            RuntimeError: an actor's arithmetic differs from the run's.
        """
        self._config, self._arguments = config, arguments
        count = config.actors if config.actors > 0 else len(os.sched_getaffinity(0))
        self._ray = connect(config, count)
        self._lock = threading.Condition()
        self._queue: deque[int] = deque()
        self._results: dict[int, Result] = {}
        self._call: Any = None  # (work, reference to params, carries)
        self._failure: Exception | None = None
        self.losses = 0
        self._closed = False
        self._actors = [self._start_actor() for _ in range(count)]
        try:
            probes = self._ray.get([actor.probe.remote() for actor in self._actors])
            self.probe = probe or probes[0]
            for found in probes:
                self._check(found)
        except BaseException:
            self._stop()
            raise
        self._thread = threading.Thread(target=self._dispatch, name="pool", daemon=True)
        self._thread.start()

    def submit(self, work: Work, params: Any, carries: Sequence[Any]) -> None:
        """Send `params` to the object store once and queue every stream."""
        import jax

        reference = self._ray.put(jax.device_get(params))
        with self._lock:
            assert not self._queue and not self._results, "submit() before the last collect()"
            self._call = work, reference, list(carries)
            self._queue.extend(range(work.streams))
            self._lock.notify_all()

    def collect(self) -> list[Result]:
        """Wait until every stream is back; raises what stopped the pool, if anything did."""
        with self._lock:
            work = self._call[0]
            self._lock.wait_for(lambda: self._failure or len(self._results) == work.streams)
            if self._failure:
                raise self._failure
            results, self._results = self._results, {}
        return [results[stream] for stream in range(work.streams)]

    def close(self) -> None:
        """Kill the actors; a local cluster goes with them."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        self._thread.join(timeout=10)
        self._stop()

    def _stop(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        self._ray.shutdown()

    def _start_actor(self) -> Any:
        from selfplay.cluster.actor import StreamActor

        pinned = pins.environment()
        variables = pinned | {
            name: value for name, value in os.environ.items() if name.startswith("JAX_")
        }
        remote = self._ray.remote(StreamActor)
        return remote.options(
            num_cpus=self._config.cpus_per_actor,
            num_gpus=self._config.gpus_per_actor,
            runtime_env={"env_vars": variables},
        ).remote(self._arguments, pinned)

    def _check(self, found: str) -> None:
        if found != self.probe:
            raise RuntimeError(
                f"an actor's probe is {found[:12]}, the run's is {self.probe[:12]}: its processor, "
                "flags or packages give other bits; use the run's machines and environment"
            )

    def _dispatch(self) -> None:
        """The pool's thread: keep every actor busy until closed."""
        try:
            self._dispatch_forever()
        except Exception as error:  # handed to whoever waits in collect()
            with self._lock:
                self._failure = error
                self._lock.notify_all()

    def _dispatch_forever(self) -> None:
        ray = self._ray
        idle = list(range(len(self._actors)))
        flying: dict[Any, tuple[int, int]] = {}  # reference → (actor, stream)
        failures: dict[int, int] = {}
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._closed or self._queue or flying)
                if self._closed:
                    return
                while idle and self._queue:
                    stream, index = self._queue.popleft(), idle.pop(0)
                    work, params, carries = self._call
                    reference = self._actors[index].play.remote(
                        work.version, params, carries[stream], work.iteration, stream
                    )
                    flying[reference] = index, stream
            done, _ = ray.wait(list(flying), num_returns=1, timeout=0.5)
            for reference in done:
                index, stream = flying.pop(reference)
                try:
                    result = ray.get(reference)
                except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError) as error:
                    self.losses += 1
                    failures[stream] = failures.get(stream, 0) + 1
                    if failures[stream] > self._config.retries:
                        raise RuntimeError(
                            f"stream {stream} lost its actor {failures[stream]} times, more than "
                            f"cluster.retries allows; the last time: {error}"
                        ) from error
                    self._actors[index] = self._start_actor()
                    self._check(ray.get(self._actors[index].probe.remote()))
                    with self._lock:
                        self._queue.appendleft(stream)
                else:
                    failures.pop(stream, None)
                    with self._lock:
                        self._results[stream] = result
                        self._lock.notify_all()
                idle.append(index)


def connect(config: ClusterConfig, actors: int) -> Any:
    """The ray module, initialised: joined to `config.address`, or on a local cluster.

    Raises:
        ConnectionError: nothing answers at the address.
    """
    reachable(config)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray starts its daemons by fork and exec at once, which is safe beside JAX's threads.
    warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
    import ray

    common: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with _own_sigterm():
        if not config.address:
            ray.init(
                address="local",
                num_cpus=max(1, math.ceil(actors * config.cpus_per_actor)),
                object_store_memory=config.object_store_mb * 2**20,
                include_dashboard=False,
                **common,
            )
            return ray
        try:
            ray.init(address=config.address, **common)
        except Exception as error:
            raise _no_answer(config.address, error) from error
    return ray


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the handler of SIGTERM: Ray's ends us in the middle of a commit, with its stack."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def reachable(config: ClusterConfig) -> None:
    """Fail early where nothing listens at the address: Ray itself would retry for minutes.

    Raises:
        ConnectionError: says the address, and what to do.
    """
    host, _, port = (config.address or "").removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=config.connect_seconds).close()
    except OSError as error:
        raise _no_answer(f"{config.address}", error) from error


def _no_answer(address: str, error: Exception) -> ConnectionError:
    return ConnectionError(
        f"no Ray cluster answers at cluster.address {address!r} ({type(error).__name__}); "
        "start one with `ray start --head`, or leave the address out"
    )


def make(arguments: tuple[Any, ...], config: ClusterConfig, probe: str | None = None) -> Pool:
    """The pool that `config` asks for."""
    if config.actors == 0:
        return InProcess(arguments)
    return RayPool(arguments, config, probe)
