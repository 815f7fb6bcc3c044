"""Runs the project's commands as a user would run them."""

import contextlib
import signal
import subprocess
from collections.abc import Sequence
from typing import Any, NoReturn

from benchmarks.worker import ROOT, default_environment

GRACE = 30  # seconds to wait for a program after an interrupt


def end_on_sigterm() -> None:
    """Turns SIGTERM, as from a batch system, into an exit that also ends launched programs."""

    def stop(number: int, _: Any) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)


def launch(command: Sequence[str]) -> None:
    """Runs a program to its end, without the settings that this process made for XLA.

    Raises:
        SystemExit: the program failed.
    """
    process = subprocess.Popen(command, cwd=ROOT, env=default_environment())
    try:
        status = process.wait()
    except BaseException:  # this process is stopped: stop the program as well
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.terminate()
            process.wait(GRACE)
        process.kill()
        process.wait()
        raise
    if status:
        raise SystemExit(f"error: status {status} from {' '.join(command)}")
