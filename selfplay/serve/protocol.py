"""GTP's syntax, the engine's side: lines in, answers out, whatever the bytes are.

After Farnebäck, "Specification of the Go Text Protocol, version 2, draft 2" (2002), section 2: a
line is ``[id] command [arguments]``; control characters are dropped, but for the tab, which is a
blank; "#" begins a comment; an answer is "=" or "?", the id, a blank, the text and an empty line.
"""

import math
import re
from dataclasses import dataclass
from typing import NoReturn

from games.game import Game
from games.notation import action_to_text, text_to_action

MAX_LINE = 4096  # characters; a longer line is refused
MAX_INT = 2**31 - 1  # the specification's ints are unsigned 31-bit numbers
SHOWN = 60  # characters of a controller's words that an answer quotes
FLAGS = "ownership movesOwnership ownershipStdev pvVisits pvEdgeVisits rootInfo".split()
"""Options of the analysis that ask for what we do not have: taken, and without effect."""
OPTIONS = ", ".join(["interval", "minmoves", "maxmoves", "avoid", "allow", *FLAGS])
TIME_SYSTEMS = {
    "none": "",
    "absolute": "MAIN_TIME",
    "byoyomi": "MAIN_TIME PERIOD_TIME PERIODS",
    "canadian": "MAIN_TIME PERIOD_TIME STONES",
}
"""The systems of kgs-time_settings, each with its arguments."""

# U+FEFF is the byte order mark that some Windows programs write first.
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_COLOURS = {"b": 0, "black": 0, "w": 1, "white": 1}


class GtpError(Exception):
    """What goes behind the "?" of an answer."""


@dataclass(frozen=True)
class Request:
    """One command as it came in."""

    id: str  # digits, or nothing
    command: str
    arguments: tuple[str, ...]


def read(line: str) -> Request | None:
    """The command in a line; None if it holds nothing but blanks and comment."""
    text = _CONTROLS.sub("", line.replace("\t", " ")).partition("#")[0]
    words = text.split()
    number = ""
    if words and re.fullmatch("[0-9]{1,10}", words[0]) and int(words[0]) <= MAX_INT:
        number = words.pop(0)
    if not words:
        return Request(number, "", ()) if number else None
    return Request(number, words[0], tuple(words[1:]))


def answer(number: str, text: str, mark: str = "=") -> str:
    """A whole answer; `text` is stripped of control characters and empty lines."""
    lines = [_CONTROLS.sub("", line).rstrip() for line in text.split("\n")]
    body = "\n".join(lines[:1] + [line or " " for line in lines[1:]]).rstrip(" \n")
    blank = " " if body and not body.startswith("\n") else ""
    return f"{mark}{number}{blank}{body}\n\n"


def quote(text: str) -> str:
    """What a controller sent, as an answer repeats it."""
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")


def count(arguments: tuple[str, ...], least: int, most: int, usage: str) -> None:
    """Check how many arguments there are.

    Raises:
        GtpError: too few or too many; says how to use the command.
    """
    if not least <= len(arguments) <= most:
        syntax_error(f"usage: {usage}")


def integer(text: str) -> int:
    """An unsigned number of 31 bits.

    Raises:
        GtpError: it is none.
    """
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > MAX_INT:
        syntax_error(f"{quote(text)} is no unsigned integer")
    return int(text)


def number(text: str) -> float:
    """A finite number.

    Raises:
        GtpError: it is none.
    """
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        syntax_error(f"{quote(text)} is no number")
    return value


def seconds(text: str) -> float:
    """Reads a time, which many controllers send with decimals.

    Raises:
        GtpError: it is negative, or not a finite number.
    """
    value = number(text)
    if value < 0:
        syntax_error(f"{quote(text)} is negative; a time is 0 seconds or more")
    return value


def check_clock(arguments: tuple[str, ...]) -> None:
    """Checks a time system of KGS, a key of `TIME_SYSTEMS` with its arguments.

    Raises:
        GtpError: an unknown system, or other arguments than it has.
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
    """What an analysis command asks for."""

    player: int | None  # who moves; None: whose turn it is
    least: int = 1  # moves to show, where there are as many
    most: int = 5
    forbidden: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())  # to each player


def analysis_options(game: Game, arguments: tuple[str, ...]) -> AnalysisOptions:
    """Reads ``[color] [interval] [key value]... [avoid|allow color vertex,vertex... depth]...``.

    The interval has no effect, because an analysis is answered once. Neither has the depth: `avoid`
    and `allow` hold for the move that is analyzed, not for the moves that follow it.

    Raises:
        GtpError: an unknown option or a bad value.
    """
    player, least, most = None, 1, 5
    avoided: tuple[set[int], set[int]] = (set(), set())
    allowed: tuple[set[int], set[int]] = (set(), set())
    words = iter(arguments)
    for key in words:
        if key.lower() in _COLOURS and player is None:
            player = colour(key)
        elif key.isdigit():
            integer(key)
        elif key in ("avoid", "allow"):
            whom, actions = _region(game, key, [next(words, "") for _ in range(3)])
            (avoided if key == "avoid" else allowed)[whom].update(actions)
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
    """Reads the three values of `avoid` or `allow`: whose actions, and which."""
    whom, vertices, depth = values
    if not depth:
        syntax_error(f"usage: {key} COLOR VERTEX,VERTEX,... DEPTH")
    player = colour(whom)
    actions = {vertex(game, text) for text in vertices.split(",")}
    integer(depth)
    return player, actions


def colour(text: str) -> int:
    """The player: 0 for Black, 1 for White.

    Raises:
        GtpError: it is neither.
    """
    if text.lower() not in _COLOURS:
        syntax_error(f"{quote(text)} is no color; choose from black, white, b, w")
    return _COLOURS[text.lower()]


def vertex(game: Game, text: str) -> int:
    """The action at a vertex of a Go board such as "D4", or "pass".

    Raises:
        GtpError: it is not on this board.
    """
    try:
        return text_to_action(game, text)
    except ValueError:
        size = game.observation_shape[0]
        last = action_to_text(game, size - 1)  # the top right
        syntax_error(f"{quote(text)} is no vertex; choose from A1 to {last}, or pass")


def syntax_error(text: str) -> NoReturn:
    """Refuse a command's arguments."""
    raise GtpError(f"syntax error: {text}")
