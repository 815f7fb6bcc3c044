"""A game of Go as GTP and game records have it: any player may move next, and moves can be undone.

Our rules have turns and an end; GTP and game records have neither. Moves out of turn (handicap,
analysis), after two passes, or beyond `max_plies` continue from the same board. The next move may
not repeat any earlier board, however long the game is. For later moves a search knows only the last
`max_plies` / 2 boards, so it can look as many moves ahead before our rules would end the game.
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

MAX_BYTES = 1 << 26  # of a file that is loaded, uncompressed: a controller waits for the answer


class Move(NamedTuple):
    """One move, and the position after it."""

    player: int  # 0 Black, 1 White
    action: int
    state: GoState


class Goban:
    """A board with the history of its moves.

    Args:
        game: the rules; the komi is not used, because scoring happens elsewhere.
        start: the first position; None: the empty board.
    """

    def __init__(self, game: Go, start: GoState | None = None) -> None:
        self.game = game
        self.moves: list[Move] = []
        self._rules = compiled(game)
        self._start = self._rules.init() if start is None else start

    @property
    def state(self) -> GoState:
        """The position after the last move; `position_for` knows the legal moves there."""
        return self.moves[-1].state if self.moves else self._start

    @property
    def last_action(self) -> int | None:
        """The action of the last move; None at the start."""
        return self.moves[-1].action if self.moves else None

    @property
    def player(self) -> int:
        """The player to move by our rules: 0 Black, 1 White."""
        return int(self.game.player(self.state))

    @property
    def over(self) -> bool:
        """True = the last two moves, in turn, were passes."""
        passes = np.asarray(self.state.last) == self.game.pass_action
        return bool(passes.all())

    def position_for(self, player: int) -> GoState:
        """Returns the position with `player` to move, in a running game.

        No move that is legal there repeats a board of the game.
        """
        state = self.state
        in_turn = not self.over and self.player == player
        most = self.game.max_plies // 2
        if in_turn and int(state.ply) <= most:
            return state
        past = self._boards()[:-1]
        # The history holds the last boards; all earlier ones, in equal parts, only forbid moves.
        ends = range(len(past), 0, -most) or [0]
        recent, *older = (
            self._with_history(past[max(0, end - most) : end], player) for end in ends
        )
        return recent._replace(
            legal=reduce(and_, (position.legal for position in older), recent.legal),
            last=state.last if in_turn else recent.last,
        )

    def play(self, player: int, action: int) -> bool:
        """Plays a move of `player`, in turn or not; returns True if it breaks our superko rule.

        Other programs may have another ko rule, so a move that repeats an earlier board is
        accepted, unless it takes back a ko at once. `position_for` allows no repetition.

        Raises:
            ValueError: the move is illegal by any ko rule; the game is unchanged.
        """
        state = self.position_for(player)
        legal = bool(self._rules.legal_actions(state)[action])
        if not legal:
            without_history = self._with_history([], player)
            if not bool(self._rules.legal_actions(without_history)[action]):
                raise ValueError("illegal move")
        after = self._rules.step(state, action)
        if not legal and np.array_equal(after.stones.hash, self._boards()[-2]):
            raise ValueError("illegal move")
        self.moves.append(Move(player, action, after))
        return not legal

    def undo(self) -> None:
        """Undoes the last move.

        Raises:
            ValueError: no move has been played.
        """
        if not self.moves:
            raise ValueError("cannot undo")
        self.moves.pop()

    def margin(self) -> float:
        """Returns Black's area minus White's as the board stands, without komi."""
        return float(self._rules.method("score")(self.state)) + self.game.komi

    def chains(self) -> list[list[int]]:
        """Returns the points of each chain on the board."""
        chains: dict[int, list[int]] = defaultdict(list)
        for point, chain in enumerate(np.asarray(self.state.stones.chain).tolist()):
            chains[chain].append(point)
        return [points for chain, points in chains.items() if chain]  # 0: the empty points

    def _boards(self) -> list[np.ndarray]:
        """Returns the hash, uint32 [2], of every board of the game, the current one last."""
        states = [self._start, *(move.state for move in self.moves)]
        return [np.asarray(state.stones.hash) for state in states]

    def _with_history(self, boards: list[np.ndarray], player: int) -> GoState:
        """Returns this board with `player` to move and the hashes `boards` as its history."""
        history = np.zeros((2, self.game.max_plies), np.uint32)
        if boards:
            history[:, : len(boards)] = np.stack(boards, axis=1)
        state = self.state._replace(history=history, ply=np.int16(len(boards)))
        return self._rules.method("resume")(state, player)


class Loaded(NamedTuple):
    """A game loaded from a record."""

    goban: Goban
    komi: float | None  # None if the record has none, or one that our rules do not allow
    note: str  # the reason why the record's komi cannot be used, or ""


def load_sgf(game: Go, path: Path, before_move: int | None = None) -> Loaded:
    """Loads the main line of the first game in a file, which may be an archive.

    Reads the same files as the import of expert games, and besides problems without moves, moves
    out of turn, several moves in a node, and games that continue after two passes.

    Args:
        game: the rules, of the record's size.
        path: an SGF file, or an archive of them.
        before_move: stop before this move, counted from 1; None: play all.

    Raises:
        ValueError: no such file, no game record, another size, stones set up in mid-game, or an
            illegal move.
    """
    if path.exists() and not path.is_file():  # reading a pipe would block
        raise ValueError("it is not a file")
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ValueError(error.strerror or "unreadable") from None
    text = next(sources.games_in(path, MAX_BYTES))
    try:
        if isinstance(text, Rejected):
            raise reader.InvalidRecord(text.reason)
        line = reader.parse(text, game.size)
    except reader.InvalidRecord as reason:
        size = f"{game.size}×{game.size}"
        raise ValueError(f"it has no game that can be played on {size}: {reason}") from None
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
    """Sets up the first position; in a problem without moves, PL names the player to move."""
    if line.moves:
        player = line.moves[0][0]
    elif line.player is not None:
        player = line.player
    else:  # White moves first after handicap stones
        player = 1 if line.board.any() and line.board.min() == 0 else 0
    if not line.board.any() and player == 0:
        return compiled(game).init()
    return game.from_board(line.board, player)


def _komi(game: Go, text: str) -> tuple[float | None, str]:
    """Reads a komi; returns None and the reason if it cannot be used, None and "" without text."""
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
