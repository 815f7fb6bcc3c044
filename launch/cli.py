"""What every command shares: pins before JAX, one clear sentence for bad input."""

import _thread
import os
import shlex
import shutil
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, from anywhere

from selfplay import pins

BAD_INPUT = 2
LAUNCH = Path(__file__).resolve().parent


def refuse(message: object) -> NoReturn:
    """Say one sentence and leave with status 2; nothing was done."""
    odd = "\N{REPLACEMENT CHARACTER}"  # for what would steer the terminal
    text = "".join(c if c.isprintable() or c == "\n" else odd for c in str(message))
    print(f"error: {text}", file=sys.stderr)
    raise SystemExit(BAD_INPUT)


def command(script: str, *arguments: object) -> str:
    """Returns the command line of ``launch/SCRIPT.py`` as it can be typed in the current directory.

    It names this process's own interpreter and is quoted for a shell.
    """
    return shlex.join([_python(), _typed(LAUNCH / f"{script}.py"), *map(str, arguments)])


def program(name: str, *arguments: object) -> str | None:
    """Returns the command line of a program of this environment; None if it is not installed."""
    path = Path(sys.executable).with_name(name)
    if not os.access(path, os.X_OK):
        return None
    return shlex.join([name if _shell_finds(name, path) else _typed(path), *map(str, arguments)])


def _python() -> str:
    here = Path(sys.executable)
    return "python" if _shell_finds("python", here) else _typed(here)


def _shell_finds(name: str, path: Path) -> bool:
    """Tells whether a shell runs this file, in this folder, by its name.

    The folder counts: all virtual environments link to the same interpreter.
    """
    found = Path(shutil.which(name) or "")
    return found.parent.resolve() == path.parent.resolve() and found.samefile(path)


def _typed(path: Path) -> str:
    """Returns a path relative to the current directory if it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def cores() -> int:
    """Those that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def keep_interrupts() -> None:
    """Ctrl-C that comes in a callback, where Python drops it, comes again behind it."""
    before, timers = sys.unraisablehook, list[threading.Timer]()

    def hook(event: Any) -> None:
        if event.exc_type is not KeyboardInterrupt:
            before(event)
        elif not any(timer.is_alive() for timer in timers):
            timers[:] = [threading.Timer(0.1, _thread.interrupt_main)]  # not in here again
            timers[0].daemon = True
            timers[0].start()

    sys.unraisablehook = hook


@cache  # a command may use another one's parser
def prepare() -> None:
    """Pin the process, with one virtual CPU device per core for the learner."""
    keep_interrupts()
    pins.pin(devices=1 << (min(cores(), 8).bit_length() - 1))  # a power of two divides the shards


def guarded(main: Callable[[], None]) -> None:
    """Run a command; errors that name a bad input become one sentence and status 2."""
    from selfplay.store.files import CorruptedFile

    try:
        main()
    except BrokenPipeError:  # whoever read our output has enough of it, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except (ValueError, OSError, CorruptedFile) as error:
        if os.environ.get("OOMZERO_TRACEBACK"):
            raise
        refuse(error)
