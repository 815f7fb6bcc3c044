"""A version as a Go engine that speaks GTP version 2, for GUIs and match runners.

`Server.respond` answers one line and is all there is to test; `serve` is the loop around it. The
server never resigns, plays at once whatever the clock says (its budget is simulations, not
seconds), and counts by our rules: area, every stone on the board alive.

`lz-analyze` and `kata-analyze` answer with one line of candidates and stay open until the next
line comes in, as Leela Zero's and KataGo's do (KataGo, docs/GTP_Extensions.md). Visits there are
the policy's share of the budget; winrates are those of a search from the position after the move.
"""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from games.go import Go
from games.notation import action_to_text, board_to_text
from selfplay.serve import protocol
from selfplay.serve.analysis import Candidate, Thinker, analyse
from selfplay.serve.goban import Goban, load_sgf
from selfplay.serve.protocol import GtpError, count

Arguments = tuple[str, ...]
NAME = "oomzero"
BARE = frozenset("protocol_version name version list_commands quit".split()) | frozenset(
    "clear_board undo showboard final_score".split()
)
"""Commands without arguments."""
FLAGS = "ownership movesOwnership ownershipStdev pvVisits pvEdgeVisits rootInfo".split()
"""Options of the analysis that ask for what we do not have: taken, and without effect."""


class GoThinker(Thinker, Protocol):
    """A thinker whose rules may be changed; `selfplay.version.Version` is one."""

    def under(self, *, komi: float) -> "GoThinker":
        """The same thinker with another komi; ValueError if the rules do not take it."""
        ...


class Server:
    """One game of Go, played and shown on command.

    Args:
        thinker: who plays; its game is Go.
        num_simulations: its budget for a move.
        version: what "version" answers.

    Raises:
        ValueError: the game is another one.
    """

    def __init__(self, thinker: GoThinker, num_simulations: int, version: str = "1") -> None:
        game = thinker.game
        if not isinstance(game, Go):
            raise ValueError(
                f"GTP is spoken in Go only; this version plays {game.name}; "
                "play it with launch/play.py terminal"
            )
        self.ended = False  # True after "quit"
        self._names = thinker.game  # for notation, which is every game's
        self._trained, self._thinker = thinker, thinker
        self._komi = game.komi
        self._sims = num_simulations
        self._version = version
        self._goban = Goban(game)
        self._analysing = False
        self._commands: dict[str, Callable[[Arguments], str]] = {
            "protocol_version": lambda _: "2",
            "name": lambda _: NAME,
            "version": lambda _: self._version,
            "list_commands": lambda _: "\n".join(self._commands),
            "known_command": self._known_command,
            "quit": self._quit,
            "boardsize": self._boardsize,
            "clear_board": self._clear_board,
            "komi": self._set_komi,
            "play": self._play,
            "genmove": self._genmove,
            "reg_genmove": self._reg_genmove,
            "undo": self._undo,
            "showboard": self._showboard,
            "time_settings": self._time_settings,
            "time_left": self._time_left,
            "final_score": self._final_score,
            "loadsgf": self._loadsgf,
            "lz-analyze": lambda arguments: self._analyse(arguments, _lz_info),
            "kata-analyze": lambda arguments: self._analyse(arguments, _kata_info),
        }

    def warm_up(self) -> None:
        """Compile what a move needs, before a controller's clock runs."""
        self._thinker.search(self._goban.state, self._sims)
        self._goban.play(0, self._goban.game.num_actions - 1)
        self._goban.undo()

    def respond(self, line: str) -> str:
        """What to write after a line came in; nothing if it is blank. Never raises."""
        close, self._analysing = ("\n" if self._analysing else ""), False
        request = protocol.read(line)
        if request is None:
            return close
        try:
            if len(line) > protocol.MAX_LINE:
                raise GtpError(f"syntax error: more than {protocol.MAX_LINE} characters")
            command = self._commands.get(request.command)
            if command is None:
                raise GtpError("unknown command")
            if request.command in BARE:
                count(request.arguments, 0, 0, f"{request.command}, without arguments")
            text, mark = command(request.arguments), "="
        except GtpError as error:
            text, mark = str(error), "?"
        except Exception as error:  # whatever it is, the next command shall find us here
            traceback.print_exc(file=sys.stderr)
            text, mark = f"internal error: {type(error).__name__}: {error}", "?"
        said = protocol.answer(request.id, text, mark)
        return close + (said[:-1] if self._analysing else said)

    def close(self) -> str:
        """What to write when no more lines come: the end of an open analysis."""
        close, self._analysing = ("\n" if self._analysing else ""), False
        return close

    def _known_command(self, arguments: Arguments) -> str:
        count(arguments, 1, 1, "known_command COMMAND")
        return "true" if arguments[0] in self._commands else "false"

    def _quit(self, arguments: Arguments) -> str:
        self.ended = True
        return ""

    def _boardsize(self, arguments: Arguments) -> str:
        count(arguments, 1, 1, "boardsize SIZE")
        if protocol.integer(arguments[0]) != self._goban.game.size:
            raise GtpError("unacceptable size")
        return self._clear_board(())

    def _clear_board(self, arguments: Arguments) -> str:
        self._goban = Goban(self._goban.game)
        return ""

    def _set_komi(self, arguments: Arguments) -> str:
        count(arguments, 1, 1, "komi KOMI")
        self._play_with(protocol.number(arguments[0]))
        return ""

    def _play_with(self, komi: float) -> None:
        """Let the thinker know the komi, and compile its search now rather than in a move."""
        if komi == self._komi:
            return
        try:
            same = komi == self._goban.game.komi
            self._thinker = self._trained if same else self._trained.under(komi=komi)
        except ValueError as error:
            raise GtpError(f"unacceptable komi: {error}") from None
        self._komi = komi
        self._thinker.search(Goban(self._goban.game).state, self._sims)

    def _play(self, arguments: Arguments) -> str:
        count(arguments, 2, 2, "play COLOUR VERTEX")
        player = protocol.colour(arguments[0])
        action = protocol.vertex(self._names, arguments[1])
        try:
            self._goban.play(player, action)
        except ValueError as error:
            raise GtpError(str(error)) from None
        return ""

    def _genmove(self, arguments: Arguments) -> str:
        count(arguments, 1, 1, "genmove COLOUR")
        player = protocol.colour(arguments[0])
        action = self._choose(player)
        self._goban.play(player, action)
        return self._vertex(action)

    def _reg_genmove(self, arguments: Arguments) -> str:
        count(arguments, 1, 1, "reg_genmove COLOUR")
        return self._vertex(self._choose(protocol.colour(arguments[0])))

    def _choose(self, player: int) -> int:
        """The search's move; a pass once our rules have ended the game."""
        if self._goban.over:
            return self._goban.game.num_actions - 1
        return int(self._thinker.search(self._goban.at_turn(player), self._sims).action)

    def _undo(self, arguments: Arguments) -> str:
        try:
            self._goban.undo()
        except ValueError as error:
            raise GtpError(str(error)) from None
        return ""

    def _showboard(self, arguments: Arguments) -> str:
        goban = self._goban
        return "\n" + board_to_text(self._names, goban.state, goban.last_action)

    def _time_settings(self, arguments: Arguments) -> str:
        count(arguments, 3, 3, "time_settings MAIN_TIME BYO_YOMI_TIME BYO_YOMI_STONES")
        for argument in arguments:
            protocol.integer(argument)
        return ""

    def _time_left(self, arguments: Arguments) -> str:
        count(arguments, 3, 3, "time_left COLOUR TIME STONES")
        protocol.colour(arguments[0])
        for argument in arguments[1:]:
            protocol.integer(argument)
        return ""

    def _final_score(self, arguments: Arguments) -> str:
        margin = self._goban.margin() - self._komi
        return "0" if margin == 0 else f"{'B' if margin > 0 else 'W'}+{abs(margin):g}"

    def _loadsgf(self, arguments: Arguments) -> str:
        count(arguments, 1, 2, "loadsgf FILENAME [MOVE_NUMBER]")
        before = protocol.integer(arguments[1]) if len(arguments) == 2 else None
        try:
            loaded = load_sgf(self._goban.game, Path(arguments[0]), before)
        except ValueError as error:
            raise GtpError(f"cannot load file: {error}") from None
        if loaded.komi is not None:
            self._play_with(loaded.komi)
        self._goban = loaded.goban
        return loaded.note

    def _analyse(self, arguments: Arguments, info: "Format") -> str:
        player, least, most = _analysis_options(arguments)
        state = self._goban.at_turn(self._goban.player if player is None else player)
        found = analyse(self._thinker, state, self._sims, most, least)
        self._analysing = True
        words = [
            f"info move {self._vertex(candidate.action)} "
            + info(candidate, max(1, round(candidate.share * self._sims)))
            + f" order {order} pv {' '.join(map(self._vertex, candidate.line))}"
            for order, candidate in enumerate(found)
        ]
        return "\n" + " ".join(words)

    def _vertex(self, action: int) -> str:
        return action_to_text(self._names, action)


