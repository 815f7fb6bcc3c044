"""Client of Go engines that speak GTP version 2, each in its own process.

    with Engine("gnugo --mode gtp --level 0", timeout_s=10) as engine:
        engine.new_game(game)
        engine.play("b", "D4")
        vertex = engine.genmove("w")

No behavior of an engine can harm the driver. Silence, an exit, garbage and endless output all raise
`EngineFailure`, whose text is the reason to record. The process is then killed, and the next
`new_game` starts another one. No engine outlives its driver (`selfplay.process`). Our rules decide
whether a move is legal and who has won, so the engine is never asked.

Many engines deviate from the specification. The client sends one command at a time, and every
answer that a game needs fits on one line, so it can read them without guessing:

- An answer is a line that begins with "=" or "?" and the command's id, with or without blanks.
  All other lines (banners, comments, the rest of an answer, blank lines) are skipped.
- An engine whose first answer lacks the id is expected to omit all ids. To "play" and to the
  commands that begin a game it must answer "=" alone, so that no surplus answer passes for a move.
- A move is the first word of its answer ("D4", "d4", "D04", "D4.", "D4 # 51 %"), unless the second
  word also names a move ("D4 D5").

Everything else is a failure. `check_engine` detects it before any game is rated.

Protocol: Farnebäck, "Specification of the Go Text Protocol, version 2, draft 2" (2002).
"""

import re
import shlex
import time
from collections import deque
from typing import Literal, NoReturn

from games.game import Game
from games.notation import action_to_text, text_to_action
from selfplay.process.child import Process
from selfplay.runs.files import describe

Color = Literal["b", "w"]
"""Black is player 0, White player 1."""

MAX_ANSWER = 1 << 20  # bytes until an answer; longer output counts as endless
FIRST_ID = 101  # larger than any protocol version, so that a version is never read as an id
GRACE_S = 0.5  # between "quit" and the kill
SHOWN = 60  # characters of an answer that a reason quotes

_CONTROLS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f\ufeff]"
)  # with colors, BOM
_ANSWER = re.compile(r"([=?])(?![^\w\s])\s*(\d*)\s*(.*)", re.ASCII)  # "==" and "=>" begin none
_EDGES = " \t.,;:!'\"()[]<>*"  # around a move, without a meaning


class EngineFailure(Exception):
    """A failure of an engine; the text is a clause whose subject is the engine."""


