"""Who may play: actors are started where there is room, and let in if they compute the run's bits.

They join whenever they are ready. One that dies is replaced; one with another fingerprint is
refused, and stays where it is, so that nobody else is started there to be refused as well.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from selfplay import determinism
from selfplay.acting.config import StreamSpec
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.failures import Failures, last_line


class ActorManager:
    """Actors that have not joined, or may not. Those that have belong to the pool.

    Attributes:
        joining: reference to its fingerprint → actor, and when it was started.
        turned_away: reference to its end → actor with another fingerprint.
        fingerprint: the run's; the first actor's in a run that begins.
        losses: actors that died and were replaced so far.
        reason: why the last one was not let in.
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
        """Nobody yet; see ``pool.make`` for the arguments."""
        self._ray, self._failures, self._config = ray, failures, config
        self._spec, self.announce, self._streams = spec, announce, streams
        self.joining: dict[Any, tuple[Any, float]] = {}
        self.turned_away: dict[Any, Any] = {}
        self.fingerprint, self.losses, self.reason = fingerprint or "", 0, ""
        self._refused = 0  # that could not start
        self._stillborn, self._last = 0, 0.0  # died before they joined, in a row; when the last did
        self._seen: set[str] = set()  # nodes

    @property
    def others(self) -> list[Any]:
        """All its actors, whether they join or were turned away."""
        return [*(actor for actor, _ in self.joining.values()), *self.turned_away.values()]

    def look_for_room(self) -> None:
        """Say who will have to wait; raises ValueError where no node will ever come."""
        if text := self._config.lacking([*self._nodes().values()]):
            if not self._config.address:
                raise ValueError(text)
            room = self._config.room([*self._nodes().values()])
            self.announce(f"{text}; {'the others join' if room else 'play begins'} when nodes come")

    def grow(self, joined: int) -> None:
        """Start as many as there are room and work for, beyond the `joined` and the refused.

        Who could not start does not count any more once there is a node that was not there.
        """
        nodes = self._nodes()
        if not nodes.keys() <= self._seen:
            self._refused = self._stillborn = 0
            self._seen |= nodes.keys()
        away = len(self.turned_away) + self._refused
        wanted = self._config.wanted([*nodes.values()], self._streams + away)
        for _ in range(wanted - away - joined - len(self.joining)):
            self._start()

    def replace(self) -> None:
        """Start one in the place of one that was lost."""
        self.losses += 1
        self._start()

    def let_in(self, reference: Any) -> list[Any]:
        """The actor that says its fingerprint there, if it may play; else nobody."""
        actor, started = self.joining.pop(reference)
        try:
            found = self._ray.get(reference)
        except self._failures.any as error:
            if started >= self._last:  # else it died with the one before: their node did
                self._stillborn, self._last = self._stillborn + 1, time.monotonic()
            if self._failures.died(error) and self._stillborn <= self._config.retries:
                self.replace()
            else:
                self._ray.kill(actor)
                self._refused += 1
                self._refuse(f"an actor could not start: {last_line(error)}")
            return []
        self._stillborn = 0
        self.fingerprint = self.fingerprint or found
        if found == self.fingerprint or self._config.allow_mismatched_actors:
            return [actor]
        self.turned_away[actor.stay.remote()] = actor  # it keeps its room, where nobody fits
        self._refuse(
            f"an actor's fingerprint is {found[:12]}, the run's is {self.fingerprint[:12]}: its "
            "processor, flags or packages give other bits; use the run's machines and environment, "
            "or --cluster.allow-mismatched-actors without the promise of equal bits"
        )
        return []

    def _refuse(self, reason: str) -> None:
        self.reason = reason
        self.announce(f"refused: {reason}")

    def _nodes(self) -> dict[str, dict[str, float]]:
        """The resources of those that are alive, by their ids."""
        return {node["NodeID"]: node["Resources"] for node in self._ray.nodes() if node["Alive"]}

    def _start(self) -> None:
        from selfplay.cluster.actor import StreamActor

        pinned = determinism.environment()
        variables = {n: v for n, v in os.environ.items() if n.startswith("JAX_")}
        if variables.get("JAX_COMPILATION_CACHE_DIR") == str(determinism.CACHE):
            del variables["JAX_COMPILATION_CACHE_DIR"]  # theirs lies beside their code
        variables |= pinned | self._config.actor_environment()
        actor = (
            self._ray.remote(StreamActor)
            .options(
                num_cpus=self._config.cpus_per_actor,
                num_gpus=self._config.gpus_per_actor,
                resources=self._config.resources or None,
                runtime_env={"env_vars": variables},
            )
            .remote(self._spec, pinned)
        )
        self.joining[actor.fingerprint.remote()] = actor, time.monotonic()
