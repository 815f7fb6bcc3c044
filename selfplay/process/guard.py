"""Guardian process: starts an engine and kills it when the driver ends.

    python -I -S selfplay/process/guard.py DRIVER_PID LIFELINE_FD COMMAND [ARGUMENT...]

The engine inherits the guardian's standard streams, which the guardian closes on its side. The
guardian kills the engine and every process that the engine started as soon as

- the lifeline closes, a pipe whose other end only the driver holds (a SIGKILL closes it as well);
- the driver is no longer its parent (a forked sibling may keep the pipe open);
- the engine has ended, so that children left behind by a wrapper script end with it.

SIGINT is forwarded to the engine. If the guardian itself is killed, the kernel's parent-death
signal ends the engine. That signal alone is not enough: it is sent when the *thread* that started
the process ends, and it spares the engine's own children. On Linux the guardian is their
subreaper, so it also finds children that left the process group. It imports only the standard
library and therefore starts in milliseconds.

Its exit status is the engine's, 128 + n for signal n, 127 if the engine could not be started.
"""

import ctypes
import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

POLL_S = 0.5  # between two checks of the parent's id; the pipe needs no polling
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
NOT_STARTED = 127
ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Starts the engine, waits until it or the driver ends, and leaves no process running."""
    driver, lifeline, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    os.set_inheritable(lifeline, False)
    libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()  # a signal of any kind interrupts the wait below
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    stop: list[int] = []
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    for ending in ENDINGS:
        signal.signal(ending, lambda number, frame: stop.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    engine = os.fork()
    if engine == 0:
        _exec_engine(command, libc)
    signal.signal(signal.SIGINT, lambda number, frame: _forward_signal(number, engine))
    for stream in (0, 1):  # only the engine keeps them, so that the driver sees its end
        os.close(stream)
    status = None
    while status is None and not stop and os.getppid() == driver:
        ready, _, _ = select.select([lifeline, woken], [], [], POLL_S)
        if lifeline in ready:
            break
        if woken in ready:
            os.read(woken, 64)
        status = _reap(engine)
    _kill_all(engine)
    os._exit(NOT_STARTED if status is None else status if status >= 0 else 128 - status)


def _forward_signal(number: int, engine: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(engine, number)


def _exec_engine(command: list[str], libc: Any) -> None:
    """Replaces the forked child by the engine, in a session and process group of its own."""
    try:
        guardian = os.getppid()
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (
            signal.SIGCHLD,
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGPIPE,
        ):
            signal.signal(number, signal.SIG_DFL)
        if libc:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != guardian:  # the guardian died before the signal was set up
                os._exit(NOT_STARTED)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(NOT_STARTED)


def _reap(engine: int) -> int | None:
    """Reaps ended children; returns the engine's status if it has ended, −n for signal n."""
    engine_status = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == engine:
                engine_status = os.waitstatus_to_exitcode(status)
    return engine_status


def _kill_all(engine: int) -> None:
    """Kills the engine's process group, then every adopted descendant."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(engine, signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):
        os.kill(engine, signal.SIGKILL)  # in case it has no group of its own yet
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    with suppress(ChildProcessError):  # raised when no child is left
        while True:
            with suppress(OSError):
                for pid in children.read_text().split():
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            os.waitpid(-1, 0)


if __name__ == "__main__":
    main()
