"""A game's rules, compiled, for those who play one move at a time.

Uncompiled, a move of Go takes a second; compiled, a millisecond or two.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax

from games.game import Game


class Rules:
    """The functions of a game that cost something, as `games.game.Game` describes them."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.init: Callable[[], Any] = jax.jit(game.init)
        self.step: Callable[[Any, Any], Any] = jax.jit(game.step)
        self.legal_actions: Callable[[Any], Any] = jax.jit(game.legal_actions)
        self._more: dict[str, Any] = {}

    def method(self, name: str) -> Callable[..., Any]:
        """Another method of the game, compiled when it is first called."""
        if name not in self._more:
            self._more[name] = jax.jit(getattr(self.game, name))
        return self._more[name]


@lru_cache(maxsize=8)
def compiled(game: Game) -> Rules:
    """The compiled rules of `game`, the same ones for equal games."""
    return Rules(game)
