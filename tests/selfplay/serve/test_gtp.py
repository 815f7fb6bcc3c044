"""The GTP server: every command, and any input."""

import gzip
import io
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import games
from selfplay.serve import goban
from selfplay.serve.gtp import Server, serve
from selfplay.serve.protocol import MAX_LINE
from tests.selfplay.serve.analysts import FirstLegal, untrained
from tests.selfplay.serve.controller import ANSWER, rejection, send

COMMANDS = (
    "protocol_version name version list_commands known_command quit boardsize clear_board komi "
    "play genmove reg_genmove undo showboard time_settings time_left final_score loadsgf "
    "fixed_handicap place_free_handicap set_free_handicap final_status_list kgs-time_settings "
    "kgs-genmove_cleanup lz-analyze kata-analyze lz-genmove_analyze kata-genmove_analyze"
).split()


def test_server_names_itself_and_its_commands(server: Server) -> None:
    assert send(server, "protocol_version") == "2"
    assert send(server, "name") == "oomzero"
    assert send(server, "version") == "test"
    assert sorted(send(server, "list_commands").split("\n")) == sorted(COMMANDS)
    assert {send(server, f"known_command {name}") for name in COMMANDS} == {"true"}
    assert send(server, "known_command gg-undo") == "false"
    assert rejection(server, "gg-undo 2") == "unknown command"


def test_answer_has_the_frame_of_the_protocol(server: Server) -> None:
    respond = server.respond
    assert respond("name\n") == "= oomzero\n\n"
    assert respond("17 name\n") == "=17 oomzero\n\n"
    assert respond("17 nam\n") == "?17 unknown command\n\n"
    assert respond("17 clear_board\n") == "=17\n\n"
    assert respond("  5\t name # a comment\n") == "=5 oomzero\n\n"
    assert respond("name\r\n") == "= oomzero\n\n"
    assert respond("n\x07am\x00e\n") == "= oomzero\n\n"
    assert respond("7\n") == "?7 unknown command\n\n"
    assert respond("99999999999 name\n") == "? unknown command\n\n"
    for blank in ("\n", "  \t\n", "# nothing else\n", "\x01\n"):
        assert respond(blank) == ""
    assert respond("showboard\n").startswith("=\n  A B C D E\n5 . . . . .\n")


def test_game_is_played_in_turn(server: Server) -> None:
    assert send(server, "play b c3", "genmove white") == "A5"
    assert send(server, "reg_genmove BLACK") == send(server, "reg_genmove b") == "B5"
    assert send(server, "genmove b") == "B5"
    assert "5(O)" not in send(server, "showboard")
    assert "5 O(X)" in send(server, "showboard")
    assert rejection(server, "play w A5") == "illegal move"
    assert send(server, "undo", "undo", "reg_genmove w") == "A5"


def test_undo_stops_at_the_start(server: Server) -> None:
    empty = send(server, "showboard")
    send(server, "play b a1", "play w b2", "undo", "undo")
    assert send(server, "showboard") == empty
    assert rejection(server, "undo") == "cannot undo"


def test_color_may_move_twice_and_a_ko_is_not_retaken(server: Server) -> None:
    """The ko at B2 and C2, retaken at once, in turn and out of turn."""
    send(server, *(f"play b {v}" for v in ("b1", "a2", "b3")))
    send(server, *(f"play w {v}" for v in ("c1", "d2", "c3", "b2")))
    send(server, "play b c2")
    assert rejection(server, "play w b2") == "illegal move"
    send(server, "play b e5")
    assert send(server, "play w b2") == "", "the board has changed"
    send(server, "undo", "undo")
    send(server, "play w pass", "play b pass")
    assert send(server, "play w b2") == "", "after two passes only superko forbids it"
    assert rejection(server, "play b c2") == "illegal move", "the same ko, retaken at once"


def test_game_may_continue_after_two_passes(server: Server) -> None:
    send(server, "play b c3", "play w pass", "play b pass")
    assert send(server, "genmove w") == "pass"
    assert send(server, "play w a1", "genmove b") == "A5"


def test_game_may_be_longer_than_max_plies(server: Server) -> None:
    for _ in range(26):
        send(server, "play b pass", "play b pass")
    send(server, "play b c3")
    assert "3 . .(X). ." in send(server, "showboard")
    assert rejection(server, "play w c3") == "illegal move"


