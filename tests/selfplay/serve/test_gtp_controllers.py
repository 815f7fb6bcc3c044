"""The GTP server as controllers use it: handicap, clocks, scoring, analysis of chosen moves.

Not the game itself, which is in test_gtp.py.
"""

import io
import re

import pytest

import games
from selfplay.serve.gtp import Server, serve
from selfplay.serve.protocol import TIME_SYSTEMS
from tests.selfplay.serve.controller import ask, refused
from tests.selfplay.serve.thinkers import FirstLegal


def test_every_listed_command_is_known_and_answered(server: Server) -> None:
    listed = ask(server, "list_commands").split("\n")
    assert len(set(listed)) == len(listed)
    for command in listed:
        assert ask(server, f"known_command {command}") == "true"
        said = server.respond(f"{command}\n") + server.close()
        assert said[0] in "=?" and "unknown command" not in said, command


# Games that never end by their length.


def fill(server: Server) -> None:
    """White fills the board but for E5, Black takes it all there, White plays on: 50 moves."""
    points = [f"{column}{row}" for row in range(1, 6) for column in "ABCDE"]
    for point in points[:-1]:
        ask(server, "play b pass", f"play w {point}")
    ask(server, "play b e5", "play w a1")


def test_a_game_longer_than_max_plies_is_thought_about(server: Server) -> None:
    fill(server)
    assert ask(server, "genmove b") == "A5"
    assert ask(server, "genmove w") == "B5"
    assert ask(server, "lz-genmove_analyze b").endswith("play C5")
    assert server.respond("lz-analyze w 10\n").startswith("=\ninfo move D5 ")
    server.close()
    ask(server, "play w pass", "play b pass")
    assert ask(server, "genmove w") == "pass", "two passes end it"


def test_a_move_that_only_superko_forbids_is_announced(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    vertices = "D2 E2 A5 C2 C4 C1 D3 C5 E4 D1 E5 E3 E1".split()
    for number, vertex in enumerate(vertices):
        ask(server, f"play {'bw'[number % 2]} {vertex}")
    assert capsys.readouterr().err == ""
    assert ask(server, "play w E2") == ""
    (line,) = capsys.readouterr().err.splitlines()
    assert "play w E2" in line and "superko" in line
    assert "2 . . O X(O)" in ask(server, "showboard")


# Handicap.


@pytest.fixture(scope="module")
def server_7() -> Server:
    return Server(FirstLegal(games.make("go", size=7)), 4, "test")


def test_fixed_handicap(server_7: Server) -> None:
    assert ask(server_7, "fixed_handicap 4") == "C3 E5 C5 E3"
    board = ask(server_7, "showboard").split("\n")
    assert [line.split()[1:] for line in board[1:8]] == [
        list(row)
        for row in (".......", ".......", "..X.X..", ".......", "..X.X..", ".......", ".......")
    ]
    assert "O to move" in board[-1]
    assert refused(server_7, "undo") == "cannot undo"
    assert refused(server_7, "fixed_handicap 2") == "board not empty"
    ask(server_7, "clear_board")
    assert refused(server_7, "fixed_handicap 5").startswith("invalid number of stones: 5 ")


def test_free_handicap_that_we_choose(server: Server) -> None:
    assert ask(server, "place_free_handicap 3") == "A5 B5 C5"
    assert "5 X X X . ." in ask(server, "showboard")
    assert server.respond("lz-analyze\n").startswith("=\ninfo move D5 ")
    assert server.close() == "\n"
    assert ask(server, "genmove w") == "D5"
    assert ask(server, "undo", "final_score") == "B+24.5"
    assert refused(server, "undo") == "cannot undo"


def test_free_handicap_that_others_choose(server: Server) -> None:
    assert ask(server, "play b pass", "set_free_handicap c3 A1") == ""
    shown = ask(server, "showboard")
    assert "3 . . X . ." in shown and "1 X . . . ." in shown and "O to move" in shown
    assert ask(server, "genmove w") == "A5"


POINTS = [f"{column}{row}" for row in range(1, 6) for column in "ABCDE"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("fixed_handicap", "syntax error: usage: fixed_handicap NUMBER_OF_STONES"),
        ("fixed_handicap two", "syntax error: 'two'"),
        ("fixed_handicap 2", "invalid number of stones: 5×5 has no fixed handicap"),
        ("place_free_handicap 2 2", "syntax error: usage: place_free_handicap NUMBER_OF_STONES"),
        ("place_free_handicap 1", "invalid number of stones: 1; choose from 2 to 24"),
        ("place_free_handicap 25", "invalid number of stones: 25; choose from 2 to 24"),
        ("set_free_handicap", "bad vertex list: it has 0 points; name 2 to 24"),
        ("set_free_handicap a1", "bad vertex list: it has 1 points; name 2 to 24"),
        ("set_free_handicap " + " ".join(POINTS), "bad vertex list: it has 25 points"),
        ("set_free_handicap a1 A1", "bad vertex list: it has a point twice"),
        ("set_free_handicap a1 pass", "bad vertex list: it has a pass"),
        ("set_free_handicap a1 f6", "syntax error: 'f6' is no vertex"),
    ],
)
def test_a_bad_handicap_is_refused(server: Server, line: str, expected: str) -> None:
    before = ask(server, "showboard")
    assert refused(server, line).startswith(expected)
    assert ask(server, "showboard") == before


