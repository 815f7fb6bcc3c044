"""Installation commands for missing dependencies, for use in error messages."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import shlex
import sys
from pathlib import Path

from games import checkout

UNLOCKED = {"trackio"}  # extras that need other versions than those of requirements.lock
PACKAGE = "oomzero"


def install(extra: str = "") -> str:
    """Returns the command that installs an extra of pyproject.toml into this environment.

    Without an extra, it installs what every command needs.

    This package is on no index. So in a checkout the command names the folder, and elsewhere the
    requirements of the extra.
    """
    python = _short(Path(sys.executable))
    if checkout.is_checkout():
        constraints = [] if extra in UNLOCKED else ["-c", _short(checkout.LOCK)]
        folder = "." if Path.cwd() == checkout.ROOT else str(checkout.ROOT)
        targets = [*constraints, "-e", _with(extra, folder)]
    else:
        targets = list(_requirements(extra))
    return shlex.join([python, "-m", "pip", "install", *targets])


def _short(path: Path) -> str:
    """Returns a path below the working directory relative to it, any other path unchanged."""
    base = Path.cwd()
    return os.path.relpath(path, base) if path.is_relative_to(base) else str(path)


def _requirements(extra: str) -> list[str]:
    """Lists the requirements of an installed package's extra, such as ``bitbully>=0.0.79``.

    Without an extra, lists those of the package itself.
    """
    requirements = []
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a copied folder
        for text in importlib.metadata.requires(PACKAGE) or []:
            requirement, _, marker = text.partition(";")
            of_extra = re.search(r"""extra\s*==\s*["'](.+?)["']""", marker)
            if (of_extra[1] if of_extra else "") == extra:
                requirements.append(requirement.strip())
    return requirements or [_with(extra, PACKAGE)]


def _with(extra: str, package: str) -> str:
    return f"{package}[{extra}]" if extra else package
