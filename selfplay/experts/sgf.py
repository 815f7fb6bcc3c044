"""One main line of SGF → an expert game of Go, or the reason why there is none.

The grammar is sgfmill's. Decided here is what records leave open: which komi is meant, who won,
and where a game with set-up stones begins.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from string import ascii_lowercase

import numpy as np
from sgfmill import sgf_grammar, sgf_properties

from games.go import Go
from selfplay.experts.record import ExpertGame, LeftOut, Start, most_plies
from selfplay.experts.strength import strength

MOST_KOMI = 9.0
"""The planes tell apart 0, five steps up to 7, and more: above this, and below 0, a komi would look
like another one to the network."""
MARGIN = "a margin that the komi does not allow"
NO_KOMI = "komi written as 0, against the margins"
HIDDEN = "a komi that the planes do not show"
CUT = "cut at the second pass in a row"
HANDICAP = "first Black moves taken as handicap stones"

Node = Mapping[str, Sequence[bytes]]


def read(text: bytes, game: Go) -> ExpertGame:
    """The game in a flat main line, ``b"(;…)"``.

    Raises:
        LeftOut: it is no SGF, no Go, on another board, or no game by our rules.
    """
    try:
        nodes: list[Node] = sgf_grammar.parse_sgf_game(text).sequence
    except ValueError:
        raise LeftOut("not readable as SGF") from None
    root, size = nodes[0], game.size
    if _value(root, "GM", b"1") != b"1":
        raise LeftOut("another game than Go")
    if _value(root, "SZ", b"19") not in (b"%d" % size, b"%d:%d" % (size, size)):
        raise LeftOut("another board size")
    board, colours, moves = _main_line(nodes, size)
    notes = []
    handicap = _handicap(root, colours, moves, size)
    if handicap and not board.any():
        board.reshape(-1)[moves[:handicap]] = 1
        colours, moves = colours[handicap:], moves[handicap:]
        notes.append(HANDICAP)
    ends = [ply for ply, pair in enumerate(pairwise(moves), 2) if pair == (size**2, size**2)]
    if ends and ends[0] < len(moves):
        colours, moves = colours[: ends[0]], moves[: ends[0]]
        notes.append(CUT)
    if not moves:
        raise LeftOut("no moves")
    if len(moves) > most_plies(size):
        raise LeftOut(f"more than {most_plies(size)} moves")
    if any(a == b for a, b in pairwise(colours)):
        raise LeftOut("colours do not alternate")
    outcome, margin = _result(_text(root, "RE"))
    komi = _komi(_text(root, "KM"))
    untaught = _untaught(outcome, margin, komi)
    return ExpertGame(
        np.array(moves, np.int16),
        outcome,
        game.komi if komi is None or not _shown(komi) else komi,
        untaught,
        abs(margin or 0.0),
        Start(board, colours[0]) if board.any() or colours[0] else None,
        (
            strength(_text(root, "BR"), _text(root, "PB")),
            strength(_text(root, "WR"), _text(root, "PW")),
        ),
        tuple(notes),
    )


def _main_line(nodes: Sequence[Node], size: int) -> tuple[np.ndarray, list[int], list[int]]:
    """The stones set up before the first move, int8 [size, size]; players; actions."""
    board = np.zeros((size, size), np.int8)
    colours: list[int] = []
    moves: list[int] = []
    actions = _actions(size)
    for node in nodes:
        if "AB" in node or "AW" in node or "AE" in node:
            if moves:
                raise LeftOut("stones set up after the first move")
            _set_up(board, node)
        for player, name in enumerate("BW"):
            if name not in node:
                continue
            if len(node[name]) > 1 or ("B" in node and "W" in node):
                raise LeftOut("two moves in one node")
            action = actions.get(node[name][0].strip())
            if action is None:
                raise LeftOut("a move that is no point of the board")
            colours.append(player)
            moves.append(action)
    return board, colours, moves


def _set_up(board: np.ndarray, node: Node) -> None:
    """Put and take the stones of one node, in place."""
    size = len(board)
    for name, stone in (("AB", 1), ("AW", -1), ("AE", 0)):
        values = [value.strip() for value in node.get(name, ()) if value.strip()]
        try:
            points = _presenter(size).interpret(name, values) if values else ()
        except ValueError:
            raise LeftOut("a set-up stone that is on no point of the board") from None
        for row, column in points:
            board[size - 1 - row, column] = stone


@cache
def _presenter(size: int) -> sgf_properties.Presenter:
    return sgf_properties.Presenter(size, "UTF-8")


@cache
def _actions(size: int) -> Mapping[bytes, int]:
    """What sgfmill reads as a move: its bytes → our action."""
    letters = ascii_lowercase[:size]
    table = {}
    for text in (b"", b"tt", *((a + b).encode() for a in letters for b in letters)):
        point = sgf_properties.interpret_go_point(text, size)
        table[text] = size * size if point is None else (size - 1 - point[0]) * size + point[1]
    return table


def _handicap(root: Node, colours: Sequence[int], moves: Sequence[int], size: int) -> int:
    """How many of the moves are Black's handicap stones: HA, if he has so many in a row."""
    before = colours.index(1) if 1 in colours else 0
    free = before > 1 and max(moves[:before]) < size * size and len({*moves[:before]}) == before
    return before if free and _value(root, "HA", b"0") == b"%d" % before else 0


def _value(node: Node, name: str, default: bytes) -> bytes:
    return node[name][0].strip() if name in node else default


def _text(node: Node, name: str) -> str:
    """A property's first value as text, whatever its encoding; empty without one."""
    raw = sgf_grammar.simpletext_value(_value(node, name, b"")[:200])
    for encoding in ("utf-8", "gb18030"):
        with contextlib.suppress(UnicodeDecodeError):
            return raw.decode(encoding).strip()
    return raw.decode("latin-1").strip()


_BLACK = re.compile(r"b(?:lack)?(?:\W.*)?|[黑黒].*[胜勝].*|[黑黒]\+.*")
_WHITE = re.compile(r"w(?:hite)?(?:\W.*)?|白.*[胜勝].*|白\+.*")
_DRAW = ("0", "draw", "jigo", "tie", "=", "和", "和棋", "持碁", "ジゴ")
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?")


def _result(text: str) -> tuple[int | None, float | None]:
    """(result for Black, the points that decided it); None for what the record does not tell."""
    text = text.lower()
    if text in _DRAW:
        return 0, None
    outcome = 1 if _BLACK.fullmatch(text) else -1 if _WHITE.fullmatch(text) else None
    points = _NUMBER.search(text.partition("+")[2])
    return outcome, float(points[0]) if points else None


def _komi(text: str) -> float | None:
    """Points that White has in advance; None where the record does not tell.

    Some servers write hundredths (750), and some count in stones: 3.75 are 7.5 points.
    """
    text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return None
    komi = float(text)
    if abs(komi) >= 100:
        komi /= 100
    return 2 * komi if 2 * komi != round(2 * komi) and abs(komi) < 5 else komi


def _shown(komi: float) -> bool:
    """True = the planes show this komi."""
    return 0 <= komi <= MOST_KOMI and 2 * komi == round(2 * komi)


def _untaught(outcome: int | None, margin: float | None, komi: float | None) -> str:
    """Why the value is not taught; empty if it is."""
    if outcome is None:
        return "no result"
    if komi is None:
        return "komi not known"
    if not _shown(komi):
        return HIDDEN
    # Won by 0 points: one server writes so of draws, another of games that nobody counted.
    if margin is not None and (2 * margin % 2 == 1 or margin == 0) and komi == round(komi):
        return MARGIN
    return ""
