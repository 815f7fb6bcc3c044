"""Says how to install what a feature needs and the base installation leaves out."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "oomzero"


def install(extra: str) -> str:
    """The command that installs an extra of pyproject.toml into this process's environment.

    The package is on no index: from a checkout the command names the folder, elsewhere it names
    what the extra requires.
    """
    python = _short(Path(sys.executable))
    if (ROOT / "pyproject.toml").exists():
        lock = ROOT / "requirements.lock"
        constraints = ["-c", _short(lock)] if lock.exists() else []
        folder = "." if Path.cwd() == ROOT else str(ROOT)
        what = [*constraints, "-e", f"{folder}[{extra}]"]
    else:
        what = list(_requirements(extra))
    return shlex.join([python, "-m", "pip", "install", *what])


def _short(path: Path) -> str:
    """A path relative to the working directory if it lies below it."""
    here = Path.cwd()
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)


def _requirements(extra: str) -> list[str]:
    """What an installed package's extra requires: ``bitbully>=0.0.79``."""
    found = []
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a copied folder
        for text in importlib.metadata.requires(PACKAGE) or []:
            requirement, _, marker = text.partition(";")
            if re.search(rf"""extra\s*==\s*["']{extra}["']""", marker):
                found.append(requirement.strip())
    return found or [f"{PACKAGE}[{extra}]"]
