"""A game of Go as programs for people have it: anyone may move next, moves are taken back.

Our rules know turns and an end; GTP and game records know neither. A stone out of turn (handicap,
analysis) and a move after two passes go on from the same board, with every earlier board still
forbidden. Only a game of more than `max_plies` moves begins a new history.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sgfmill import sgf, sgf_moves

from games.go import Go, GoState
from selfplay.serve.rules import compiled

MAX_FILE = 1 << 20  # bytes of a game record


class Move(NamedTuple):
    """Who played what, and the position after it."""

    player: int  # 0 Black, 1 White
    action: int
    state: GoState


class Goban:
    """A board with its past.

    Args:
        game: the rules; their komi plays no part here, who has won is asked elsewhere.
        start: the position to begin with; None: the empty board.
    """

    def __init__(self, game: Go, start: GoState | None = None) -> None:
        self.game = game
        self.moves: list[Move] = []
        self._rules = compiled(game)
        self._start = self._rules.init() if start is None else start

    @property
    def state(self) -> GoState:
        """The position; over after two passes or `max_plies` moves."""
        return self.moves[-1].state if self.moves else self._start

    @property
    def last_action(self) -> int | None:
        """The last move; None at the start."""
        return self.moves[-1].action if self.moves else None

    @property
    def player(self) -> int:
        """Whose turn it is by our rules: 0 Black, 1 White."""
        return int(self.game.player(self.state))

    @property
    def over(self) -> bool:
        """True = our rules have ended the game."""
        return bool(self.game.is_terminal(self.state))

    def at_turn(self, player: int) -> GoState:
        """The position with `player` to move, the game going on; itself where both hold already."""
        state = self.state
        if not self.over and self.player == player:
            return state
        if int(state.ply) < self.game.max_plies:
            return self._rules.method("resume")(state, player)
        return self._rules.method("from_board")(self.game.board(state), player)

    def play(self, player: int, action: int) -> None:
        """Make a move of `player`, whosever turn it is.

        Raises:
            ValueError: it is illegal; nothing has changed.
        """
        state = self.at_turn(player)
        if not bool(self._rules.legal_actions(state)[action]):
            raise ValueError("illegal move")
        self.moves.append(Move(player, action, self._rules.step(state, action)))

    def undo(self) -> None:
        """Take the last move back.

        Raises:
            ValueError: there is none.
        """
        if not self.moves:
            raise ValueError("cannot undo")
        self.moves.pop()

    def margin(self) -> float:
        """Black's area less White's as the board stands, without komi."""
        return float(self._rules.method("score")(self.state)) + self.game.komi


def load_sgf(game: Go, path: Path, before_move: int | None = None) -> tuple[Goban, float]:
    """A game record's main line, and its komi (`game.komi` if it names none).

    Args:
        game: the rules, of the record's size.
        path: an SGF file.
        before_move: stop before this move, 1 being the first; None: play all.

    Raises:
        ValueError: no such file, no game record, another size, stones set up in mid-game, or an
            illegal move.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError("it is no file")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ValueError(error.strerror or "unreadable") from None
    if len(data) > MAX_FILE:
        raise ValueError(f"it has more than {MAX_FILE:,} bytes")
    try:
        record = sgf.Sgf_game.from_bytes(data)
        size = record.get_size()
        board, plays = sgf_moves.get_setup_and_moves(record)
        komi = record.get_komi() if record.get_root().has_property("KM") else game.komi
    except (ValueError, LookupError, RecursionError) as error:
        raise ValueError(f"it is no game record that can be played: {error}") from None
    if size != game.size:
        raise ValueError(f"its board is {size}×{size}")
    goban = Goban(game, _set_up(game, board, plays[0][0] if plays else "w"))
    for number, (colour, place) in enumerate(plays, start=1):
        if number == before_move:
            break
        action = game.size**2 if place is None else _action(game, *place)
        try:
            goban.play(0 if colour == "b" else 1, action)
        except ValueError:
            raise ValueError(f"move {number} is illegal") from None
    return goban, float(komi)


def _set_up(game: Go, board: Any, colour: str) -> GoState:
    """The start of a game: handicap stones, or none."""
    stones = np.zeros(game.size**2, np.int8)
    for piece, place in board.list_occupied_points():
        stones[_action(game, *place)] = 1 if piece == "b" else -1
    if not stones.any():
        return compiled(game).init()
    return game.from_board(stones.reshape(game.size, game.size), 0 if colour == "b" else 1)


def _action(game: Go, row: int, column: int) -> int:
    """sgfmill counts rows from the bottom, we from the top."""
    return (game.size - 1 - row) * game.size + column
