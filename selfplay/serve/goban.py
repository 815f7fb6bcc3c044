"""A game of Go as programs for people have it: anyone may move next, moves are taken back.

Our rules know turns and an end; GTP and game records know neither. A stone out of turn (handicap,
analysis), a move after two passes and a game of more than `max_plies` moves go on from the same
board. Every board of the game stays forbidden for the next move, however long the game is. For the
moves behind that one, a search remembers the last `max_plies` / 2 boards, which leaves it as many
moves to look ahead before our rules would end the game.
"""

from collections import defaultdict
from dataclasses import replace
from functools import reduce
from operator import and_
from pathlib import Path
from typing import NamedTuple

import numpy as np

from games.go import Go, GoState
from selfplay.experts.game_record import Rejected
from selfplay.experts.sgf import reader, sources
from selfplay.serve.rules import compiled

MOST = 1 << 26  # bytes of a file that is loaded, unpacked: a controller waits for the answer


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
        """The position after the last move; `at_turn` says what may be played there."""
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
        """True = the last two moves, in turn, were passes."""
        passes = np.asarray(self.state.last) == self.game.num_actions - 1
        return bool(passes.all())

    def at_turn(self, player: int) -> GoState:
        """Returns the position with `player` to move, the game still running.

        The moves that are legal there repeat no board of the game.
        """
        state = self.state
        in_turn = not self.over and self.player == player
        most = self.game.max_plies // 2
        if in_turn and int(state.ply) <= most:
            return state
        past = self._boards()[:-1]
        # The last boards go into the state; older ones, as many at a time, only forbid moves.
        ends = range(len(past), 0, -most) or [0]
        recent, *older = (self._after(past[max(0, end - most) : end], player) for end in ends)
        return recent._replace(
            legal=reduce(and_, (position.legal for position in older), recent.legal),
            last=state.last if in_turn else recent.last,
        )

    def play(self, player: int, action: int) -> bool:
        """Makes a move of `player`, whosever turn it is; True = it breaks our superko rule.

        Other programs may have another ko rule, so a move that makes a board of earlier in the game
        is accepted, unless it takes back a ko at once. `at_turn` allows none.

        Raises:
            ValueError: the move is illegal by any ko rule; nothing has changed.
        """
        state = self.at_turn(player)
        legal = bool(self._rules.legal_actions(state)[action])
        if not legal and not bool(self._rules.legal_actions(self._after([], player))[action]):
            raise ValueError("illegal move")
        after = self._rules.step(state, action)
        if not legal and np.array_equal(after.stones.hash, self._boards()[-2]):
            raise ValueError("illegal move")
        self.moves.append(Move(player, action, after))
        return not legal

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

    def chains(self) -> list[list[int]]:
        """Returns the points of each chain on the board."""
        chains: dict[int, list[int]] = defaultdict(list)
        for point, chain in enumerate(np.asarray(self.state.stones.chain).tolist()):
            chains[chain].append(point)
        return [points for chain, points in chains.items() if chain]  # 0: the empty points

    def _boards(self) -> list[np.ndarray]:
        """Returns the hash, uint32 [2], of every board of the game, the present one last."""
        states = [self._start, *(move.state for move in self.moves)]
        return [np.asarray(state.stones.hash) for state in states]

    def _after(self, boards: list[np.ndarray], player: int) -> GoState:
        """Returns this board with `player` to move, in a game that went through `boards`."""
        history = np.zeros((2, self.game.max_plies), np.uint32)
        if boards:
            history[:, : len(boards)] = np.stack(boards, axis=1)
        state = self.state._replace(history=history, ply=np.int16(len(boards)))
        return self._rules.method("resume")(state, player)


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
    text = next(sources.games_in(path, MOST))
    try:
        if isinstance(text, Rejected):
            raise reader.InvalidRecord(text.reason)
        line = reader.parse(text, game.size)
    except reader.InvalidRecord as reason:
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


def _start(game: Go, line: reader.MainLine) -> GoState:
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
    komi = reader.komi_of(text)
    if komi is None:
        return None, f"the record's komi {text[:20]!r} is not a number; the komi stays as it was"
    try:
        replace(game, komi=komi)
    except ValueError as error:
        return None, f"the record's komi cannot be used; the komi stays as it was ({error})"
    return komi, ""
