"""The syntax of GTP for an engine: parses commands and formats answers, for any input bytes.

Follows Farnebäck, "Specification of the Go Text Protocol, version 2, draft 2" (2002), section 2: a
line is ``[id] command [arguments]``; control characters are removed, except the tab, which becomes
a blank; "#" begins a comment; an answer is "=" or "?", the id, a blank, the text and an empty line.
"""

import math
import re
from dataclasses import dataclass
from typing import NoReturn

from games.game import Game
from games.notation import action_to_text, text_to_action

MAX_LINE = 4096  # characters; a longer line is rejected
MAX_INT = 2**31 - 1  # GTP's ints are unsigned 31-bit numbers
MAX_QUOTED = 60  # characters of a controller's text that an answer quotes
FLAGS = "ownership movesOwnership ownershipStdev pvVisits pvEdgeVisits rootInfo".split()
"""Options of an analysis that ask for data that we do not have; accepted without effect."""
OPTIONS = ", ".join(["interval", "minmoves", "maxmoves", "avoid", "allow", *FLAGS])
TIME_SYSTEMS = {
    "none": "",
    "absolute": "MAIN_TIME",
    "byoyomi": "MAIN_TIME PERIOD_TIME PERIODS",
    "canadian": "MAIN_TIME PERIOD_TIME STONES",
}
"""Maps the systems of kgs-time_settings to their arguments."""

# U+FEFF is the byte order mark that some Windows programs write first.
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_COLORS = {"b": 0, "black": 0, "w": 1, "white": 1}


class GtpError(Exception):
    """An error answer; the message is its text after "?"."""


@dataclass(frozen=True)
class Request:
    """One command as the controller sent it."""

    id: str  # digits, or ""
    command: str
    arguments: tuple[str, ...]


def read(line: str) -> Request | None:
    """Parses a line; returns None if it has only blanks and a comment."""
    text = _CONTROLS.sub("", line.replace("\t", " ")).partition("#")[0]
    words = text.split()
    number = ""
    if words and re.fullmatch("[0-9]{1,10}", words[0]) and int(words[0]) <= MAX_INT:
        number = words.pop(0)
    if not words:
        return Request(number, "", ()) if number else None
    return Request(number, words[0], tuple(words[1:]))


def answer(number: str, text: str, mark: str = "=") -> str:
    """Formats an answer; removes control characters and empty lines from `text`."""
    lines = [_CONTROLS.sub("", line).rstrip() for line in text.split("\n")]
    body = "\n".join(lines[:1] + [line or " " for line in lines[1:]]).rstrip(" \n")
    blank = " " if body and not body.startswith("\n") else ""
    return f"{mark}{number}{blank}{body}\n\n"


def quote(text: str) -> str:
    """Quotes a controller's text in an answer, shortened to `MAX_QUOTED` characters."""
    return repr(text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "…")


def check_count(arguments: tuple[str, ...], least: int, most: int, usage: str) -> None:
    """Checks the number of arguments.

    Raises:
        GtpError: too few or too many; the message is the command's usage.
    """
    if not least <= len(arguments) <= most:
        syntax_error(f"usage: {usage}")


def integer(text: str) -> int:
    """Parses an unsigned integer of 31 bits.

    Raises:
        GtpError: it is something else.
    """
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > MAX_INT:
        syntax_error(f"{quote(text)} is not an unsigned integer")
    return int(text)


def number(text: str) -> float:
    """Parses a finite number.

    Raises:
        GtpError: it is something else.
    """
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        syntax_error(f"{quote(text)} is not a number")
    return value


def seconds(text: str) -> float:
    """Parses a time in seconds, which many controllers send with decimals.

    Raises:
        GtpError: it is negative, or not a finite number.
    """
    value = number(text)
    if value < 0:
        syntax_error(f"{quote(text)} is negative; a time is 0 seconds or more")
    return value


