"""The replay against slow rules: rows, each record's komi, and illegal games."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from games.go import Go
from selfplay.acting.episode import Rows
from selfplay.experts.game_record import ExpertGame, Rejected, Start, Targets, max_record_plies
from selfplay.experts.replaying import FIELDS, ILLEGAL_MOVE, NO_LIBERTY, SUPERKO, replay
from selfplay.experts.sgf import reader
from tests.selfplay.experts.records import GAME, PASS, SIZE, random_moves, slow_game
from tests.selfplay.experts.records import sgf as record

RULES = replace(GAME, max_plies=max_record_plies(SIZE))
LANES = 64
STEP, OBSERVE = jax.jit(RULES.step), jax.jit(RULES.observe)


def game_of(moves: list[int], outcome: int | None = 1, **more: object) -> ExpertGame:
    return ExpertGame(np.array(moves, np.int16), outcome, **more)  # pyright: ignore


def rows_of(*games: ExpertGame) -> tuple[list[Rejected | None], list[int], Rows]:
    faults: list[Rejected | None] = []
    counts: list[int] = []
    parts = []
    for batch in replay(GAME, games, LANES):
        faults += batch.faults
        counts += batch.counts
        parts.append(batch.rows)
    return faults, counts, {name: np.concatenate([p[name] for p in parts]) for name in FIELDS}


def unpacked(rows: Rows, name: str, shape: tuple[int, ...]) -> np.ndarray:
    bits = np.unpackbits(rows[name], axis=1, count=int(np.prod(shape)))
    return bits.reshape(-1, *shape).astype(bool)


def test_rows_agree_with_the_slow_rules() -> None:
    games = [
        game_of(random_moves(seed, most=5 * seed + 1), (1, 0, -1)[seed % 3]) for seed in range(9)
    ]
    faults, counts, rows = rows_of(*games)
    assert faults == [None] * 9 and counts == [len(game.moves) for game in games]
    assert {name: array.dtype.name for name, array in rows.items()} == {
        name: text.partition("[")[0] for name, text in FIELDS.items()
    }
    planes = unpacked(rows, "planes", GAME.observation_shape)
    legal = unpacked(rows, "legal", (PASS + 1,))
    targets = unpacked(rows, "targets", (PASS + 1,))
    at = 0
    for game in games:
        slow = slow_game()
        for ply, move in enumerate(game.moves.tolist()):
            color = 1 - 2 * slow.player
            board = np.array(slow.board).reshape(SIZE, SIZE) * color
            np.testing.assert_array_equal(planes[at, :, :, 0], board > 0)
            np.testing.assert_array_equal(planes[at, :, :, 1], board < 0)
            assert (planes[at, :, :, 13] == (color == 1)).all()
            assert np.flatnonzero(legal[at]).tolist() == [*sorted(slow.moves()), PASS]
            assert np.flatnonzero(targets[at]).tolist() == [move]
            assert rows["action"][at] == move and rows["ply"][at] == ply
            assert rows["mover_outcome"][at] == rows["value"][at] == game.outcome * color  # pyright: ignore
            assert rows["last"][at] == (ply == len(game.moves) - 1)
            slow.play(move)
            at += 1
    assert not np.signbit(rows["value"][rows["mover_outcome"] == 0]).any()


def test_planes_show_each_records_komi() -> None:
    moves = random_moves(3, most=12)
    shown = [0.0, 3.5, 5.5, 6.5, 7.0, 9.0]
    _, _, rows = rows_of(*(reader.read(record(moves, komi=f"{komi:g}"), GAME) for komi in shown))
    planes = unpacked(rows, "planes", GAME.observation_shape).reshape(
        len(shown), 12, SIZE, SIZE, -1
    )
    state = RULES.init()
    for ply, move in enumerate(moves):
        observation = np.array(OBSERVE(state))
        for game_planes, komi in zip(planes, shown, strict=True):
            observation[:, :, 14:] = _komi_planes(komi)
            np.testing.assert_array_equal(game_planes[ply], observation)
        state = STEP(state, move)


@cache
def _komi_planes(komi: float) -> np.ndarray:
    """Returns the last planes of a game with this komi, which are the same at every ply."""
    return np.asarray(Go(SIZE, komi).observe(GAME.init()))[:, :, 14:]


def test_value_is_nan_without_a_value_target() -> None:
    games = [
        reader.read(record([0, 1, 2], result=result, komi=komi), GAME)
        for result, komi in (("B+R", "7.5"), ("", "7.5"), ("W+R", "-3"), ("0", "7"), ("W+2", "?"))
    ]
    _, _, rows = rows_of(*games)
    nan = np.nan
    expected = [1, -1, 1, nan, nan, nan, nan, nan, nan, 0, 0, 0, nan, nan, nan]
    np.testing.assert_array_equal(rows["value"], np.array(expected, np.float16))
    assert rows["mover_outcome"].tolist() == [1, -1, 1, 0, 0, 0, -1, 1, -1, 0, 0, 0, -1, 1, -1]


def test_replay_starts_from_set_up_stones_and_either_player() -> None:
    board = np.zeros((SIZE, SIZE), np.int8)
    board[1, 1] = board[3, 3] = 1
    board[0, 1] = -1
    moves = [5, 7, 12]
    games = [
        game_of([0, 1]),
        game_of(moves, -1, start=Start(board, 1)),
        game_of([3], 1, start=Start(np.zeros_like(board), 1)),
    ]
    faults, counts, rows = rows_of(*games)
    assert faults == [None] * 3 and counts == [2, 3, 1]
    planes = unpacked(rows, "planes", GAME.observation_shape)
    state = RULES.from_board(board, 1)
    for at, move in enumerate(moves, start=2):
        shown = np.asarray(OBSERVE(state))
        np.testing.assert_array_equal(planes[at, :, :, :14], shown[:, :, :14])
        state = STEP(state, move)
    assert not planes[5, :, :, 13].any()  # White moves
    assert rows["mover_outcome"].tolist() == [1, -1, 1, -1, 1, -1]
    assert rows["ply"].tolist() == [0, 1, 0, 1, 2, 0]


BLOCKED = np.zeros((SIZE, SIZE), np.int8)
BLOCKED[0, :2], BLOCKED[1, :2], BLOCKED[0, 2] = 1, -1, -1


def test_games_with_a_fault_yield_no_rows() -> None:
    board = np.zeros((SIZE, SIZE), np.int8)
    board.reshape(-1)[[1, 5, 11]] = 1  # a ko: White takes at 7, Black back at 6
    board.reshape(-1)[[2, 8, 12]] = -1
    board.reshape(-1)[7] = 1
    ko = Start(board, 1)
    faults, counts, rows = rows_of(
        game_of([0, 0]),
        game_of([0, 1]),
        game_of([6, 7], start=ko),
        game_of([6, 20, 21, 7, 22], start=ko),
        game_of([PASS, 20], start=ko),
        game_of([0, PASS, PASS, 1]),
        game_of([3], start=Start(BLOCKED, 0)),
        game_of([1, 24, 5, 0, 3]),  # suicide in the corner
    )
    assert faults == [
        ILLEGAL_MOVE, None, SUPERKO, None, None, ILLEGAL_MOVE, NO_LIBERTY, ILLEGAL_MOVE,
    ]  # fmt: skip
    assert counts == [0, 2, 0, 5, 2, 0, 0, 0]
    assert len(rows["ply"]) == 9 and rows["last"].sum() == 3


def test_rows_do_not_depend_on_the_neighbours() -> None:
    games = [game_of(random_moves(seed, most=20)) for seed in range(12)]
    _, _, together = rows_of(*games)
    alone = [next(iter(replay(GAME, [game], LANES))).rows for game in games]
    for name in FIELDS:
        np.testing.assert_array_equal(together[name], np.concatenate([r[name] for r in alone]))


def test_single_positions_give_the_same_rows_as_in_a_batch_of_games() -> None:
    games = [game_of([move]) for move in range(PASS + 1)]
    faults, counts, alone = rows_of(*games)
    assert not any(faults) and counts == [1] * len(games)
    _, _, together = rows_of(*games, game_of([0, 1]))
    for name in FIELDS:
        np.testing.assert_array_equal(alone[name], together[name][: len(games)])


def test_only_target_positions_become_rows() -> None:
    is_target = np.array([False, True, True, False, True, False])
    _, counts, rows = rows_of(game_of([0, 1, 2, 3, 4, 5], is_target=is_target), game_of([6, 7]))
    assert counts == [3, 2]
    assert rows["ply"].tolist() == [1, 2, 4, 0, 1]
    assert rows["last"].tolist() == [False, False, True, False, True]


def test_targets_replace_moves_and_outcome() -> None:
    targets = np.zeros((2, PASS + 1), bool)
    targets[1, [3, 7]] = True
    game = game_of([0, 1], 1, targets=Targets(targets, np.array([0, -1], np.int8)))
    _, _, rows = rows_of(game_of([2]), game)
    assert [np.flatnonzero(row).tolist() for row in unpacked(rows, "targets", (PASS + 1,))] == [
        [2], [], [3, 7],
    ]  # fmt: skip
    assert rows["value"].tolist() == rows["mover_outcome"].tolist() == [1, 0, -1]
    assert rows["action"].tolist() == [2, 0, 1]


def test_position_keys_depend_on_board_and_player() -> None:
    _, _, rows = rows_of(game_of([0, 12, 4]), game_of([4, 12, 20]), game_of([12, 0, PASS, 4]))
    first, second, third = np.split(rows["position"], [3, 6])
    assert (first == second).all()  # an image of it
    assert len(set(rows["position"])) == 3 + 3  # two, and the passed position
    assert third[0] == first[0] and third[1] != first[1]
    assert jnp.asarray(rows["planes"]).dtype == jnp.uint8
