"""Command lines and paths as a reader of our messages can type them."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

LAUNCH = Path(__file__).resolve().parent.parent / "launch"
USER_FOLDER = "OOMZERO_USER_FOLDER"  # where the user stands, in a command's environment


def command(script: str, *arguments: object) -> str:
    """Returns the command line of ``launch/SCRIPT.py`` as it can be typed in the current directory.

    It names this process's own interpreter and is quoted for a shell.
    """
    return shlex.join([_python(), near(LAUNCH / f"{script}.py"), *map(str, arguments)])


def documented(script: str, *arguments: object) -> str:
    """Returns the command line as documents write it, for a reader on any machine.

    It can be typed in the repository's folder when the environment's `python` is the shell's.
    """
    return shlex.join(["python", f"launch/{script}.py", *map(str, arguments)])


def program(name: str, *arguments: object) -> str | None:
    """Returns the command line of a program of this environment; None if it is not installed."""
    path = Path(sys.executable).with_name(name)
    if not os.access(path, os.X_OK):
        return None
    return shlex.join([name if _shell_finds(name, path) else near(path), *map(str, arguments)])


def near(path: str | Path) -> str:
    """Writes a path as the user would type it: from where they stand, if that is shorter.

    A command that is started in another folder learns from `USER_FOLDER` where that is.
    """
    absolute = os.path.abspath(path)
    relative = os.path.relpath(absolute, os.environ.get(USER_FOLDER) or os.getcwd())
    return min(relative, absolute, key=len)


def without(arguments: Iterable[str], *options: str) -> list[str]:
    """Returns arguments without some options and the values that follow them."""
    kept, rest = [], iter(arguments)
    for argument in rest:
        name, equals, _ = argument.partition("=")
        if name.replace("_", "-") not in options:
            kept.append(argument)
        elif not equals:
            next(rest, None)
    return kept


def _python() -> str:
    path = Path(sys.executable)
    return "python" if _shell_finds("python", path) else near(path)


def _shell_finds(name: str, path: Path) -> bool:
    """Tells whether a shell runs this file, in this folder, by its name.

    The folder counts: all virtual environments link to the same interpreter.
    """
    found = Path(shutil.which(name) or "")
    return found.parent.resolve() == path.parent.resolve() and found.samefile(path)
