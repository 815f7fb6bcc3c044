"""The Connect Four exam: its content, its scores against independent solvers, and its file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay.solved import suite as suites
from selfplay.solved.suite import Exam, load

RENEW = (
    "python -m selfplay.generated.solved_positions changed the exam: old grades are not comparable"
)
DIGEST = "da2a886a420a5df36f56aa51129daebf760496b1acdd3134815e8ac8e965eb77"


@pytest.fixture(scope="module")
def exam() -> Exam:
    return load("connect_four")


@pytest.fixture(scope="module")
def game() -> games.Game:
    return games.make("connect_four")


def negamax(
    mine: int, stones: int, alpha: int, beta: int, scores: dict[tuple[int, int], int]
) -> int:
    """Solves slowly on Pons's bitboards; returns the score for the player who owns `mine`."""
    plies = stones.bit_count()
    if plies == 42:
        return 0
    moves = [
        move
        for column in (3, 2, 4, 1, 5, 0, 6)
        if (move := (stones + (1 << 7 * column)) & (0b111111 << 7 * column))
    ]
    if any(has_four(mine | (move & ~stones)) for move in moves):
        return 21 - plies // 2
    if (mine, stones) in scores:
        return scores[mine, stones]
    top = -100
    for move in moves:
        top = max(top, -negamax(stones ^ mine, stones | move, -beta, -max(alpha, top), scores))
        if top >= beta:
            return top
    if top > alpha:  # exact, so it may be remembered
        scores[mine, stones] = top
    return top


def has_four(stones: int) -> bool:
    return any((pairs := stones & (stones >> step)) & (pairs >> 2 * step) for step in (1, 7, 6, 8))


