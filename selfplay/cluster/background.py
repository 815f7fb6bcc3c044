"""Runs one object in a background actor: calls are queued, results polled, training never blocks.

Without Ray the object lives in this process and calls return at once. An actor that dies is started
again with the same arguments, and the call is repeated. When one call has lost too many actors, or
raised an exception, the background work ends and `failure` says why; training continues.
"""

from __future__ import annotations

import importlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from games import plugins
from games.source_digest import Source
from selfplay import determinism
from selfplay.cluster.config import PREALLOCATE, ClusterConfig, gpu_memory_env
from selfplay.cluster.connection import HEARTBEAT_S, Head, head


class BackgroundActor:
    """An actor that calls one method of an object, in order.

    Attributes:
        failure: why the background work ended; "" while it runs.
    """

    def __init__(
        self,
        kind: Callable[..., Any],
        method: str,
        arguments: tuple[Any, ...],
        config: ClusterConfig,
    ) -> None:
        """Stores how to make the object, which the first call does.

        Args:
            kind: its class, importable in any process.
            method: name of the method that is called.
            arguments: arguments of the class.
            config: `actors` = 0 keeps the object in this process; otherwise Ray must be running.
        """
        self._kind, self._method, self._arguments = kind, method, arguments
        self._config = config
        self._calls: deque[tuple[Any, ...]] = deque()  # the one in flight first
        self._in_flight: Any = None
        self._actor: Any = None
        self._host: _Host | None = None  # in this process
        self._head: Head | None = None  # of the actor's cluster
        self._results: list[Any] = []
        self._losses = 0  # actors that the call in flight has lost
        self.failure = ""

    def submit(self, *call: Any) -> None:
        """Queues a call with these arguments."""
        if self.failure:
            return
        if self._config.actors:
            self._calls.append(call)
            self._advance(0)
            return
        try:
            self._host = self._host or _Host(self._kind, self._arguments)
            self._results.append(self._host.call(self._method, call))
        except Exception as error:
            self._give_up(error)

    def results(self) -> list[Any]:
        """Returns the results that have arrived since the last call, without waiting."""
        if self._calls:
            self._advance(0)
        results, self._results = self._results, []
        return results

    def drain(self) -> list[Any]:
        """Waits for all queued calls and returns their results."""
        while self._calls:
            self._advance(HEARTBEAT_S)
            if self._calls and self._head and not self._head.is_alive():
                self._give_up(ConnectionError(f"the head at {self._head.address} is gone"))
        return self.results()

    def close(self) -> None:
        """Ends the actor; results of unfinished calls are lost."""
        self._calls.clear()
        if self._actor is not None and self._head and self._head.wait_until_alive():
            _ray().kill(self._actor)
        self._actor = None

    def _advance(self, timeout: float) -> None:
        """Stores the result of the call in flight if it is ready, and starts the next call."""
        ray = _ray()
        if self._in_flight is not None:
            ready, _ = ray.wait([self._in_flight], timeout=timeout)
            if not ready:
                return
            self._in_flight = None
            try:
                self._results.append(ray.get(ready[0]))
                self._calls.popleft()
                self._losses = 0
            except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError) as error:
                self._losses, self._actor = self._losses + 1, None
                if self._losses > self._config.retries:
                    self._give_up(error)
            except Exception as error:
                self._give_up(error)
        if self._calls and self._in_flight is None:
            self._actor = self._actor or self._start()
            self._in_flight = self._actor.call.remote(self._method, self._calls[0])

    def _give_up(self, error: Exception) -> None:
        self.failure = f"{type(error).__name__}: {error}".splitlines()[0]
        self._calls.clear()

    def _start(self) -> Any:
        ray = _ray()
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        context = ray.get_runtime_context()
        self._head = head(context.gcs_address, self._config.connect_seconds)
        variables = {n: v for n, v in os.environ.items() if n.startswith("JAX_")}
        variables |= determinism.environment() | _shared_device_environment()
        return (
            ray.remote(_Host)
            .options(
                num_cpus=0,  # so that it takes no CPU from the actors that play
                scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(
                    context.get_node_id(), soft=False
                ),
                runtime_env={"env_vars": variables},
            )
            .remote(self._kind, self._arguments, plugins.followed())
        )


class _Host:
    """Wrapper of the object, which Ray turns into an actor."""

    def __init__(
        self,
        kind: Callable[..., Any],
        arguments: tuple[Any, ...],
        sources: Sequence[Source] = (),
    ) -> None:
        """Makes the object; this process trusts `sources`, the modules that the driver imported."""
        plugins.trust_sources(sources)
        self._object = kind(*arguments)

    def call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Calls a method of the object and returns its result."""
        return getattr(self._object, method)(*arguments)


def _shared_device_environment() -> dict[str, str]:
    """Returns variables of a process that shares the learner's GPU; a TPU cannot be shared."""
    import jax

    if jax.default_backend() == "tpu":
        return {"JAX_PLATFORMS": "cpu"}
    return gpu_memory_env(0.2) | {PREALLOCATE: "false"}  # the learner preallocates three quarters


def _ray() -> Any:
    import ray

    return ray
