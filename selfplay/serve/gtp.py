"""A version as a Go engine that speaks GTP version 2, for GUIs and match runners.

`Server.respond` answers one line; `serve` is the loop around it. The server never resigns and moves
at once regardless of the clock, because its budget is simulations, not seconds. It scores by our
rules: area, with all stones on the board alive.

A game ends by two passes only, however long it is (`goban.py`). A controller may have another ko
rule, so its moves are accepted if only positional superko forbids them, with a note on stderr; the
server itself never plays such a move.

`lz-analyze` and `kata-analyze` answer with one line of candidates and stay open until the next
line arrives, as in Leela Zero and KataGo (KataGo, docs/GTP_Extensions.md). Their visits are the
policy's share of the budget; their winrates come from a search of the position after the move.
`lz-genmove_analyze` and `kata-genmove_analyze` play the first candidate.

Besides the standard's commands, the server has those that controllers send without checking
`list_commands`, and those that a feature of a controller needs: handicap, clocks, scoring, cleanup
after two passes, analysis of a region, and `genmove_analyze`. It leaves out commands that
controllers check for before use (`kgs-game_over`, `kgs-chat`, `kata-set-rules`, `gomill-*`,
`gogui-*`, `cgos-*`).
"""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from games.go import as_go
from games.notation import action_to_text, board_to_text
from selfplay.serve import handicap, protocol
from selfplay.serve.analysis import Analyst, Candidate, analyze
from selfplay.serve.goban import Goban, load_sgf
from selfplay.serve.protocol import GtpError, check_count

Arguments = tuple[str, ...]
NAME = "oomzero"
WITHOUT_ARGUMENTS = frozenset(
    "protocol_version name version list_commands quit".split()
) | frozenset("clear_board undo showboard final_score".split())
"""The commands without arguments."""
STATUSES = ("alive", "seki", "dead")


class GoAnalyst(Analyst, Protocol):
    """An analyst of Go whose komi can be changed; `selfplay.players.version.Version` is one."""

    def with_game_options(self, *, komi: float) -> "GoAnalyst":
        """Returns the same analyst with another komi; raises ValueError for an invalid one."""
        ...


