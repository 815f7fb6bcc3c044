"""A game on the page: legal moves, taking back, resigning, and how it ends."""

from __future__ import annotations

import pytest

import games
from selfplay.serve.web import records
from selfplay.serve.web.live_game import LiveGame


def played(spec: str, text: str) -> LiveGame:
    return LiveGame.of_names(games.make(spec), text.split())


def test_won_game_has_no_legal_moves_and_names_its_winner() -> None:
    match = played("connect_four", "1 2 1 2 1 2 1")
    assert (match.is_over, match.legal, match.outcome) == (True, [], 1.0)
    assert match.result_text() == "first wins"
    with pytest.raises(ValueError, match="the game is over"):
        match.play(3)


def test_illegal_move_is_named() -> None:
    match = played("connect_four", "1 1 1 1 1 1")
    with pytest.raises(ValueError, match="1 is not a legal move here"):
        match.play(0)
    with pytest.raises(ValueError, match="99 is not a legal move here"):
        match.play(99)


def test_moves_are_taken_back_and_played_again() -> None:
    match = played("connect_four", "4 4 3")
    before = match.names
    match.undo(2)
    assert match.names == ["4"]
    match.redo(5)
    assert match.names == before
    match.undo()
    match.play(6)
    match.redo()
    assert match.names == ["4", "4", "7"], "a new move ends what was taken back"


def test_resignation_ends_the_game_and_can_be_taken_back() -> None:
    match = played("connect_four", "4")
    match.resign()
    assert (match.is_over, match.outcome) == (True, 1.0)
    assert match.result_text() == "first wins by resignation"
    match.undo()
    assert not match.is_over and match.names == ["4"]


def test_go_ends_by_passes_and_is_scored() -> None:
    match = played("go?size=5&komi=0.5", "c3 pass pass")
    assert match.result_text() == "Black wins by 24.5"


def test_superko_is_refused() -> None:
    match = played("go?size=5", "b3 e3 c4 d4 c2 d2 a1 c3 d3")  # Black has just taken c3
    center = 12
    assert int(match.game.board(match.state)[2, 2]) == 0
    with pytest.raises(ValueError, match="C3 is not a legal move here"):
        match.play(center)


def test_captured_stones_leave_the_board() -> None:
    match = played("go?size=5", "a1 a2 e5 b1")
    board = match.game.board(match.state)
    assert int(board[4, 0]) == 0 and int(board[4, 1]) == -1


def test_swap_in_hex_is_a_move_by_name() -> None:
    match = played("hex?size=5&swap=true", "c3 swap")
    assert match.names == ["c3", "swap"] and match.last_cell is None


@pytest.mark.parametrize("spec", ["go?size=9", "hex?size=5&swap=true"])
def test_games_are_written_as_sgf(spec: str) -> None:
    match = played(spec, "c3 d4 e5")
    text = records.write(match).decode()
    assert text.startswith("(;FF[4]") and "SZ[" in text


def test_record_of_go_is_read_back() -> None:
    match = played("go?size=9&komi=5.5", "c3 d4 e5 pass")
    again = records.read(games.make("go?size=9"), records.write(match))
    assert (again.actions, again.game.komi) == (match.actions, 5.5)


def test_swap_in_hex_is_written_by_the_conventions_of_the_format() -> None:
    """There the piece moves to its mirror image, and the players keep their sides."""
    text = records.write(played("hex?size=5&swap=true", "a3 swap b1 e4")).decode()
    assert text == "(;FF[4]GM[11]SZ[5];B[a3];W[swap-pieces];B[a2];W[d5])\n"


def test_moves_cannot_be_played_again_after_a_resignation() -> None:
    match = played("go?size=9", "c3 d4")
    match.undo()
    match.resign()
    match.redo()
    assert match.names == ["C3"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no game in it"),
        (b"(;GM[1]SZ[19];B[aa])", "another board size"),
        (b"(;GM[2]SZ[9];B[aa])", "another game than Go"),
        (b"(;SZ[9];B[aa];W[aa])", "not a legal move"),
        (b"(;SZ[9];W[aa])", "out of turn"),
        (b"(;SZ[9]HA[2]AB[cc][gg];W[dd])", "begins with stones on the board"),
        (b"\x00\xff" * 50, "no game in it"),
        (b"(" * 100_000, "no game in it|without a move|not readable"),
        (b"(;SZ[9];B[zz])", "move"),
    ],
)
def test_hostile_records_are_refused_with_a_sentence(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        records.read(games.make("go?size=9"), data)


def test_long_record_is_refused() -> None:
    with pytest.raises(ValueError, match="more than"):
        records.read(games.make("go?size=9"), b" " * (records.MOST + 1))
