"""Text notation: printing and reading are inverses, and invalid text is rejected."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import jax
import numpy as np
import pytest

import games
from games.game import Game
from games.notation import (
    action_to_text,
    board_to_text,
    text_to_action,
    text_to_board,
)

SEVERAL = [
    games.make(name)
    for name in (
        *games.names(),
        "connect_four?rows=5&columns=12",
        "go?size=3",
        "go?size=19&max_plies=80",
        "hex?size=3&swap=true",
        "pgx:connect_four",
    )
]
SLOW = pytest.param(games.make("pgx:othello"), marks=pytest.mark.slow)  # to compile
each_game = pytest.mark.parametrize("game", [*SEVERAL, SLOW], ids=repr)


@cache
def compiled(game: Game) -> tuple[Any, Any, Any]:
    return jax.jit(game.step), jax.jit(game.legal_actions), jax.jit(game.from_board)


def random_game(game: Game, seed: int) -> list[tuple[Any, int | None]]:
    """Plays one game; returns its positions, each with the action that led to it."""
    step, legal_actions, _ = compiled(game)
    rng = np.random.default_rng(seed)
    state, last, positions = game.init(), None, []
    while True:
        positions.append((state, last))
        legal = np.flatnonzero(legal_actions(state))
        if len(legal) == 0:
            return positions
        last = int(rng.choice(legal))
        state = step(state, last)


@each_game
def test_action_names_are_read_as_printed(game: Game) -> None:
    texts = [action_to_text(game, action) for action in range(game.num_actions)]
    assert len(set(texts)) == game.num_actions
    assert [text_to_action(game, text) for text in texts] == list(range(game.num_actions))
    assert text_to_action(game, f" {texts[-1].upper()}\n") == game.num_actions - 1


@each_game
def test_boards_are_read_as_printed(game: Game) -> None:
    for state, last in random_game(game, 1)[::4] + random_game(game, 2)[-2:]:
        for marked in {None, last}:
            text = board_to_text(game, state, marked)
            cell = None if marked is None else game.notation().find_cell(state, marked)
            assert text.count("(") == (cell is not None)
            board, player = text_to_board(game, text)
            assert (board.dtype, type(player)) == (np.int8, int)
            np.testing.assert_array_equal(board, game.board(state))
            assert player == game.player(state)
            assert ("last move: " in text) == (marked is not None and cell is None)
            if game.name in ("connect_four", "tic_tac_toe"):  # the states of others hold more
                again = compiled(game)[2](board, player)
                assert board_to_text(game, again, marked) == text
            rows = text.splitlines()[1 : 1 + board.shape[0]]
            shift = len(rows[1].rstrip(")")) - len(rows[0].rstrip(")"))
            lengths = {len(line.rstrip(")")) - shift * i for i, line in enumerate(rows)}
            assert len(lengths) == 1, "rows are aligned"
            assert shift == (game.name in ("hex", "pgx:hex")), "each row of a rhombus is shifted"


@each_game
def test_mark_is_on_the_last_move(game: Game) -> None:
    positions = random_game(game, 3)
    for (before, _), (after, last) in pairwise(positions):
        assert last is not None
        sign = 1 - 2 * int(game.player(before))
        fresh = (np.asarray(game.board(before)) == 0) & (np.asarray(game.board(after)) == sign)
        rows = set(np.argwhere(fresh)[:, 0])  # none: a pass, a swap
        *lines, end = board_to_text(game, after, last).splitlines()[1:]
        lines = lines[: game.observation_shape[0]]
        if game.notation().find_cell(after, last) is None:
            assert end.endswith(f"; last move: {action_to_text(game, last, before)}")
            continue
        assert [("(" in line) for line in lines] == [r in rows for r in range(len(lines))]
        assert all(f"({'X' if sign > 0 else 'O'})" in lines[row] for row in rows)


def test_board_of_connect_four_is_printed() -> None:
    game = games.make("connect_four", rows=4, columns=5)
    state = game.init()
    for column in (3, 3, 2):
        state = game.step(state, column)
    assert board_to_text(game, state, 2) == (
        " 1 2 3 4 5\n"
        " . . . . .\n"
        " . . . . .\n"
        " . . . O .\n"
        " . .(X)X .\n"
        "O to move\n"
    )  # fmt: skip
    assert board_to_text(game, state).splitlines()[4] == " . . X X ."


def test_board_of_tic_tac_toe_is_printed() -> None:
    game = games.make("tic_tac_toe")
    state = game.init()
    for move in ("a1", "b2", "b1", "c3", "c1"):
        state = game.step(state, text_to_action(game, move))
    assert board_to_text(game, state, 2) == (
        "  a b c\n"
        "1 X X(X)\n"
        "2 . O .\n"
        "3 . . O\n"
        "O to move, but the game is over: X won\n"
    )  # fmt: skip


def after(game: Game, *moves: str) -> tuple[Any, int]:
    """Plays moves; returns the position and the last action."""
    state, action = game.init(), -1
    for move in moves:
        action = text_to_action(game, move, state)
        state = game.step(state, action)
    return state, action


def test_board_of_hex_is_a_rhombus_with_named_edges() -> None:
    game = games.make("hex", size=3)
    state, last = after(game, "b1", "a2", "c3")
    assert board_to_text(game, state, last) == (
        "   a b c\n"
        "1 \\ . X . \\\n"
        " 2 \\ O . . \\\n"
        "  3 \\ . .(X)\\\n"
        "X joins top and bottom, O joins left and right\n"
        "O to move\n"
    )
    assert board_to_text(game, state, last).isascii()


def test_swap_exchanges_the_named_edges_of_hex() -> None:
    game = games.make("hex", size=11, swap=True)
    state, last = after(game, "b10")
    assert "\nX joins top and bottom, O joins left and right\n" in board_to_text(game, state)
    state, last = after(game, "b10", "swap")
    lines = board_to_text(game, state, last).splitlines()
    assert lines[0] == "    a b c d e f g h i j k"
    assert lines[1] == " 1 \\ . . . . . . . . . . . \\"
    assert lines[10] == "         10 \\ . O . . . . . . . . . \\"
    assert lines[12:] == [
        "O joins top and bottom, X joins left and right",
        "X to move; last move: swap",
    ]


def test_wide_labels_stay_aligned_with_columns() -> None:
    game = games.make("connect_four", rows=4, columns=12)
    lines = board_to_text(game, game.step(game.init(), 11), 11).splitlines()
    assert lines[0].endswith(" 10 11 12")
    assert lines[4].endswith("  .  . (X)")


def test_board_without_labels_is_read() -> None:
    game = games.make("tic_tac_toe")
    board, player = text_to_board(game, "X..\n.O.\n...".replace("", " "))
    np.testing.assert_array_equal(board, [[1, 0, 0], [0, -1, 0], [0, 0, 0]])
    assert player == 0
    assert text_to_board(game, "X . .\n. . .\n. . .")[1] == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("X . .\n. . .", "a board of tic_tac_toe has 3 rows, not 2"),
        ("X . .\n. . .\n. . .\n. . .", "a board of tic_tac_toe has 3 rows, not 4"),
        ("X . .\n. .\n. . .", "row 2 of the board of tic_tac_toe has 2 cells, not 3"),
        ("X . .\n. ? .\n. . .", r"row 2 of the board of tic_tac_toe has '\?'; choose from X, O, ."),
    ],
)
def test_invalid_board_is_rejected(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        text_to_board(games.make("tic_tac_toe"), text)


def test_invalid_actions_are_rejected() -> None:
    game = games.make("connect_four")
    with pytest.raises(ValueError, match="connect_four has no move '8'; choose from 1, 2, 3, 4, 5"):
        text_to_action(game, "8")
    for action in (-1, 7):
        with pytest.raises(ValueError, match=rf"connect_four has no action {action}; choose 0..6"):
            action_to_text(game, action)
        with pytest.raises(ValueError, match=f"no action {action}"):
            board_to_text(game, game.init(), action)
