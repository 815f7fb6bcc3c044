"""Games by name: `make("go", size=9)`, or all in one text, `make("go?size=9&komi=7")`.

A game of one's own is named by its import path, ``my_package.my_game:MyGame?size=5``: a frozen
dataclass that inherits `Game`, whose fields are its options (see `games.plugins`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType

from games import plugins
from games.connect_four import ConnectFour
from games.game import Game
from games.go import Go
from games.hex import Hex
from games.pgx_adapter import GAMES as PGX_GAMES
from games.pgx_adapter import PgxGame
from games.plugins import Kind
from games.spelling import did_you_mean
from games.tic_tac_toe import TicTacToe

PGX = "pgx:"
"""Prefix of the names of pgx's games."""

_GAMES: Mapping[str, type[Game]] = MappingProxyType(
    {"connect_four": ConnectFour, "go": Go, "hex": Hex, "tic_tac_toe": TicTacToe}
)


def _suggest(name: str) -> str:
    """Suggests a game for an unknown name: "go_9x9" is Go of a size, "chess" is one of pgx's."""
    sized = re.fullmatch(r"([a-z]+)_?(\d+)(x\2)?", name.lower())
    if sized and "size" in getattr(_GAMES.get(sized[1]), "__dataclass_fields__", ()):
        return f" (did you mean '{sized[1]}?size={sized[2]}'?)"
    ours = names()
    return did_you_mean(
        name, (*PGX_GAMES, *ours), lambda game: game if game in ours else f"{PGX}{game}"
    )


KIND = Kind(
    "game", "oomzero.games", tuple(_GAMES), f"{PGX}othello and other games of pgx", _suggest
)


def names() -> tuple[str, ...]:
    """Lists the names that `make` accepts, in alphabetical order, without pgx's games."""
    return tuple(sorted(plugins.names(KIND)))


def make(name: str, **options: object) -> Game:
    """Makes the game called `name`; `options` are the fields of its dataclass, such as `size`.

    Options may also follow the name, as in "go?size=9&komi=7.5": the form for configs and command
    lines. pgx's games are called "pgx:othello" and so on, and have no options. An import path is
    followed only if this process trusts it (`games.plugins`).

    Raises:
        ValueError: an unknown name or option; an option that is repeated, of the wrong type, or
            out of range; a required option is missing; an import path that is not trusted, or names
            something other than a complete game; or pgx is not installed.
    """
    if not isinstance(name, str):  # a config from a file may hold anything
        raise ValueError(f"a game is written as text, got {name!r}")
    name, _, text = name.partition("?")
    if name.startswith(PGX):
        if text or options:
            raise ValueError(f"{name} has no option {text or next(iter(options))!r}")
        return PgxGame(name.removeprefix(PGX))
    expected = "a dataclass that inherits games.Game"
    kind = _GAMES.get(name) or plugins.load(KIND, name, _is_game, expected)
    if lacking := sorted(kind.__abstractmethods__):
        raise ValueError(f"game {name!r} does not define {', '.join(lacking)}; see games.Game")
    hints = plugins.type_hints(kind)
    types = {field.name: hints[field.name] for field in fields(kind)}  # pyright: ignore[reportArgumentType]
    parsed = plugins.parse_arguments(name, text, types)
    plugins.check_arguments(name, options, types)
    values = plugins.merged(name, parsed, options)
    for field in fields(kind):  # pyright: ignore[reportArgumentType]
        if field.name not in values and field.default is field.default_factory is MISSING:
            raise ValueError(f"{name} needs the option {field.name!r}: {name}?{field.name}=VALUE")
    return kind(**values)


def _is_game(thing: object) -> bool:
    is_class = isinstance(thing, type) and issubclass(thing, Game)
    return is_class and "__dataclass_fields__" in vars(thing)  # its own, not an ancestor's
