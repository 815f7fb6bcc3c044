"""A game on the page: its moves, what has been taken back, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from games.game import Cell, Game, State
from games.notation import action_to_text, text_to_action
from selfplay.serve.rules import compiled

SIGN = (1, -1)  # of a result for player 0, for each player


@dataclass
class LiveGame:
    """One game from its first position on.

    Attributes:
        game: the rules.
        resigned: who has resigned, 0 or 1; None: nobody.
    """

    game: Game
    resigned: int | None = None
    _states: list[State] = field(default_factory=list)
    _actions: list[int] = field(default_factory=list)
    _taken_back: list[tuple[int, State]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self._states:
            self._states.append(compiled(self.game).init())

    @property
    def state(self) -> State:
        """The position on the board."""
        return self._states[-1]

    @property
    def actions(self) -> tuple[int, ...]:
        """The moves so far."""
        return tuple(self._actions)

    @property
    def player(self) -> int:
        """The player to move, 0 or 1."""
        return int(self.game.player(self.state))

    @property
    def legal(self) -> list[int]:
        """The legal actions; none when the game is over."""
        if self.is_over:
            return []
        return np.flatnonzero(np.asarray(compiled(self.game).legal_actions(self.state))).tolist()

    @property
    def is_over(self) -> bool:
        """True = the game has ended, or somebody has resigned."""
        return self.resigned is not None or bool(self.game.is_terminal(self.state))

    @property
    def outcome(self) -> float:
        """The result for player 0: +1, 0 or −1; 0 while the game runs."""
        if self.resigned is not None:
            return -SIGN[self.resigned]
        return float(self.game.outcome(self.state))

    @property
    def last_cell(self) -> Cell | None:
        """The cell of the last move; None if there is none."""
        if not self._actions:
            return None
        return self.game.notation().find_cell(self.state, self._actions[-1])

    @property
    def names(self) -> list[str]:
        """The moves so far by name."""
        return [
            action_to_text(self.game, action, state)
            for action, state in zip(self._actions, self._states[:-1], strict=True)
        ]

    def play(self, action: int) -> None:
        """Plays a move of the player to move.

        Raises:
            ValueError: the game is over, or the move is illegal.
        """
        if self.is_over:
            raise ValueError("the game is over")
        if action not in self.legal:
            known = 0 <= action < self.game.num_actions
            name = action_to_text(self.game, action, self.state) if known else action
            raise ValueError(f"{name} is not a legal move here")
        self._push(action)
        self._taken_back.clear()

    def undo(self, moves: int = 1) -> None:
        """Takes back moves, or the resignation; does nothing at the start."""
        if self.resigned is not None:
            self.resigned = None
            return
        for _ in range(min(moves, len(self._actions))):
            self._taken_back.append((self._actions.pop(), self._states.pop()))

    def redo(self, moves: int = 1) -> None:
        """Plays moves again that were taken back."""
        for _ in range(min(moves, len(self._taken_back))):
            action, state = self._taken_back.pop()
            self._actions.append(action)
            self._states.append(state)

    def resign(self) -> None:
        """The player to move gives up; does nothing when the game is over."""
        if not self.is_over:
            self.resigned = self.player
            self._taken_back.clear()

    def result_text(self) -> str:
        """Says how the game ended, or who is to move."""
        names = self.game.player_names
        if not self.is_over:
            return f"{names[self.player]} to move"
        if not self.outcome:
            return "draw"
        winner = names[0] if self.outcome > 0 else names[1]
        if self.resigned is not None:
            return f"{winner} wins by resignation"
        margin = self.game.score(self.state)
        return f"{winner} wins" + ("" if margin is None else f" by {abs(float(margin)):g}")

    @classmethod
    def at(cls, game: Game, state: State) -> LiveGame:
        """Begins at a position."""
        return cls(game, _states=[state])

    @classmethod
    def of_names(cls, game: Game, names: list[str]) -> LiveGame:
        """Plays the moves of a game by name.

        Raises:
            ValueError: a move has no such name, or is illegal.
        """
        match = cls(game)
        for number, name in enumerate(names, start=1):
            try:
                match.play(text_to_action(game, name, match.state))
            except ValueError as error:
                raise ValueError(f"move {number}: {error}") from None
        return match

    def _push(self, action: int) -> None:
        self._states.append(compiled(self.game).step(self.state, action))
        self._actions.append(action)
