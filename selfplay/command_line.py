"""Command lines and paths, written so that the reader of a message can type them."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from games import checkout
from games.plugins import USER_FOLDER

LAUNCH = Path(__file__).resolve().parent.parent / "launch"


def command(script: str, *arguments: object) -> str:
    """Returns the command line of ``launch/SCRIPT.py`` as it can be typed in the current directory.

    It names this process's own interpreter and is quoted for a shell. Outside a checkout, and in a
    process that was started as ``oomzero``, it is ``oomzero SCRIPT`` if that program is installed.
    """
    is_checkout = checkout.is_checkout()
    if (is_oomzero() or not is_checkout) and (line := program("oomzero", script, *arguments)):
        return line
    start = [near(LAUNCH / f"{script}.py")] if is_checkout else ["-m", "launch", script]
    return shlex.join([_python(), *start, *map(str, arguments)])


def is_oomzero() -> bool:
    """Tells whether this process was started as ``oomzero`` or ``python -m launch``."""
    path = Path(sys.argv[0])
    return path.name == "oomzero" or path.parts[-2:] == ("launch", "__main__.py")


def documented(script: str, *arguments: object) -> str:
    """Returns the command line as documents write it, for a reader on any machine.

    It can be typed in the repository's folder when the environment's `python` is the shell's, or,
    if it was written outside a checkout, wherever oomzero is installed.
    """
    start = ["python", f"launch/{script}.py"] if checkout.is_checkout() else ["oomzero", script]
    return shlex.join([*start, *map(str, arguments)])


def program(name: str, *arguments: object) -> str | None:
    """Returns the command line of a program of this environment; None if it is not installed."""
    path = Path(sys.executable).with_name(name)
    if not os.access(path, os.X_OK):
        return None
    return shlex.join([name if _shell_finds(name, path) else near(path), *map(str, arguments)])


def near(path: str | Path) -> str:
    """Returns a path as the user would type it: relative to their directory if that is shorter.

    That directory is `USER_FOLDER` if it is set, otherwise the current one.
    """
    absolute = os.path.abspath(path)
    relative = os.path.relpath(absolute, os.environ.get(USER_FOLDER) or os.getcwd())
    return min(relative, absolute, key=len)


def without(arguments: Iterable[str], *options: str) -> list[str]:
    """Returns arguments without some options and the values that follow them."""
    result, rest = [], iter(arguments)
    for argument in rest:
        name, equals, _ = argument.partition("=")
        if name.replace("_", "-") not in options:
            result.append(argument)
        elif not equals:
            next(rest, None)
    return result


def _python() -> str:
    path = Path(sys.executable)
    return "python" if _shell_finds("python", path) else near(path)


def _shell_finds(name: str, path: Path) -> bool:
    """Tells whether a shell that is given this name runs this file.

    The folders are compared as well, because all virtual environments link to one interpreter.
    """
    file = Path(shutil.which(name) or "")
    return file.parent.resolve() == path.parent.resolve() and file.samefile(path)
