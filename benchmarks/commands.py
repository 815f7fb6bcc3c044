"""Our commands, run by a benchmark as a user would run them."""

import contextlib
import signal
import subprocess
from collections.abc import Sequence
from typing import Any, NoReturn

from benchmarks.worker import ROOT, default_environment

GRACE = 30  # seconds that a program gets to end after an interrupt


def end_on_sigterm() -> None:
    """A batch system's SIGTERM ends what was launched, too."""

    def stop(number: int, _: Any) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)


def launch(command: Sequence[str]) -> None:
    """Runs a program of ours in our place, with an environment that we did not shape."""
    process = subprocess.Popen(command, cwd=ROOT, env=default_environment())
    try:
        status = process.wait()
    except BaseException:  # stopped: the program must not go on without us
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.terminate()
            process.wait(GRACE)
        process.kill()
        process.wait()
        raise
    if status:
        raise SystemExit(f"error: status {status} from {' '.join(command)}")
