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
    moves = "".join(f";{'BW'[i % 2]}[{_hex(name)}]" for i, name in enumerate(match.names))
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
    match = LiveGame(go)
    for number, (player, action) in enumerate(line.moves, start=1):
        if player != match.player:
            raise ValueError(f"move {number} is out of turn")
        match.play(action)
    return match


def _hex(name: str) -> str:
    """Returns a move of Hex as SGF names it: a1, or swap-pieces."""
    return "swap-pieces" if name == "swap" else name


def _result(match: LiveGame) -> str:
    if not match.outcome:
        return "0"
    winner = "B" if match.outcome > 0 else "W"
    margin = None if match.resigned is not None else match.game.score(match.state)
    return f"{winner}+R" if margin is None else f"{winner}+{abs(float(margin)):g}"
