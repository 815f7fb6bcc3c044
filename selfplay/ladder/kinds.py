"""Kinds of players on a ladder: search budgets, engines, perfect players."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

from selfplay.ladder.database import Entry
from selfplay.players.specs import GTP, SIMULATIONS, split_stored

ENGINE, PERFECT, OTHER = "engine", "perfect play", "no network"


def kind(entry: Entry) -> str:
    """Returns the kind of a player: "64 simulations", "engine", "perfect play" or "no network".

    Perfect play includes solvers that blunder; random moves and rollouts have no network.
    """
    if entry.digest:
        options = dict(parse_qsl(split_stored(entry.spec)[1]))
        return f"{options.get('sims', SIMULATIONS)} simulations"
    if entry.spec.startswith(GTP):
        return ENGINE
    return PERFECT if entry.spec.startswith("solver") else OTHER


def kinds(entries: Sequence[Entry]) -> list[str]:
    """Returns the kind of each player."""
    return [kind(entry) for entry in entries]
