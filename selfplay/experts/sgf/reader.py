"""Reader of one main line of SGF: a record of Go → an expert game.

sgfmill reads the grammar. `parse` returns what is written, for every reader of SGF. `read` decides
what records leave open: which komi is meant, who won, and where a game with set-up stones begins.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, takewhile
from string import ascii_lowercase

import numpy as np
from sgfmill import sgf_grammar, sgf_properties

from games.go import Go
from selfplay.experts.game_record import ExpertGame, Start, max_record_plies
from selfplay.experts.sgf.ranks import parse_strength
from selfplay.experts.sgf.results import NUMBER, winner

MAX_KOMI = 9.0
"""The planes show whether komi exceeds 0 and five steps up to 7. Above this, and below 0, a komi
would look like another one to the network."""
MARGIN = "a margin that the komi does not allow"
NO_KOMI = "komi written as 0, against the margins"
HIDDEN = "a komi that the planes do not show"
CUT = "cut at the second pass in a row"
HANDICAP = "first Black moves taken as handicap stones"
PASSES = "White passes before his first stone, and it is no handicap"
MAX_STONES = 9
"""Most handicap stones that Black may lay without HA, while White passes."""
TWO_MOVES = "two moves in one node"

Node = Mapping[str, Sequence[bytes]]


class InvalidRecord(Exception):
    """A record that cannot be imported; the text is the reason."""


_PLAYERS = {b"b": 0, b"black": 0, b"1": 0, b"w": 1, b"white": 1, b"2": 1}


@dataclass(frozen=True, eq=False)
class MainLine:
    """The content of a game's main line.

    Attributes:
        root: the properties of the first node.
        board: int8 [size, size], the stones set up before the first move, as `Go.board` has them.
        player: the player who moves first, 0 or 1, if the record says so (PL); else None.
        moves: (player, action) in the order of the record.
        crowded: True = a node holds more than one move.
    """

    root: Node
    board: np.ndarray
    player: int | None
    moves: Sequence[tuple[int, int]]
    crowded: bool

    @property
    def komi_text(self) -> str:
        """The komi as written, in KM, or in KO as Sina's files have it; empty without one."""
        return _text(self.root, "KM") or _text(self.root, "KO")


def parse(text: bytes, size: int) -> MainLine:
    """Parses a flat main line, ``b"(;…)"``.

    Raises:
        InvalidRecord: it is not SGF, not Go, or on another board; or stones are set up after the
            first move.
    """
    try:
        nodes: list[Node] = sgf_grammar.parse_sgf_game(text).sequence
    except ValueError:
        raise InvalidRecord("not readable as SGF") from None
    root = nodes[0]
    if _value(root, "GM", b"1") != b"1":
        raise InvalidRecord("another game than Go")
    if _value(root, "SZ", b"19") not in (b"%d" % size, b"%d:%d" % (size, size)):
        raise InvalidRecord("another board size")
    board = np.zeros((size, size), np.int8)
    player, crowded = None, False
    moves: list[tuple[int, int]] = []
    actions = _actions(size)
    for node in nodes:
        if "AB" in node or "AW" in node or "AE" in node:
            if moves:
                raise InvalidRecord("stones set up after the first move")
            _set_up(board, node)
        if "PL" in node and not moves:
            player = _PLAYERS.get(_value(node, "PL", b"").lower())
        in_node = [(name, value) for name in node if name in ("B", "W") for value in node[name]]
        crowded |= len(in_node) > 1
        for name, value in in_node:
            action = actions.get(value.strip())
            if action is None:
                raise InvalidRecord("a move that is no point of the board")
            moves.append(("BW".index(name), action))
    return MainLine(root, board, player, moves, crowded)


def read(text: bytes, game: Go) -> ExpertGame:
    """Reads the game in a flat main line, ``b"(;…)"``.

    Raises:
        InvalidRecord: as for `parse`, or it cannot be a game by our rules.
    """
    line, size = parse(text, game.size), game.size
    if line.crowded:
        raise InvalidRecord(TWO_MOVES)
    root, board, line_moves, notes = line.root, line.board, line.moves, []
    handicap = _handicap(line, size * size)
    if handicap:
        stones = [action for player, action in line_moves[:handicap] if player == 0]
        board.reshape(-1)[stones] = 1
        line_moves = line_moves[handicap:]
        notes.append(HANDICAP)
    colors = [player for player, _ in line_moves]
    moves = [action for _, action in line_moves]
    ends = [ply for ply, pair in enumerate(pairwise(moves), 2) if pair == (size**2, size**2)]
    if ends and ends[0] < len(moves):
        colors, moves = colors[: ends[0]], moves[: ends[0]]
        notes.append(CUT)
    if not moves:
        raise InvalidRecord("no moves")
    if len(moves) > max_record_plies(size):
        raise InvalidRecord(f"more than {max_record_plies(size)} moves")
    if any(a == b for a, b in pairwise(colors)):
        raise InvalidRecord("colours do not alternate")
    outcome, margin = winner(_text(root, "RE"))
    komi = komi_of(line.komi_text)
    no_value_reason = _no_value_reason(outcome, margin, komi)
    return ExpertGame(
        np.array(moves, np.int16),
        outcome,
        game.komi if komi is None or not _is_shown(komi) else komi,
        no_value_reason,
        abs(margin or 0.0),
        Start(board, colors[0]) if board.any() or colors[0] else None,
        (
            parse_strength(_text(root, "BR"), _text(root, "PB")),
            parse_strength(_text(root, "WR"), _text(root, "PW")),
        ),
        tuple(notes),
    )


