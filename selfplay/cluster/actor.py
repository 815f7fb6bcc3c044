"""A thin Ray actor: compiled code and the parameters of the last version it saw, nothing else."""

import os
import threading
import time
from typing import Any

from selfplay import determinism
from selfplay.acting.config import StreamSpec


class StreamActor:
    """Plays segments for whoever asks. Wrapped by ``ray.remote`` in the pool."""

    def __init__(self, spec: StreamSpec, pinned: dict[str, str]) -> None:
        """Build the player in this process; `pinned` is what its environment must hold.

        Raises:
            RuntimeError: the process does not have the pinned flags, so its bits would differ.
        """
        for name, value in pinned.items():
            if os.environ.get(name) != value:
                raise RuntimeError(
                    f"actor started with {name}={os.environ.get(name)!r}, the run pins {value!r}"
                )
        import jax  # must not start before the flags are checked

        from selfplay.acting.stream_player import StreamPlayer

        if not jax.config.values["jax_compilation_cache_dir"]:  # nobody said where
            jax.config.update("jax_compilation_cache_dir", str(determinism.CACHE))
        self._player = StreamPlayer.from_spec(spec)
        self._version, self._params = -1, {}

    def fingerprint(self) -> str:
        """The player's fingerprint; compiles everything on the way."""
        return self._player.fingerprint()

    def stay(self) -> None:
        """Do nothing until the process ends: who waits for it learns of that."""
        threading.Event().wait()

    def pid(self) -> int:
        """This actor's process id on its node."""
        return os.getpid()

    def play(
        self, version: int, params: Any, carry: Any, iteration: int, stream: int
    ) -> tuple[tuple[Any, Any], float]:
        """``(carry, rows)`` of one stream's segment (see ``StreamPlayer.play``), and seconds."""
        import jax

        began = time.perf_counter()
        if version != self._version:
            self._version, self._params = version, jax.device_put(params)
        result = self._player.play(self._params, carry, iteration, stream, version)
        return result, time.perf_counter() - began
