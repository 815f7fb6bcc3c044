"""Openings: a function of their arguments, distinct until all have occurred, and never terminal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest

import games
from selfplay.ladder import openings


def board_after(game: games.Game, opening: openings.Opening) -> bytes:
    state = game.init()
    for action in opening:
        assert game.legal_actions(state)[action]
        state = game.step(state, action)
    assert not game.is_terminal(state)
    return np.asarray(game.board(state)).tobytes()


def test_pairing_has_one_list_whatever_part_is_drawn() -> None:
    game = games.make("connect_four")
    whole = openings.draw(game, 4, seed=3, pairing=7, start=0, count=150)
    assert openings.draw(game, 4, seed=3, pairing=7, start=40, count=110) == whole[40:]
    assert openings.draw(game, 4, seed=3, pairing=8, start=0, count=150) != whole
    assert openings.draw(game, 4, seed=4, pairing=7, start=0, count=150) != whole


def test_positions_differ_until_all_have_occurred() -> None:
    game = games.make("tic_tac_toe")
    drawn = openings.draw(game, 2, seed=0, pairing=0, start=0, count=160)
    boards = [board_after(game, opening) for opening in drawn]
    assert len(set(boards[:72])) == 72  # 9 · 8: all positions
    assert len(set(boards[72:144])) == 72, "then again from the first"


def test_openings_that_end_the_game_are_rejected() -> None:
    game = games.make("tic_tac_toe")
    with pytest.raises(
        ValueError, match="9 random moves are too many for an opening of tic_tac_toe"
    ):
        openings.draw(game, 9, seed=0, pairing=0, start=0, count=1)
    for opening in openings.draw(game, 6, seed=0, pairing=0, start=0, count=40):
        board_after(game, opening)


def test_positions_follow_openings_of_different_lengths() -> None:
    game = games.make("connect_four")
    several = [(3,), (), (3, 3, 2, 0)]
    states = openings.positions(game, several)
    for i, opening in enumerate(several):
        board = jax.tree.map(lambda leaf, i=i: leaf[i], states)
        assert np.asarray(game.board(board)).tobytes() == board_after(game, opening)


def test_openings_are_read_from_a_file(tmp_path: Path) -> None:
    game = games.make("go?size=5")
    file = tmp_path / "openings.txt"
    file.write_text("C3 D3  # centre\n\n# nothing\nA1\n")
    assert openings.read(file, game) == [(12, 13), (20,)]


def test_openings_are_read_in_the_encodings_of_common_editors(tmp_path: Path) -> None:
    game = games.make("tic_tac_toe")
    file = tmp_path / "openings.txt"
    text = "b2 a1  # center\r\n\r\n# nothing\r\nc3\r\n"
    for data in (
        b"\xef\xbb\xbf" + text.encode(),
        text.encode("utf-16"),
        b"\xfe\xff" + text.encode("utf-16-be"),
        text.replace("center", "Mitte f\u00fcr alle").encode("latin-1"),
        text.replace("\r\n", "\r").encode(),
    ):
        file.write_bytes(data)
        assert openings.read(file, game) == [(4, 0), (8,)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("C3 Z9", r"line 1: go has no move 'Z9'"),
        ("\nC3 C3", r"line 2: 'C3' is illegal in this position"),
        ("pass pass", r"line 1: the game is over after these moves"),
        ("# only a comment", r"contains no opening"),
    ],
)
def test_invalid_file_is_rejected_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "openings.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        openings.read(file, games.make("go?size=5"))


def test_threads_share_one_list_of_openings() -> None:
    """All openings are used up while several threads draw from the same list."""
    game = games.make("tic_tac_toe")
    expected = openings.draw(game, 2, seed=1, pairing=1, start=0, count=300)
    openings._openings_of.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda i: openings.draw(game, 2, 1, 1, i, 300 - i), range(0, 300, 5)))
    assert parts == [expected[i:] for i in range(0, 300, 5)]
