"""The options of launch/ladder.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from launch import cli
from selfplay.ladder.config import LadderConfig


@dataclass(frozen=True)
class Options(cli.Trust):
    """Who plays, how precise the ratings shall be, and where the ladder is stored."""

    runs: Annotated[tuple[str, ...], cli.Positional] = ()
    """RUN (its log-spaced versions), RUN@VERSION, RUN@last, RUN@best, or a .safetensors file; or a
    ladder's folder or published data, which are rated without playing."""
    sims: tuple[int, ...] = (0, 64)
    """Budgets of every version: simulations a move; 0 is the raw network."""
    versions: int = 6
    """Versions of each RUN, evenly spaced in log(version), its newest one included."""
    search: str | None = None
    """The search of the versions: gumbel, puct, a registered name, MODULE:NAME?option=value; the
    one that they were trained with if left out."""
    players: tuple[str, ...] = ()
    """More players: random, rollouts?sims=100, solver?blunder=0.1, RUN@40?sims=64&search=puct."""
    engines: tuple[str, ...] = ()
    """Command lines of Go engines that speak GTP."""
    game: str | None = None
    """The game; that of the first run if left out."""
    anchor: str | None = None
    """The player at 0 Elo. If left out, the one that the ladder began with; for a new ladder the
    solver if it needs no extra (tic-tac-toe, Hex up to 4×4), else random."""
    out: Path | None = None
    """The ladder's folder; RUN/ladder or ladders/GAME if left out. For a ladder that is rated
    without playing: where to write table, plot and games."""
    until_stderr: float = 25.0
    """Stop when every rating's standard error, relative to the anchor, is below this, in Elo."""
    max_games: int = 20_000
    """Start no further round once this many games are played."""
    comparison: Annotated[LadderConfig, cli.Inline] = field(default_factory=LadderConfig)
    openings: Path | None = None
    """A file of openings, one a line, moves in the game's notation; random ones if left out."""
    workers: int = field(default_factory=cli.cores)
    """Pairings played at once; the games do not depend on it."""
    timeout_s: float = 60.0
    """Seconds an engine may think about a move."""
    sgf: bool = False
    """Write all games as SGF as well (Go)."""
    plain: bool = False
    """Print lines instead of a live table."""

    def check(self) -> None:
        """Raises ValueError for the first number that must be above 0 and is not."""
        for name in ("until_stderr", "max_games", "workers", "versions", "timeout_s"):
            if not getattr(self, name) > 0:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} must be above 0, got {getattr(self, name)}")
