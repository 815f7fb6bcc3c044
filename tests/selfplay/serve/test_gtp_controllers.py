"""The GTP server as controllers use it: handicap, clocks, scoring, analysis of chosen moves.

Not the game itself, which is in test_gtp.py.
"""

import io
import re

import pytest

import games
from selfplay.serve.gtp import Server, serve
from selfplay.serve.protocol import TIME_SYSTEMS
from tests.selfplay.serve.analysts import FirstLegal
from tests.selfplay.serve.controller import rejection, send


def test_every_listed_command_is_known_and_answered(server: Server) -> None:
    listed = send(server, "list_commands").split("\n")
    assert len(set(listed)) == len(listed)
    for command in listed:
        assert send(server, f"known_command {command}") == "true"
        answer = server.respond(f"{command}\n") + server.close()
        assert answer[0] in "=?" and "unknown command" not in answer, command


# Games that never end by their length.


def fill(server: Server) -> None:
    """White fills the board except E5, Black captures all there, White plays on: 50 moves."""
    points = [f"{column}{row}" for row in range(1, 6) for column in "ABCDE"]
    for point in points[:-1]:
        send(server, "play b pass", f"play w {point}")
    send(server, "play b e5", "play w a1")


def test_search_works_in_a_game_longer_than_max_plies(server: Server) -> None:
    fill(server)
    assert send(server, "genmove b") == "A5"
    assert send(server, "genmove w") == "B5"
    assert send(server, "lz-genmove_analyze b").endswith("play C5")
    assert server.respond("lz-analyze w 10\n").startswith("=\ninfo move D5 ")
    server.close()
    send(server, "play w pass", "play b pass")
    assert send(server, "genmove w") == "pass", "two passes end it"


def test_move_that_only_superko_forbids_is_reported(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    vertices = "D2 E2 A5 C2 C4 C1 D3 C5 E4 D1 E5 E3 E1".split()
    for number, vertex in enumerate(vertices):
        send(server, f"play {'bw'[number % 2]} {vertex}")
    assert capsys.readouterr().err == ""
    assert send(server, "play w E2") == ""
    (line,) = capsys.readouterr().err.splitlines()
    assert "play w E2" in line and "superko" in line
    assert "2 . . O X(O)" in send(server, "showboard")


# Handicap.


@pytest.fixture(scope="module")
def server_7() -> Server:
    return Server(FirstLegal(games.make("go", size=7)), 4, "test")


def test_fixed_handicap_is_placed(server_7: Server) -> None:
    assert send(server_7, "fixed_handicap 4") == "C3 E5 C5 E3"
    board = send(server_7, "showboard").split("\n")
    assert [line.split()[1:] for line in board[1:8]] == [
        list(row)
        for row in (".......", ".......", "..X.X..", ".......", "..X.X..", ".......", ".......")
    ]
    assert "O to move" in board[-1]
    assert rejection(server_7, "undo") == "cannot undo"
    assert rejection(server_7, "fixed_handicap 2") == "board not empty"
    send(server_7, "clear_board")
    assert rejection(server_7, "fixed_handicap 5").startswith("invalid number of stones: 5 ")


def test_free_handicap_is_chosen_by_the_server(server: Server) -> None:
    assert send(server, "place_free_handicap 3") == "A5 B5 C5"
    assert "5 X X X . ." in send(server, "showboard")
    assert server.respond("lz-analyze\n").startswith("=\ninfo move D5 ")
    assert server.close() == "\n"
    assert send(server, "genmove w") == "D5"
    assert send(server, "undo", "final_score") == "B+24.5"
    assert rejection(server, "undo") == "cannot undo"


def test_free_handicap_is_chosen_by_the_controller(server: Server) -> None:
    assert send(server, "play b pass", "set_free_handicap c3 A1") == ""
    shown = send(server, "showboard")
    assert "3 . . X . ." in shown and "1 X . . . ." in shown and "O to move" in shown
    assert send(server, "genmove w") == "A5"


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
        ("set_free_handicap a1 f6", "syntax error: 'f6' is not a vertex"),
    ],
)
def test_invalid_handicap_is_rejected(server: Server, line: str, expected: str) -> None:
    before = send(server, "showboard")
    assert rejection(server, line).startswith(expected)
    assert send(server, "showboard") == before


