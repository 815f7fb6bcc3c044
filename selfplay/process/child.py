"""A process that talks over pipes, cannot outlive us, and cannot make us wait or grow.

It runs under a guardian (`guardian.py`), in a session of its own. Everything read here has a
deadline; its stderr is read along, so that it never blocks on it, and only the last words are kept.
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

CHUNK = 1 << 16  # bytes a read
LAST_WORDS = 200  # bytes of stderr kept
END_S = 5.0  # a guardian that takes longer to end is killed, and its engine with it


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
        theirs, ours = os.pipe()
        script = [sys.executable, "-I", "-S", str(Path(guard.__file__))]
        try:
            self._process = subprocess.Popen(
                [*script, str(os.getpid()), str(theirs), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(theirs,),
                start_new_session=True,
            )
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self._lifeline = open(ours, "wb", buffering=0)  # noqa: SIM115 closed by kill
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        for pipe in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(pipe.fileno(), False)
        self._words = b""

    def write(self, data: bytes) -> bool:
        """Send all of `data`; False = it does not read, or has ended."""
        with suppress(OSError):
            return os.write(self._stdin.fileno(), data) == len(data)
        return False

    def read(self, deadline: float) -> bytes:
        """What it wrote to stdout, at most `CHUNK` bytes; empty at `deadline` (monotonic seconds).

        Raises:
            EOFError: it has closed its stdout, so nothing more will come.
        """
        while True:
            with selectors.DefaultSelector() as selector:
                selector.register(self._stdout, selectors.EVENT_READ)
                if not self._stderr.closed:
                    selector.register(self._stderr, selectors.EVENT_READ)
                seconds = max(0.0, min(deadline - time.monotonic(), 1.0))
                ready = {key.fd for key, _ in selector.select(seconds)}
            if not self._stderr.closed and self._stderr.fileno() in ready:
                self._listen()
            if self._stdout.fileno() in ready:
                data = os.read(self._stdout.fileno(), CHUNK)
                if not data:
                    raise EOFError
                return data
            if time.monotonic() >= deadline:
                return b""
            if not ready and self._process.poll() is not None:
                raise EOFError  # the guardian was killed, and a lost child holds the pipe open

    def ending(self) -> str:
        """How it ended, "exited with status 3", with the last line that it wrote to stderr."""
        try:
            status = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "closed its output and ran on"
        if not self._stderr.closed:
            self._listen()
        lines = self._words.decode("utf-8", errors="replace").split("\n")
        words = [line.strip() for line in lines if line.strip()]
        number = -status if status < 0 else status - 128
        how = f"was killed by signal {number}" if number > 0 else f"exited with status {status}"
        return how + (f", saying {words[-1]!r}" if words else "")

    def wait(self, seconds: float) -> None:
        """Let it end by itself, for so long; what it says is read and forgotten."""
        deadline = time.monotonic() + seconds
        with suppress(EOFError):
            while self.read(deadline):
                pass

    def kill(self) -> None:
        """End it and all it started, and wait until that is done."""
        self._lifeline.close()
        for pipe in (self._stdin, self._stdout, self._stderr):
            pipe.close()
        try:
            self._process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        """Take in some stderr."""
        with suppress(BlockingIOError):
            data = os.read(self._stderr.fileno(), CHUNK)
            self._words = (self._words + data)[-LAST_WORDS:]
            if not data:
                self._stderr.close()