def test_handicap_needs_an_empty_board(server: Server) -> None:
    ask(server, "play w c3")
    for line in ("place_free_handicap 2", "set_free_handicap a1 a2"):
        assert refused(server, line) == "board not empty"


# Scoring.


def test_every_chain_is_alive(server: Server) -> None:
    assert ask(server, "final_status_list alive") == ""
    ask(server, "play b a1", "play b b1", "play w c1", "play w e5")
    lines = ask(server, "final_status_list alive").split("\n")
    assert sorted(sorted(line.split()) for line in lines) == [["A1", "B1"], ["C1"], ["E5"]]
    assert ask(server, "final_status_list dead") == ask(server, "final_status_list seki") == ""
    assert refused(server, "final_status_list territory").startswith("syntax error: unknown status")
    assert refused(server, "final_status_list").startswith("syntax error: usage")


def test_cleanup_goes_on_after_two_passes(server: Server) -> None:
    ask(server, "play b c3", "play w pass", "play b pass")
    assert ask(server, "genmove w") == "pass"
    ask(server, "undo")
    assert ask(server, "kgs-genmove_cleanup w") == "A5"
    assert "5 (O)" in ask(server, "showboard").replace("5(O)", "5 (O)")
    assert refused(server, "kgs-genmove_cleanup").startswith("syntax error: usage")


# Clocks.


@pytest.mark.parametrize(
    "line",
    [
        "time_settings 300 30 5",
        "time_settings 300.5 0.25 1",
        "time_settings 1e3 0 0",
        "time_left b 12 0",
        "time_left white 12.75 3",
        "kgs-time_settings none",
        "kgs-time_settings absolute 300.0",
        "kgs-time_settings byoyomi 300 30.5 5",
        "kgs-time_settings canadian 300 600 25",
        "kgs-time_settings Canadian 300 600 25",
    ],
)
def test_clocks_are_understood(server: Server, line: str) -> None:
    assert ask(server, line) == ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "kgs-time_settings",
            f"usage: kgs-time_settings SYSTEM, which is one of {', '.join(TIME_SYSTEMS)}",
        ),
        ("kgs-time_settings fischer 300 5", "usage: kgs-time_settings SYSTEM"),
        ("kgs-time_settings none 5", "usage: kgs-time_settings none"),
        ("kgs-time_settings absolute", "usage: kgs-time_settings absolute MAIN_TIME"),
        (
            "kgs-time_settings byoyomi 1 2",
            "usage: kgs-time_settings byoyomi MAIN_TIME PERIOD_TIME PERIODS",
        ),
        ("kgs-time_settings byoyomi 1 2 2.5", "'2.5' is no unsigned integer"),
        ("kgs-time_settings canadian 1 -2 2", "'-2' is negative"),
        ("kgs-time_settings absolute soon", "'soon' is no number"),
    ],
)
def test_a_bad_clock_is_refused(server: Server, line: str, expected: str) -> None:
    assert refused(server, line).startswith(f"syntax error: {expected}")


