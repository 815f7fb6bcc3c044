"""Go by hand: captures, suicide, kos, scoring, komi, the end; and counts of positions."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games import go_board, notation
from games.go import Go
from tests.games.go_games import play

LEGAL_POSITIONS = {2: 57, 3: 12675}  # https://tromp.github.io/go/legal.html


@cache
def compiled(game: Go) -> Any:
    return jax.jit(game.step), jax.jit(game.legal_actions)


class Table:
    """One game, played by the names of its moves."""

    def __init__(self, game: Any, text: str = "") -> None:
        self.game = game
        self.state = game.init()
        if text:
            self.state = game.from_board(*notation.text_to_board(game, text))

    def play(self, moves: str) -> Table:
        step, _ = compiled(self.game)
        for move in moves.split():
            assert self.legal(move), f"{move} is illegal:\n{self}"
            self.state = step(self.state, notation.text_to_action(self.game, move))
        return self

    def legal(self, move: str) -> bool:
        _, legal = compiled(self.game)
        return bool(legal(self.state)[notation.text_to_action(self.game, move)])

    def rows(self) -> str:
        board = np.asarray(self.game.board(self.state))
        return " ".join("".join(notation.PIECES[int(v)] for v in row) for row in board)

    def __str__(self) -> str:
        return notation.board_to_text(self.game, self.state)


def test_whole_chain_is_captured() -> None:
    table = Table(
        games.make("go", size=4),
        """
        . X O .
        X O O X
        . X X .
        . . . .
        X to move""",
    )
    assert table.play("d4").rows() == ".X.X X..X .XX. ...."


def test_several_chains_are_captured_at_once() -> None:
    table = Table(
        games.make("go", size=4),
        """
        . O X .
        O X . .
        X . . .
        . . . .
        X to move""",
    )
    assert table.play("a4").rows() == "X.X. .X.. X... ...."


def test_suicide_is_illegal_for_one_stone_and_for_two() -> None:
    table = Table(games.make("go", size=3), "O . X\nX X .\n. . .\nO to move")
    assert not table.legal("b3")
    assert table.legal("c2") and table.legal("pass")
    table = Table(games.make("go", size=3), ". X .\nX . .\n. . .\nO to move")
    assert not table.legal("a3")


KO = """
    . X O .
    X O . O
    . X O .
    . . . .
    X to move"""


def test_ko_is_not_retaken_at_once() -> None:
    table = Table(games.make("go", size=4), KO)
    assert table.play("c3").rows() == ".XO. X.XO .XO. ...."
    assert not table.legal("b3")
    assert table.play("d1 a1").legal("b3"), "the board is another one now"


SEND_TWO = """
    . O X .
    O O X X
    O O X .
    . X . X
    X to move"""


def test_resumed_game_keeps_its_boards_and_forgets_its_passes() -> None:
    game = Go(size=4)
    table = Table(games.make("go", size=4), KO).play("c3")
    for player, legal in ((0, True), (1, False)):  # White's retake; Black's own move is no ko
        state = game.resume(table.state, player)
        assert int(game.player(state)) == player
        assert bool(game.legal_actions(state)[15]) and not bool(game.is_terminal(state))
        assert bool(game.legal_actions(state)[5]) is legal
    ended = table.play("pass pass").state
    assert bool(game.is_terminal(ended)) and not game.legal_actions(ended).any()
    resumed = game.resume(ended, 1)
    assert not bool(game.legal_actions(resumed)[5]), "the ko is still forbidden"
    assert not bool(game.is_terminal(compiled(game)[0](resumed, 16))), "one pass, not the third"
    assert not game.observe(resumed)[..., 8:11].any(), "no move before it"
    full = ended._replace(ply=jnp.int16(game.max_plies))
    assert bool(game.is_terminal(game.resume(full, 0))), "max_plies"


def test_sending_two_returning_one_is_forbidden() -> None:
    """The simple ko rule would allow it: two stones were captured, not one."""
    table = Table(games.make("go", size=4), SEND_TWO).play("a1 c1")
    assert table.rows() == ".OX. OOXX OOX. ..OX"
    assert not table.legal("b1")
    assert Table(games.make("go", size=4), SEND_TWO).play("a1 c1 pass pass")


def test_triple_ko_does_not_cycle() -> None:
    """Six captures in three kos make the first board again; no ko is retaken at once."""
    table = Table(
        games.make("go", size=9),
        """
        . X O . . . X O .
        X O . O . X O . O
        . X O . . . X O .
        . . . . . . . . .
        . X O . . . . . .
        X . X O . . . . .
        . X O . . . . . .
        . . . . . . . . .
        . . . . . . . . .
        X to move""",
    ).play("c8 b4 h8 b8 c4")
    assert not table.legal("g8")
    assert table.play("j1 a1").legal("g8"), "with two stones more it is another board"


def test_game_ends_by_two_passes_or_by_length() -> None:
    game = Go(size=3, max_plies=4)
    table = Table(game).play("b2 pass pass")
    assert bool(game.is_terminal(table.state)) and int(game.outcome(table.state)) == 1
    assert float(game.score(table.state)) == 9 - 8.5
    table = Table(game).play("b2 pass b1 a1")
    assert bool(game.is_terminal(table.state)), "max_plies"
    assert not np.asarray(game.legal_actions(table.state)).any()
    passed = Table(game).play("pass b2 pass")
    assert not bool(game.is_terminal(passed.state)), "a move between two passes"


@pytest.mark.parametrize(("komi", "outcome"), [(1.5, 1), (2, 0), (2.5, -1)])
def test_outcome_is_area_and_komi(komi: float, outcome: int) -> None:
    """Black: 4 stones and 4 empty points; White: 4 and 2; two points are neutral."""
    game = Go(size=4, komi=komi)
    table = Table(
        game,
        """
        . X . O
        . X O .
        . X . O
        . X O .""",
    ).play("pass pass")
    assert float(game.score(table.state)) == 2 - komi
    assert int(game.outcome(table.state)) == outcome


@pytest.mark.parametrize("size", LEGAL_POSITIONS)
def test_number_of_legal_positions_is_the_known_one(size: int) -> None:
    """Every board that play can reach without superko, deduplicated by board and mover."""
    points, chunk = size * size, 512

    @jax.jit
    def expand(board: jax.Array, player: jax.Array) -> tuple[jax.Array, jax.Array]:
        def one(board: jax.Array, player: jax.Array) -> tuple[jax.Array, jax.Array]:
            stones = go_board.set_up(board, size)
            place = partial(go_board.place, size=size)
            after = jax.vmap(place, (None, 0, None))(stones, jnp.arange(points), player)
            return jnp.sign(after.chain), go_board.playable(stones, player, size)

        return jax.vmap(one)(board, player)

    seen = {(bytes(points), player) for player in (0, 1)}  # a pass changes the mover
    todo = sorted(seen)
    while todo:
        now, todo = todo[:chunk], todo[chunk:]
        boards = np.stack([np.frombuffer(board, np.int8) for board, _ in now])
        players = np.array([player for _, player in now], np.int32)
        boards, padded = (np.resize(x, (chunk, *x.shape[1:])) for x in (boards, players))
        after, playable = map(np.asarray, expand(boards, padded))
        for i in range(len(now)):
            for board in after[i][playable[i]].astype(np.int8):
                for player in (0, 1):
                    item = (board.tobytes(), player)
                    if item not in seen:
                        seen.add(item)
                        todo.append(item)
    assert len({board for board, _ in seen}) == LEGAL_POSITIONS[size]


def test_set_up_board_plays_like_the_game_that_made_it() -> None:
    """Chains, liberties and hashes computed from scratch equal those updated move by move."""
    game = games.make("go", size=5)
    record = play(game, 200, steered=True)
    boards = record.board.reshape(-1, 5, 5)
    players = np.broadcast_to(np.arange(len(record.board))[:, None] % 2, record.over.shape)
    fresh = jax.jit(jax.vmap(game.from_board))(boards, players.reshape(-1))
    again = np.asarray(jax.vmap(game.observe)(fresh))
    running = ~record.over.reshape(-1)
    np.testing.assert_array_equal(
        again[running][..., :8],
        record.observation.reshape(-1, *game.observation_shape)[running][..., :8],
    )


def test_invalid_options_and_boards_are_rejected() -> None:
    for options, words in (
        ({"size": 1}, "size=1"),
        ({"size": 20}, "size=20"),
        ({"komi": 0.3}, "komi=0.3"),
        ({"size": 3, "komi": 12.5}, "komi=12.5"),
        ({"max_plies": 1}, "max_plies=1"),
    ):
        with pytest.raises(ValueError, match=words):
            games.make("go", **options)
    with pytest.raises(ValueError, match="row 1 of column 1 has no liberty"):
        games.make("go", size=3).from_board(
            np.array([[1, -1, 0], [-1, 0, 0], [0, 0, 0]], np.int8), 0
        )
