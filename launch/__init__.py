"""The commands: parse a command line, build what it describes, call `selfplay`.

``launch/NAME.py`` holds a command's options; what it needs JAX for is imported when it runs.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

for _package in ("jax", "tyro"):
    if find_spec(_package) is None:
        print(
            f"error: {sys.executable} has no package {_package!r}; run this with "
            f"{ROOT / '.venv/bin/python'}, which `make train` builds",
            file=sys.stderr,
        )
        raise SystemExit(2)
