"""Games between a person and a version in the terminal, of any kind.

`games.notation` draws the board: X moves first, O second, the last move is in parentheses.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from games.notation import action_to_text, board_to_text, text_to_action
from selfplay.serve.analysis import Analyst, analyze
from selfplay.serve.rules import compiled

Side = Literal["first", "second", "ask"]
HELP = {
    "hint": "show the version's best moves in this position and their values",
    "undo": "take your last move back, and the answer to it",
    "board": "show the board again",
    "new": "start another game",
    "quit": "leave, as Ctrl-C and Ctrl-D do",
    "help": "show this list",
}
SHOWN = 24  # legal moves that a sentence lists
COLORS = {"X": "bold red", "O": "bold cyan"}


class Leave(Exception):
    """Raised when the person wants to leave."""


class Session:
    """A series of games, until the person leaves.

    Args:
        analyst: the opponent.
        num_simulations: its budget for a move and for a hint.
        side: whether the person moves first or second; "ask" asks before every game.
        name: the opponent's name.
        console: where to print.
        ask: shows a prompt and returns a line; raises EOFError or KeyboardInterrupt at the end.
    """

    def __init__(
        self,
        analyst: Analyst,
        num_simulations: int,
        side: Side = "ask",
        name: str = "the version",
        console: Console | None = None,
        ask: Callable[[str], str] | None = None,
    ) -> None:
        self._analyst, self._sims, self._side, self._name = analyst, num_simulations, side, name
        self._console = console or Console()
        self._ask = ask or self._console.input
        self._game = analyst.game
        self._rules = compiled(self._game)
        self._person = 0
        self._past: list[tuple[Any, int | None]] = []  # positions and the moves that led there

    def run(self) -> None:
        """Plays games until the person leaves; Ctrl-C and Ctrl-D are taken as "quit"."""
        self._say(f"{self._game.name} against {self._name}, {self._sims} simulations a move")
        self._help()
        try:
            while True:
                self._play()
        except (Leave, EOFError, KeyboardInterrupt):
            self._say("\nGoodbye.")

    def _play(self) -> None:
        """Plays one game, to its end or until "new"."""
        self._person = self._choose_side()
        self._past = [(self._rules.init(), None)]
        if self._person == self._player:
            self._show()
        while True:
            if not self._over and self._player != self._person:
                self._reply()
            elif self._command():
                return

    def _choose_side(self) -> int:
        if self._side != "ask":
            return 0 if self._side == "first" else 1
        while True:
            answer = self._ask("Do you move first, as X? (y/n) ").strip().lower()
            if answer in ("quit", "q"):
                raise Leave
            if answer in ("", "y", "yes", "first", "x"):
                return 0
            if answer in ("n", "no", "second", "o"):
                return 1
            self._say("Please answer y (you are X and move first), n (you are O), or quit.")

    def _command(self) -> bool:
        """Asks for a move or a command and carries it out; returns True for a new game."""
        piece = "XO"[self._person]
        prompt = "new or quit? " if self._over else f"Your move ({piece}): "
        text = self._ask(prompt).strip()
        word = text.lower()
        if word in ("quit", "exit", "q"):
            raise Leave
        if word == "new":
            return True
        if word in ("help", "?"):
            self._help()
        elif word in ("board", ""):
            self._show()
        elif word == "hint":
            self._hint()
        elif word == "undo":
            self._undo()
        else:
            self._move(text)
        return False

    def _move(self, text: str) -> None:
        """Plays the person's move, or prints why the text is not a legal move."""
        if self._over:
            self._say("The game is over; choose from new, undo, board, quit.")
            return
        state = self._past[-1][0]
        legal = np.flatnonzero(np.asarray(self._rules.legal_actions(state))).tolist()
        try:
            action = text_to_action(self._game, text, state)
            error = None if action in legal else f"{text} is not a legal move here"
        except ValueError:
            action, error = -1, f"{text!r} is neither a move nor a command (help lists those)"
        if error:
            names = [action_to_text(self._game, choice, state) for choice in legal]
            self._say(f"{error}; choose from {_listed(names)}.")
            return
        self._step(action)

    def _reply(self) -> None:
        """Searches and plays the version's move."""
        with self._console.status(f"{self._name} is thinking"):
            action = int(self._analyst.search(self._past[-1][0], self._sims).action)
        name = action_to_text(self._game, action, self._past[-1][0])
        self._say(f"{self._name} plays {name}")
        self._step(action)

    def _step(self, action: int) -> None:
        self._past.append((self._rules.step(self._past[-1][0], action), action))
        if self._over or self._player == self._person:
            self._show()

    def _undo(self) -> None:
        """Goes back to the person's previous turn."""
        mine = [
            index
            for index, (state, _) in enumerate(self._past[:-1])
            if int(self._game.player(state)) == self._person
        ]
        if not mine:
            self._say("There is no move of yours to take back.")
            return
        del self._past[mine[-1] + 1 :]
        self._show()

    def _hint(self) -> None:
        state = self._past[-1][0]
        with self._console.status("looking"):
            candidates = analyze(self._analyst, state, self._sims, least=3)
            value = self._analyst.evaluate(state).value
        if not candidates:
            self._say("The game is over: there is nothing to hint at.")
            return
        table = Table("move", "network", "search", "you win", "expected line", box=None)
        for candidate in candidates:
            table.add_row(
                action_to_text(self._game, candidate.action, state),
                f"{candidate.prior:.0%}",
                f"{candidate.share:.0%}",
                f"{candidate.winrate:.0%}",
                self._line(state, candidate.line),
            )
        self._console.print(table)
        self._say(
            f"The network alone gives you {(1 + float(value)) / 2:.0%} here (a draw counts half)."
        )

    def _line(self, state: Any, line: Sequence[int]) -> str:
        names = []
        for action in line:
            names.append(action_to_text(self._game, action, state))
            state = self._rules.step(state, action)
        return " ".join(names)

    def _show(self) -> None:
        state, last = self._past[-1]
        *rows, status = board_to_text(self._game, state, last).splitlines()
        board = Text("\n".join(rows))
        for piece, color in COLORS.items():
            board.highlight_regex(rf"(?<![A-Za-z]){piece}(?![A-Za-z])", color)
        if self._over:
            outcome = int(self._game.outcome(state)) * (1 - 2 * self._person)
            status = {1: "You win.", 0: "A draw.", -1: f"{self._name} wins."}[outcome]
        else:
            who = "you" if self._player == self._person else self._name
            turn, *note = status.split("; ")
            status = "; ".join([f"{turn} ({who})", *note])  # the note: a last move off the board
        self._console.print(Panel.fit(board))
        self._say(status)

    def _help(self) -> None:
        example = action_to_text(self._game, self._game.num_actions // 2)
        table = Table(box=None, show_header=False)
        table.add_row("a move", f"such as {example}")
        for word, meaning in HELP.items():
            table.add_row(word, meaning)
        self._console.print(table)

    def _say(self, text: str) -> None:
        self._console.print(Text(text))

    @property
    def _over(self) -> bool:
        return bool(self._game.is_terminal(self._past[-1][0]))

    @property
    def _player(self) -> int:
        return int(self._game.player(self._past[-1][0]))


def _listed(names: Sequence[str]) -> str:
    """Joins the choices to one line; leaves out the middle of a long list."""
    if len(names) > SHOWN:
        return ", ".join([*names[: SHOWN - 2], "...", names[-1]])
    return ", ".join(names)