Format = Callable[[Candidate, int], str]


def _lz_info(candidate: Candidate, visits: int) -> str:
    """Ten-thousandths, as Leela Zero writes them."""
    winrate, prior = round(1e4 * candidate.winrate), round(1e4 * candidate.prior)
    return f"visits {visits} winrate {winrate} prior {prior}"


def _kata_info(candidate: Candidate, visits: int) -> str:
    """Fractions, as KataGo writes them."""
    return (
        f"visits {visits} utility {candidate.value:.6f} winrate {candidate.winrate:.6f} "
        f"prior {candidate.prior:.6f}"
    )


def _analysis_options(arguments: Arguments) -> tuple[int | None, int, int]:
    """(player or None, least and most moves) of ``[colour] [interval] [key value]...``."""
    words = list(arguments)
    player, least, most = None, 1, 5
    if words and words[0].lower() in ("b", "w", "black", "white"):
        player = protocol.colour(words.pop(0))
    if words and words[0].isdigit():
        protocol.integer(words.pop(0))  # the interval: there is one line only
    while words:
        key, value = words.pop(0), words.pop(0) if words else ""
        if key == "minmoves":
            least = protocol.integer(value)
        elif key == "maxmoves":
            most = max(1, protocol.integer(value))
        elif key == "interval":
            protocol.integer(value)
        elif key not in FLAGS or value.lower() not in ("true", "false"):
            protocol.syntax_error(f"{protocol.quote(f'{key} {value}')} is no option here")
    return player, least, max(least, most)


def serve(server: Server, lines: BinaryIO, out: BinaryIO) -> None:
    """Answer line by line until "quit" or the end of `lines`, or until nobody reads `out`."""
    try:
        while not server.ended:
            line = lines.readline(protocol.MAX_LINE + 1)
            if not line:
                break
            rest = line
            while len(rest) > protocol.MAX_LINE and not rest.endswith(b"\n"):
                rest = lines.readline(protocol.MAX_LINE + 1)  # the rest of a huge line
            out.write(server.respond(line.decode("utf-8", errors="replace")).encode())
            out.flush()
        out.write(server.close().encode())
        out.flush()
    except BrokenPipeError:
        pass