def check_clock(arguments: tuple[str, ...]) -> None:
    """Checks a time system of KGS: a key of `TIME_SYSTEMS`, and its arguments.

    Raises:
        GtpError: an unknown system, or wrong arguments.
    """
    usage = f"usage: kgs-time_settings SYSTEM, which is one of {', '.join(TIME_SYSTEMS)}"
    if not arguments or arguments[0].lower() not in TIME_SYSTEMS:
        syntax_error(usage)
    system, values = arguments[0].lower(), arguments[1:]
    names = TIME_SYSTEMS[system].split()
    if len(values) != len(names):
        syntax_error(f"usage: kgs-time_settings {system} {' '.join(names)}".rstrip())
    for name, value in zip(names, values, strict=True):
        (seconds if name.endswith("TIME") else integer)(value)


@dataclass(frozen=True)
class AnalysisOptions:
    """The options of an analysis command."""

    player: int | None  # who moves; None: the player whose turn it is
    least: int = 1  # number of moves to show, if there are as many
    most: int = 5
    forbidden: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())  # by player


def analysis_options(game: Game, arguments: tuple[str, ...]) -> AnalysisOptions:
    """Parses ``[color] [interval] [key value]... [avoid|allow color vertex,vertex... depth]...``.

    The interval has no effect, because an analysis is answered once. The depth has no effect
    either: `avoid` and `allow` apply to the analyzed move, not to the moves that follow it.

    Raises:
        GtpError: an unknown option or a bad value.
    """
    player, least, most = None, 1, 5
    avoided: tuple[set[int], set[int]] = (set(), set())
    allowed: tuple[set[int], set[int]] = (set(), set())
    words = iter(arguments)
    for key in words:
        if key.lower() in _COLORS and player is None:
            player = color(key)
        elif key.isdigit():
            integer(key)
        elif key in ("avoid", "allow"):
            subject, actions = _region(game, key, [next(words, "") for _ in range(3)])
            (avoided if key == "avoid" else allowed)[subject].update(actions)
        else:
            value = next(words, "")
            if key == "minmoves":
                least = integer(value)
            elif key == "maxmoves":
                most = max(1, integer(value))
            elif key == "interval":
                integer(value)
            elif key not in FLAGS or value.lower() not in ("true", "false"):
                text = f"unknown option {quote(f'{key} {value}'.strip())}; choose from {OPTIONS}"
                syntax_error(text)
    every = frozenset(range(game.num_actions))
    black, white = (
        (every - only if only else frozenset()) | avoid
        for only, avoid in zip(allowed, avoided, strict=True)
    )
    return AnalysisOptions(player, least, max(least, most), (black, white))


def _region(game: Game, key: str, values: list[str]) -> tuple[int, set[int]]:
    """Parses the three values of `avoid` or `allow`; returns a player and actions."""
    player_text, vertices, depth = values
    if not depth:
        syntax_error(f"usage: {key} COLOR VERTEX,VERTEX,... DEPTH")
    player = color(player_text)
    actions = {vertex(game, text) for text in vertices.split(",")}
    integer(depth)
    return player, actions


def color(text: str) -> int:
    """Parses a color; returns the player: 0 for Black, 1 for White.

    Raises:
        GtpError: it is neither.
    """
    if text.lower() not in _COLORS:
        syntax_error(f"{quote(text)} is not a color; choose from black, white, b, w")
    return _COLORS[text.lower()]


def vertex(game: Game, text: str) -> int:
    """Parses a vertex of a Go board such as "D4", or "pass"; returns the action.

    Raises:
        GtpError: it is not on this board.
    """
    try:
        return text_to_action(game, text)
    except ValueError:
        size = game.observation_shape[0]
        last = action_to_text(game, size - 1)  # the top right
        syntax_error(f"{quote(text)} is not a vertex; choose from A1 to {last}, or pass")


def syntax_error(text: str) -> NoReturn:
    """Raises GtpError for a command's arguments."""
    raise GtpError(f"syntax error: {text}")
