"""A child process that communicates over pipes and ends with this process.

It runs under a guardian (`guard.py`) in a session of its own. Every read has a deadline. Its stderr
is read along with stdout, so that the child never blocks on it; only the last bytes are kept.
"""

import os
import selectors
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from selfplay.process import guard

CHUNK = 1 << 16  # bytes per read
STDERR_TAIL = 200  # bytes of stderr that are kept
END_TIMEOUT_S = 5.0  # a guardian that takes longer to end is killed together with its child


class Process:
    """A running command.

    Args:
        command: the program and its arguments; no shell reads them.

    Raises:
        OSError: there is no such program, or it cannot be run.
    """

    def __init__(self, command: list[str]) -> None:
        if shutil.which(command[0]) is None:
            raise FileNotFoundError(f"no program {command[0]!r}")
        guard_end, own_end = os.pipe()
        script = [sys.executable, "-I", "-S", str(Path(guard.__file__))]
        try:
            self._process = subprocess.Popen(
                [*script, str(os.getpid()), str(guard_end), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(guard_end,),
                start_new_session=True,
            )
        except OSError:
            os.close(own_end)
            raise
        finally:
            os.close(guard_end)
        self._lifeline = open(own_end, "wb", buffering=0)  # noqa: SIM115 closed by kill
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        for pipe in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(pipe.fileno(), False)
        self._stderr_tail = b""

    def write(self, data: bytes) -> bool:
        """Sends `data` to its stdin; returns False if it does not read, or has ended."""
        with suppress(OSError):
            return os.write(self._stdin.fileno(), data) == len(data)
        return False

    def read(self, deadline: float) -> bytes:
        """Returns what it wrote to stdout, at most `CHUNK` bytes; b"" at the deadline.

        Args:
            deadline: on the monotonic clock, seconds.

        Raises:
            EOFError: it has closed its stdout.
        """
        while True:
            with selectors.DefaultSelector() as selector:
                selector.register(self._stdout, selectors.EVENT_READ)
                if not self._stderr.closed:
                    selector.register(self._stderr, selectors.EVENT_READ)
                seconds = max(0.0, min(deadline - time.monotonic(), 1.0))
                ready = {key.fd for key, _ in selector.select(seconds)}
            if not self._stderr.closed and self._stderr.fileno() in ready:
                self._read_stderr()
            if self._stdout.fileno() in ready:
                data = os.read(self._stdout.fileno(), CHUNK)
                if not data:
                    raise EOFError
                return data
            if time.monotonic() >= deadline:
                return b""
            if not ready and self._process.poll() is not None:
                raise EOFError  # the guardian was killed; an orphan keeps the pipe open

    def ending(self) -> str:
        """Says how it ended, "exited with status 3", with the last line of its stderr."""
        try:
            status = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "closed its output and ran on"
        if not self._stderr.closed:
            self._read_stderr()
        lines = self._stderr_tail.decode("utf-8", errors="replace").split("\n")
        text = [line.strip() for line in lines if line.strip()]
        number = -status if status < 0 else status - 128
        end = f"was killed by signal {number}" if number > 0 else f"exited with status {status}"
        return end + (f", saying {text[-1]!r}" if text else "")

    def wait(self, seconds: float) -> None:
        """Waits at most `seconds` for it to end by itself, and discards its output."""
        deadline = time.monotonic() + seconds
        with suppress(EOFError):
            while self.read(deadline):
                pass

    def kill(self) -> None:
        """Ends it and every process that it started, and waits until they are gone."""
        self._lifeline.close()
        for pipe in (self._stdin, self._stdout, self._stderr):
            pipe.close()
        try:
            self._process.wait(timeout=END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read_stderr(self) -> None:
        """Reads what is available of its stderr."""
        with suppress(BlockingIOError):
            data = os.read(self._stderr.fileno(), CHUNK)
            self._stderr_tail = (self._stderr_tail + data)[-STDERR_TAIL:]
            if not data:
                self._stderr.close()
