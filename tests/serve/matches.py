"""Whole games of Go between two engines, with our rules as the referee."""

import os
import shutil
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from games.go import Go
from games.notation import action_to_text, text_to_action
from selfplay.arena.gtp_engine import Colour, Engine
from selfplay.serve.rules import compiled

OPTIONS = "--chinese-rules --positional-superko --capture-all-dead --never-resign"


def gnugo(level: int = 0, seed: int = 1) -> str:
    """GNU Go's command line; the test is skipped where it is not installed."""
    path = shutil.which("gnugo", path=os.environ.get("PATH", os.defpath) + ":/usr/games")
    if path is None:
        pytest.skip("GNU Go is not installed (apt-get install gnugo): no real engine was played")
    return f"{path} --mode gtp --level {level} --seed {seed} {OPTIONS}"


class Played(NamedTuple):
    """A finished game."""

    moves: list[str]
    margin: float  # Black's points less White's
    state: Any


def play(game: Go, black: Engine, white: Engine, opening: Sequence[str] = ()) -> Played:
    """A game to its end by our rules, after some given moves; ValueError names an illegal move."""
    rules = compiled(game)
    names: Any = game
    for engine in (black, white):
        engine.new_game(game)
    state, moves = rules.init(), []
    colours: tuple[Colour, Colour] = ("b", "w")
    while not bool(game.is_terminal(state)):
        number = len(moves) % 2
        mover, other = (black, white) if number == 0 else (white, black)
        if len(moves) < len(opening):
            vertex = opening[len(moves)]
            mover.play(colours[number], vertex)
        else:
            vertex = mover.genmove(colours[number])
        action = text_to_action(names, vertex)
        if not bool(rules.legal_actions(state)[action]):
            raise ValueError(f"{mover.command} plays {vertex} after {moves}")
        assert action_to_text(names, action) == vertex
        other.play(colours[number], vertex)
        state = rules.step(state, action)
        moves.append(vertex)
    return Played(moves, float(rules.method("score")(state)), state)
