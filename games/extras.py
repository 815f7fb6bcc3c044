"""Installation commands for optional dependencies, for use in error messages."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import shlex
import sys
from pathlib import Path

UNLOCKED = {"trackio"}  # extras that need other versions than those of requirements.lock
ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "oomzero"


def install(extra: str) -> str:
    """Returns the command that installs an extra of pyproject.toml into this environment.

    This package is on no index. So in a checkout the command names the folder, and elsewhere the
    requirements of the extra.
    """
    python = _short(Path(sys.executable))
    if (ROOT / "pyproject.toml").exists():
        lock = ROOT / "requirements.lock"
        is_locked = lock.exists() and extra not in UNLOCKED
        constraints = ["-c", _short(lock)] if is_locked else []
        folder = "." if Path.cwd() == ROOT else str(ROOT)
        targets = [*constraints, "-e", f"{folder}[{extra}]"]
    else:
        targets = list(_requirements(extra))
    return shlex.join([python, "-m", "pip", "install", *targets])


def _short(path: Path) -> str:
    """Returns a path below the working directory relative to it, any other path unchanged."""
    base = Path.cwd()
    return os.path.relpath(path, base) if path.is_relative_to(base) else str(path)


def _requirements(extra: str) -> list[str]:
    """Lists the requirements of an installed package's extra, such as ``bitbully>=0.0.79``."""
    requirements = []
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a copied folder
        for text in importlib.metadata.requires(PACKAGE) or []:
            requirement, _, marker = text.partition(";")
            if re.search(rf"""extra\s*==\s*["']{extra}["']""", marker):
                requirements.append(requirement.strip())
    return requirements or [f"{PACKAGE}[{extra}]"]
