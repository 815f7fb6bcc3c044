"""Work beside the training: one object in an actor of its own, asked in turn, never waited for.

Without Ray the object lives here and answers at once. An actor that dies is made again with the
same arguments and asked again. The training never stops for it: when one call has lost too many
actors, or for an error of its own, it is given up, and `failure` says why.
"""

from __future__ import annotations

import importlib
import os
from collections import deque
from collections.abc import Callable
from typing import Any

from selfplay import determinism
from selfplay.cluster.config import PREALLOCATE, ClusterConfig, claim
from selfplay.cluster.connection import PULSE, Head, head


class BackgroundActor:
    """Calls one method of an object, in order; answers come when they come."""

    def __init__(
        self,
        kind: Callable[..., Any],
        method: str,
        arguments: tuple[Any, ...],
        config: ClusterConfig,
    ) -> None:
        """Make the object.

        Args:
            kind: its class, importable anywhere.
            method: what is called.
            arguments: of the class.
            config: `actors` = 0 keeps it in this process; else Ray must be running.
        """
        self._kind, self._method, self._arguments = kind, method, arguments
        self._config = config
        self._waiting: deque[tuple[Any, ...]] = deque()  # calls, the one in flight first
        self._flying: Any = None
        self._actor: Any = None
        self._host: _Host | None = None
        self._head: Head | None = None  # of the cluster that the actor is on
        self._done: list[Any] = []
        self._losses = 0  # of the call in flight
        self.failure = ""

    def submit(self, *call: Any) -> None:
        """Queue a call."""
        if self.failure:
            return
        if self._config.actors:
            self._waiting.append(call)
            self._advance(0)
            return
        try:
            self._host = self._host or _Host(self._kind, self._arguments)
            self._done.append(self._host.call(self._method, call))
        except Exception as error:
            self._give_up(error)

    def answers(self) -> list[Any]:
        """Those that have come since the last time; does not wait."""
        if self._waiting:
            self._advance(0)
        done, self._done = self._done, []
        return done

    def drain(self) -> list[Any]:
        """All that are still to come, waited for."""
        while self._waiting:
            self._advance(PULSE)
            if self._waiting and self._head and not self._head.answers():
                self._give_up(ConnectionError(f"the head at {self._head.address} is gone"))
        return self.answers()

    def close(self) -> None:
        """End the actor; what it has not answered is lost."""
        self._waiting.clear()
        if self._actor is not None and self._head and self._head.there():
            _ray().kill(self._actor)
        self._actor = None

    def _advance(self, timeout: float) -> None:
        """Take in the call in flight if it is done, and start the next one."""
        ray = _ray()
        if self._flying is not None:
            ready, _ = ray.wait([self._flying], timeout=timeout)
            if not ready:
                return
            self._flying = None
            try:
                self._done.append(ray.get(ready[0]))
                self._waiting.popleft()
                self._losses = 0
            except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError) as error:
                self._losses, self._actor = self._losses + 1, None
                if self._losses > self._config.retries:
                    self._give_up(error)
            except Exception as error:
                self._give_up(error)
        if self._waiting and self._flying is None:
            self._actor = self._actor or self._start()
            self._flying = self._actor.call.remote(self._method, self._waiting[0])

    def _give_up(self, error: Exception) -> None:
        self.failure = f"{type(error).__name__}: {error}".splitlines()[0]
        self._waiting.clear()

    def _start(self) -> Any:
        ray = _ray()
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        context = ray.get_runtime_context()
        self._head = head(context.gcs_address, self._config.connect_seconds)
        variables = {n: v for n, v in os.environ.items() if n.startswith("JAX_")}
        variables |= determinism.environment() | _beside_the_learner()
        return (
            ray.remote(_Host)
            .options(
                num_cpus=0,  # it takes no other actor's place
                scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(
                    context.get_node_id(), soft=False
                ),
                runtime_env={"env_vars": variables},
            )
            .remote(self._kind, self._arguments)
        )


class _Host:
    """An actor around any object."""

    def __init__(self, kind: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._object = kind(*arguments)

    def call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """What the object's method returns."""
        return getattr(self._object, method)(*arguments)


def _beside_the_learner() -> dict[str, str]:
    """Variables of a process that shares the learner's card, which no two can do with a TPU."""
    import jax

    if jax.default_backend() == "tpu":
        return {"JAX_PLATFORMS": "cpu"}
    return claim(0.2) | {PREALLOCATE: "false"}  # the learner claims three quarters


def _ray() -> Any:
    import ray

    return ray
