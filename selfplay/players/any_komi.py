"""Compiles functions of a game's rules so that a new komi needs no new compilation.

Rules are constants of a compiled program, so each new game object costs a compilation: seconds for
a search. Komi is the one number in the rules that programs for people change from game to game.
Here it is an argument of the compiled program instead. Training does not use this module.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax

from games.game import Game
from games.go import Go


def jit(game: Game, make: Callable[..., Callable[..., Any]], *static: Any) -> Callable[..., Any]:
    """Compiles ``make(game, *static)``; games of Go that differ only in komi share one program.

    Args:
        game: the rules, of any game.
        make: builds the function to compile from the rules, such as `getattr`.
        static: further arguments of `make`, hashable.
    """
    rules: Any = game  # a protocol, of which Go is an instance that the type checker does not see
    if not isinstance(rules, Go):
        return partial(_program(rules, make, *static), None)
    return partial(_program(replace(rules, komi=0.0), make, *static), float(rules.komi))


@lru_cache(maxsize=64)
def _program(rules: Any, make: Callable[..., Callable[..., Any]], *static: Any) -> Any:
    """``program(komi, *arguments)``, compiled; komi is None for a game without one."""

    @jax.jit
    def program(komi: Any, *arguments: Any) -> Any:
        game = rules if komi is None else replace(rules, komi=komi)
        return make(game, *static)(*arguments)

    return program
