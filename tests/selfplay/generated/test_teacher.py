"""Games of teachers: their moves, their targets, and their journal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay.experts.archive import ExpertArchive
from selfplay.experts.building import GameSource
from selfplay.generated import importing, teacher
from selfplay.generated.config import Teacher
from selfplay.generated.journal import Journal
from selfplay.players import solvers
from selfplay.solved.suite import ILLEGAL_SCORE

GAME = games.make("tic_tac_toe")  # solved without the extra
TEACHER = Teacher(games=60, blunder=0.4, seed=1)


def silent(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def generate(folder: Path, settings: Teacher, processes: int = 1) -> ExpertArchive:
    importing.generate(folder, "tic_tac_toe", GAME, settings, 0.2, processes, silent)
    return ExpertArchive(folder)


def solve(experts: ExpertArchive) -> np.ndarray:
    """Solves the position of every row: scores int8 [N, 9]."""
    rows = experts.gather(np.arange(experts.size))
    planes = np.unpackbits(rows["planes"], axis=1, count=int(np.prod(GAME.observation_shape)))
    planes = planes.reshape(-1, *GAME.observation_shape).astype(np.int8)
    mine = planes[..., 0] - planes[..., 1]
    player = rows["ply"] % 2
    boards = mine * (1 - 2 * player)[:, None, None].astype(np.int8)
    states = jax.vmap(GAME.from_board)(jnp.asarray(boards), jnp.asarray(player, jnp.int32))
    return solvers.solver_for(GAME)(states)


def test_teachers_games_are_legal_and_end_with_their_outcome(tmp_path: Path) -> None:
    experts = generate(tmp_path / "out", TEACHER)
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
    scores = solve(experts)
    best = scores == scores.max(axis=1, keepdims=True)
    good = best[np.arange(len(scores)), rows["action"]].mean()
    assert 0.55 < good < 0.95  # blunders are among the moves to learn


def test_solver_targets_are_the_best_moves_and_the_true_result(tmp_path: Path) -> None:
    experts = generate(tmp_path / "out", replace(TEACHER, targets="solver"))
    rows, scores = experts.gather(np.arange(experts.size)), solve(experts)
    best = (scores == scores.max(axis=1, keepdims=True)) & (scores != ILLEGAL_SCORE)
    np.testing.assert_allclose(rows["policy"], best / best.sum(axis=1, keepdims=True), atol=1e-3)
    np.testing.assert_array_equal(rows["value"], np.sign(scores.max(axis=1)))
    np.testing.assert_array_equal(rows["mover_outcome"], rows["value"])
    moves = generate(tmp_path / "moves", TEACHER)
    np.testing.assert_array_equal(moves.fields["action"], experts.fields["action"])
    assert moves.digest != experts.digest


def test_random_openings_are_played_but_not_learnt(tmp_path: Path) -> None:
    experts = generate(tmp_path / "out", replace(TEACHER, opening_plies=2, targets="solver"))
    assert experts.fields["ply"].min() == 2
    assert (experts.games["plies"] == experts.games["rows"] + 2).all()
    assert len(np.unique(experts.games["opening"][:, :2], axis=0)) > 5


def test_game_depends_only_on_the_seed_and_its_number(tmp_path: Path) -> None:
    def moves(settings: Teacher) -> list[list[int]]:
        return [
            game.moves.tolist() for part in teacher.play(GAME, settings, 1, silent) for game in part
        ]

    assert moves(TEACHER)[:20] == moves(replace(TEACHER, games=20))
    assert moves(TEACHER) != moves(replace(TEACHER, seed=2))


@pytest.mark.slow  # two processes start JAX
def test_games_do_not_depend_on_processes(tmp_path: Path) -> None:
    one, two = (generate(tmp_path / str(n), TEACHER, processes=n) for n in (1, 2))
    assert one.digest == two.digest


@pytest.mark.parametrize("name", ["go?size=5", "hex?size=7", "connect_four?rows=5"])
def test_game_without_a_solver_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="there is no perfect player of"):
        importing.generate(tmp_path, name, games.make(name), TEACHER, 0.1, 1, silent)


@pytest.mark.parametrize("field", ["games", "opening_plies"])
def test_teacher_rejects_negative_settings(field: str) -> None:
    with pytest.raises(ValueError, match="got -1"):
        Teacher(**{field: -1})  # pyright: ignore


@pytest.mark.parametrize("targets", ["moves", "solver"])
def test_interrupted_generation_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, targets: Any
) -> None:
    settings = replace(TEACHER, games=40, opening_plies=1, targets=targets)
    whole = generate(tmp_path / "whole", settings)
    chunk, firsts = teacher._chunk, list[int]()

    def count(game: Any, settings: Teacher, work: teacher.Work) -> Any:
        firsts.append(work.first)
        if len(firsts) == 3:
            raise KeyboardInterrupt
        return chunk(game, settings, work)

    monkeypatch.setattr(teacher, "_chunk", count)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "out", settings)
    (journal,) = tmp_path.glob(".out*")
    journal.write_text(journal.read_text() + '[{"outcome": 1, "mov')  # killed while writing
    assert generate(tmp_path / "out", settings).digest == whole.digest
    assert firsts == [0, 16, 32, 32] and not list(tmp_path.glob(".*"))


def test_journal_serves_another_number_of_games(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = replace(TEACHER, games=40), replace(TEACHER, games=60)

    def killed(*arguments: Any) -> None:
        (source,) = arguments[3]
        assert isinstance(source, GameSource) and len(list(source.read())) == 40
        raise KeyboardInterrupt  # before the archive is complete

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(importing, "build", killed)
        generate(tmp_path / "out", few)
    firsts, chunk = list[int](), teacher._chunk

    def count(game: Any, settings: Teacher, work: teacher.Work) -> Any:
        firsts.append(work.first)
        return chunk(game, settings, work)

    monkeypatch.setattr(teacher, "_chunk", count)
    more = generate(tmp_path / "out", many)
    assert firsts == [32, 48]  # the third chunk had 8 games of 16
    assert more.digest == generate(tmp_path / "whole", many).digest


def test_journal_of_another_teacher_or_damaged_is_ignored(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out", {"teacher": 1})
    settings = replace(TEACHER, games=20)
    played, sizes = list(teacher.play(GAME, settings, 1, silent)), teacher.chunks(settings)
    assert len(list(journal.games(sizes, lambda first: iter(played[first:])))) == 20
    assert [len(chunk) for chunk in journal.read()] == [16, 4]
    assert len(list(journal.games([16, 2], lambda first: iter(played[first:])))) == 18
    assert [len(chunk) for chunk in journal.read()] == [16, 4]
    assert Journal(tmp_path / "out", {"teacher": 2}).read() == []
    for damaged in ("", "other\n", '{"teacher": 1}'):
        journal.path.write_text(damaged)
        assert journal.read() == []
