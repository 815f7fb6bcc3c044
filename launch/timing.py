"""Time a little of a run; launch/ablate.py starts this for its plan, one process on each core."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli

cli.prepare()

from selfplay.study import timing


def main() -> None:
    """``launch/timing.py REQUEST FOLDER``."""
    request, folder = map(Path, sys.argv[1:])
    timing.answer(request, folder)


if __name__ == "__main__":
    cli.guarded(main)