def solve(board: np.ndarray, player: int) -> list[int]:
    """Returns the scores [7] of the slow solver at a board [6, 7]."""
    mine = stones = 0
    stone = 1 if player == 0 else -1
    for row, column in np.argwhere(board):
        bit = 1 << (7 * int(column) + 5 - int(row))
        stones |= bit
        mine |= bit if board[row, column] == stone else 0
    known: dict[tuple[int, int], int] = {}
    scores = []
    for column in range(7):
        move = (stones + (1 << 7 * column)) & (0b111111 << 7 * column)
        if not move:
            scores.append(suites.ILLEGAL_SCORE)
        elif has_four(mine | (move & ~stones)):
            scores.append(21 - stones.bit_count() // 2)
        else:
            scores.append(-negamax(stones ^ mine, stones | move, -100, 100, known))
    return scores


# --- what the exam holds


def test_exam_has_the_recorded_digest(exam: Exam) -> None:
    assert exam.digest == DIGEST, RENEW


def test_result_suite_is_large_and_even(exam: Exam) -> None:
    assert len(exam.result) >= 3000
    counts = np.bincount(exam.result.plies, minlength=31)
    assert len(counts) == 31
    assert counts[0] == 1
    assert (counts[:3] > 0).all()
    assert counts[3] >= 90  # nearly all there are
    assert counts[4:].min() >= 0.8 * counts[4:].max()
    assert (np.bincount(np.sign(exam.result.scores.max(axis=1)))[:2] > 500).all()  # drawn, won


def test_resistance_suite_is_spread(exam: Exam) -> None:
    assert len(exam.resistance) >= 1000
    counts = np.bincount(exam.resistance.plies, minlength=31)
    assert len(counts) == 31
    assert counts[4:].min() >= 0.75 * counts[4:].max()


@pytest.mark.parametrize("name", suites.SUITES)
def test_every_position_belongs_in_its_suite(exam: Exam, name: str) -> None:
    suite = getattr(exam, name)
    value = suite.scores.max(axis=1)
    low = np.where(suite.legal, suite.scores, 127).min(axis=1)
    if name == "result":
        assert (value >= 0).all()
        assert (np.sign(low) < np.sign(value)).all()
        assert suite.keeps.any(axis=1).all()
    else:
        assert (value < 0).all()
        assert (low < value).all()


def test_no_position_occurs_twice(exam: Exam) -> None:
    boards = np.concatenate([exam.result.boards, exam.resistance.boards])
    assert len({suites.mirrored_key(board) for board in boards}) == len(boards)


@pytest.mark.parametrize("name", suites.SUITES)
def test_positions_can_arise(exam: Exam, name: str) -> None:
    suite = getattr(exam, name)
    first, second = ((suite.boards == s).sum(axis=(1, 2)) for s in (1, -1))
    assert ((first == second) | (first == second + 1)).all()
    assert (first - second == suite.players).all()
    assert (first + second == suite.plies).all()
    heights = np.abs(suite.boards).sum(axis=1)  # [N, 7]
    filled = np.arange(6)[::-1, None, None] < heights[None]  # [6, N, 7]
    assert (filled.transpose(1, 0, 2) == (suite.boards != 0)).all()


def test_first_position_is_the_empty_board(exam: Exam) -> None:
    assert exam.result.plies[0] == 0
    assert exam.result.scores[0].tolist() == [-2, -1, 0, 1, 0, -1, -2]


def test_sample_is_evenly_spaced_with_its_own_digest(exam: Exam) -> None:
    part = exam.sample(310)
    assert (len(part.result), len(part.resistance)) == (310, 310)
    assert np.bincount(part.result.plies, minlength=31)[4:].min() >= 8
    assert part.digest != exam.digest
    assert len(exam.sample(10**6).result) == len(exam.result)


# --- the scores against the rules and other solvers


def test_scores_agree_with_the_rules(exam: Exam, game: games.Game) -> None:
    """Legal moves are the scored ones; exactly the moves that win at once score the most."""

    @jax.jit
    @jax.vmap
    def rules(board: jax.Array, player: jax.Array) -> tuple[jax.Array, ...]:
        state = game.from_board(board, player)
        after = jax.vmap(game.step, (None, 0))(state, jnp.arange(7))
        outcome = jax.vmap(game.outcome)(after)  # [7], for player 0
        return game.is_terminal(state), game.legal_actions(state), outcome

    sets = (exam.result, exam.resistance)
    boards, players, plies, scores = (
        np.concatenate([getattr(suite, field) for suite in sets])
        for field in ("boards", "players", "plies", "scores")
    )
    terminal, legal, outcome = map(np.asarray, rules(boards, players.astype(np.int32)))
    assert not terminal.any()
    assert (legal == (scores != suites.ILLEGAL_SCORE)).all()
    wins = (outcome == 1 - 2 * players[:, None]) & legal
    assert wins.any()
    assert (wins == (scores == 21 - plies[:, None] // 2)).all()
    assert (scores <= 21 - plies[:, None] // 2).all()


def test_late_scores_agree_with_a_slow_solver(exam: Exam) -> None:
    for suite in (exam.result, exam.resistance):
        for at in np.flatnonzero(suite.plies >= 28)[::5]:
            scores = solve(suite.boards[at], int(suite.players[at]))
            assert scores == suite.scores[at].tolist(), f"position {at}"


def test_scores_agree_with_bitbully(exam: Exam) -> None:
    pytest.importorskip("bitbully", reason="the solver extra is not installed")
    from selfplay.players.solvers import ConnectFourSolver as Solver

    solver = Solver()
    rng = np.random.default_rng(0)
    for suite in (exam.result, exam.resistance):
        for at in rng.choice(len(suite), size=25, replace=False):
            assert (solver.scores(suite.boards[at]) == suite.scores[at]).all()


# --- the file


def test_other_games_have_no_exam() -> None:
    with pytest.raises(ValueError, match=r"no exam for game 'go'; exams exist for: connect_four"):
        load("go")


def test_saved_exam_is_loaded_unchanged(exam: Exam, tmp_path: Path) -> None:
    path = tmp_path / "exam.npz"
    assert suites.save(path, exam.result, exam.resistance) == exam.digest
    again = load(path=path)
    for name in suites.SUITES:
        for field in ("boards", "players", "plies", "scores"):
            old, new = getattr(getattr(exam, name), field), getattr(getattr(again, name), field)
            assert old.dtype == new.dtype == np.int8
            assert (old == new).all()
    assert suites.FILES["connect_four"].stat().st_size < 300_000


def test_damaged_file_is_rejected(tmp_path: Path) -> None:
    content = suites.FILES["connect_four"].read_bytes()
    path = tmp_path / "exam.npz"
    with pytest.raises(ValueError, match="is missing"):
        load(path=path)
    for at in range(0, len(content), len(content) // 40):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        try:
            assert load(path=path).digest == DIGEST  # a byte that is never read
        except ValueError as error:
            assert "damaged" in str(error)
    for part in (b"", b"no zip", content[: len(content) // 2]):
        path.write_bytes(part)
        with pytest.raises(ValueError, match="damaged"):
            load(path=path)


def test_changed_scores_are_rejected(tmp_path: Path) -> None:
    with np.load(suites.FILES["connect_four"]) as file:
        arrays = {name: file[name].copy() for name in file.files}
    arrays["result_scores"][7, 3] += 1
    path = tmp_path / "exam.npz"
    np.savez_compressed(path, **arrays)
    with pytest.raises(ValueError, match="content and digest disagree"):
        load(path=path)
    arrays["format"] = np.int32(2)
    np.savez_compressed(path, **arrays)
    with pytest.raises(ValueError, match="format 2"):
        load(path=path)


@pytest.mark.parametrize(
    ("fault", "damage"),
    [
        ("floating stone", lambda b, s: (np.flip(b, 1), s)),
        ("out of turn", lambda b, s: (-b, s)),
        ("denies the board", lambda b, s: (b, np.where(s == s.max(1, keepdims=True), -128, s))),
        ("out of reach", lambda b, s: (b, np.where(s > 0, 22, s))),
        ("nothing to get wrong", lambda b, s: (b, np.where(s == -128, s, 1))),
        ("twice", lambda b, s: (np.stack([b[0], b[0, :, ::-1]]), np.stack([s[0], s[0, ::-1]]))),
    ],
)
def test_impossible_positions_are_rejected(
    exam: Exam, fault: str, damage: Callable[..., Any]
) -> None:
    where = exam.result.plies == 21
    boards, scores = damage(exam.result.boards[where], exam.result.scores[where])
    with pytest.raises(ValueError, match=fault):
        suites.check(suites.from_boards(boards.astype(np.int8), scores.astype(np.int8)), "result")
