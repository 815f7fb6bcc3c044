"""Handicap stones: the table of the protocol's specification, and games that begin with them."""

from typing import Any

import numpy as np
import pytest

from games.go import Go
from games.notation import action_to_text
from selfplay.serve import handicap
from tests.selfplay.serve.analysts import FirstLegal

TABLE_19 = {
    2: "D4 Q16",
    3: "D4 Q16 D16",
    4: "D4 Q16 D16 Q4",
    5: "D4 Q16 D16 Q4 K10",
    6: "D4 Q16 D16 Q4 D10 Q10",
    7: "D4 Q16 D16 Q4 D10 Q10 K10",
    8: "D4 Q16 D16 Q4 D10 Q10 K4 K16",
    9: "D4 Q16 D16 Q4 D10 Q10 K4 K16 K10",
}
"""As in the specification, and in Leela Zero's and KataGo's code."""


def fixed(size: int, number: int) -> str:
    game: Any = Go(size=size)
    return " ".join(action_to_text(game, point) for point in handicap.fixed(size, number))


@pytest.mark.parametrize("number", TABLE_19)
def test_fixed_handicap_agrees_with_the_specification(number: int) -> None:
    assert fixed(19, number) == TABLE_19[number]


@pytest.mark.parametrize(
    ("size", "number", "expected"),
    [
        (7, 4, "C3 E5 C5 E3"),
        (8, 4, "C3 F6 C6 F3"),
        (9, 5, "C3 G7 C7 G3 E5"),
        (12, 4, "C3 K10 C10 K3"),
        (13, 9, "D4 K10 D10 K4 D7 K7 G4 G10 G7"),
        (14, 4, "D4 L11 D11 L4"),
    ],
)
def test_fixed_handicap_on_other_boards(size: int, number: int, expected: str) -> None:
    assert fixed(size, number) == expected


@pytest.mark.parametrize(
    ("size", "number", "most"),
    [(19, 1, 9), (19, 0, 9), (19, 10, 9), (18, 5, 4), (8, 5, 4), (7, 5, 4)],
)
def test_handicap_outside_the_table_is_rejected(size: int, number: int, most: int) -> None:
    expected = f"{number} stones on {size}×{size}; choose from 2 to {most}"
    with pytest.raises(ValueError, match=expected):
        handicap.fixed(size, number)


@pytest.mark.parametrize("size", [2, 5, 6])
def test_small_board_has_no_fixed_handicap(size: int) -> None:
    with pytest.raises(ValueError, match=f"{size}×{size} has no fixed handicap"):
        handicap.fixed(size, 2)


@pytest.mark.parametrize("number", [2, 24])
def test_free_handicap_is_played_by_the_search(number: int) -> None:
    game = Go(size=5, komi=0.5)
    analyst: Any = FirstLegal(game)
    assert handicap.free(analyst, game, number, 4) == [*range(number)]


def test_game_with_handicap_begins_with_white() -> None:
    game = Go(size=5, komi=0.5)
    goban = handicap.start(game, [0, 1, 7])
    assert goban.player == 1 and not goban.moves
    assert np.flatnonzero(np.asarray(game.board(goban.state)) == 1).tolist() == [0, 1, 7]
    assert len(goban.chains()) == 2
