"""Reading of one record: the game, or why it is rejected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.go import Go
from selfplay.experts.game_record import ExpertGame
from selfplay.experts.sgf import reader
from selfplay.experts.sgf.scan import main_lines
from tests.selfplay.experts.records import GAME, PASS, point, random_moves
from tests.selfplay.experts.records import sgf as record


def read(text: str, game: Go = GAME) -> ExpertGame:
    return reader.read(text.encode(), game)


@pytest.mark.parametrize("seed", (0, 1, 4, 5, 6))  # no handicap: White does not pass at first
def test_moves_are_read_as_they_were_played(seed: int) -> None:
    moves = random_moves(seed, passes=0.2)
    game = reader.read(record(moves), GAME)
    assert game.moves.tolist() == moves and game.moves.dtype == np.int16
    assert game.start is None and not game.no_value_reason


def test_pass_is_empty_or_tt() -> None:
    game = read("(;GM[1]SZ[5]KM[6]RE[0];B[tt];W[aa];B[];W[ ea\n])")
    assert game.moves.tolist() == [PASS, 0, PASS, 4]


@pytest.mark.parametrize(
    ("text", "komi"),
    {
        "7.5": 7.5, "750": 7.5, "375": 7.5, "3.75": 7.5, "650": 6.5, "0": 0.0, "0.5": 0.5,
        "7,5": 7.5, "7.50000": 7.5, " 5.5 ": 5.5, "2.75": 5.5, "+6": 6.0,
    }.items(),
)  # fmt: skip
def test_komi_is_read_as_servers_write_it(text: str, komi: float) -> None:
    game = read(f"(;SZ[5]KM[{text}]RE[B+R];B[aa])")
    assert game.komi == komi and not game.no_value_reason


@pytest.mark.parametrize(
    ("text", "why"),
    {
        "": "komi not known", "six": "komi not known", "nan": "komi not known",
        "1e999": "komi not known", "9" * 4000: "komi not known", "٧": "komi not known",
        "-5.5": reader.HIDDEN, "6.3": reader.HIDDEN, "65": reader.HIDDEN, "20.5": reader.HIDDEN,
    }.items(),
)  # fmt: skip
def test_komi_that_planes_cannot_show_removes_the_value_target(text: str, why: str) -> None:
    game = read(f"(;SZ[5]KM[{text}]RE[B+R];B[aa])", Go(5, komi=6.5))
    assert (game.komi, game.no_value_reason, game.outcome) == (6.5, why, 1)
    assert read("(;SZ[5]RE[B+R];B[aa])").no_value_reason == "komi not known"


@pytest.mark.parametrize(
    ("text", "outcome"),
    {
        "B+R": 1, "W+Resign": -1, "b+0.5": 1, "W": -1, "Black wins": 1, "B+": 1, "W+T": -1,
        "White+3": -1, "Black resigns": -1,
        "0": 0, "Draw": 0, "jigo": 0, "黑中盘胜": 1, "白勝": -1, "黒5目半勝": 1,
        "和棋": 0, "": None, "?": None, "Void": None, "Both lost": None, "Won by B": None,
    }.items(),
)  # fmt: skip
def test_outcome_is_the_records_result(text: str, outcome: int | None) -> None:
    game = read(f"(;SZ[5]KM[7.5]RE[{text}];B[aa])")
    assert game.outcome == outcome
    assert game.no_value_reason == ("no result" if outcome is None else "")


def test_margin_that_contradicts_komi_removes_the_value_target() -> None:
    assert read("(;SZ[5]KM[0]RE[B+5.5];B[aa])").no_value_reason == reader.MARGIN
    assert not read("(;SZ[5]KM[6.5]RE[B+5.5];B[aa])").no_value_reason
    assert not read("(;SZ[5]KM[0]RE[B+5];B[aa])").no_value_reason
    assert (
        read("(;SZ[5]KM[7]RE[B+0];B[aa])").no_value_reason == reader.MARGIN
    )  # a draw, or nobody counted
    assert not read("(;SZ[5]KM[7.5]RE[B+0.0];B[aa])").no_value_reason


def test_set_up_stones_become_the_start() -> None:
    game = read("(;SZ[5]KM[0.5]RE[W+R]AB[aa:ba][ee]AW[cc];AE[ba]AB[dd]PL[W];W[ab];B[bb])")
    board = np.zeros((5, 5), int)
    board[0, 0] = board[4, 4] = board[3, 3] = 1
    board[2, 2] = -1
    assert game.start is not None and game.start.player == 1
    np.testing.assert_array_equal(game.start.board, board)
    assert game.moves.tolist() == [5, 6]


def test_first_player_is_the_records() -> None:
    game = read("(;SZ[5]KM[7.5]RE[W+R];W[ab];B[bb];W[cc])")
    assert game.start is not None and game.start.player == 1
    assert not game.start.board.any()


def test_handicap_moves_become_the_start() -> None:
    game = read("(;SZ[5]KM[0.5]HA[2]RE[W+R];B[bb];B[dd];W[cc];B[ca])")
    assert game.start is not None and game.start.player == 1
    assert np.flatnonzero(game.start.board).tolist() == [6, 18]
    assert game.moves.tolist() == [12, 2] and game.notes == (reader.HANDICAP,)


@pytest.mark.parametrize(
    ("head", "opening", "stones"),
    [
        ("HA[2]", ";B[bb];W[];B[dd]", [6, 18]),
        ("HA[2]", ";W[];B[bb];W[tt];B[dd]", [6, 18]),
        ("HA[3]", ";B[bb];W[];B[dd];W[];B[bd]", [6, 16, 18]),
        ("", ";B[bb];W[];B[dd]", [6, 18]),  # what HA leaves out the moves tell
        ("HA[0]", ";B[bb];W[];B[dd]", [6, 18]),
    ],
)
def test_handicap_moves_with_passes_between_become_the_start(
    head: str, opening: str, stones: list[int]
) -> None:
    game = read(f"(;SZ[5]KM[0.5]{head}RE[W+R]{opening};W[cc];B[ca])")
    assert game.start is not None and game.start.player == 1
    assert np.flatnonzero(game.start.board).tolist() == stones
    assert (game.start.board >= 0).all()
    assert game.moves.tolist() == [12, 2] and game.notes == (reader.HANDICAP,)


@pytest.mark.parametrize(
    "moves",
    [
        "HA[3];B[bb];W[];B[dd];W[cc]",  # HA names another number
        ";B[bb];W[];B[bb];W[cc]",  # twice the same point
        ";B[];W[];B[bb];W[cc]",  # nothing is laid
        ";W[];B[bb];W[cc]",  # one stone is no handicap
        "HA[2]AB[aa][ee];W[];B[bb];W[cc]",  # the handicap is set up already
        "".join(f";B[{point(i)}];W[]" for i in range(10)) + ";B[ee];W[]",  # White never plays
    ],
)
def test_early_passes_without_a_handicap_are_rejected(moves: str) -> None:
    with pytest.raises(reader.InvalidRecord, match="White passes before his first stone"):
        read(f"(;SZ[5]KM[0.5]RE[W+R]{moves})")
    later = read("(;SZ[5]KM[0.5]RE[W+R];B[bb];W[cc];B[dd];W[];B[ee];W[])")
    assert len(later.moves) == 6 and later.start is None


def test_record_of_sina_is_read() -> None:
    (line,) = main_lines(
        ["(\r\nTE[第1届]\r\nSZ[5]\r\nKO[3.75]\r\nRE[黑胜2又3/4子];B[bb];W[cc])".encode()]
    )
    assert isinstance(line, bytes)
    game = reader.read(line, GAME)
    assert (game.moves.tolist(), game.komi, game.outcome) == ([6, 12], 7.5, 1)


def test_parse_returns_what_is_written() -> None:
    line = reader.parse(b"(;SZ[5]PL[w];AB[aa]PL[Black];W[bb]B[cc];B[dd]KM[])", 5)
    assert line.player == 0 and line.crowded and not line.komi_text
    assert line.moves == [(1, 6), (0, 12), (0, 18)]
    assert np.flatnonzero(line.board).tolist() == [0]


def test_game_is_cut_after_two_passes() -> None:
    game = read("(;SZ[5]KM[7.5]RE[W+R];B[bb];W[];B[];W[cc];B[ca])")
    assert game.moves.tolist() == [6, PASS, PASS] and game.notes == (reader.CUT,)
    assert read("(;SZ[5]KM[7.5]RE[W+R];B[bb];W[];B[])").notes == ()


BAD = {
    "(;GM[2]SZ[5];B[aa])": "another game than Go",
    "(;GM[1]SZ[9];B[aa])": "another board size",
    "(;GM[1];B[aa])": "another board size",  # 19×19, says SGF
    "(;SZ[5:7];B[aa])": "another board size",
    "(;SZ[five];B[aa])": "another board size",
    "(;SZ[5])": "no moves",
    "(;SZ[5]AB[aa])": "no moves",
    "(;SZ[5];B[zz])": "a move that is no point of the board",
    "(;SZ[5];B[fa])": "a move that is no point of the board",
    "(;SZ[5];B[aaa])": "a move that is no point of the board",
    "(;SZ[5];B[aa][bb])": "two moves in one node",
    "(;SZ[5];B[aa]W[bb])": "two moves in one node",
    "(;SZ[5];B[aa];B[bb])": "colours do not alternate",
    "(;SZ[5]HA[3];B[aa];B[bb];W[cc])": "colours do not alternate",
    "(;SZ[5]HA[2];B[aa];B[];W[cc])": "colours do not alternate",
    "(;SZ[5]HA[2];B[aa];B[aa];W[cc])": "colours do not alternate",
    "(;SZ[5];B[aa];AW[bb];W[cc])": "stones set up after the first move",
    "(;SZ[5]AB[zz];B[aa])": "a set-up stone that is on no point of the board",
    "(;SZ[5]AB[ee:aa];B[aa])": "a set-up stone that is on no point of the board",
    "(;SZ[5];B]aa[)": "not readable as SGF",
    "(;SZ;B[aa])": "not readable as SGF",
    "(;[5];B[aa])": "not readable as SGF",
    "(;SZ[5]" + ";W[aa];B[]" * 51 + ")": "more than 100 moves",
}


@pytest.mark.parametrize(("text", "why"), BAD.items())
def test_invalid_record_has_a_reason(text: str, why: str) -> None:
    with pytest.raises(reader.InvalidRecord) as reason:
        read(text)
    assert str(reason.value) == why


TEXTS = r"; B W [aa] [] AB AE [aa:cc] KM RE [B+1] [- ] SZ[5] HA[2] \ [tt] BR [九段] [1e9]"
tokens = st.sampled_from([*TEXTS.encode().split(), b"\x00", b"\xff", b" "])


@settings(deadline=None, derandomize=True)
@given(st.lists(tokens, max_size=30).map(b"".join) | st.binary(max_size=60))
def test_read_accepts_or_rejects_any_bytes(middle: bytes) -> None:
    try:
        game = reader.read(b"(;SZ[5];B[aa]" + middle + b")", GAME)
    except reader.InvalidRecord as reason:
        assert str(reason)
    else:
        assert 0 < len(game.moves) <= 100
        assert ((game.moves >= 0) & (game.moves <= PASS)).all()


def test_points_are_named_as_sgf_does() -> None:
    game = reader.read(record(range(25)), GAME)
    assert game.moves.tolist() == list(range(25)) and point(7) == "cb"
