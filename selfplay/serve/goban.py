"""A game of Go as programs for people have it: anyone may move next, moves are taken back.

Our rules know turns and an end; GTP and game records know neither. A stone out of turn (handicap,
analysis) and a move after two passes go on from the same board, with every earlier board still
forbidden. Only a game of more than `max_plies` moves begins a new history.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from games.go import Go, GoState
from selfplay.experts import sgf, sources
from selfplay.experts.record import LeftOut
from selfplay.serve.rules import compiled


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


class Loaded(NamedTuple):
    """A game record that was loaded."""

    goban: Goban
    komi: float | None  # the record's; None where it names none that can be played with
    note: str  # why the komi cannot be used; empty if it can, or if the record names none


def load_sgf(game: Go, path: Path, before_move: int | None = None) -> Loaded:
    """Loads the main line of the first game in a file that expert games could be imported from.

    More than an import, it takes problems without a move, moves out of turn, several moves in a
    node, and games that go on after two passes.

    Args:
        game: the rules, of the record's size.
        path: an SGF file, or an archive of them.
        before_move: stop before this move, 1 being the first; None: play all.

    Raises:
        ValueError: no such file, no game record, another size, stones set up in mid-game, or an
            illegal move.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError("it is no file")
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ValueError(error.strerror or "unreadable") from None
    text = next(sources.games_in(path))
    try:
        if isinstance(text, str):
            raise LeftOut(text)
        line = sgf.parse(text, game.size)
    except LeftOut as reason:
        size = f"{game.size}×{game.size}"
        raise ValueError(f"it is no game record that can be played on {size}: {reason}") from None
    goban = Goban(game, _start(game, line))
    for number, (player, action) in enumerate(line.moves, start=1):
        if number == before_move:
            break
        try:
            goban.play(player, action)
        except ValueError:
            raise ValueError(f"move {number} is illegal") from None
    return Loaded(goban, *_komi(game, line.komi_text))


def _start(game: Go, line: sgf.MainLine) -> GoState:
    """Sets up the first position; in a problem without moves, PL says who is to move."""
    if line.moves:
        player = line.moves[0][0]
    elif line.player is not None:
        player = line.player
    else:  # handicap stones are answered by White
        player = 1 if line.board.any() and line.board.min() == 0 else 0
    if not line.board.any() and player == 0:
        return compiled(game).init()
    return game.from_board(line.board, player)


def _komi(game: Go, text: str) -> tuple[float | None, str]:
    """Reads a komi; None with the reason if it cannot be used, with nothing if there is no text."""
    if not text:
        return None, ""
    komi = sgf.komi_of(text)
    if komi is None:
        return None, f"the record's komi {text[:20]!r} is not a number; the komi stays as it was"
    try:
        replace(game, komi=komi)
    except ValueError as error:
        return None, f"the record's komi cannot be used; the komi stays as it was ({error})"
    return komi, ""
