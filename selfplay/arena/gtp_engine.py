"""A client for Go engines that speak GTP version 2, each a process of its own.

    with Engine("gnugo --mode gtp --level 0", timeout_s=10) as engine:
        engine.new_game(game)
        engine.play("b", "D4")
        vertex = engine.genmove("w")

Nothing an engine does harms its driver: silence, an exit, garbage and endless output are all one
exception, `EngineFailure`, whose text is the reason to record. The process is killed then, and the
next `new_game` starts a fresh one. No engine outlives its driver (`guardian.py`). Whether a move
is legal and who has won is for our rules to say, so it is not asked here.

Protocol: Farnebäck, "Specification of the Go Text Protocol, version 2, draft 2" (2002).
"""

import re
import shlex
import time
from typing import Literal, NoReturn, cast

from games.game import Game
from games.go import Go
from games.notation import text_to_action
from selfplay.arena.process import Process
from selfplay.store.files import describe

Colour = Literal["b", "w"]
"""Black is player 0, White player 1."""

MAX_ANSWER = 1 << 20  # bytes; what is longer has no end
GRACE_S = 0.5  # between "quit" and the kill
SHOWN = 60  # characters of an answer that a reason quotes

_CONTROLS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")  # discarded on input, carriage returns too
_ANSWER = re.compile(r"([=?])(\d*)(?:[ \t]+(.*)|(\n.*)|)", re.DOTALL | re.ASCII)


class EngineFailure(Exception):
    """An engine did not do its part; the text is one clause that says how."""


class Engine:
    """One GTP engine; its process starts when entered, or else with the first `new_game`.

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
        self._names: Game | None = None  # whose vertices the engine may answer
        self._unread = b""
        self._id = 0

    @property
    def program(self) -> str:
        """The first word of the command: what is run."""
        return self._words[0]

    def __enter__(self) -> "Engine":
        """Start the process.

        Raises:
            EngineFailure: it did not start, or did not answer.
        """
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def new_game(self, game: Go) -> None:
        """An empty board of `game`'s size and komi, in a fresh process if there is none.

        Raises:
            EngineFailure: the engine failed, or refuses this size or komi.
        """
        self._start()
        self._names = cast(Game, game)  # a protocol's property hides that Go is one
        for command in (f"boardsize {game.size}", f"komi {game.komi:g}", "clear_board"):
            self.send(command)

    def play(self, colour: Colour, vertex: str) -> None:
        """Tell the engine about a move, a GTP vertex such as "D4" or "pass".

        Raises:
            EngineFailure: the engine failed, or holds the move to be illegal.
        """
        self.send(f"play {colour} {vertex}")

    def genmove(self, colour: Colour) -> str:
        """The engine's move as `games.notation` names it ("D4", "pass"), or "resign".

        Raises:
            EngineFailure: the engine failed, or what it answered is no vertex of the board.
        """
        command = f"genmove {colour}"
        vertex = self.send(command).strip()
        if vertex.casefold() in ("resign", "pass"):
            return vertex.casefold()
        try:
            if self._names is not None:
                text_to_action(self._names, vertex)
        except ValueError:
            self._fail(f"answered garbage: {_quote(vertex)} to {command!r}")
        return vertex.upper()

    def send(self, text: str) -> str:
        """What the engine answers to one command, without the "=" and the line ends around it.

        Raises:
            EngineFailure: no process, no answer in time, an exit, garbage, or "?".
            ValueError: `text` is not one line of printable characters.
        """
        if not text.strip() or not text.isprintable() or "#" in text:
            raise ValueError(f"a GTP command is one line without comment or controls, not {text!r}")
        return self._ask(text, self.timeout_s)

    def close(self) -> None:
        """Ask it to quit, then end it and all it started; harmless if nothing runs."""
        if self._process is not None:
            if self._process.write(b"quit\n"):
                self._process.wait(GRACE_S)
            self._kill()

    def _start(self) -> None:
        if self._process is not None:
            return
        try:
            self._process = Process(self._words)
        except OSError as error:
            raise EngineFailure(f"could not be started: {describe(error)}") from None
        self._unread, self._id = b"", 0
        try:
            self._ask("protocol_version", self._start_s)
        except EngineFailure:
            self._kill()
            raise

    def _ask(self, text: str, timeout_s: float) -> str:
        if self._process is None:
            raise EngineFailure("is not running; a new game starts it")
        deadline = time.monotonic() + timeout_s
        self._id += 1
        listening = self._process.write(f"{self._id} {text}\n".encode())
        while True:
            # Blank lines outside an answer mean nothing, so this is the end of one.
            answer, end, rest = self._unread.lstrip(b" \t\n").partition(b"\n\n")
            if end:
                self._unread = rest
                return self._parse(answer.decode("utf-8", errors="replace"), text)
            line, newline, _ = answer.partition(b"\n")
            if newline and line[:1] not in (b"=", b"?"):  # its end might never come
                self._fail(f"answered garbage: {_quote(line.decode(errors='replace'))} to {text!r}")
            if len(self._unread) > MAX_ANSWER:
                self._fail(f"answered garbage: over {MAX_ANSWER:,} bytes without end to {text!r}")
            try:
                data = self._process.read(deadline)
            except EOFError:
                self._fail(f"{self._process.ending()} at {text!r}")
            self._unread += _CONTROLS.sub(b"", data)
            if time.monotonic() >= deadline:
                deaf = "" if listening else ", which it did not even read"
                self._fail(f"no answer within {timeout_s:g} s to {text!r}{deaf}")

    def _parse(self, answer: str, text: str) -> str:
        """What a whole answer to `text` says."""
        parts = _ANSWER.fullmatch(answer)
        if parts is None:
            self._fail(f"answered garbage: {_quote(answer)} to {text!r}")
        if parts[2] != str(self._id):
            self._fail(f"answered garbage: {_quote(answer)} without the id {self._id} of {text!r}")
        said = (parts[3] or parts[4] or "").rstrip().lstrip("\n")
        if parts[1] == "?":
            raise EngineFailure(f"refused {text!r}: {_quote(said)}")
        return said

    def _fail(self, reason: str) -> NoReturn:
        """Whatever it says next would be the answer to something else: end it."""
        self._kill()
        raise EngineFailure(reason)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


def _quote(answer: str) -> str:
    """The beginning of an answer, as a reason shows it."""
    words = " ".join(answer.split())
    return repr(words if len(words) <= SHOWN else words[:SHOWN] + "…")
