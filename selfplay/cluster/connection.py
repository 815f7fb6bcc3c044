"""To Ray: a cluster that is there, or one of this machine's own."""

import contextlib
import logging
import math
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from selfplay.cluster.config import ClusterConfig

HERE = Path(__file__).resolve().parent.parent.parent  # Ray's workers import from where we are
PULSE = 2.0  # seconds between two looks at whether the head is there, and of one look


def connect(config: ClusterConfig, actors: int) -> Any:
    """The ray module, initialised: joined to `config.address`, or on a local cluster.

    Raises:
        ConnectionError: nothing answers at the address.
    """
    reachable(config)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not config.address:  # no cluster, says this, and so Ray listens on the loopback alone
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    # Ray starts its daemons by fork and exec at once, which is safe beside JAX's threads.
    warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
    import ray

    common: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with _own_sigterm(), contextlib.chdir(HERE):
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
        except ConnectionError as error:
            if config.address == "auto":
                raise _no_answer(config.address, error) from error
            # Somebody listens there, or `reachable` had raised it.
            raise ConnectionError(
                f"no Ray cluster at cluster.address {config.address!r} lets us in: it needs this "
                "version of Ray, and RAY_AUTH_MODE=token where it has a token (docs/cluster.md)"
            ) from error
        except Exception as error:  # another version of Ray or Python, say
            said = str(error).strip().partition("\n")[0] or type(error).__name__
            raise ConnectionError(f"cluster.address {config.address!r}: {said}") from error
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
    try:
        knock(config.address or "", config.connect_seconds)
    except OSError as error:
        raise _no_answer(f"{config.address}", error) from error


def knock(address: str, seconds: float) -> None:
    """Connect to ``host:port`` and leave; an address without a port is not tried.

    Raises:
        OSError: nobody answers in this time.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=seconds).close()


class Head:
    """Whether a cluster's head is still there. Ray would wait a minute, and end this process then.

    One that can not be reached from here in the first place, as behind ``ray://``, is not missed.
    """

    def __init__(self, address: str, patience: float) -> None:
        """``host:port`` of the head, and how many seconds it may be silent."""
        self.address, self._patience = address, patience
        self._silent, self.gone = float("inf"), False  # since when on the monotonic clock
        self._knocked = 0.0
        try:
            knock(address, patience)
        except OSError:
            self.address = ""

    def answers(self) -> bool:
        """False once it has been silent for too long; waits `PULSE` for it.

        Silence counts from the first of the last knocks: nobody may have knocked for hours.
        """
        now = time.monotonic()
        if now - self._knocked > self._patience:
            self._silent = float("inf")
        self._knocked = now
        try:
            knock(self.address, PULSE)
            self._silent, self.gone = float("inf"), False
        except OSError:
            self._silent = min(self._silent, now)
            self.gone = time.monotonic() - self._silent > self._patience
        return not self.gone

    def there(self) -> bool:
        """Whether it answers, waited for until it does or is gone."""
        while self.answers() and self._silent < float("inf"):
            time.sleep(PULSE / 4)
        return not self.gone


@cache
def head(address: str, patience: float) -> Head:
    """The one of this process: who looks after another one has found it gone does not wait."""
    return Head(address, patience)


def _no_answer(address: str, error: Exception) -> ConnectionError:
    return ConnectionError(
        f"no Ray cluster answers at cluster.address {address!r} ({type(error).__name__}); "
        "start one with `ray start --head`, or leave the address out to play on this machine"
    )