def test_score_is_area_and_komi(server: Server) -> None:
    assert send(server, "final_score") == "W+0.5"
    assert send(server, "play b c3", "final_score") == "B+24.5"
    assert send(server, "komi 25", "final_score") == "0"
    assert send(server, "komi -3", "final_score") == "B+28"
    assert send(server, "play w a1", "final_score") == "B+3"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("boardsize 19", "unacceptable size"),
        ("boardsize", "syntax error: usage: boardsize SIZE"),
        ("boardsize five", "syntax error: 'five' is not an unsigned integer"),
        ("boardsize -5", "'-5' is not an unsigned integer"),
        ("komi nan", "'nan' is not a number"),
        ("komi 1_0", "'1_0' is not a number"),
        ("komi 0.3", "unacceptable komi: go: komi=0.3 must be a whole or half number"),
        ("komi 1e9", "unacceptable komi"),
        ("play b", "usage: play COLOR VERTEX"),
        ("play b c3 c4", "usage: play COLOR VERTEX"),
        ("play green c3", "'green' is not a color; choose from black, white, b, w"),
        ("play b f1", "'f1' is not a vertex; choose from A1 to E5, or pass"),
        ("play b 3c", "is not a vertex"),
        ("play b resign", "is not a vertex"),
        ("genmove", "usage: genmove COLOR"),
        ("genmove b w", "usage: genmove COLOR"),
        ("genmove c3", "'c3' is not a color"),
        ("undo 2", "usage: undo, without arguments"),
        ("time_settings 1 2", "usage: time_settings"),
        ("time_settings 1 2 -3", "'-3' is not an unsigned integer"),
        ("time_settings -1 2 3", "'-1' is negative"),
        ("time_settings 1 nan 3", "'nan' is not a number"),
        ("time_settings 1 2 3.5", "'3.5' is not an unsigned integer"),
        ("time_left b 1.5 2.5", "'2.5' is not an unsigned integer"),
        ("time_left b 1", "usage: time_left"),
        ("time_left 1 2 3", "'1' is not a color"),
        ("loadsgf", "usage: loadsgf"),
        ("loadsgf /no/such/file.sgf", "cannot load file: No such file or directory"),
        ("loadsgf /", "cannot load file: it is not a file"),
        ("kata-analyze ponder", "unknown option 'ponder'; choose from interval,"),
        ("kata-analyze b 10 maxmoves", "'' is not an unsigned integer"),
        ("lz-analyze avoid b c3", "usage: avoid COLOR VERTEX,VERTEX,... DEPTH"),
        ("x" * MAX_LINE, f"syntax error: more than {MAX_LINE} characters"),
        ("play b " + "9" * 200, "is not a vertex"),
    ],
)
def test_invalid_input_is_rejected_in_a_sentence(server: Server, line: str, expected: str) -> None:
    send(server, "play b c3")
    before = send(server, "showboard")
    answer = rejection(server, line)
    assert expected in answer and len(answer) < 300
    assert send(server, "showboard") == before


def test_clock_commands_are_accepted(server: Server) -> None:
    assert send(server, "time_settings 0 5 1", "time_left b 12 0", "genmove b") == "A5"


SGF = "(;GM[1]FF[4]SZ[5]KM[2.5]AB[aa][ee];W[cc];B[ba](;W[dd];B[])(;W[db]))"


