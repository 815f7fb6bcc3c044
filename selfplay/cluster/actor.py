"""The Ray actor that plays: it holds compiled code and the parameters of the last version."""

import os
import platform
import threading
import time
from collections.abc import Sequence
from typing import Any

from games import plugins
from games.source_digest import Source
from selfplay import determinism
from selfplay.acting.config import StreamSpec


class StreamActor:
    """Player of segments in a process of its own; the pool wraps it with ``ray.remote``."""

    def __init__(
        self, spec: StreamSpec, pinned: dict[str, str], sources: Sequence[Source] = ()
    ) -> None:
        """Builds the player in this process.

        Args:
            spec: what to play.
            pinned: variables that the process's environment must hold.
            sources: the user's modules that the driver imported; this process trusts them.

        Raises:
            RuntimeError: the environment or a user's module differs, so the process would compute
                different bits.
            ValueError: the spec names a module that cannot be imported here, or that the driver
                did not import.
        """
        for name, value in pinned.items():
            if os.environ.get(name) != value:
                raise RuntimeError(
                    f"actor started with {name}={os.environ.get(name)!r}, the run pins {value!r}"
                )
        import jax  # only after the flags are checked

        from selfplay.acting.stream_player import StreamPlayer
        from selfplay.learning.loss_terms import row_fields

        if not jax.config.values["jax_compilation_cache_dir"] and (
            folder := determinism.cache_folder()
        ):
            jax.config.update("jax_compilation_cache_dir", str(folder))
        plugins.trust_sources(sources)
        self._player = StreamPlayer.from_spec(spec, row_fields(spec.losses, surprise=spec.surprise))
        for path, digests in plugins.differing({s.path: s.digest for s in sources}).items():
            theirs, ours = (digest[:12] for digest in digests)
            raise RuntimeError(
                f"the source of {path} has the digest {ours} on {platform.node()}, and {theirs} "
                "where the run was started: give every node the same files"
            )
        self._version, self._params = -1, {}

    def fingerprint(self) -> str:
        """Returns the player's fingerprint; compiles all its programs to compute it."""
        return self._player.fingerprint()

    def block_until_killed(self) -> None:
        """Blocks forever, so that a pending reference resolves when the process dies."""
        threading.Event().wait()

    def pid(self) -> int:
        """Returns this actor's process id on its node."""
        return os.getpid()

    def play(
        self, version: int, params: Any, carry: Any, iteration: int, stream: int
    ) -> tuple[tuple[Any, Any], float]:
        """Returns ``(carry, rows)`` of one stream's segment, and the seconds that it took.

        `params` is copied to the device only when `version` changes. See `StreamPlayer.play`.
        """
        import jax

        began = time.perf_counter()
        if version != self._version:
            self._version, self._params = version, jax.device_put(params)
        result = self._player.play(self._params, carry, iteration, stream, version)
        return result, time.perf_counter() - began
