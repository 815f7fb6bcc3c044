"""Play against a version: in the terminal, or over GTP from a Go program.

python launch/play.py terminal runs/connect_four@last --sims 64
python launch/play.py gtp 'runs/go_9x9@40?sims=200'
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

if __name__ == "__main__":  # a checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli
from selfplay.command_line import command
from selfplay.search.config import SearchConfig


@dataclass(frozen=True)
class Gtp(cli.Trust):
    """Be a Go engine that speaks GTP on its standard streams, as GUIs and match runners want."""

    spec: Annotated[str, cli.Positional]
    """RUN, RUN@VERSION or an exported .safetensors file; "?sims=N&search=puct" may follow."""
    sims: int | None = None
    """Simulations a move, 0 for the raw network; if left out, the spec's, or else 64."""


@dataclass(frozen=True)
class Terminal(cli.Trust):
    """Play a game in the terminal, any game that a version was trained in."""

    spec: Annotated[str, cli.Positional]
    """RUN, RUN@VERSION or an exported .safetensors file; "?sims=N&search=puct" may follow."""
    sims: int | None = None
    """Simulations a move, 0 for the raw network; if left out, the spec's, or else 64."""
    side: Literal["first", "second", "ask"] = "ask"
    """Whether you move first or second; `ask` asks before each game."""


def main() -> None:
    """Plays games against a version until the person or the Go program leaves."""
    options: Gtp | Terminal = cli.parse(Gtp | Terminal, "play", __doc__)

    from selfplay.players.specs import SIMULATIONS, version_spec

    where, spec_sims, algorithm = version_spec(options.spec)
    if options.sims not in (None, spec_sims) and spec_sims is not None:
        raise ValueError(
            f"{options.spec!r} and --sims {options.sims} say different things; leave one out"
        )
    sims = next((n for n in (spec_sims, options.sims) if n is not None), SIMULATIONS)
    SearchConfig(num_simulations=sims)  # a negative budget is an error before any work
    if isinstance(options, Gtp):
        play_gtp(where, sims, algorithm)
    else:
        play_terminal(where, sims, algorithm, options.side)


def play_gtp(where: str, sims: int, algorithm: str | None) -> None:
    """Answers GTP commands until "quit"; all other output goes to stderr."""
    from games.go import as_go
    from selfplay.players.specs import join_options
    from selfplay.players.version import Version
    from selfplay.serve.gtp import Server, serve

    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # C++ libraries print to the descriptor, not to sys.stdout
    version = Version.load(where).with_search(algorithm)
    if as_go(version.game) is None:
        spec = join_options(where, {"search": algorithm} if algorithm else {})
        terminal = command("play", "terminal", spec, "--sims", sims)
        raise ValueError(
            f"GTP is spoken in Go only, and this version plays {version.game.name}; play it in the "
            f"terminal: {terminal}"
        )
    server = Server(version, sims, f"{version.name}, {sims} simulations a move")
    server.warm_up()
    try:
        serve(server, sys.stdin.buffer, out)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def play_terminal(
    where: str, sims: int, algorithm: str | None, side: Literal["first", "second", "ask"]
) -> None:
    """Plays games between a person and the version in the terminal."""
    from launch.terminal import Session
    from selfplay.players.version import Version

    version = Version.load(where).with_search(algorithm)
    Session(version, sims, side, version.name).run()


if __name__ == "__main__":
    cli.run_command(main)
