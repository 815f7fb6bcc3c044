"""Teachers: their games, their lessons, and solved positions."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay.experts.archive import ExpertArchive
from selfplay.generated import importing, teacher
from selfplay.generated.config import Teacher
from selfplay.generated.journal import Journal
from selfplay.learning.config import LearnerConfig
from selfplay.learning.loss import make_loss
from selfplay.players import solvers
from selfplay.solved.suite import ILLEGAL

GAME = games.make("tic_tac_toe")  # solved without the extra
HOW = Teacher(games=60, blunder=0.4, seed=1)


def silent(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def made(folder: Path, how: Teacher, processes: int = 1) -> ExpertArchive:
    importing.label(folder, "tic_tac_toe", GAME, how, 0.2, processes, silent)
    return ExpertArchive(folder)


def solved(experts: ExpertArchive) -> np.ndarray:
    """int8 [N, 9], the scores of every row's position."""
    rows = experts.gather(np.arange(experts.size))
    planes = np.unpackbits(rows["planes"], axis=1, count=int(np.prod(GAME.observation_shape)))
    planes = planes.reshape(-1, *GAME.observation_shape).astype(np.int8)
    mine = planes[..., 0] - planes[..., 1]
    player = rows["ply"] % 2
    boards = mine * (1 - 2 * player)[:, None, None].astype(np.int8)
    states = jax.vmap(GAME.from_board)(jnp.asarray(boards), jnp.asarray(player, jnp.int32))
    return solvers.scores_of(GAME)(states)


def test_games_of_a_teacher_end_with_their_result(tmp_path: Path) -> None:
    experts = made(tmp_path / "out", HOW)
    manifest, table = experts.manifest, experts.games
    assert manifest["files"][0]["games"] == 60
    assert manifest["kept"] + manifest["left_out"]["duplicate"] == 60
    assert manifest["kept"] > 40
    rows = experts.gather(np.arange(experts.size))
    assert (rows["value"] == rows["mover_outcome"]).all() and table["known"].all()
    assert (rows["policy"].max(axis=1) == 1).all()
    step, is_over = jax.jit(GAME.step), jax.jit(GAME.is_terminal)
    for start, plies, outcome in zip(table["start"], table["plies"], table["outcome"], strict=True):
        state = GAME.init()
        for at in range(start, start + plies):
            assert not is_over(state)
            assert rows["mover_outcome"][at] == outcome * (1 - 2 * (rows["ply"][at] % 2))
            state = step(state, int(rows["action"][at]))
        assert is_over(state) and GAME.outcome(state) == outcome
    scores = solved(experts)
    best = scores == scores.max(axis=1, keepdims=True)
    good = best[np.arange(len(scores)), rows["action"]].mean()
    assert 0.55 < good < 0.95  # blunders are among the moves to learn, too


def test_the_solvers_lessons_are_its_best_moves_and_the_true_result(tmp_path: Path) -> None:
    experts = made(tmp_path / "out", replace(HOW, targets="solver"))
    rows, scores = experts.gather(np.arange(experts.size)), solved(experts)
    best = (scores == scores.max(axis=1, keepdims=True)) & (scores != ILLEGAL)
    np.testing.assert_allclose(rows["policy"], best / best.sum(axis=1, keepdims=True), atol=1e-3)
    np.testing.assert_array_equal(rows["value"], np.sign(scores.max(axis=1)))
    np.testing.assert_array_equal(rows["mover_outcome"], rows["value"])
    moves = made(tmp_path / "moves", HOW)
    np.testing.assert_array_equal(moves.fields["action"], experts.fields["action"])
    assert moves.digest != experts.digest


def test_random_openings_are_played_but_not_learnt(tmp_path: Path) -> None:
    experts = made(tmp_path / "out", replace(HOW, opening_plies=2, targets="solver"))
    assert experts.fields["ply"].min() == 2
    assert (experts.games["plies"] == experts.games["rows"] + 2).all()
    assert len(np.unique(experts.games["opening"][:, :2], axis=0)) > 5


def test_a_game_depends_on_the_seed_and_its_number_alone(tmp_path: Path) -> None:
    def moves(how: Teacher) -> list[list[int]]:
        return [game.moves.tolist() for part in teacher.play(GAME, how, 1, silent) for game in part]

    assert moves(HOW)[:20] == moves(replace(HOW, games=20))
    assert moves(HOW) != moves(replace(HOW, seed=2))


@pytest.mark.slow  # two processes start JAX
def test_processes_do_not_show(tmp_path: Path) -> None:
    one, two = (made(tmp_path / str(n), HOW, processes=n) for n in (1, 2))
    assert one.digest == two.digest


@pytest.mark.parametrize("name", ["go?size=5", "hex?size=7", "connect_four?rows=5"])
def test_a_game_without_a_perfect_player_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="there is no perfect player of"):
        importing.label(tmp_path, name, games.make(name), HOW, 0.1, 1, silent)


@pytest.mark.parametrize("field", ["games", "opening_plies"])
def test_a_teacher_checks_itself(field: str) -> None:
    with pytest.raises(ValueError, match="got -1"):
        Teacher(**{field: -1})  # pyright: ignore


EMPTY = ["b"] * 42


def line(stones: str, result: str = "win") -> str:
    """A line of the UCI's layout, of stones such as "d1x d2o"."""
    cells = list(EMPTY)
    for stone in stones.split():
        cells["abcdefg".index(stone[0]) * 6 + int(stone[1]) - 1] = stone[2]
    return ",".join([*cells, result])


