"""Compiled rules of a game, for programs that play one move at a time.

Uncompiled, a move of Go takes a second; compiled, a millisecond or two.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from jax import Array

from games.game import ArrayLike, Game, State
from selfplay.players import komi_argument


class CompiledRules:
    """The costly methods of a `Game`, compiled when they are first called."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.init: Callable[[], State] = self.method("init")
        self.step: Callable[[State, ArrayLike], State] = self.method("step")
        self.legal_actions: Callable[[State], Array] = self.method("legal_actions")

    def method(self, name: str) -> Callable[..., Any]:
        """Returns the game's method `name`, compiled; games that differ in komi share programs."""
        return komi_argument.jit(self.game, getattr, name)


@lru_cache(maxsize=8)
def compiled(game: Game) -> CompiledRules:
    """Returns the compiled rules of `game`; equal games share them."""
    return CompiledRules(game)
