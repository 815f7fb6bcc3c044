"""To Ray: a cluster that is there, or one of this machine's own."""

import contextlib
import logging
import math
import os
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from selfplay.cluster.config import ClusterConfig


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
