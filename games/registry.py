"""Games by name: `make("go", size=9)`, or all in one text, `make("go?size=9&komi=7")`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, get_type_hints

from games.connect_four import ConnectFour
from games.game import Game
from games.go import Go
from games.hex import Hex
from games.options import check_known, check_unique, parse_options
from games.pgx_adapter import GAMES as PGX_GAMES
from games.pgx_adapter import PgxGame
from games.spelling import did_you_mean
from games.tic_tac_toe import TicTacToe

PGX = "pgx:"
"""Prefix of the names of pgx's games."""

_GAMES: Mapping[str, type[ConnectFour | Go | Hex | TicTacToe]] = MappingProxyType(
    {"connect_four": ConnectFour, "go": Go, "hex": Hex, "tic_tac_toe": TicTacToe}
)


def names() -> tuple[str, ...]:
    """Lists the names that `make` accepts, in alphabetical order, without pgx's games."""
    return tuple(sorted(_GAMES))


def make(name: str, **options: object) -> Game:
    """Makes the game called `name`; `options` are the fields of its dataclass, such as `size`.

    Options may also follow the name, as in "go?size=9&komi=7.5": the form for configs and command
    lines. pgx's games are called "pgx:othello" and so on, and have no options.

    Raises:
        ValueError: an unknown name or option; an option that is repeated, of the wrong type, or
            out of range; or pgx is not installed.
    """
    name, _, text = name.partition("?")
    if name.startswith(PGX):
        if text or options:
            raise ValueError(f"{name} has no option {text or next(iter(options))!r}")
        return PgxGame(name.removeprefix(PGX))
    if name not in _GAMES:
        raise ValueError(
            f"unknown game {name!r}{_suggestion(name)}; "
            f"choose from {', '.join(names())}, {PGX}othello and other games of pgx"
        )
    kind = _GAMES[name]
    hints = get_type_hints(kind)
    types = {field.name: hints[field.name] for field in fields(kind)}
    parsed = {option: _parse_value(value) for option, value in parse_options(name, text).items()}
    check_unique(name, [*parsed, *options])
    check_known(name, [*parsed, *options], types)
    values = parsed | options
    for option, value in values.items():
        if not _fits(value, types[option]):
            raise ValueError(
                f"{name}: option {option}={value!r} must be {types[option].__name__}, "
                f"not {type(value).__name__}"
            )
    arguments: dict[str, Any] = values
    return kind(**arguments)


def _parse_value(text: str) -> object:
    """Parses a number or bool as JSON writes it; returns any other text unchanged."""
    try:
        return json.loads(text.lower())
    except ValueError:
        return text


def _fits(value: object, wanted: type) -> bool:
    """Tests whether `value` has the wanted type; an int may be a float, a bool only a bool."""
    if wanted is float:
        return type(value) in (int, float)
    return type(value) is wanted


def _suggestion(name: str) -> str:
    """Suggests a game for an unknown name: "go_9x9" is Go of a size, "chess" is one of pgx's."""
    sized = re.fullmatch(r"([a-z]+)_?(\d+)(x\2)?", name.lower())
    if sized and "size" in getattr(_GAMES.get(sized[1]), "__dataclass_fields__", ()):
        return f" (did you mean '{sized[1]}?size={sized[2]}'?)"
    every = (*PGX_GAMES, *_GAMES)
    return did_you_mean(name, every, lambda game: game if game in _GAMES else f"{PGX}{game}")
