"""A game's rules, compiled, for those who play one move at a time.

Uncompiled, a move of Go takes a second; compiled, a millisecond or two.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from games.game import Game
from selfplay.players import komi_argument


class Rules:
    """The functions of a game that cost something, as `games.game.Game` describes them."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.init: Callable[[], Any] = self.method("init")
        self.step: Callable[[Any, Any], Any] = self.method("step")
        self.legal_actions: Callable[[Any], Any] = self.method("legal_actions")

    def method(self, name: str) -> Callable[..., Any]:
        """A method of the game, compiled when it is first called."""
        return komi_argument.jit(self.game, getattr, name)


@lru_cache(maxsize=8)
def compiled(game: Game) -> Rules:
    """The compiled rules of `game`; equal games share the programs."""
    return Rules(game)
