"""The anchor of a ladder: the player at 0 Elo.

A ladder records its anchor when it begins, and keeps it wherever it is continued: ratings relative
to two anchors have different zeros. The default depends on the game alone, never on what is
installed, so that two machines that repeat a study anchor it at the same player.
"""

from __future__ import annotations

from pathlib import Path

from games.game import Game
from selfplay.ladder import database
from selfplay.ladder.config import AUTO
from selfplay.players import solvers, specs
from selfplay.players.specs import Player

SOLVER, RANDOM = "solver", "random"


def default_anchor(game: Game) -> str:
    """Returns "solver" if the game's perfect player needs no extra, else "random"."""
    return SOLVER if solvers.has_built_in_solver(game) else RANDOM


def recorded_anchor(path: Path) -> str | None:
    """Returns the anchor that a ladder's file records; see `database.anchor`.

    None if the file has no player, does not exist or cannot be read, or if the name is
    unprintable: whoever opens the ladder reports that.
    """
    try:
        anchor = database.anchor(path)
    except ValueError:
        return None
    return anchor if anchor.isprintable() and anchor else None


def make_anchor(spec: str, game: Game) -> Player:
    """Makes the player that a user wants at 0 Elo.

    Raises:
        ValueError: it cannot play here; for the solver, the message names another choice.
    """
    try:
        return specs.parse(spec, game)
    except ValueError as error:
        if specs.split_options(spec.strip())[0] != SOLVER:
            raise
        raise ValueError(
            f"{spec} cannot be the anchor: {error}; or name another one, as in --anchor {RANDOM}"
        ) from None


def resolve_study_anchor(anchor: str | None, game: Game, path: Path) -> str:
    """Returns the spec of the player at 0 Elo of a study's ladder, before anything is trained.

    Args:
        anchor: the one that the study names, if any.
        game: the rules.
        path: the ladder's file; its anchor is kept unless the study names another one.

    Raises:
        ValueError: the anchor is a player by name, such as the solver, that cannot play here. Runs
            and engines are checked when the ladder is played.
    """
    recorded = recorded_anchor(path)
    resolved = anchor or recorded or default_anchor(game)
    if specs.split_options(resolved)[0] in specs.NAMES:
        try:
            make_anchor(resolved, game)
        except ValueError as error:
            raise ValueError(error if anchor else f"{path} records its anchor: {error}") from None
    return resolved


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
            other = "" if recorded else f"name --elo.anchor {RANDOM}, or "
            raise ValueError(
                f"{where}, which cannot play here: {error}; or {other}leave ratings out with "
                "--elo.budgets"
            ) from None
    return resolved
