"""Connects to Ray: to an existing cluster, or to a local one that it starts."""

import contextlib
import logging
import math
import os
import secrets
import signal
import socket
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from selfplay.cluster.config import ClusterConfig

ROOT = Path(__file__).resolve().parents[2]  # Ray's workers import from the working directory
SOCKET = "/ray/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store.00"
"""Longest path of a socket that Ray makes in its temporary folder."""
LONGEST_SOCKET = 107  # bytes that Linux allows in the path of a socket
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # exist on every Linux
HEARTBEAT_S = 2.0  # time between two checks of the head, and the timeout of one check


def connect(config: ClusterConfig, actors: int) -> Any:
    """Returns the ray module, connected to `config.address` or to a new local cluster.

    Raises:
        ConnectionError: nothing answers at the address.
    """
    check_reachable(config)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not config.address:  # a single node, so Ray binds to the loopback interface only
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        if not has_token(os.environ):
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    # Ray starts its daemons by fork and exec at once, which is safe beside JAX's threads.
    warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
    import ray

    common: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with _keep_sigterm_handler(), contextlib.chdir(ROOT):
        if not config.address:
            folder = temporary_folder(os.environ)
            try:
                ray.init(
                    address="local",
                    num_cpus=max(1, math.ceil(actors * config.cpus_per_actor)),
                    object_store_memory=config.object_store_mb * 2**20,
                    include_dashboard=False,
                    _temp_dir=folder,
                    **common,
                )
            except Exception as error:  # Ray raises several types
                raise ConnectionError(
                    f"Ray cannot start on this machine, with its files in {folder}: "
                    f"{_first_line(error)}; --cluster.actors 0 plays without Ray"
                ) from error
            return ray
        try:
            ray.init(address=config.address, **common)
        except ConnectionError as error:
            if config.address == "auto":
                raise _no_answer(config.address, error) from error
            # Something listens there, otherwise `check_reachable` would have raised.
            raise ConnectionError(
                f"the Ray cluster at cluster.address {config.address!r} rejected the connection: "
                "it needs this version of Ray, and RAY_AUTH_MODE=token if it uses a token "
                "(docs/guide/cluster.md)"
            ) from error
        except Exception as error:  # for example another version of Ray or Python
            text = _first_line(error)
            raise ConnectionError(f"cluster.address {config.address!r}: {text}") from error
    return ray


def has_token(environment: Mapping[str, str]) -> bool:
    """Tells whether a local Ray finds its access token, or does not need one.

    Otherwise Ray would write one to the home folder, which may be missing or read-only.
    """
    if environment.get("RAY_AUTH_MODE", "token").lower() != "token":
        return True
    named = environment.get("RAY_AUTH_TOKEN") or environment.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or os.access(os.path.expanduser("~/.ray/auth_token"), os.R_OK)


def temporary_folder(environment: Mapping[str, str]) -> str:
    """Returns a folder for a local Ray's sessions: the one that Ray would choose, if it is usable.

    Ray takes RAY_TMPDIR, TMPDIR or /tmp, and cannot start if the folder is not writable or its name
    is so long that the paths of its sockets exceed what Linux allows.

    Raises:
        ValueError: no folder is usable.
    """
    most = LONGEST_SOCKET - len(SOCKET)

    def usable(folder: str) -> bool:
        path = os.path.join(folder, "ray")
        fits = os.path.isabs(folder) and len(os.fsencode(folder)) <= most
        own = path if os.path.exists(path) else folder
        return fits and os.path.isdir(own) and os.access(own, os.W_OK | os.X_OK)

    chosen = [environment[name] for name in ("RAY_TMPDIR", "TMPDIR") if environment.get(name)]
    for folder in (*chosen, *SHORT_FOLDERS):
        if usable(folder):
            return os.path.join(folder, "ray")
    raise ValueError(
        f"Ray needs a temporary folder that is writable and has a path of at most {most} bytes; "
        f"{', '.join([*chosen, *SHORT_FOLDERS])} are not: set RAY_TMPDIR to one, or play without "
        "Ray, with --cluster.actors 0"
    )


@contextlib.contextmanager
def _keep_sigterm_handler() -> Iterator[None]:
    """Restores the handler of SIGTERM; Ray's would end the process in the middle of a commit."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def check_reachable(config: ClusterConfig) -> None:
    """Checks that something listens at the address; Ray itself would retry for minutes.

    Raises:
        ConnectionError: nothing answers; names the address and what to do.
    """
    try:
        ping(config.address or "", config.connect_seconds)
    except OSError as error:
        raise _no_answer(f"{config.address}", error) from error


def ping(address: str, seconds: float) -> None:
    """Opens and closes a connection to ``host:port``; skips an address without a port.

    Raises:
        OSError: nothing answers within `seconds`.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=seconds).close()


class Head:
    """Monitor of a cluster's head; Ray itself would wait a minute and then end this process.

    If the head was never reachable (for example via ``ray://``), it counts as alive.

    Attributes:
        address: ``host:port``; "" if it was never reachable.
        is_gone: True = the head has been silent for too long.
    """

    def __init__(self, address: str, patience: float) -> None:
        """Pings the head once.

        Args:
            address: ``host:port`` of the head.
            patience: seconds that it may be silent.
        """
        self.address, self._patience = address, patience
        self._silent_since, self.is_gone = float("inf"), False  # on the monotonic clock
        self._last_ping = 0.0
        try:
            ping(address, patience)
        except OSError:
            self.address = ""

    def is_alive(self) -> bool:
        """Pings the head; returns False once it has been silent for longer than `patience`.

        Silence counts from the first failed ping of the latest series: hours may have passed since
        the ping before.
        """
        now = time.monotonic()
        if now - self._last_ping > self._patience:
            self._silent_since = float("inf")
        self._last_ping = now
        try:
            ping(self.address, HEARTBEAT_S)
            self._silent_since, self.is_gone = float("inf"), False
        except OSError:
            self._silent_since = min(self._silent_since, now)
            self.is_gone = time.monotonic() - self._silent_since > self._patience
        return not self.is_gone

    def wait_until_alive(self) -> bool:
        """Waits until the head answers or counts as gone; returns whether it answers."""
        while self.is_alive() and self._silent_since < float("inf"):
            time.sleep(HEARTBEAT_S / 4)
        return not self.is_gone


@cache
def head(address: str, patience: float) -> Head:
    """Returns the process's monitor of a head: only the first caller waits for a timeout."""
    return Head(address, patience)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _no_answer(address: str, error: Exception) -> ConnectionError:
    return ConnectionError(
        f"no Ray cluster answers at cluster.address {address!r} ({type(error).__name__}); "
        "start one with `ray start --head`, or leave the address out to play on this machine"
    )
