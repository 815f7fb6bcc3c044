"""Boards for people: long games, repeated boards, and legal moves."""

import numpy as np
import pytest

from games.go import Go
from games.notation import action_to_text, text_to_action
from selfplay.serve.goban import Goban

GAME = Go(size=5, komi=0.5)
PASS = GAME.num_actions - 1
KO = "b b1, b a2, b b3, w c1, w d2, w c3, w b2, b c2"  # the last move takes a ko that began at B2


def action(vertex: str) -> int:
    return text_to_action(GAME, vertex)


def play(goban: Goban, moves: str) -> list[bool]:
    """Plays "b c3, w d4"; returns the results of `play`."""
    words = (move.split() for move in moves.split(","))
    return [goban.play("bw".index(color), action(vertex)) for color, vertex in words]


def after(moves: str) -> Goban:
    goban = Goban(GAME)
    assert not any(play(goban, moves)), "no move repeats a board"
    return goban


def legal(goban: Goban, player: int) -> set[str]:
    bits = np.asarray(GAME.legal_actions(goban.position_for(player)))
    return {action_to_text(GAME, int(a)) for a in np.flatnonzero(bits)}


@pytest.mark.parametrize("passes", [2, 24, 25, 26, 48, 49, 50, 51, 75, 101])
def test_board_of_long_ago_stays_forbidden(passes: int) -> None:
    """Passes repeat the board after the capture, so the forbidden one gets ever older."""
    goban = after(KO)
    for number in range(passes):
        goban.play(1 - number % 2, PASS)
    assert "B2" not in legal(goban, 1)
    assert {"A5", "E5", "pass"} <= legal(goban, 1)
    assert "B2" in legal(goban, 0), "filling the ko repeats nothing"


@pytest.mark.parametrize("passes", [0, 16, 17, 18, 41, 42, 43, 60, 150])
def test_position_leaves_room_to_look_ahead(passes: int) -> None:
    goban = after(KO)
    for _ in range(passes):
        goban.play(1, PASS)
    for player in (0, 1):
        state = goban.position_for(player)
        assert int(GAME.player(state)) == player
        assert not bool(GAME.is_terminal(state))
        assert int(state.ply) <= GAME.max_plies // 2
        assert np.array_equal(GAME.board(state), GAME.board(goban.state))


def test_long_game_keeps_its_last_moves() -> None:
    goban = after(KO)
    for number in range(60):
        goban.play(1 - number % 2, PASS if number % 3 else action("e5" if number else "a5"))
        if number % 3 == 0:
            goban.undo()
            goban.play(1 - number % 2, PASS)
    play(goban, "w e5, b e4")
    state = goban.position_for(1)
    assert np.asarray(state.last).tolist() == [action("e4"), action("e5")]


def test_only_two_passes_in_turn_end_a_game() -> None:
    goban = after(KO)
    for moves, over in (
        ("w pass", False),
        ("b pass", True),
        ("w pass", False),
        ("w pass", False),
        ("b pass", True),
        ("w e5", False),
    ):
        play(goban, moves)
        assert goban.over == over, moves
    for number in range(GAME.max_plies):
        goban.play(0, PASS)
        assert not goban.over, number


def test_move_that_only_superko_forbids_is_played_and_reported() -> None:
    """Sending two and returning one repeats the board of seven moves before."""
    goban = after("b d2, w e2, b a5, w c2, b c4, w c1, b d3, w c5, b e4, w d1, b e5, w e3, b e1")
    assert "E2" not in legal(goban, 1)
    assert play(goban, "w e2") == [True]
    assert goban.state.stones.hash.tolist() in [
        move.state.stones.hash.tolist() for move in goban.moves[:-1]
    ]
    goban.undo()
    assert "E2" not in legal(goban, 1), "our own search may not play it"
    with pytest.raises(ValueError, match="illegal move"):
        goban.play(1, action("e1"))


def test_ko_is_retaken_only_after_two_passes() -> None:
    goban = after(KO)
    with pytest.raises(ValueError, match="illegal move"):
        goban.play(1, action("b2"))
    assert play(goban, "w pass, b pass, w b2") == [False, False, True]
    with pytest.raises(ValueError, match="illegal move"):
        goban.play(0, action("c2"))
    assert play(goban, "b pass, w pass, b c2") == [False, False, True]


def test_chains_are_connected_stones() -> None:
    goban = after("b a1, b b1, w c1, b e5, w e4, w d4")
    chains = {frozenset(action_to_text(GAME, a) for a in chain) for chain in goban.chains()}
    assert chains == {
        frozenset({"A1", "B1"}),
        frozenset({"C1"}),
        frozenset({"E5"}),
        frozenset({"E4", "D4"}),
    }
    assert Goban(GAME).chains() == []