def _set_up(board: np.ndarray, node: Node) -> None:
    """Adds and removes the stones of one node, in place."""
    size = len(board)
    for name, stone in (("AB", 1), ("AW", -1), ("AE", 0)):
        values = [value.strip() for value in node.get(name, ()) if value.strip()]
        try:
            points = _presenter(size).interpret(name, values) if values else ()
        except ValueError:
            raise InvalidRecord("a set-up stone that is on no point of the board") from None
        for row, column in points:
            board[size - 1 - row, column] = stone


@cache
def _presenter(size: int) -> sgf_properties.Presenter:
    """Returns sgfmill's parser of lists of points."""
    return sgf_properties.Presenter(size, "UTF-8")


@cache
def _actions(size: int) -> Mapping[bytes, int]:
    """Maps the bytes that sgfmill accepts as a move to our actions."""
    letters = ascii_lowercase[:size]
    table = {}
    for text in (b"", b"tt", *((a + b).encode() for a in letters for b in letters)):
        point = sgf_properties.interpret_go_point(text, size)
        table[text] = size * size if point is None else (size - 1 - point[0]) * size + point[1]
    return table


def _handicap(line: MainLine, passing: int) -> int:
    """Counts the moves that lay handicap stones.

    Black lays them in a row, and HA gives their number; or White passes in between, and HA may be
    missing, since nobody passes so early for another reason.

    Raises:
        InvalidRecord: White passes before his first stone, and what Black lays cannot be a
            handicap.
    """
    opening = list(takewhile(lambda move: move[0] == 0 or move[1] == passing, line.moves))
    black = [action for player, action in opening if player == 0]
    while opening and (opening[-1][0] == 1 or opening[-1][1] == passing):
        opening.pop()  # the opening ends with a stone of Black's
    passes = any(player == 1 for player, _ in opening)
    stones = len({*black} - {passing})
    declared = _value(line.root, "HA", b"0")
    agreed = declared == b"%d" % stones or (
        passes and stones <= MAX_STONES and declared in (b"", b"0", b"1")
    )
    if agreed and 1 < stones == len(black) and not line.board.any():
        return len(opening)
    if passes:
        raise InvalidRecord(PASSES)
    return 0


def _value(node: Node, name: str, default: bytes) -> bytes:
    """Returns a property's first value."""
    return node[name][0].strip() if name in node else default


def _text(node: Node, name: str) -> str:
    """Decodes a property's first value, whatever its encoding; empty without one."""
    raw = sgf_grammar.simpletext_value(_value(node, name, b"")[:200])
    for encoding in ("utf-8", "gb18030"):
        with contextlib.suppress(UnicodeDecodeError):
            return raw.decode(encoding).strip()
    return raw.decode("latin-1").strip()


def komi_of(text: str) -> float | None:
    """Reads the points that White has in advance; None if the text is not a number.

    Some servers write hundredths (750), and some count in stones: 3.75 means 7.5 points.
    """
    text = text.replace(",", ".")
    if not NUMBER.fullmatch(text):
        return None
    komi = float(text)
    if abs(komi) >= 100:
        komi /= 100
    quarters = 4 * komi == round(4 * komi) != 2 * round(2 * komi)
    return 2 * komi if quarters and abs(komi) < 5 else komi


def _is_shown(komi: float) -> bool:
    """Tells whether the planes show this komi exactly."""
    return 0 <= komi <= MAX_KOMI and 2 * komi == round(2 * komi)


def _no_value_reason(outcome: int | None, margin: float | None, komi: float | None) -> str:
    """Explains why a game has no value target; empty if it has one."""
    if outcome is None:
        return "no result"
    if komi is None:
        return "komi not known"
    if not _is_shown(komi):
        return HIDDEN
    # "Won by 0 points": one server writes this for draws, another for games without a count.
    if margin is not None and (2 * margin % 2 == 1 or margin == 0) and komi == round(komi):
        return MARGIN
    return ""
