"""What every command shares: pins before JAX, one clear sentence for bad input."""

import _thread
import codecs
import importlib.util
import inspect
import io
import os
import re
import sys
import textwrap
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a file, from anywhere

from selfplay import determinism

BAD_INPUT = 2
PLAIN = {  # in ASCII, what our texts use beside it; anything else becomes "?"
    **{"×": "x", "−": "-", "–": "-", "—": "-", "→": "->", "…": "...", "±": "+-", "·": "*"},
    **{"σ": "sigma", "√": "sqrt", "≥": ">=", "≤": "<=", "•": "*", "’": "'", "“": '"', "”": '"'},
}


def speak_plainly() -> None:
    """Let output to a terminal that is not UTF-8 write "x" for "×", instead of failing.

    Tables adapt by themselves: rich draws their lines in ASCII there.
    """

    def plain(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeEncodeError)
        text = error.object[error.start : error.end]
        return "".join(PLAIN.get(c, "?") for c in text), error.end

    codecs.register_error("plain", plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not one that a caller has put in its place
            stream.reconfigure(errors="plain")


def console() -> "Console":
    """Returns the output of a command: on a terminal, lines break between words.

    A line that is to be copied, as a command is, is printed with ``soft_wrap=True``.
    """
    from rich.console import Console  # after `prepare` has looked whether packages are there

    output = Console(highlight=False)
    output.soft_wrap = not output.is_terminal
    return output


def laid_out(text: str | None) -> str:
    """A docstring as a description that tyro prints with its examples on lines of their own.

    Tyro joins the lines of a paragraph, unless they are indented, and doubles the empty line before
    one that is. So examples are indented, and follow their heading without an empty line.
    """
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text or "")):
        if not block.startswith((" ", "python ")):
            blocks.append(block)
            continue
        if not (blocks and blocks[-1].endswith(":")):
            blocks.append("Examples:")
        blocks[-1] += "\n" + textwrap.indent(textwrap.dedent(block), "    ")
    return "\n\n".join(blocks)


def refuse(message: object) -> NoReturn:
    """Say one sentence and leave with status 2; nothing was done."""
    odd = "\N{REPLACEMENT CHARACTER}"  # for what would steer the terminal
    text = "".join(c if c.isprintable() or c == "\n" else odd for c in str(message))
    print(f"error: {text}", file=sys.stderr)
    raise SystemExit(BAD_INPUT)


def cores() -> int:
    """Those that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def duration(seconds: float) -> str:
    """Write a time for people: "45 s" (below two minutes), "12 min", "1 h 05 min", "27 h"."""
    if round(seconds) < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes >= 600:
        return f"{minutes / 60:.0f} h"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def time_range(low: float, high: float) -> str:
    """Write a range of times, "8 to 14 min": a unit that both ends share is written once.

    Below seven minutes it is in seconds, because whole minutes would shift its ends too much.
    """
    if 120 <= high < 420 and round(low) < round(high):
        return f"{round(low, -1 if low >= 120 else 0):.0f} to {round(high, -1):.0f} s"
    first, second = duration(low), duration(high)
    if first == second:
        return first
    units = [text.split()[1:] for text in (first, second)]
    if units[0] == units[1] and len(units[0]) == 1:
        first = first.split()[0]
    return f"{first} to {second}"


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
    speak_plainly()
    for name in ("jax", "tyro"):
        if importlib.util.find_spec(name) is None:
            refuse(
                f"{sys.executable} has no package {name!r}; run this with "
                f"{ROOT / '.venv/bin/python'}, which `make train` builds"
            )
    keep_interrupts()
    if os.access(ROOT, os.W_OK):  # or else matplotlib keeps its list of fonts in the home folder
        os.environ.setdefault("MPLCONFIGDIR", str(determinism.CACHE / "matplotlib"))
    determinism.pin(
        devices=1 << (min(cores(), 8).bit_length() - 1)
    )  # a power of two divides the shards


def guarded(main: Callable[[], None]) -> None:
    """Run a command; errors that name a bad input become one sentence and status 2."""
    from selfplay.runs.files import CorruptedFile, in_words

    try:
        main()
    except BrokenPipeError:  # whoever read our output has enough of it, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except (ValueError, OSError, CorruptedFile) as error:
        if os.environ.get("OOMZERO_TRACEBACK"):
            raise
        refuse(in_words(error))
