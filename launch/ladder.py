"""Rate versions of runs, engines and perfect players on one Elo ladder.

    python launch/ladder.py runs/connect_four --sims 0 16 64
    python launch/ladder.py runs/a runs/b@last --players "rollouts?sims=100" --until-stderr 25
    GNUGO="gnugo --mode gtp --chinese-rules --positional-superko --capture-all-dead --never-resign"
    python launch/ladder.py runs/go_9x9 --engines "$GNUGO --level 0" "$GNUGO --level 5"
    python launch/ladder.py ladders/hex --out docs/results/my_ladder   # rate again and publish

Engines must play games out: all stones on the board are scored as alive.
With several runs it prints at the end which one is ahead at equal training, and draws it.
The same command resumes a ladder that was stopped; --max-games and --until-stderr may change.
A ladder's folder, or the data that it or a report writes into data/, is rated without playing.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

if __name__ == "__main__":  # a checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli
from launch.ladder_options import Options

STOPPED = "stopped; the same command resumes it"


def main() -> None:
    """Rates players; Ctrl-C and SIGTERM end it with the table of the rounds so far."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = cli.parse(Options, "ladder", __doc__)
    console = cli.console()
    try:
        from launch import rating, stored_ladder

        if ladders := stored_ladder.find(options.runs):
            stored_ladder.show(ladders, options, console)
            return
        finished = rating.rate(options, console)
    except KeyboardInterrupt:  # while players are loaded, or while the table is written
        finished = False
    if not finished:
        console.print(STOPPED)
        raise SystemExit(130)


if __name__ == "__main__":
    cli.run_command(main)
