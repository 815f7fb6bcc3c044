"""Time a little of a run; launch/ablate.py starts this for its plan, one process on each core."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # a checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli


def main() -> None:
    """Answers the request in one file in another: ``launch/timing.py REQUEST FOLDER``."""
    if len(sys.argv) != 3:
        cli.exit_with_error(
            "launch/ablate.py starts this command; run that one, with --plan for its plan"
        )

    from selfplay.study import timing

    timing.time_request(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    cli.run_command(main)
