"""Counts the modules that a config passes on its way from the command line to an actor.

    python -m benchmarks.config_walk                # the working tree
    python -m benchmarks.config_walk 943a8ee main   # git revisions, and the working tree
    python -m benchmarks.config_walk --list         # the modules, in the order of the walk

A tiny run (one iteration, played in this process by the code that an actor runs) is traced with
`sys.setprofile`. A module is on the way if one of its functions is called with an argument that is
the config, a part of it (any dataclass named `…Config`), or a tuple, dict or `…Spec` that holds
one. A method's object counts as its argument. Objects that are built from a config, such as a
network or a learner, do not count: their users need not know how they were chosen.
"""

import argparse
import contextlib
import io
import json
import os
import runpy
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("games", "selfplay", "configs", "launch")
RUN = "connect_four_smoke --iterations 1 --cluster.actors 0 --plain".split()
WORKING_TREE = "working tree"


def is_config(value: object) -> bool:
    """Tells whether a value is a config, a part of one, or plain data that holds a part."""
    kind = type(value).__name__
    if isinstance(value, tuple | dict):
        items = value.values() if isinstance(value, dict) else value
        return any(is_config(item) for item in items)
    if not is_dataclass(value) or isinstance(value, type):
        return False
    if kind.endswith("Spec"):
        return any(is_config(getattr(value, field.name, None)) for field in fields(value))
    return kind.endswith("Config")


class Walk:
    """A profiler that records the modules of one source tree that receive a config.

    Attributes:
        modules: names of the modules, in the order in which they first received a config.
    """

    def __init__(self, root: Path) -> None:
        self.modules: list[str] = []
        self._root = root
        self._names: dict[str, str | None] = {}  # of a file's module; None: not of this tree

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Handles an event of `sys.setprofile`."""
        if event != "call":
            return
        code = frame.f_code
        name = self._module(code.co_filename)
        if name is None or name in self.modules:
            return
        count = code.co_argcount + code.co_kwonlyargcount
        count += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # *args, **kwargs
        arguments = (frame.f_locals.get(variable) for variable in code.co_varnames[:count])
        if any(is_config(value) for value in arguments):
            self.modules.append(name)

    def _module(self, filename: str) -> str | None:
        if filename not in self._names:
            self._names[filename] = self._name(Path(filename))
        return self._names[filename]

    def _name(self, path: Path) -> str | None:
        if not path.is_relative_to(self._root):
            return None
        parts = path.relative_to(self._root).with_suffix("").parts
        if parts[0] not in PACKAGES:
            return None
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def trace(root: Path) -> None:
    """Runs the command of the tree at `root` in this process, and prints the modules as JSON.

    The tree's packages must come first on `sys.path`.
    """
    walk = Walk(root)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        sys.argv = ["launch/train.py", *RUN, "--out", folder + "/run"]
        threading.setprofile(walk)
        sys.setprofile(walk)
        try:
            runpy.run_path(str(root / "launch" / "train.py"), run_name="__main__")
        finally:
            sys.setprofile(None)
    print(json.dumps(walk.modules))


def modules_of(root: Path) -> list[str]:
    """Lists the modules on the way in the tree at `root`, traced in a process of their own.

    Raises:
        SystemExit: the run failed; the message is what it printed.
    """
    cache = {"JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache")}
    result = subprocess.run(
        [sys.executable, "-P", __file__, "--trace", str(root)],
        cwd=root,
        env=os.environ | cache | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise SystemExit(f"config_walk: the run in {root} failed\n{result.stderr}")
    return json.loads(result.stdout)


def modules_of_revision(revision: str) -> list[str]:
    """Lists the modules on the way in a git revision."""
    archive = ["git", "archive", "--format=tar", revision, "--", *PACKAGES]
    data = subprocess.run(archive, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            tar.extractall(folder, filter="data")
        return modules_of(Path(folder).resolve())


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the number of modules of each tree, or their names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revisions", nargs="*", metavar="REVISION")
    parser.add_argument("--list", action="store_true", help="print the modules as well")
    parser.add_argument("--trace", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.trace:
        trace(options.trace)
        return
    for name in [*options.revisions, WORKING_TREE]:
        modules = modules_of(ROOT) if name == WORKING_TREE else modules_of_revision(name)
        print(f"{name}: {len(modules)} modules")
        for module in modules if options.list else []:
            print(f"  {module}")


if __name__ == "__main__":
    main()