def test_solved_positions_teach_values_only(tmp_path: Path) -> None:
    lines = [
        line("d1x d2o"), line("d1x d2o a1x g1o", "loss"), line("d1x d2o a1o g1x", "loss"),
        line("c1x c2o", "draw"), line("d1x"), line("d2x d1o d4x a1o"), line("a1x a2o", "won"),
        line("a1x b1x c1x d1x a2o b2o c2o e1o"), "x,o",
    ]  # fmt: skip
    path = tmp_path / "values.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    game = games.make("connect_four")
    manifest, _ = importing.import_positions(
        tmp_path / "out", "connect_four", game, path, 0, silent
    )
    assert manifest["files"][0]["games"] == 9 and manifest["kept"] == 3
    assert manifest["left_out"] == {
        "a stone above an empty cell": 1, "duplicate": 1,
        "not 42 cells x, o or b and then win, loss or draw": 2, "the game is over": 1,
        "x is not to move": 1,
    }  # fmt: skip
    experts = ExpertArchive(tmp_path / "out")
    rows = experts.gather(np.arange(experts.size))
    found = dict(zip(rows["ply"].tolist(), rows["value"].tolist(), strict=True))
    assert sorted(rows["value"].tolist()) == [-1, 0, 1] and found[4] == -1
    assert (rows["mover_outcome"] == rows["value"]).all()
    assert not rows["policy"].any() and (rows["action"] == -1).all() and rows["last"].all()
    at = int(np.flatnonzero(rows["value"] == 1)[0])
    state = game.step(game.step(game.init(), 3), 3)
    np.testing.assert_array_equal(
        rows["planes"][at], np.packbits(np.asarray(game.observe(state)).reshape(-1))
    )
    np.testing.assert_array_equal(rows["legal"][at], np.packbits(game.legal_actions(state)))


def test_a_row_without_a_policy_has_no_policy_loss() -> None:
    state = GAME.init()
    rows = {
        "planes": np.packbits(np.asarray(GAME.observe(state)).reshape(1, -1), axis=1),
        "legal": np.packbits(np.ones((1, 9), bool), axis=1),
        "policy": np.zeros((1, 9), np.float16),
        "value": np.ones(1, np.float16),
        "mover_outcome": np.ones(1, np.int8),
    }

    def evaluate(params: jax.Array, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = jnp.broadcast_to(params[:9], (observation.shape[0], 9))
        return logits, jnp.broadcast_to(params[9], observation.shape[:1])

    loss: Any = make_loss(GAME, evaluate, LearnerConfig())  # pyright: ignore
    graded = jax.jit(jax.grad(loss, has_aux=True))
    gradient, metrics = graded(jnp.arange(10.0), rows, jax.random.key(0))
    assert metrics["policy_loss"] == 0 and np.isfinite(gradient).all()
    assert not gradient[:9].any() and gradient[9] != 0


@pytest.mark.parametrize("targets", ["moves", "solver"])
def test_an_interrupted_labelling_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, targets: Any
) -> None:
    how = replace(HOW, games=40, opening_plies=1, targets=targets)
    whole = made(tmp_path / "whole", how)
    chunk, asked = teacher._chunk, list[int]()

    def counted(game: Any, one: Teacher, work: Any) -> Any:
        asked.append(work[0])
        if len(asked) == 3:
            raise KeyboardInterrupt
        return chunk(game, one, work)

    monkeypatch.setattr(teacher, "_chunk", counted)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "out", how)
    (journal,) = tmp_path.glob(".out*")
    journal.write_text(journal.read_text() + '[{"outcome": 1, "mov')  # killed while writing
    assert made(tmp_path / "out", how).digest == whole.digest
    assert asked == [0, 16, 32, 32] and not list(tmp_path.glob(".*"))


def test_a_journal_serves_another_number_of_games(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = replace(HOW, games=40), replace(HOW, games=60)

    def killed(*given: Any) -> None:
        ((_, played),) = given[3]
        assert len(list(played())) == 40
        raise KeyboardInterrupt  # before the archive is complete

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(importing, "build", killed)
        made(tmp_path / "out", few)
    asked, chunk = list[int](), teacher._chunk

    def counted(game: Any, one: Teacher, work: Any) -> Any:
        asked.append(work[0])
        return chunk(game, one, work)

    monkeypatch.setattr(teacher, "_chunk", counted)
    more = made(tmp_path / "out", many)
    assert asked == [32, 48]  # the third chunk had 8 games of 16
    assert more.digest == made(tmp_path / "whole", many).digest


def test_games_of_another_teacher_are_not_taken(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out", {"teacher": 1})
    how = replace(HOW, games=20)
    played, sizes = list(teacher.play(GAME, how, 1, silent)), teacher.chunks(how)
    assert len(list(journal.games(sizes, lambda first: iter(played[first:])))) == 20
    assert [len(chunk) for chunk in journal.read()] == [16, 4]
    assert len(list(journal.games([16, 2], lambda first: iter(played[first:])))) == 18
    assert [len(chunk) for chunk in journal.read()] == [16, 4]
    assert Journal(tmp_path / "out", {"teacher": 2}).read() == []
    for damaged in ("", "other\n", '{"teacher": 1}'):
        journal.path.write_text(damaged)
        assert journal.read() == []
