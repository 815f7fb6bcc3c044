"""The commands: parse a command line, build what it describes, call `selfplay`.

``launch/NAME.py`` holds a command's options; what it needs JAX for is imported when it runs.
"""

import sys
from importlib.util import find_spec

from games import checkout, extras

for _package in ("jax", "tyro"):
    if find_spec(_package) is None:
        _remedy = f"install what oomzero needs: {extras.install()}"
        if checkout.is_checkout():
            _python = checkout.ROOT / ".venv/bin/python"
            _remedy = f"run this with {_python}, which `make train` builds"
        print(f"error: {sys.executable} has no package {_package!r}; {_remedy}", file=sys.stderr)
        raise SystemExit(2)