class Server:
    """A GTP engine with one game of Go.

    Args:
        analyst: the player; its game is Go.
        num_simulations: its budget for a move.
        version: the answer to the command "version".

    Raises:
        ValueError: the analyst plays another game.
    """

    def __init__(self, analyst: GoAnalyst, num_simulations: int, version: str = "1") -> None:
        game = as_go(analyst.game)
        if game is None:
            raise ValueError(f"GTP is for Go only; this version plays {analyst.game.name}")
        self.ended = False  # True after "quit"
        self._trained, self._analyst = analyst, analyst
        self._komi = game.komi
        self._sims = num_simulations
        self._version = version
        self._goban = Goban(game)
        self._analyzing = False
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
            "fixed_handicap": self._fixed_handicap,
            "place_free_handicap": self._place_free_handicap,
            "set_free_handicap": self._set_free_handicap,
            "final_status_list": self._final_status_list,
            "kgs-time_settings": self._kgs_time_settings,
            "kgs-genmove_cleanup": self._genmove_cleanup,
            "lz-analyze": lambda arguments: self._analyze(arguments, _lz_info),
            "kata-analyze": lambda arguments: self._analyze(arguments, _kata_info),
            "lz-genmove_analyze": lambda arguments: self._genmove_analyze(arguments, _lz_info),
            "kata-genmove_analyze": lambda arguments: self._genmove_analyze(arguments, _kata_info),
        }

    def warm_up(self) -> None:
        """Compiles everything that a move needs, before a controller's clock runs."""
        self._analyst.search(self._goban.state, self._sims)
        self._goban.position_for(1)  # needed by moves out of turn and by long games
        self._goban.play(0, self._pass)
        self._goban.undo()

    def respond(self, line: str) -> str:
        """Answers a line; returns "" if it is blank. Never raises."""
        close, self._analyzing = ("\n" if self._analyzing else ""), False
        request = protocol.read(line)
        if request is None:
            return close
        try:
            if len(line) > protocol.MAX_LINE:
                raise GtpError(f"syntax error: more than {protocol.MAX_LINE} characters")
            command = self._commands.get(request.command)
            if command is None:
                raise GtpError("unknown command")
            if request.command in WITHOUT_ARGUMENTS:
                check_count(request.arguments, 0, 0, f"{request.command}, without arguments")
            text, mark = command(request.arguments), "="
        except GtpError as error:
            text, mark = str(error), "?"
        except Exception as error:  # the server must be able to answer the next command
            traceback.print_exc(file=sys.stderr)
            text, mark = f"internal error: {type(error).__name__}: {error}", "?"
        answer = protocol.answer(request.id, text, mark)
        return close + (answer[:-1] if self._analyzing else answer)

    def close(self) -> str:
        """Returns the text that ends an open analysis; "" if none is open."""
        close, self._analyzing = ("\n" if self._analyzing else ""), False
        return close

    def _known_command(self, arguments: Arguments) -> str:
        check_count(arguments, 1, 1, "known_command COMMAND")
        return "true" if arguments[0] in self._commands else "false"

    def _quit(self, arguments: Arguments) -> str:
        self.ended = True
        return ""

    def _boardsize(self, arguments: Arguments) -> str:
        check_count(arguments, 1, 1, "boardsize SIZE")
        if protocol.integer(arguments[0]) != self._goban.game.size:
            raise GtpError("unacceptable size")
        return self._clear_board(())

    def _clear_board(self, arguments: Arguments) -> str:
        self._goban = Goban(self._goban.game)
        return ""

    def _set_komi(self, arguments: Arguments) -> str:
        check_count(arguments, 1, 1, "komi KOMI")
        self._play_with(protocol.number(arguments[0]))
        return ""

    def _play_with(self, komi: float) -> None:
        """Sets the komi of the analyst's rules."""
        if komi == self._komi:
            return
        try:
            same = komi == self._goban.game.komi
            self._analyst = self._trained if same else self._trained.with_game_options(komi=komi)
        except ValueError as error:
            raise GtpError(f"unacceptable komi: {error}") from None
        self._komi = komi

    def _play(self, arguments: Arguments) -> str:
        check_count(arguments, 2, 2, "play COLOR VERTEX")
        player = protocol.color(arguments[0])
        action = protocol.vertex(self._goban.game, arguments[1])
        try:
            repeats = self._goban.play(player, action)
        except ValueError as error:
            raise GtpError(str(error)) from None
        if repeats:  # on stderr, because a controller expects an empty answer
            print(
                f"{NAME}: play {' '.join(arguments)} repeats an earlier board. Our rules forbid "
                "that (positional superko); the move is accepted.",
                file=sys.stderr,
            )
        return ""

    def _genmove(self, arguments: Arguments) -> str:
        check_count(arguments, 1, 1, "genmove COLOR")
        player = protocol.color(arguments[0])
        return self._make_move(player, self._choose(player))

    def _genmove_cleanup(self, arguments: Arguments) -> str:
        """Plays on after two passes, so that dead stones can be captured before scoring."""
        check_count(arguments, 1, 1, "kgs-genmove_cleanup COLOR")
        player = protocol.color(arguments[0])
        return self._make_move(player, self._search(player))

    def _make_move(self, player: int, action: int) -> str:
        """Plays the server's own move and returns its vertex."""
        self._goban.play(player, action)
        return self._vertex(action)

    def _reg_genmove(self, arguments: Arguments) -> str:
        check_count(arguments, 1, 1, "reg_genmove COLOR")
        return self._vertex(self._choose(protocol.color(arguments[0])))

    def _choose(self, player: int) -> int:
        """Returns the move of the search, or a pass if the game is over."""
        return self._pass if self._goban.over else self._search(player)

    def _search(self, player: int) -> int:
        return int(self._analyst.search(self._goban.position_for(player), self._sims).action)

    def _undo(self, arguments: Arguments) -> str:
        try:
            self._goban.undo()
        except ValueError as error:
            raise GtpError(str(error)) from None
        return ""

    def _showboard(self, arguments: Arguments) -> str:
        goban = self._goban
        return "\n" + board_to_text(self._goban.game, goban.state, goban.last_action)

    def _time_settings(self, arguments: Arguments) -> str:
        check_count(arguments, 3, 3, "time_settings MAIN_TIME BYO_YOMI_TIME BYO_YOMI_STONES")
        for argument in arguments[:2]:
            protocol.seconds(argument)
        protocol.integer(arguments[2])
        return ""

    def _kgs_time_settings(self, arguments: Arguments) -> str:
        protocol.check_clock(arguments)
        return ""

    def _time_left(self, arguments: Arguments) -> str:
        check_count(arguments, 3, 3, "time_left COLOR TIME STONES")
        protocol.color(arguments[0])
        protocol.seconds(arguments[1])
        protocol.integer(arguments[2])
        return ""

    def _final_score(self, arguments: Arguments) -> str:
        margin = self._goban.margin() - self._komi
        return "0" if margin == 0 else f"{'B' if margin > 0 else 'W'}+{abs(margin):g}"

    def _loadsgf(self, arguments: Arguments) -> str:
        check_count(arguments, 1, 2, "loadsgf FILENAME [MOVE_NUMBER]")
        before = protocol.integer(arguments[1]) if len(arguments) == 2 else None
        try:
            loaded = load_sgf(self._goban.game, Path(arguments[0]), before)
        except ValueError as error:
            raise GtpError(f"cannot load file: {error}") from None
        if loaded.komi is not None:
            self._play_with(loaded.komi)
        self._goban = loaded.goban
        return loaded.note

    def _final_status_list(self, arguments: Arguments) -> str:
        """Lists the chains of a status, one per line: by our rules every chain is alive."""
        check_count(arguments, 1, 1, "final_status_list STATUS")
        status = arguments[0].lower()
        if status not in STATUSES:
            protocol.syntax_error(
                f"unknown status {protocol.quote(arguments[0])}; choose from {', '.join(STATUSES)}"
            )
        chains = self._goban.chains() if status == "alive" else []
        return "\n".join(" ".join(map(self._vertex, chain)) for chain in chains)

    def _fixed_handicap(self, arguments: Arguments) -> str:
        check_count(arguments, 1, 1, "fixed_handicap NUMBER_OF_STONES")
        number = protocol.integer(arguments[0])
        try:
            points = handicap.fixed(self._goban.game.size, number)
        except ValueError as error:
            raise GtpError(f"invalid number of stones: {error}") from None
        return self._start_with(points)

    def _place_free_handicap(self, arguments: Arguments) -> str:
        check_count(arguments, 1, 1, "place_free_handicap NUMBER_OF_STONES")
        number = protocol.integer(arguments[0])
        most = self._pass - 1  # one point must stay empty
        if not 2 <= number <= most:
            raise GtpError(f"invalid number of stones: {number}; choose from 2 to {most}")
        self._check_empty()
        points = handicap.free(self._analyst, self._goban.game, number, self._sims)
        return self._start_with(points)

    def _set_free_handicap(self, arguments: Arguments) -> str:
        points = [protocol.vertex(self._goban.game, text) for text in arguments]
        if self._pass in points:
            raise GtpError("bad vertex list: it has a pass; name points only")
        if len(set(points)) < len(points):
            raise GtpError("bad vertex list: it has a point twice; name each point once")
        if not 2 <= len(points) < self._pass:
            raise GtpError(
                f"bad vertex list: it has {len(points)} points; name 2 to {self._pass - 1}"
            )
        self._start_with(points)
        return ""

    def _start_with(self, points: list[int]) -> str:
        """Places handicap stones on the empty board and returns their vertices."""
        self._check_empty()
        self._goban = handicap.start(self._goban.game, points)
        return " ".join(map(self._vertex, points))

    def _check_empty(self) -> None:
        if self._goban.chains():
            raise GtpError("board not empty")

    def _analyze(self, arguments: Arguments, info: "Format") -> str:
        options = protocol.analysis_options(self._goban.game, arguments)
        candidates = self._candidates(options)
        self._analyzing = True
        return "\n" + self._infos(candidates, info)

    def _genmove_analyze(self, arguments: Arguments, info: "Format") -> str:
        options = protocol.analysis_options(self._goban.game, arguments)
        candidates = [] if self._goban.over else self._candidates(options)
        action = candidates[0].action if candidates else self._pass
        infos = f"\n{self._infos(candidates, info)}" if candidates else ""
        return f"{infos}\nplay {self._make_move(self._player(options), action)}"

    def _candidates(self, options: protocol.AnalysisOptions) -> list[Candidate]:
        player = self._player(options)
        state = self._goban.position_for(player)
        forbidden = options.forbidden[player]
        return analyze(self._analyst, state, self._sims, options.most, options.least, forbidden)

    def _player(self, options: protocol.AnalysisOptions) -> int:
        return self._goban.player if options.player is None else options.player

    def _infos(self, candidates: list[Candidate], info: "Format") -> str:
        return " ".join(
            f"info move {self._vertex(candidate.action)} "
            + info(candidate, max(1, round(candidate.share * self._sims)))
            + f" order {order} pv {' '.join(map(self._vertex, candidate.line))}"
            for order, candidate in enumerate(candidates)
        )

    @property
    def _pass(self) -> int:
        """The action that passes; the smaller actions are the points."""
        return self._goban.game.pass_action

    def _vertex(self, action: int) -> str:
        return action_to_text(self._goban.game, action)


