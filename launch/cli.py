"""What every command shares: its process, its command line, one clear sentence for bad input."""

from __future__ import annotations

import _thread
import codecs
import inspect
import io
import os
import re
import sys
import textwrap
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import tyro

from games import plugins
from selfplay import determinism
from selfplay.command_line import is_oomzero
from selfplay.runs.renamed import today_arguments

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

BAD_INPUT = 2
"""Exit status of a command that was asked for something impossible."""

Positional = tyro.conf.Positional
"""Marks an option that is given by its place: ``Annotated[Path, Positional]``."""

Inline = tyro.conf.arg(name="")
"""Marks a field whose own fields are options without a prefix."""

FlagCreatePairsOff = tyro.conf.FlagCreatePairsOff
"""Marks options whose switches have no ``--no-`` form."""

LOOK_ALIKES = {  # in ASCII, for the signs that our texts use; every other sign becomes "?"
    **{"×": "x", "−": "-", "–": "-", "—": "-", "→": "->", "…": "...", "±": "+-", "·": "*"},
    **{"σ": "sigma", "√": "sqrt", "≥": ">=", "≤": "<=", "•": "*", "’": "'", "“": '"', "”": '"'},
}


@dataclass(frozen=True, kw_only=True)
class Trust:
    """The option that all commands have."""

    trust_imports: Annotated[bool, FlagCreatePairsOff] = False
    """Follow the import paths that the named folders and files contain: runs their code."""


def run_command(main: Callable[[], None]) -> None:
    """Runs a command; an error that names a bad input becomes one sentence and status 2.

    With OOMZERO_TRACEBACK set, the error is raised instead.
    """
    configure_process()
    try:
        main()
    except BrokenPipeError:  # the reader of our output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        from selfplay.runs.files import CorruptedFile, in_words  # NumPy, which help does not need

        is_input = isinstance(error, (ValueError, OSError, CorruptedFile))
        if not is_input or os.environ.get("OOMZERO_TRACEBACK"):
            raise
        exit_with_error(in_words(error))


@cache  # once a process, also where several commands run in it
def configure_process() -> None:
    """Prepares the process before JAX starts: output, Ctrl-C, caches, pinned arithmetic."""
    plugins.trust_environment()
    replace_unprintable_signs()
    redeliver_ctrl_c()
    if folder := determinism.cache_folder():  # otherwise matplotlib looks for a folder of its own
        os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))
    determinism.pin()


def exit_with_error(message: object) -> NoReturn:
    """Prints one sentence to stderr and exits with status 2."""
    unprintable = "\N{REPLACEMENT CHARACTER}"  # for signs that would steer the terminal
    text = "".join(c if c.isprintable() or c == "\n" else unprintable for c in str(message))
    print(f"error: {text}", file=sys.stderr)
    raise SystemExit(BAD_INPUT)


def parse(
    kind: type[T] | UnionType,
    command: str,
    description: str | None,
    *,
    arguments: Sequence[str] | None = None,
    default: T | None = None,
    config: Sequence[Any] = (),
) -> T:
    """Returns the options of a command; wrong ones and ``--help`` end the process.

    The process trusts the import paths among the arguments, and with ``--trust-imports`` all.

    Args:
        kind: a dataclass of options that inherits `Trust`, or a union of them: a subcommand each.
        command: the command's name, and words that follow it: "train connect_four".
        description: a docstring, see `format_description`.
        arguments: what was typed behind the command; that of this process if None.
        default: options with the defaults; those of `kind` if None.
        config: tyro's markers for all options.

    Raises:
        ValueError: an option is spelled as before it was renamed.
    """
    words = sys.argv[1:] if arguments is None else arguments
    check_spelling(command.split()[0], words)
    plugins.trust(plugins.typed_paths(words))
    defaults: dict[str, Any] = {} if default is None else {"default": default}
    options: Any = tyro.cli(
        kind,  # pyright: ignore
        prog=program(command),
        description=format_description(description),
        args=words,
        config=tuple(config),
        **defaults,
    )
    if options.trust_imports:
        plugins.trust_all()
    return options


def program(command: str) -> str:
    """Returns how a command was started: "oomzero train", or "launch/train.py"."""
    name, _, rest = command.partition(" ")
    start = f"oomzero {name}" if is_oomzero() else f"launch/{name}.py"
    return f"{start} {rest}".rstrip()


def check_spelling(command: str, arguments: Sequence[str]) -> None:
    """Raises ValueError with the new name if an argument is spelled as before a renaming."""
    for argument, today in zip(arguments, today_arguments(command, arguments), strict=True):
        for typed, name in zip(argument.split("="), today.split("="), strict=True):
            if typed != name:
                raise ValueError(f"{typed} is now called {name}")


def format_description(text: str | None) -> str:
    """Formats a docstring as a description that tyro prints with examples on lines of their own.

    Tyro joins the lines of a paragraph unless they are indented, and doubles the empty line before
    an indented one. So examples are indented, and follow their heading without an empty line.
    """
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text or "")):
        if not block.startswith((" ", "python ")):
            blocks.append(block)
            continue
        if not (blocks and blocks[-1].endswith(":")):
            blocks.append("Examples:")
        lines = textwrap.indent(textwrap.dedent(block), "    ")
        if is_oomzero():
            lines = re.sub(r"python launch/(\w+)\.py", r"oomzero \1", lines)
        blocks[-1] += f"\n{lines}"
    return "\n\n".join(blocks)


def console() -> Console:
    """Returns the output of a command: on a terminal, lines break between words.

    Print a line that is to be copied, such as a command, with ``soft_wrap=True``.
    """
    from rich.console import Console

    output = Console(highlight=False)
    output.soft_wrap = not output.is_terminal
    return output


def replace_unprintable_signs() -> None:
    """Lets output that is not UTF-8 write "x" for "×" instead of failing.

    Tables adapt by themselves: rich draws their lines in ASCII there.
    """

    def look_alike(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeEncodeError)
        text = error.object[error.start : error.end]
        return "".join(LOOK_ALIKES.get(c, "?") for c in text), error.end

    codecs.register_error("look_alike", look_alike)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a caller may have replaced it
            stream.reconfigure(errors="look_alike")


def redeliver_ctrl_c() -> None:
    """Raises a Ctrl-C again, 0.1 s later, if Python dropped it inside a callback."""
    previous, timers = sys.unraisablehook, list[threading.Timer]()

    def hook(event: Any) -> None:
        if event.exc_type is not KeyboardInterrupt:
            previous(event)
        elif not any(timer.is_alive() for timer in timers):
            timers[:] = [threading.Timer(0.1, _thread.interrupt_main)]  # after the callback
            timers[0].daemon = True
            timers[0].start()

    sys.unraisablehook = hook


def cores() -> int:
    """Returns how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def duration(seconds: float) -> str:
    """Writes a time for people: "45 s" (below two minutes), "12 min", "1 h 05 min", "27 h"."""
    if round(seconds) < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes >= 600:
        return f"{minutes / 60:.0f} h"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def time_range(low: float, high: float) -> str:
    """Writes a range of times, "8 to 14 min": a unit that both ends share is written once.

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
