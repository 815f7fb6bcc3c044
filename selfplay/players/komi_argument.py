"""Compilation of a game's functions with komi as an argument instead of a constant.

The rules are constants of a compiled program, so every new game object costs a compilation: seconds
for a search. Komi is the one rule that programs for people change from game to game, so games that
differ only in komi share a program here. Training does not use this module.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax

from games.game import Game

AnyFunction = Callable[..., Any]


def jit(game: Game, make: Callable[..., AnyFunction], *static: object) -> AnyFunction:
    """Compiles ``make(game, *static)``; games that differ only in komi share one program.

    Args:
        game: the rules. If they have a komi, it is a field of a dataclass.
        make: builds the function to compile from the rules, such as `getattr`.
        static: further arguments of `make`, hashable.
    """
    if game.komi is None:
        return partial(_program(game, make, *static), None)
    return partial(_program(_with_komi(game, 0.0), make, *static), float(game.komi))


def _with_komi(game: Game, komi: Any) -> Game:
    """Replaces the komi; in a compiled program it is traced."""
    fields: Any = game  # `Game` does not say that games are dataclasses
    return replace(fields, komi=komi)


@lru_cache(maxsize=64)
def _program(game: Game, make: Callable[..., AnyFunction], *static: object) -> AnyFunction:
    """Compiles ``program(komi, *arguments)``; komi is None for a game without one."""

    @jax.jit
    def program(komi: Any, *arguments: Any) -> Any:
        rules = game if komi is None else _with_komi(game, komi)
        return make(rules, *static)(*arguments)

    return program