def test_handicap_needs_an_empty_board(server: Server) -> None:
    send(server, "play w c3")
    for line in ("place_free_handicap 2", "set_free_handicap a1 a2"):
        assert rejection(server, line) == "board not empty"


# Scoring.


def test_every_chain_is_alive(server: Server) -> None:
    assert send(server, "final_status_list alive") == ""
    send(server, "play b a1", "play b b1", "play w c1", "play w e5")
    lines = send(server, "final_status_list alive").split("\n")
    assert sorted(sorted(line.split()) for line in lines) == [["A1", "B1"], ["C1"], ["E5"]]
    assert send(server, "final_status_list dead") == send(server, "final_status_list seki") == ""
    assert rejection(server, "final_status_list territory").startswith(
        "syntax error: unknown status"
    )
    assert rejection(server, "final_status_list").startswith("syntax error: usage")


def test_cleanup_continues_after_two_passes(server: Server) -> None:
    send(server, "play b c3", "play w pass", "play b pass")
    assert send(server, "genmove w") == "pass"
    send(server, "undo")
    assert send(server, "kgs-genmove_cleanup w") == "A5"
    assert "5 (O)" in send(server, "showboard").replace("5(O)", "5 (O)")
    assert rejection(server, "kgs-genmove_cleanup").startswith("syntax error: usage")


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
def test_valid_clock_is_accepted(server: Server, line: str) -> None:
    assert send(server, line) == ""


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
        ("kgs-time_settings byoyomi 1 2 2.5", "'2.5' is not an unsigned integer"),
        ("kgs-time_settings canadian 1 -2 2", "'-2' is negative"),
        ("kgs-time_settings absolute soon", "'soon' is not a number"),
    ],
)
def test_invalid_clock_is_rejected(server: Server, line: str, expected: str) -> None:
    assert rejection(server, line).startswith(f"syntax error: {expected}")


# Analysis of some moves, and with a move.


def candidates(server: Server, line: str) -> list[str]:
    """Returns the moves of an analysis, the best first."""
    answer = server.respond(line + "\n")
    assert answer.startswith("=\n") and server.close() == "\n", answer
    return re.findall(r"info move (\S+)", answer)


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
def test_analysis_is_restricted_to_some_moves(server: Server, options: str, expected: str) -> None:
    send(server, "play w c3")
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
def test_invalid_lists_of_moves_are_rejected(server: Server, options: str) -> None:
    for command in ("lz-analyze", "kata-analyze", "lz-genmove_analyze", "kata-genmove_analyze"):
        assert rejection(server, f"{command} {options}").startswith("syntax error: ")
    assert rejection(server, "undo") == "cannot undo", "nothing was played"


@pytest.mark.parametrize("command", ["lz-genmove_analyze", "kata-genmove_analyze"])
def test_move_is_played_with_its_analysis(server: Server, command: str) -> None:
    answer = server.respond(f"7 {command} b 10 maxmoves 2\n")
    info = r"info move \S+ visits \d+ [^\n]+ order \d+ pv \S+ \S+"
    assert re.fullmatch(rf"=7\n{info}\nplay A5\n\n", answer), answer
    assert len(re.findall("info", answer)) == 2
    assert server.respond("\n") == "", "the analysis is closed"
    assert send(server, f"{command} w allow w E1,E2 1").endswith("\nplay E2")
    assert send(server, f"{command} avoid b b5 1 avoid w c5 1").endswith("\nplay C5")
    shown = send(server, "showboard")
    assert "5 X .(X)" in shown and "2 . . . . O" in shown
    send(server, "play w pass", "play b pass")
    assert server.respond(f"{command} w\n") == "=\nplay pass\n\n"


# The first line.


def test_byte_order_mark_is_ignored(server: Server) -> None:
    for data in (b"\xef\xbb\xbfname\r\nversion\r\n", b"\xef\xbb\xbf1 name\n2 version"):
        out = io.BytesIO()
        serve(server, io.BytesIO(data), out)
        answer = re.sub(rb"(?m)^=\d", b"=", out.getvalue())
        assert answer == b"= oomzero\n\n= test\n\n"
