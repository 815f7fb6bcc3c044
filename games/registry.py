"""Games by name: `make("go", size=9)`, or all in one text, `make("go?size=9&komi=7")`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, get_type_hints
from urllib.parse import parse_qsl

from games.connect_four import ConnectFour
from games.game import Game
from games.go import Go
from games.hex import Hex
from games.pgx_adapter import GAMES as PGX_GAMES
from games.pgx_adapter import PgxGame
from games.spelling import did_you_mean
from games.tic_tac_toe import TicTacToe

PGX = "pgx:"
"""What the names of pgx's games begin with."""

_GAMES: Mapping[str, Any] = MappingProxyType(
    {"connect_four": ConnectFour, "go": Go, "hex": Hex, "tic_tac_toe": TicTacToe}
)


def names() -> tuple[str, ...]:
    """The names that `make` knows beside pgx's, in alphabetical order."""
    return tuple(sorted(_GAMES))


def make(name: str, **options: object) -> Game:
    """The game called `name`; `options` are the fields of its dataclass, such as `size`.

    Options may also stand behind the name, as "go?size=9&komi=7.5": the form for configs and
    command lines. pgx's games are called "pgx:othello" and so on, and have no options.

    Raises:
        ValueError: an unknown name or option, one twice, of the wrong type, or out of range; or
            pgx is not installed.
    """
    name, _, text = name.partition("?")
    if name.startswith(PGX):
        if text or options:
            raise ValueError(f"{name} has no option {text or next(iter(options))!r}")
        return PgxGame(name.removeprefix(PGX))
    if name not in _GAMES:
        raise ValueError(
            f"unknown game {name!r}{_meant(name)}; "
            f"choose from {', '.join(names())}, {PGX}othello and other games of pgx"
        )
    kind = _GAMES[name]
    hints = get_type_hints(kind)
    types = {field.name: hints[field.name] for field in fields(kind)}
    given = [*_read(name, text), *options.items()]
    for option, value in given:
        if option not in types:
            choices = f"choose from {', '.join(types)}" if types else "it has no options"
            raise ValueError(
                f"{name} has no option {option!r}{did_you_mean(option, types)}; {choices}"
            )
        if not _fits(value, types[option]):
            raise ValueError(
                f"{name}: option {option}={value!r} must be {types[option].__name__}, "
                f"not {type(value).__name__}"
            )
    if len(dict(given)) < len(given):
        raise ValueError(f"{name}: an option is given twice: {', '.join(o for o, _ in given)}")
    return kind(**dict(given))


def _read(name: str, text: str) -> list[tuple[str, object]]:
    """The options in "size=9&komi=7.5", with the values that they look like."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError:
        raise ValueError(
            f"{name}: {text!r} is no list of options; write {name}?option=value&option=value"
        ) from None
    return [(option, _value(value)) for option, value in pairs]


def _value(text: str) -> object:
    """A number or bool if the text is one as JSON writes it, else the text."""
    try:
        return json.loads(text.lower())
    except ValueError:
        return text


def _fits(value: object, wanted: type) -> bool:
    """True = `value` is of the wanted type; an int is a float too, a bool is nothing but a bool."""
    if wanted is float:
        return type(value) in (int, float)
    return type(value) is wanted


def _meant(name: str) -> str:
    """Which game a wrong name may have meant: "go_9x9" is Go of a size, "chess" one of pgx's."""
    sized = re.fullmatch(r"([a-z]+)_?(\d+)(x\2)?", name.lower())
    if sized and "size" in getattr(_GAMES.get(sized[1]), "__dataclass_fields__", ()):
        return f" (did you mean '{sized[1]}?size={sized[2]}'?)"
    every = (*PGX_GAMES, *_GAMES)
    return did_you_mean(name, every, lambda game: game if game in _GAMES else f"{PGX}{game}")