def test_game_record_is_loaded(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "game.sgf"
    path.write_text(SGF)
    send(server, "play b a1", f"loadsgf {path}")
    shown = send(server, "showboard")
    assert shown.split("\n")[1:6] == [
        "5 X X . . .", "4 . . . . .", "3 . . O . .", "2 . . . O .", "1 . . . . X"
    ]  # fmt: skip
    assert "last move: pass" in shown
    assert send(server, "final_score") == "W+1.5"
    assert send(server, f"loadsgf {path} 2", "showboard").split("\n")[1] == "5 X . . . ."
    send(server, f"loadsgf {path} 1")
    assert rejection(server, "undo") == "cannot undo"
    assert send(server, f"loadsgf {path} 99", "undo", "undo") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SGF.replace("SZ[5]", "SZ[9]"), "can be played on 5×5: another board size"),
        (SGF.replace("W[dd]", "W[aa]"), "move 3 is illegal"),
        (SGF.replace(";W[dd]", ";AW[dd]"), "stones set up after the first move"),
        ("(;SZ[5]PB[\xff\xff\\];B[aa];W[bb])", "encodings disagree about the moves"),
        (SGF.replace("SZ[5]", "SZ[x]"), "no game that can be played"),
        (SGF.replace("W[dd]", "W[zz]"), "no game that can be played"),
        ("(" * 100_000, "no game that can be played"),
        ("hello", "no game that can be played"),
        ("", "no game that can be played"),
        ("(;SZ[5]C[" + "x" * (1 << 20) + "])", "more than 1,048,576 bytes"),
    ],
)
def test_invalid_record_changes_nothing(
    server: Server, tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "game.sgf"
    path.write_bytes(text.encode("utf-8" if "×" in text else "latin-1"))
    send(server, "play b c3")
    before = send(server, "showboard")
    assert expected in rejection(server, f"loadsgf {path}")
    assert send(server, "showboard") == before
    assert send(server, "final_score") == "B+24.5"


def test_file_without_end_is_rejected(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goban, "MAX_BYTES", 1000)
    path = tmp_path / "game.sgf"
    path.write_bytes(gzip.compress(b"x" * 1001 + b"(;SZ[5];B[aa])"))
    assert "a damaged file" in rejection(server, f"loadsgf {path}")
    path.write_bytes(b"x" * 900 + b"(;SZ[5];B[aa])")
    send(server, f"loadsgf {path}")


def load(server: Server, path: Path, data: bytes | str) -> tuple[str, str]:
    """Loads a record; returns the answer to loadsgf, and the board without its frame."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    answer = send(server, f"loadsgf {path}")
    board = send(server, "showboard").split("\n")[1:6]
    return answer, "/".join(row[2:11].replace("(", " ").replace(")", " ") for row in board)


@pytest.mark.parametrize(
    ("komi", "score"),
    {
        "KM[375]": "W+7.5", "KM[6,5]": "W+6.5", "KM[750]": "W+7.5", "KM[3.75]": "W+7.5",
        "KM[-3]": "B+3", "KM[]": "W+0.5", "": "W+0.5", "KO[2.5]": "W+2.5",
    }.items(),
)  # fmt: skip
def test_komi_is_loaded_as_it_is_imported(
    server: Server, tmp_path: Path, komi: str, score: str
) -> None:
    text = f"(;GM[1]SZ[5]{komi};B[aa];W[bb])"
    answer, _ = load(server, tmp_path / "x.sgf", text)
    assert answer == "" and send(server, "final_score") == score


@pytest.mark.parametrize("komi", ["six", "1.23", "999", "1e9", "nan", "七目半"])
def test_unusable_komi_of_a_record_is_ignored(server: Server, tmp_path: Path, komi: str) -> None:
    send(server, "komi 3.5")
    answer, board = load(server, tmp_path / "x.sgf", f"(;SZ[5]KM[{komi}];B[aa];W[bb])")
    assert "the komi stays as it was" in answer and board.startswith("X")
    assert send(server, "final_score") == "W+3.5"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp932", "hz"])
def test_record_in_any_encoding_is_loaded(server: Server, tmp_path: Path, encoding: str) -> None:
    text = "(;GM[1]SZ[5]PB[表];B[aa];W[bb];B[cc])"
    _, board = load(server, tmp_path / "x.sgf", text.encode(encoding))
    assert board == "X . . . ./. O . . ./. . X . ./. . . . ./. . . . ."


@pytest.mark.parametrize(
    ("text", "board", "undone"),
    [
        ("(;SZ[5];B[aa]W[bb];B[cc]W[dd];B[ee])", "X..../.O.../..X../...O./....X", 5),
        ("(;SZ[5];W[bb]B[aa][cc])", "X..../.O.../..X../...../.....", 3),
        ("(;SZ[5];AB[aa][ee];W[cc])", "X..../...../..O../...../....X", 1),
        ("(;SZ[5]HA[2];B[aa];W[];B[ee];W[cc])", "X..../...../..O../...../....X", 4),
        ("(\nTE[x]\nSZ[5]\n;B[aa];W[bb])", "X..../.O.../...../...../.....", 2),
        ("(;SZ[5];B[aa];W[];B[];W[bb];W[cc])", "X..../.O.../..O../...../.....", 5),
    ],
)
def test_every_move_of_a_record_is_loaded(
    server: Server, tmp_path: Path, text: str, board: str, undone: int
) -> None:
    _, shown = load(server, tmp_path / "x.sgf", text)
    assert shown.replace(" ", "") == board
    send(server, *["undo"] * undone)
    assert rejection(server, "undo") == "cannot undo"


@pytest.mark.parametrize(
    ("head", "player"),
    {
        "PL[B]AB[aa]AW[bb]": "b", "PL[W]AB[aa]AW[bb]": "w", "PL[white]": "w", "AB[aa][ee]": "w",
        "AB[aa]AW[bb]": "b", "": "b", "PL[B]AB[aa]": "b", "AB[aa];PL[B]": "b",
    }.items(),
)  # fmt: skip
def test_problem_names_the_player_to_move(
    server: Server, tmp_path: Path, head: str, player: str
) -> None:
    load(server, tmp_path / "x.sgf", f"(;SZ[5]{head})")
    assert server._goban.player == "bw".index(player)  # pyright: ignore


INFO = r"info move \S+ visits \d+ {} order \d+ pv [A-Z0-9 pas]+"
FLOAT = r"[01]\.\d{6}"


@pytest.fixture(scope="module")
def searching() -> Server:
    """Returns a server with a real search."""
    return Server(untrained("go?size=5&komi=0.5"), 4, "test")


def test_analysis_ends_with_the_next_line(searching: Server) -> None:
    server = searching
    send(server, "clear_board", "play b c3", "play w c2")
    legal = 5 * 5 - 2 + 1
    for command, fields in (
        ("lz-analyze", r"winrate \d{1,5} prior \d{1,5}"),
        ("kata-analyze", rf"utility -?{FLOAT} winrate {FLOAT} prior {FLOAT}"),
    ):
        answer = server.respond(f"9 {command} B 50 minmoves 99 maxmoves 99 ownership true\n")
        assert re.fullmatch(rf"=9\n{INFO.format(fields)}( {INFO.format(fields)})*\n", answer), (
            answer
        )
        moves = answer[3:].split("info ")[1:]
        assert len(moves) == legal, "every legal move was asked for"
        assert [int(re.findall(r"order (\d+)", move)[0]) for move in moves] == [*range(legal)]
        for move in moves:
            assert re.findall(r"^move (\S+)", move) == re.findall(r"pv (\S+)", move)
        priors = [float(prior) for prior in re.findall(r"prior (\S+)", answer)]
        assert sum(priors) == pytest.approx(1e4 if command == "lz-analyze" else 1, rel=0.01)
        winrates = [float(rate) for rate in re.findall(r"winrate (\S+)", answer)]
        assert len(set(winrates)) > 2
        best = re.findall(r"move (\S+)", answer)[0]
        assert server.respond("10 reg_genmove b\n") == f"\n=10 {best}\n\n"
    server.respond("lz-analyze w\n")
    assert server.respond("\n") == "\n"
    assert server.respond("\n") == ""
    server.respond("lz-analyze\n")
    assert server.close() == "\n"
    assert server.close() == ""
    assert server.respond("lz-analyze nonsense\n").startswith("? syntax error")
    assert server.respond("name\n") == "= oomzero\n\n"
    send(server, "play b pass", "play w pass")
    assert server.respond("kata-analyze b\n").startswith("=\ninfo"), "the board may be looked at"


def test_won_position_has_winrate_1(searching: Server) -> None:
    """The player who owns the board and passes last has won: the winrate is 1 for either color."""
    searching.close()
    send(searching, "clear_board", "play b c3", "play w pass")
    answer = searching.respond("kata-analyze b 1 minmoves 30 maxmoves 30\n")
    assert re.findall(r"move pass visits \d+ utility 1.000000 winrate 1.000000", answer)
    searching.close()
    send(searching, "clear_board", "play w c3", "play b pass")
    answer = searching.respond("lz-analyze w 1 minmoves 30 maxmoves 30\n")
    assert re.findall(r"move pass visits \d+ winrate 10000 prior", answer)


def test_internal_error_does_not_stop_the_server(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("all\n\ngone\x07")

    monkeypatch.setattr(FirstLegal, "search", fail)
    assert rejection(server, "genmove b") == "internal error: MemoryError: all\n \ngone"
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.undo()
    assert send(server, "genmove b") == "A5"


def test_other_games_are_rejected() -> None:
    with pytest.raises(ValueError, match="GTP is for Go only; this version plays hex"):
        Server(FirstLegal(games.make("hex", size=3)), 4)  # pyright: ignore


def test_komi_reaches_the_rules_of_the_search(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    search = FirstLegal.search

    def note(analyst: FirstLegal, state: object, num_simulations: int = 0) -> object:
        rules: Any = analyst.game
        seen.append(rules.komi)
        return search(analyst, state, num_simulations)

    monkeypatch.setattr(FirstLegal, "search", note)
    send(server, "komi 6.5", "play b c3", "genmove w", "komi 0.5", "genmove b")
    assert seen == [6.5, 0.5]


def test_new_komi_compiles_nothing(searching: Server, caplog: pytest.LogCaptureFixture) -> None:
    searching.close()
    lines = "clear_board", "genmove b", "reg_genmove w", "lz-genmove_analyze w", "final_score"

    def compilations(work: Callable[[], object]) -> int:
        caplog.clear()
        with caplog.at_level(logging.WARNING), jax.log_compiles():
            work()
        return sum(message.startswith("Compiling") for message in caplog.messages)

    send(searching, *lines)
    for komi in ("7", "-3.5", "0", "0.5"):
        assert compilations(lambda komi=komi: send(searching, f"komi {komi}", *lines)) == 0
    assert compilations(lambda: jax.jit(lambda x: 2 * x)(1.0)) == 1, "they are counted"


def test_version_plays_with_another_komi_but_not_on_another_board() -> None:
    version = untrained("go?size=5&komi=24.5")
    other = version.with_game_options(komi=-3)
    assert other.game == games.make("go", size=5, komi=-3.0) != version.game
    assert other.params is version.params
    with pytest.raises(ValueError, match="was trained on go"):
        version.with_game_options(size=9)
    with pytest.raises(ValueError, match="has no option 'sise'"):
        version.with_game_options(sise=9)


def loop(server: Server, data: bytes) -> bytes:
    out = io.BytesIO()
    serve(server, io.BytesIO(data), out)
    return out.getvalue()


def test_loop_ends_with_quit_or_the_input(server: Server) -> None:
    assert loop(server, b"1 name\n2 quit\n3 name\n") == b"=1 oomzero\n\n=2\n\n"
    server.ended = False
    assert loop(server, b"1 name\n2 name") == b"=1 oomzero\n\n=2 oomzero\n\n"
    assert loop(server, b"1 lz-analyze b maxmoves 1").endswith(b" pv A5 B5\n\n")
    huge = b"x" * (3 * MAX_LINE) + b" name\n"
    assert loop(server, huge + b"7 name\n") == (
        f"? syntax error: more than {MAX_LINE} characters\n\n=7 oomzero\n\n".encode()
    )
    assert loop(server, b"\xff\xfe play \xe9\n5 name\n").startswith(b"? unknown command\n\n=5")


WORDS = st.one_of(
    st.sampled_from(COMMANDS),
    st.sampled_from("b w white BLACK a1 c3 E5 f6 pass resign 5 0 -1 7 0.5 1e400 # true".split()),
    st.sampled_from(
        [
            "interval",
            "maxmoves",
            "avoid",
            "allow",
            "alive",
            "/dev/null",
            "/proc/self/mem",
            "ownership",
        ]
    ),
    st.text(max_size=8),
    st.integers(0, 2**40).map(str),
)
LINES = st.lists(WORDS, max_size=5).map(" ".join)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(lines=st.lists(st.one_of(LINES, st.text(max_size=40)), max_size=8))
def test_any_line_has_a_well_formed_answer(shared: Server, lines: list[str]) -> None:
    open_analysis = False
    for line in lines:
        answer = shared.respond(line + "\n")
        if open_analysis:
            assert answer[0] == "\n"
            answer = answer[1:]
        bare = re.sub(r"[^\n -~]", "", line.replace("\t", " "))
        open_analysis = "analyze" in bare and answer[:1] == "=" and not answer.endswith("\n\n")
        assert answer == "" or ANSWER.fullmatch(answer + "\n" * open_analysis), (line, answer)
        assert "internal error" not in answer, (line, answer)
    shared.close()
    shared.ended = False
    assert shared.respond("1 clear_board\n") == "=1\n\n"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_survived_by_the_loop(shared: Server, data: bytes) -> None:
    shared.ended = False
    answer = loop(shared, data + b"\n\n77 name\n").decode()
    assert shared.ended or answer.endswith("=77 oomzero\n\n")
    assert len(ANSWER.findall(answer)) >= 1
