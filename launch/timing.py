"""Time a little of a run; launch/ablate.py starts this for its plan, one process on each core."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli

cli.prepare()

from selfplay.study import timing


def main() -> None:
    """``launch/timing.py REQUEST FOLDER``."""
    if len(sys.argv) != 3:
        cli.refuse("launch/ablate.py starts this command; run that one, with --plan for its plan")
    timing.time_request(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    cli.guarded(main)
