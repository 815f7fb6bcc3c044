"""A pool plays an iteration's streams somewhere; results come back in stream order.

Two pools with one face: :class:`InProcess` plays here, and Ray is never imported;
:class:`~selfplay.cluster.ray_pool.RayPool` plays on Ray actors.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from selfplay.acting.config import StreamSpec
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.plan import Result, Work
from selfplay.cluster.ray_pool import RayPool


class Pool(Protocol):
    """Plays the plan's work, one iteration at a time."""

    @property
    def fingerprint(self) -> str:
        """Of the program that the run's actors run."""
        ...

    @property
    def losses(self) -> int:
        """Actors that died and were replaced so far."""
        ...

    def submit(self, work: Work, params: Any, carries: Sequence[Any]) -> None:
        """Start an iteration's play from one carry per stream."""
        ...

    def collect(self) -> list[Result]:
        """Wait for the submitted iteration; results in stream order."""
        ...

    def usage(self) -> dict[str, float]:
        """Of the iteration that was collected last: how busy its actors were. No digest has it."""
        ...

    def close(self) -> None:
        """Stop all work and every process that was started for it."""
        ...


class InProcess:
    """Plays in this process when asked for the results."""

    def __init__(self, spec: StreamSpec) -> None:
        """Compile the player and take its fingerprint."""
        from selfplay.acting.stream_player import StreamPlayer

        self._player = StreamPlayer.from_spec(spec)
        self.fingerprint, self.losses = self._player.fingerprint(), 0
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

    def usage(self) -> dict[str, float]:
        """Nothing: there are no actors."""
        return {}

    def close(self) -> None:
        """Nothing to stop."""


def make(
    spec: StreamSpec,
    config: ClusterConfig,
    fingerprint: str | None = None,
    announce: Callable[[str], None] = lambda text: None,
    streams: int = sys.maxsize,
) -> Pool:
    """The pool that `config` asks for.

    Args:
        spec: what the streams play.
        config: where to play.
        fingerprint: the run's, if it has begun; actors with another one are refused.
        announce: gets sentences about actors that are refused or lost.
        streams: how many an iteration has, for as many actors there is work.
    """
    if config.actors == 0:
        return InProcess(spec)
    return RayPool(spec, config, fingerprint, announce, streams)