Format = Callable[[Candidate, int], str]


def _lz_info(candidate: Candidate, visits: int) -> str:
    """Formats a candidate as Leela Zero does, in ten-thousandths."""
    winrate, prior = round(1e4 * candidate.winrate), round(1e4 * candidate.prior)
    return f"visits {visits} winrate {winrate} prior {prior}"


def _kata_info(candidate: Candidate, visits: int) -> str:
    """Formats a candidate as KataGo does, in fractions."""
    return (
        f"visits {visits} utility {candidate.value:.6f} winrate {candidate.winrate:.6f} "
        f"prior {candidate.prior:.6f}"
    )


def serve(server: Server, lines: BinaryIO, out: BinaryIO) -> None:
    """Answers line by line until "quit", the end of `lines`, or a closed `out`."""
    try:
        while not server.ended:
            line = lines.readline(protocol.MAX_LINE + 1)
            if not line:
                break
            rest = line
            while len(rest) > protocol.MAX_LINE and not rest.endswith(b"\n"):
                rest = lines.readline(protocol.MAX_LINE + 1)  # skip the rest of a long line
            out.write(server.respond(line.decode("utf-8", errors="replace")).encode())
            out.flush()
        out.write(server.close().encode())
        out.flush()
    except BrokenPipeError:
        pass  # the controller closed the pipe: the session has ended
