"""The anchor of a ladder: the player at 0 Elo.

By default it is the perfect player of a solved game if its solver is installed, and random moves
otherwise. A ladder keeps the anchor that it began with, wherever it is continued: ratings relative
to two anchors have different zeros.
"""

from __future__ import annotations

from pathlib import Path

from games.game import Game
from selfplay.ladder import database
from selfplay.ladder.config import AUTO
from selfplay.players import solvers

SOLVER, RANDOM = "solver", "random"


def default_anchor(game: Game) -> str:
    """Returns "solver" if perfect play of the game can be computed here, else "random"."""
    try:
        solvers.solver_for(game)
    except ValueError:
        return RANDOM
    return SOLVER


def recorded_anchor(path: Path) -> str | None:
    """Returns the anchor that a ladder's file began with, which entered before all other players.

    None if the file has no player, does not exist or cannot be read, or if the name is
    unprintable: whoever opens the ladder reports that.
    """
    try:
        specs = database.player_specs(path)
    except ValueError:
        return None
    return specs[0] if specs and specs[0].isprintable() else None


def resolve_anchor(anchor: str, game: Game, path: Path) -> str:
    """Returns the anchor to rate a run's versions with: "solver" or "random".

    Args:
        anchor: "solver", "random", or "auto" for the one that the ladder began with, if there is a
            ladder, and otherwise for `default_anchor`.
        game: the rules.
        path: the ladder's file, ladder.db.

    Raises:
        ValueError: the ladder began with the other anchor, or with a player that is
            neither of the two; or the anchor is the solver, and this game has no solver, or it is
            not installed.
    """
    recorded = recorded_anchor(path)
    if recorded and recorded not in (SOLVER, RANDOM):
        raise ValueError(
            f"{recorded} is at 0 Elo in {path}, and versions in training are rated relative to "
            f"{SOLVER} or {RANDOM}: move the file away"
        )
    if recorded and anchor not in (AUTO, recorded):
        raise ValueError(
            f"elo.anchor is {anchor}, but {recorded} is at 0 Elo in {path}: one ladder has one "
            f"anchor. Use --elo.anchor {recorded}"
        )
    resolved = recorded or (default_anchor(game) if anchor == AUTO else anchor)
    if resolved == SOLVER:
        try:
            solvers.solver_for(game)
        except ValueError as error:
            where = f"{path} is anchored at the solver" if recorded else "elo.anchor is solver"
            raise ValueError(
                f"{where}, which cannot play here: {error}; or leave ratings out with --elo.budgets"
            ) from None
    return resolved