class Engine:
    """A GTP engine; its process starts in a ``with`` statement, or with the first `new_game`.

    Args:
        command: the command line, split as a shell would, but run without one.
        timeout_s: seconds for each answer.
        start_s: seconds for the first answer, in which an engine may load its network; at least
            `timeout_s`.

    Raises:
        ValueError: `command` is empty or has an open quote, or a time is not positive.
    """

    def __init__(self, command: str, timeout_s: float = 60.0, start_s: float = 60.0) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"the engine's command {command!r} has {error}") from None
        if not self._words:
            raise ValueError("the engine's command is empty")
        if timeout_s <= 0:
            raise ValueError(f"an engine needs time to answer, got {timeout_s:g} s")
        self.command = command
        self.timeout_s = timeout_s
        self._start_s = max(start_s, timeout_s)
        self._process: Process | None = None
        self._game: Game | None = None  # the current game, whose vertices the engine may answer
        self._lines = deque[bytes]()  # complete lines that are not read yet
        self._unread = b""  # the incomplete line after them
        self._id = 0
        self._echoes = True  # its answers carry the command's id

    @property
    def program(self) -> str:
        """The program that is run: the first word of the command."""
        return self._words[0]

    def __enter__(self) -> "Engine":
        """Starts the process.

        Raises:
            EngineFailure: the process did not start, or did not answer.
        """
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def new_game(self, game: Game) -> None:
        """Begins a game with `game`'s size and komi; starts a process if none is running.

        Raises:
            EngineFailure: the engine failed, or refuses this size or komi.
        """
        self._start()
        self._game = game
        size = game.observation_shape[0]
        for command in (f"boardsize {size}", f"komi {game.komi:g}", "clear_board"):
            self._tell(command)

    def play(self, color: Color, vertex: str) -> None:
        """Tells the engine about a move, a GTP vertex such as "D4" or "pass".

        Raises:
            EngineFailure: the engine failed, or refused the move as illegal.
        """
        self._tell(f"play {color} {vertex}")

    def genmove(self, color: Color) -> str:
        """Asks for a move: a name as in `games.notation` ("D4", "pass"), or "resign".

        Raises:
            EngineFailure: the engine failed, or its answer is not one move on the board.
            ValueError: there is no game.
        """
        if self._game is None:
            raise ValueError("an engine moves in a game; begin one with new_game")
        command = f"genmove {color}"
        answer = self._ask(command, self.timeout_s, move=True)
        moves = [_move(self._game, word) for word in answer.partition("#")[0].split()[:2]]
        if not moves or moves[0] is None or any(moves[1:]):
            self._fail(
                f"answered garbage: {_quote(answer)} to {command!r}, where one vertex of the "
                'board, "pass" or "resign" was expected'
            )
        return moves[0]

    def send(self, text: str) -> str:
        """Sends a command and returns the first line of the answer, without "=", id and blanks.

        Raises:
            EngineFailure: no process, no answer in time, an exit, garbage, or "?".
            ValueError: `text` is not one line of printable characters.
        """
        if not text.strip() or not text.isprintable() or "#" in text:
            raise ValueError(f"a GTP command is one line without comment or controls, not {text!r}")
        return self._ask(text, self.timeout_s)

    def close(self) -> None:
        """Asks the engine to quit, then ends it and all that it started, if it is running."""
        if self._process is not None:
            if self._process.write(b"quit\n"):
                self._process.wait(GRACE_S)
            self._kill()

    def _start(self) -> None:
        """Starts the process, unless it is running."""
        if self._process is not None:
            return
        try:
            self._process = Process(self._words)
        except OSError as error:
            raise EngineFailure(f"could not be started: {describe(error)}") from None
        self._lines.clear()
        self._unread, self._id = b"", FIRST_ID - 1
        try:
            self._ask("protocol_version", self._start_s, first=True)
        except EngineFailure:
            self._kill()
            raise

    def _tell(self, text: str) -> None:
        """Sends a command whose answer carries no information."""
        answer = self._ask(text, self.timeout_s)
        if answer and not self._echoes:
            self._fail(
                f"answered garbage: {_quote(answer)} to {text!r}, where '=' alone was expected "
                "from an engine that omits the ids"
            )

    def _ask(self, text: str, timeout_s: float, *, first: bool = False, move: bool = False) -> str:
        """Sends a command and returns the first line of the answer.

        Args:
            text: the command, without an id.
            timeout_s: seconds until the line.
            first: True = the process's first command, whose answer shows whether it has ids.
            move: True = a move is asked for; if the first line is empty, it is on the next one.
        """
        if self._process is None:
            raise EngineFailure("is not running; a new game starts it")
        deadline = time.monotonic() + timeout_s
        self._id += 1
        has_read = self._process.write(f"{self._id} {text}\n".encode())
        below, skipped, size = False, "", 0
        while True:
            while self._lines:
                # As a terminal shows the line, which a progress bar overwrites.
                line = self._lines.popleft().rstrip(b"\r").rpartition(b"\r")[2]
                words = _CONTROLS.sub("", line.decode("utf-8", errors="replace")).strip()
                if below:
                    return words
                if (answer := self._parse(words, text, first)) is None:
                    skipped = words or skipped
                elif answer or not move:
                    return answer
                else:
                    below = True
            if size > MAX_ANSWER:
                self._fail(f"answered garbage: over {MAX_ANSWER:,} bytes without end to {text!r}")
            try:
                data = self._process.read(deadline)
            except EOFError:
                self._fail(f"{self._process.ending()} at {text!r}")
            size += len(data)
            *lines, self._unread = (self._unread + data).split(b"\n")
            self._lines.extend(lines)
            if time.monotonic() >= deadline:
                shown = self._unread.decode("utf-8", errors="replace").strip() or skipped
                only = f", only {_quote(shown)}" if shown else ""
                deaf = "" if has_read else ", which it did not even read"
                self._fail(
                    f"no answer within {timeout_s:g} s to {text!r}{deaf}{only}; "
                    f"a line that begins with '={self._id}' was expected"
                )

    def _parse(self, line: str, text: str, first: bool) -> str | None:
        """Returns the content of a line that answers the command `text`; None for other lines."""
        parts = _ANSWER.fullmatch(line)
        if parts is None:
            return None
        mark, number, content = parts.groups()
        has_id = number == str(self._id)
        if first:
            self._echoes = has_id
        if self._echoes and not has_id:
            self._fail(f"answered garbage: {_quote(line)} without the id {self._id} of {text!r}")
        if not has_id:
            content = f"{number} {content}"
        if mark == "?" and not first:  # to the first command, a refusal is an answer as well
            raise EngineFailure(f"refused {text!r}: {_quote(content)}, where '=' was expected")
        return content.strip()

    def _fail(self, reason: str) -> NoReturn:
        """Kills the engine, since its next output would answer an earlier command, and raises."""
        self._kill()
        raise EngineFailure(reason)

    def _kill(self) -> None:
        """Kills the process, if it is running."""
        if self._process is not None:
            self._process.kill()
            self._process = None


def _move(game: Game, word: str) -> str | None:
    """Returns the move that a word of an answer names; None if it is not a move."""
    name = word.strip(_EDGES).casefold()
    if name in ("resign", "pass"):
        return name
    vertex = re.sub(r"^([a-z])0+(?=\d)", r"\1", name).upper()
    try:
        text_to_action(game, vertex)
    except ValueError:
        return None
    return vertex


def _quote(answer: str) -> str:
    """Quotes the beginning of an answer for an error message."""
    words = " ".join(answer.split())
    return repr(words if len(words) <= SHOWN else words[:SHOWN] + "…")


def check_engine(command: str, game: Game, timeout_s: float = 60.0, start_s: float = 60.0) -> None:
    """Checks that an engine does all that a rated game needs, in its own process.

    Raises:
        ValueError: the engine failed; names the engine, its answer and what was expected.
    """
    center = action_to_text(game, game.observation_shape[0] ** 2 // 2)
    try:
        with Engine(command, timeout_s, start_s) as engine:
            engine.new_game(game)
            engine.play("b", center)
            engine.genmove("w")
            engine.new_game(game)  # would read anything that the engine adds to a move
            engine.genmove("b")
    except EngineFailure as failure:
        raise ValueError(f"the engine {command!r} cannot be rated: it {failure}") from None
