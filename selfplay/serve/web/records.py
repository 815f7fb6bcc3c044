"""Games on the page as SGF: written for Go and Hex, read for Go."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from sgfmill import sgf

from games.game import Game
from games.go import as_go
from games.hex import Hex
from selfplay.experts.game_record import Rejected
from selfplay.experts.sgf import reader
from selfplay.experts.sgf.scan import main_lines
from selfplay.serve.web.live_game import LiveGame

MOST = 1 << 20  # bytes of a record that is read
COLORS = "bw"


def can_write(game: Game) -> bool:
    """Tells whether games of this kind can be written."""
    return as_go(game) is not None or isinstance(game, Hex)


def can_read(game: Game) -> bool:
    """Tells whether games of this kind can be read."""
    return as_go(game) is not None


def write(match: LiveGame) -> bytes:
    """Writes a game of Go or Hex as SGF.

    Raises:
        ValueError: another game.
    """
    go = as_go(match.game)
    if go is not None:
        record = sgf.Sgf_game(go.size)
        record.root.set("KM", float(go.komi))
        for number, action in enumerate(match.actions):
            row, column = divmod(action, go.size)
            is_pass = action == go.pass_action
            point = None if is_pass else (go.size - 1 - row, column)
            record.extend_main_sequence().set_move(COLORS[number % 2], point)
        if match.is_over:
            record.root.set("RE", _result(match))
        return record.serialise()
    if not isinstance(match.game, Hex):
        raise ValueError(f"{match.game.name} has no SGF here")
    moves = "".join(f";{'BW'[i % 2]}[{name}]" for i, name in enumerate(_hex_moves(match.names)))
    return f"(;FF[4]GM[11]SZ[{match.game.size}]{moves})\n".encode()


def read(game: Game, data: bytes) -> LiveGame:
    """Reads the main line of a game of Go, with the record's komi if our rules allow it.

    Raises:
        ValueError: it is no such record, or a move is illegal.
    """
    go = as_go(game)
    if go is None:
        raise ValueError(f"{game.name} has no SGF here")
    if len(data) > MOST:
        raise ValueError(f"it has more than {MOST} bytes")
    text = next(main_lines([data]), Rejected("no game in it"))
    if isinstance(text, Rejected):
        raise ValueError(text.reason)
    try:
        line = reader.parse(text, go.size)
    except reader.InvalidRecord as reason:
        raise ValueError(str(reason)) from None
    komi = reader.komi_of(line.komi_text)
    if komi is not None:
        with contextlib.suppress(ValueError):
            go = replace(go, komi=komi)
    if line.board.any():
        raise ValueError("it begins with stones on the board, a handicap or a problem")
    match = LiveGame(go)
    for number, (player, action) in enumerate(line.moves, start=1):
        if player != match.player:
            raise ValueError(f"move {number} is out of turn")
        match.play(action)
    return match


def _hex_moves(names: list[str]) -> list[str]:
    """Returns moves of Hex as SGF names them.

    After a swap our players exchange their sides and the piece stays. In swap-pieces they keep
    their sides and the piece moves to its mirror image, so every later cell is mirrored as well.
    """
    if "swap" not in names:
        return names
    at = names.index("swap")
    return [*names[:at], "swap-pieces", *map(_mirrored, names[at + 1 :])]


def _mirrored(name: str) -> str:
    """Exchanges the column and the row of a cell: b1 becomes a2."""
    column, row = ord(name[0]) - ord("a"), int(name[1:])
    return f"{chr(ord('a') + row - 1)}{column + 1}"


def _result(match: LiveGame) -> str:
    if not match.outcome:
        return "0"
    winner = "B" if match.outcome > 0 else "W"
    margin = None if match.resigned is not None else match.game.score(match.state)
    return f"{winner}+R" if margin is None else f"{winner}+{abs(float(margin)):g}"
