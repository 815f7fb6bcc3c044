"""To Ray: a cluster that is there, or one of this machine's own."""

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

HERE = Path(__file__).resolve().parent.parent.parent  # Ray's workers import from where we are
SOCKET = "/ray/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store.00"
"""The longest path of a socket of Ray's below its temporary folder."""
LONGEST_SOCKET = 107  # bytes of a path that Linux binds a socket to
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # of every Linux
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
        if not has_token(os.environ):
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    # Ray starts its daemons by fork and exec at once, which is safe beside JAX's threads.
    warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
    import ray

    common: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with _own_sigterm(), contextlib.chdir(HERE):
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
            except Exception as error:  # of whatever type
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
            # Somebody listens there, or `reachable` had raised it.
            raise ConnectionError(
                f"no Ray cluster at cluster.address {config.address!r} lets us in: it needs this "
                "version of Ray, and RAY_AUTH_MODE=token where it has a token "
                "(docs/guide/cluster.md)"
            ) from error
        except Exception as error:  # another version of Ray or Python, say
            text = _first_line(error)
            raise ConnectionError(f"cluster.address {config.address!r}: {text}") from error
    return ray


def has_token(environment: Mapping[str, str]) -> bool:
    """Whether a local Ray finds its access token, or needs none.

    Otherwise Ray writes one into the home folder, which may be missing or read-only.
    """
    if environment.get("RAY_AUTH_MODE", "token").lower() != "token":
        return True
    named = environment.get("RAY_AUTH_TOKEN") or environment.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or os.access(os.path.expanduser("~/.ray/auth_token"), os.R_OK)


def temporary_folder(environment: Mapping[str, str]) -> str:
    """The folder for a local Ray's sessions: the one that Ray itself would choose, if that works.

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


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _no_answer(address: str, error: Exception) -> ConnectionError:
    return ConnectionError(
        f"no Ray cluster answers at cluster.address {address!r} ({type(error).__name__}); "
        "start one with `ray start --head`, or leave the address out to play on this machine"
    )
