"""Grading and answering: known answers, the chance level, padded batches, the table."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import games
from selfplay.solved.exam import (
    PHASES,
    Exam,
    PositionSuite,
    answer,
    chance_grade,
    chance_result,
    evaluate,
    grade,
    load,
    table,
)


@pytest.fixture(scope="module")
def exam() -> Exam:
    return load("connect_four")


@pytest.fixture(scope="module")
def game() -> games.Game:
    return games.make("connect_four")


def test_perfect_answers_score_one(exam: Exam) -> None:
    perfect = grade(exam.result, exam.result.scores.argmax(axis=1))
    assert perfect.kept.value == perfect.best.value == 1
    assert perfect.kept.error == 0
    assert sum(score.kept.count for score in perfect.phases.values()) == len(exam.result)
    assert grade(exam.resistance, exam.resistance.scores.argmax(axis=1)).best.value == 1


def test_worst_answers_score_zero(exam: Exam) -> None:
    for suite, keeps in ((exam.result, 0), (exam.resistance, 1)):
        worst = np.where(suite.legal, suite.scores, 127).argmin(axis=1)
        assert grade(suite, worst).kept.value == keeps
        assert grade(suite, worst).best.value == 0


def test_kept_and_best_differ() -> None:
    """A slower win keeps the result and is not best; a phase counts only its own positions."""
    scores = np.array([[5, 3, 0, -2, -128, 5, -1]] * 3, np.int8)
    suite = PositionSuite(
        np.zeros((3, 6, 7), np.int8), np.zeros(3, np.int8), np.array([0, 11, 20], np.int8), scores
    )
    result = grade(suite, np.array([1, 5, 2]))
    assert (result.kept.value, result.best.value) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert result.kept.error == pytest.approx(np.sqrt(2 / 9 / 3))
    assert result.phases["opening"].kept.value == 1
    assert result.phases["middle"].best.value == 0.5
    assert result.phases["end"].kept.count == 0
    assert np.isnan(result.phases["end"].kept.value)
    level = chance_grade(suite)
    assert (level.kept.value, level.best.value) == (pytest.approx(1 / 2), pytest.approx(1 / 3))


def test_illegal_and_missing_answers_are_rejected(exam: Exam) -> None:
    full = int(np.flatnonzero(~exam.result.legal.all(axis=1))[0])
    actions = exam.result.scores.argmax(axis=1)
    for wrong in (int(exam.result.legal[full].argmin()), -1, 7):
        actions[full] = wrong
        with pytest.raises(ValueError, match=f"position {full} .* illegal action {wrong}"):
            grade(exam.result, actions)
    with pytest.raises(ValueError, match="answers of shape"):
        grade(exam.result, actions[:-1])


class Played(NamedTuple):
    action: jax.Array


def random_search(game: Any, traces: list[int]):
    """A player of random legal moves that notes each time it is traced."""

    def search(params, states, key):
        traces.append(1)
        legal = jax.vmap(game.legal_actions)(states)
        noise = jax.random.uniform(key, legal.shape) + params
        return Played(jnp.where(legal, noise, -1).argmax(axis=-1).astype(jnp.int32))

    return search


def test_random_player_scores_the_chance_level(exam: Exam, game: games.Game) -> None:
    traces: list[int] = []
    search = random_search(game, traces)
    outcome = evaluate(game, exam, search, jnp.float32(0))
    for result, suite in ((outcome.result, exam.result), (outcome.resistance, exam.resistance)):
        level = chance_grade(suite)
        assert abs(result.best.value - level.best.value) < 4 * result.best.error
        for phase in PHASES:
            score, expected = result.phases[phase], level.phases[phase]
            for name in ("kept", "best"):
                proportion, chance_level = getattr(score, name), getattr(expected, name)
                assert proportion.count == chance_level.count
                assert abs(proportion.value - chance_level.value) <= 4 * proportion.error
    assert (
        evaluate(game, exam, search, jnp.float32(0)) == outcome
    )  # a function of params and search
    assert evaluate(game, exam, search, jnp.float32(0), jax.random.key(5)) != outcome
    assert len(traces) == 1  # one program for both sets and all calls


@pytest.mark.parametrize("batch", [512, 97])
def test_answers_keep_the_order_of_positions(exam: Exam, game: games.Game, batch: int) -> None:
    """The leftmost legal column for player 0, the rightmost for player 1, computed twice."""

    def search(params, states, key):
        legal = jax.vmap(game.legal_actions)(states)
        left, right = legal.argmax(axis=-1), 6 - legal[:, ::-1].argmax(axis=-1)
        return Played(jnp.where(jax.vmap(game.player)(states) == 0, left, right))

    suite = exam.resistance
    actions = answer(game, suite, search, None, jax.random.key(0), batch)
    legal = suite.legal
    expected = np.where(suite.players == 0, legal.argmax(axis=1), 6 - legal[:, ::-1].argmax(axis=1))
    assert (actions == expected).all()


def test_table_shows_budgets_and_chance(exam: Exam) -> None:
    level = chance_result(exam)
    console = Console(width=200, record=True, quiet=False, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table(exam, {"0": level, "64": level}))
    text = captured.get()
    header = next(line for line in text.splitlines() if "chance" in line)
    assert [cell.strip() for cell in header.strip("┃ ").split("┃")][1:] == ["0", "64", "chance"]
    assert f"{level.result.kept.value:.1%} ± {level.result.kept.error:.1%}" in text
    assert level.metrics()["kept_end"] == level.result.phases["end"].kept.value
