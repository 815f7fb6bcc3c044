"""Starts actors where resources allow and admits those whose fingerprint matches the run's.

Actors join whenever they are ready. An actor that dies is replaced. An actor with another
fingerprint is rejected but kept alive, so that it occupies its resources and no second actor is
started there only to be rejected as well.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from games import plugins
from selfplay import determinism
from selfplay.acting.config import StreamSpec
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.ray_errors import Failures, last_line

Actor = Any
"""A handle of a Ray actor that runs a `StreamActor`."""

Reference = Any
"""Ray's reference to the result of a call."""


class ActorManager:
    """Actors that are starting or were rejected; the pool owns the admitted ones.

    Attributes:
        starting: reference to an actor's fingerprint → the actor, and when it was started.
        fingerprint: the run's fingerprint; in a new run, that of the first actor.
        losses: actors that died and were replaced so far.
        reason: why the last actor was rejected or could not start.
        announce: gets sentences for the user.
    """

    def __init__(
        self,
        ray: Any,
        failures: Failures,
        config: ClusterConfig,
        spec: StreamSpec,
        fingerprint: str | None,
        announce: Callable[[str], None],
        streams: int,
    ) -> None:
        """Starts no actors. Arguments as in `pool.make`."""
        self._ray, self._failures, self._config = ray, failures, config
        self._spec, self.announce, self._streams = spec, announce, streams
        self.starting: dict[Reference, tuple[Actor, float]] = {}
        self._rejected: dict[Reference, Actor] = {}  # reference to an actor's end → the actor
        self.fingerprint, self.losses, self.reason = fingerprint or "", 0, ""
        self._failed_starts = 0  # places that are given up until a new node appears
        self._consecutive_deaths, self._last_death = 0, 0.0  # of actors that were starting
        self._known_nodes: set[str] = set()

    @property
    def all_actors(self) -> list[Actor]:
        """Starting and rejected actors."""
        return [*(actor for actor, _ in self.starting.values()), *self._rejected.values()]

    @property
    def rejected(self) -> list[Reference]:
        """References that become ready when a rejected actor's node goes away."""
        return list(self._rejected)

    def check_capacity(self) -> None:
        """Announces which actors have to wait for a node.

        Raises:
            ValueError: there is no room for the actors, and on a local cluster no node will come.
        """
        nodes = [*self._nodes().values()]
        if shortage := self._config.shortage(nodes):
            if not self._config.address:
                raise ValueError(shortage)
            rest = "the others join" if self._config.capacity(nodes) else "play begins"
            self.announce(f"{shortage}; {rest} when nodes come")

    def scale_up(self, admitted: int) -> None:
        """Starts as many actors as there are resources and work for.

        When a new node appears, earlier start failures are forgotten.

        Args:
            admitted: actors that the pool owns.
        """
        nodes = self._nodes()
        if not nodes.keys() <= self._known_nodes:
            self._failed_starts = self._consecutive_deaths = 0
            self._known_nodes |= nodes.keys()
        occupied = len(self._rejected) + self._failed_starts
        target = self._config.target_actors([*nodes.values()], self._streams + occupied)
        for _ in range(target - occupied - admitted - len(self.starting)):
            self._start()

    def start_replacement(self) -> None:
        """Starts an actor in place of one that died."""
        self.losses += 1
        self._start()

    def admit(self, reference: Reference) -> list[Actor]:
        """Returns ``[actor]`` if its fingerprint matches the run's, else [].

        Args:
            reference: one of `starting` that is ready.
        """
        actor, started = self.starting.pop(reference)
        try:
            fingerprint = self._ray.get(reference)
        except self._failures.ray_error as error:
            self._handle_failed_start(actor, started, error)
            return []
        self._consecutive_deaths = 0
        self.fingerprint = self.fingerprint or fingerprint
        if fingerprint == self.fingerprint or self._config.allow_mismatched_actors:
            return [actor]
        self._rejected[actor.block_until_killed.remote()] = actor
        self._announce_refusal(
            f"an actor's fingerprint is {fingerprint[:12]}, the run's is {self.fingerprint[:12]}: "
            "its processor, flags or packages compute different bits; use the run's machines and "
            "environment, or give up equal bits with --cluster.allow-mismatched-actors"
        )
        return []

    def forget_rejected(self, reference: Reference) -> None:
        """Frees the place of a rejected actor that ended with its node."""
        del self._rejected[reference]

    def _handle_failed_start(self, actor: Actor, started: float, error: Exception) -> None:
        """Replaces an actor that died while starting, unless that happens again and again."""
        if started >= self._last_death:  # otherwise it died together with the previous one
            self._consecutive_deaths += 1
            self._last_death = time.monotonic()
        died = self._failures.is_actor_death(error)
        if died and self._consecutive_deaths <= self._config.retries:
            self.start_replacement()
            return
        self._ray.kill(actor)
        self._failed_starts += 1
        self._announce_refusal(f"an actor could not start: {last_line(error)}")

    def _announce_refusal(self, reason: str) -> None:
        self.reason = reason
        self.announce(f"refused: {reason}")

    def _nodes(self) -> dict[str, dict[str, float]]:
        """Returns the resources of every live node, by its id."""
        return {node["NodeID"]: node["Resources"] for node in self._ray.nodes() if node["Alive"]}

    def _start(self) -> None:
        """Starts an actor with the pinned environment."""
        from selfplay.cluster.actor import StreamActor

        pinned = determinism.environment()
        variables = {n: v for n, v in os.environ.items() if n.startswith("JAX_")}
        if variables.get("JAX_COMPILATION_CACHE_DIR") == str(determinism.cache_folder()):
            del variables["JAX_COMPILATION_CACHE_DIR"]  # an actor chooses its own, on its node
        variables |= pinned | self._config.actor_environment()
        actor = (
            self._ray.remote(StreamActor)
            .options(
                num_cpus=self._config.cpus_per_actor,
                num_gpus=self._config.gpus_per_actor,
                resources=self._config.resources or None,
                runtime_env={"env_vars": variables},
            )
            .remote(self._spec, pinned, plugins.followed())
        )
        self.starting[actor.fingerprint.remote()] = actor, time.monotonic()