# Analysis of some moves, and with a move.


def candidates(server: Server, line: str) -> list[str]:
    """The moves of an analysis, best first."""
    said = server.respond(line + "\n")
    assert said.startswith("=\n") and server.close() == "\n", said
    return re.findall(r"info move (\S+)", said)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "A5 B5 C5 D5 E5"),
        ("avoid b A5,c5 1", "B5 D5 E5 A4 B4"),
        ("avoid b a5 10 avoid b b5 1", "C5 D5 E5 A4 B4"),
        ("avoid w A5,B5 10", "A5 B5 C5 D5 E5"),
        ("allow b E1,D5 1", "D5 E1"),
        ("allow b E1,pass 1 maxmoves 1", "E1"),
        ("allow w E1 1 allow b pass 4", "pass"),
        ("allow b A5,B5,C5 1 avoid b A5 1", "B5 C5"),
        ("allow b c3,d5 1 avoid b d5 1", ""),
        ("allow b E1 1 allow b D5 1", "D5 E1"),
        ("allow b E1,D5 1 avoid b D5 1 allow b A5 1 allow w B5 1", "A5 E1"),
    ],
)
def test_an_analysis_of_some_moves(server: Server, options: str, expected: str) -> None:
    ask(server, "play w c3")
    for command in ("lz-analyze", "kata-analyze"):
        for words in ("b 50", "50 b", "B interval 50", "10", ""):
            line = f"{command} {words} ownership true {options}"
            assert candidates(server, line) == expected.split(), line


@pytest.mark.parametrize(
    "options",
    [
        "avoid",
        "avoid b",
        "avoid b c3",
        "allow c3 5",
        "allow green c3 5",
        "avoid b z9 5",
        "avoid b c3,,d4 5",
        "avoid b c3 soon",
        "avoid b c3 -1",
        "forbid b c3 5",
        "minmoves",
        "b w",
    ],
)
def test_bad_lists_of_moves_are_refused(server: Server, options: str) -> None:
    for command in ("lz-analyze", "kata-analyze", "lz-genmove_analyze", "kata-genmove_analyze"):
        assert refused(server, f"{command} {options}").startswith("syntax error: ")
    assert refused(server, "undo") == "cannot undo", "nothing was played"


@pytest.mark.parametrize("command", ["lz-genmove_analyze", "kata-genmove_analyze"])
def test_a_move_with_its_analysis(server: Server, command: str) -> None:
    said = server.respond(f"7 {command} b 10 maxmoves 2\n")
    info = r"info move \S+ visits \d+ [^\n]+ order \d+ pv \S+ \S+"
    assert re.fullmatch(rf"=7\n{info}\nplay A5\n\n", said), said
    assert len(re.findall("info", said)) == 2
    assert server.respond("\n") == "", "it is closed"
    assert ask(server, f"{command} w allow w E1,E2 1").endswith("\nplay E2")
    assert ask(server, f"{command} avoid b b5 1 avoid w c5 1").endswith("\nplay C5")
    shown = ask(server, "showboard")
    assert "5 X .(X)" in shown and "2 . . . . O" in shown
    ask(server, "play w pass", "play b pass")
    assert server.respond(f"{command} w\n") == "=\nplay pass\n\n"


# The first line.


def test_a_byte_order_mark_is_no_part_of_a_command(server: Server) -> None:
    for data in (b"\xef\xbb\xbfname\r\nversion\r\n", b"\xef\xbb\xbf1 name\n2 version"):
        out = io.BytesIO()
        serve(server, io.BytesIO(data), out)
        said = re.sub(rb"(?m)^=\d", b"=", out.getvalue())
        assert said == b"= oomzero\n\n= test\n\n"
