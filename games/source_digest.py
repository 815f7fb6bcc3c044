"""Digests of the source code behind an import path: the module, and what it imports beside it.

The files are found by reading, not by running: starting from the module's file, every import that
names a module in the same root folder (the folder that contains the top-level module) adds its
file. So the digest is the same in every process, whatever else it has imported. Installed packages
that the module uses are not part of it.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.metadata
import os
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

OURS = ("games", "selfplay", "configs", "launch")
"""Packages of this project, whose version the manifest records instead."""


class Source(NamedTuple):
    """Source code of a module that a spec named."""

    path: str  # the import path, MODULE:NAME
    version: str  # of the module or its distribution; "" if it has none
    digest: str  # SHA-256 over the names and bytes of the source files, as hex
    folder: str  # that contains the top-level module, on this machine


def of(path: str, module: ModuleType) -> Source:
    """Computes the source of an import path whose module is imported."""
    name = module.__name__
    top = name.partition(".")[0]
    if getattr(module, "__file__", None) is None:  # built in, or a folder without __init__.py
        return Source(path, _version(module), hashlib.sha256(name.encode()).hexdigest(), "")
    file = Path(os.path.abspath(str(module.__file__)))  # of a link, where the link is
    depth = name.count(".") + (file.name == "__init__.py")
    root = file.parents[depth]
    hashed, installed = hashlib.sha256(), _is_installed(root)
    files = _files(name, root, alone=installed) | {file.relative_to(root)}  # also a binary one
    for relative in sorted(files):
        content = (root / relative).read_bytes()
        hashed.update(f"{relative.as_posix()}\0{len(content)}\0".encode() + content)
    version = _version(module, top if installed else "")
    return Source(path, version, hashed.hexdigest(), str(root))


def _files(name: str, root: Path, alone: bool) -> set[Path]:
    """Finds the files, relative to `root`, of a module and of the modules that it imports.

    Args:
        name: the module's full name.
        root: the folder that contains its top-level module.
        alone: leave out other top-level modules, because `root` holds installed packages.
    """
    top, files, waiting, seen = name.partition(".")[0], set[Path](), [name], set[str]()
    while waiting:
        module = waiting.pop()
        first = module.partition(".")[0]
        if module in seen or first in OURS or (alone and first != top):
            continue
        seen.add(module)
        parts = module.split(".")
        for file in (Path(*parts, "__init__.py"), Path(*parts).with_suffix(".py")):
            if (root / file).is_file():
                files.add(file)
                package = module if file.name == "__init__.py" else module.rpartition(".")[0]
                with contextlib.suppress(SyntaxError):  # a file that no import has reached yet
                    waiting += _imports(ast.parse((root / file).read_bytes()), package)
                break
        if len(parts) > 1:
            waiting.append(module.rpartition(".")[0])
    return files


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yields the full names of modules that a source may import; `package` is its own package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if package else []
            base = parts[: len(parts) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            if stem:
                yield stem
            yield from (f"{stem}.{alias.name}" if stem else alias.name for alias in node.names)


def _is_installed(root: Path) -> bool:
    """Tells whether a folder is one of the interpreter's, which hold installed packages."""
    if root.name in ("site-packages", "dist-packages"):  # also those of the user and the system
        return True
    folders = (sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib"))
    return any(Path(folder).resolve() == root.resolve() for folder in folders)


def _version(module: ModuleType, top: str = "") -> str:
    """Returns the version of the distribution that installed `top`, or the module's own."""
    distributions = _distributions().get(top, ()) if top else ()
    if distributions:
        return importlib.metadata.version(distributions[0])
    return str(getattr(module, "__version__", ""))


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Returns the distributions that provide each top-level module; finding them takes a second."""
    return importlib.metadata.packages_distributions()
