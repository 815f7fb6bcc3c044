"""Games by name: `make("connect_four", rows=6)`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, get_type_hints

from games.connect_four import ConnectFour
from games.game import Game
from games.tic_tac_toe import TicTacToe

_GAMES: Mapping[str, Any] = MappingProxyType({game.name: game for game in (ConnectFour, TicTacToe)})


def names() -> tuple[str, ...]:
    """The names that `make` knows, in alphabetical order."""
    return tuple(sorted(_GAMES))


def make(name: str, **options: object) -> Game:
    """The game called `name`; `options` are the fields of its dataclass, such as `rows`.

    Raises:
        ValueError: an unknown name or option, an option of the wrong type, or one out of range.
    """
    if name not in _GAMES:
        raise ValueError(
            f"unknown game {name!r}{_did_you_mean(name, names())}; choose from {', '.join(names())}"
        )
    kind = _GAMES[name]
    hints = get_type_hints(kind)
    types = {field.name: hints[field.name] for field in fields(kind)}
    for option, value in options.items():
        if option not in types:
            choices = f"choose from {', '.join(types)}" if types else "it has no options"
            raise ValueError(
                f"{name} has no option {option!r}{_did_you_mean(option, tuple(types))}; {choices}"
            )
        if not _fits(value, types[option]):
            raise ValueError(
                f"{name}: option {option}={value!r} must be {types[option].__name__}, "
                f"not {type(value).__name__}"
            )
    return kind(**options)


def _fits(value: object, wanted: type) -> bool:
    """True = `value` is of the wanted type; an int is a float too, a bool is nothing but a bool."""
    if wanted is float:
        return type(value) in (int, float)
    return type(value) is wanted


def _did_you_mean(word: str, choices: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, choices, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
