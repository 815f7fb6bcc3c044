"""The exam: grades a player on solved positions by what its moves are worth.

There are two grades, each a proportion of positions with its binomial standard error:

* *kept*: the move keeps the game-theoretic result (a won position stays won, a drawn one drawn);
* *best*: no move scores higher when distance counts (wins soonest, loses latest).

Both are given for each phase of the game, and next to the grade of a player that picks legal moves
at random. Lost positions have no result to keep. They form a set of their own, *resistance*, graded
by *best* alone: does the move last longest?

Keys are fixed, so a grade is a function of parameters and search budget only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from games import Game
from games.game import State
from selfplay.solved.suite import Exam, PositionSuite, load

__all__ = [
    "PHASES",
    "Exam",
    "ExamResult",
    "Grade",
    "PositionSuite",
    "Proportion",
    "Score",
    "answer",
    "chance_grade",
    "chance_result",
    "evaluate",
    "grade",
    "load",
    "table",
]

BATCH: Final = 512
KEY_SEED: Final = 0
PHASES: Final = {"opening": (0, 10), "middle": (11, 20), "end": (21, 30)}  # plies, both included


P = TypeVar("P")
"""Parameters of a player: a pytree."""


class ChosenMoves(Protocol):
    """The part of a search's result that an exam reads."""

    @property
    def action(self) -> jax.Array: ...  # int32[B]


ExamSearch: TypeAlias = Callable[[P, State, jax.Array], ChosenMoves]
"""``search(params, states [B], key)`` → the moves."""


@dataclass(frozen=True)
class Proportion:
    """A proportion of `count` positions; NaN if `count` is 0."""

    value: float
    count: int

    @property
    def error(self) -> float:
        """The binomial standard error."""
        if not self.count:
            return float("nan")
        return float(np.sqrt(self.value * (1 - self.value) / self.count))

    def __str__(self) -> str:
        return f"{self.value:6.1%} ± {self.error:.1%}" if self.count else "none"


@dataclass(frozen=True)
class Score:
    """The moves over some positions that keep the result, and those that are best."""

    kept: Proportion
    best: Proportion


@dataclass(frozen=True)
class Grade:
    """The scores over a whole suite and over its phases, by their names in `PHASES`."""

    overall: Score
    phases: Mapping[str, Score]

    @property
    def kept(self) -> Proportion:
        """Moves that keep the result, over the whole suite."""
        return self.overall.kept

    @property
    def best(self) -> Proportion:
        """Moves that are best, over the whole suite."""
        return self.overall.best


@dataclass(frozen=True)
class ExamResult:
    """One player's grades on both suites of an exam.

    Attributes:
        result: the grade on won and drawn positions.
        resistance: the grade on lost positions; its `kept` is 1, since every move loses.
    """

    result: Grade
    resistance: Grade

    def metrics(self) -> dict[str, float]:
        """Returns the proportions by flat names, for a metrics log."""
        metrics = {"kept": self.result.kept.value, "best": self.result.best.value}
        for phase, score in self.result.phases.items():
            metrics[f"kept_{phase}"] = score.kept.value
            metrics[f"best_{phase}"] = score.best.value
        return metrics | {"resistance": self.resistance.best.value}


def grade(suite: PositionSuite, actions: NDArray[np.integer]) -> Grade:
    """Grades actions int[N], one for each position.

    Raises:
        ValueError: an action is illegal, which is a defect of the player, or one is missing.
    """
    actions = np.asarray(actions)
    if actions.shape != (len(suite),):
        raise ValueError(f"{len(suite)} positions, but answers of shape {actions.shape}")
    rows = np.arange(len(suite))
    in_range = (actions >= 0) & (actions < suite.scores.shape[1])
    legal = in_range & suite.legal[rows, np.where(in_range, actions, 0)]
    if not legal.all():
        at = int(legal.argmin())
        raise ValueError(f"position {at} was answered with the illegal action {actions[at]}")
    keeps, is_best = suite.keeps[rows, actions], suite.best[rows, actions]
    return _by_phase(suite, keeps.astype(float), is_best.astype(float))


def chance_grade(suite: PositionSuite) -> Grade:
    """Computes the expected grade of a player that picks legal moves uniformly."""
    legal = suite.legal.sum(axis=1)
    return _by_phase(suite, suite.keeps.sum(axis=1) / legal, suite.best.sum(axis=1) / legal)


def chance_result(exam: Exam) -> ExamResult:
    """Computes `chance_grade` for both suites."""
    return ExamResult(chance_grade(exam.result), chance_grade(exam.resistance))


def answer(
    game: Game,
    suite: PositionSuite,
    search_fn: ExamSearch[P],
    params: P,
    key: jax.Array,
    batch: int = BATCH,
) -> NDArray[np.int32]:
    """Returns the actions int32[N] that a search plays in the positions.

    `search_fn` must be traceable, and the same object from call to call: it is compiled once, for
    batches of `batch` positions (the last one is padded with the first position). The actions
    depend only on params, key and batch.
    """
    program = _program(game, search_fn)
    actions = []
    for index, start in enumerate(range(0, len(suite), batch)):
        rows = np.arange(start, start + batch)
        rows = np.where(rows < len(suite), rows, 0)
        boards = jnp.asarray(suite.boards[rows])
        players = jnp.asarray(suite.players[rows], jnp.int32)
        actions.append(program(params, boards, players, jax.random.fold_in(key, index)))
    return np.concatenate([np.asarray(part) for part in actions])[: len(suite)]


def evaluate(
    game: Game,
    exam: Exam,
    search_fn: ExamSearch[P],
    params: P,
    key: jax.Array | None = None,
    batch: int = BATCH,
) -> ExamResult:
    """Grades a search on both suites of an exam.

    Grades are comparable between runs only with the default key.
    """
    key = jax.random.key(KEY_SEED) if key is None else key
    grades = [
        grade(suite, answer(game, suite, search_fn, params, part, batch))
        for suite, part in zip((exam.result, exam.resistance), jax.random.split(key), strict=True)
    ]
    return ExamResult(*grades)


def table(exam: Exam, results: Mapping[str, ExamResult], title: str = "") -> Table:
    """Builds a table with a column for each named result (a budget, say), and chance last."""
    grid = Table(title=title or None, caption=f"{_counts(exam)}; ± is one standard error")
    grid.add_column("moves that …")
    columns = {
        name: [str(proportion) for proportion in _proportions(result)]
        for name, result in results.items()
    }
    columns["chance"] = [f"{level.value:6.1%}" for level in _proportions(chance_result(exam))]
    for name in columns:
        grid.add_column(name, justify="right")
    rows = zip(_labels(), *columns.values(), strict=True)
    for i, cells in enumerate(rows):
        ends_section = i in (len(PHASES), 2 * len(PHASES) + 1)
        grid.add_row(*cells, end_section=ends_section)
    return grid


def _labels() -> list[str]:
    """Lists the labels of the table's rows, in the order of `_proportions`."""
    keeping = ["keep the result", *(f"  {phase}" for phase in PHASES)]
    best = ["are best (distance-aware)", *(f"  {phase}" for phase in PHASES)]
    return [*keeping, *best, "resist longest when lost"]


def _by_phase(
    suite: PositionSuite, keeps: NDArray[np.float64], is_best: NDArray[np.float64]
) -> Grade:
    """Averages keeps [N] and is_best [N] over all positions and over each phase."""

    def score(where: NDArray[np.bool_]) -> Score:
        count = int(where.sum())
        means = [float(x[where].mean()) if count else float("nan") for x in (keeps, is_best)]
        return Score(Proportion(means[0], count), Proportion(means[1], count))

    plies = suite.plies
    phases = {name: score((plies >= a) & (plies <= b)) for name, (a, b) in PHASES.items()}
    return Grade(score(np.ones(len(plies), bool)), phases)


def _proportions(result: ExamResult) -> list[Proportion]:
    """Lists a result's proportions in the order of the table's rows."""
    phases = list(result.result.phases.values())
    return [
        result.result.kept,
        *(score.kept for score in phases),
        result.result.best,
        *(score.best for score in phases),
        result.resistance.best,
    ]


def _counts(exam: Exam) -> str:
    """Writes how many positions the exam has."""
    return f"{len(exam.result)} result and {len(exam.resistance)} resistance positions"


@functools.lru_cache(maxsize=16)
def _program(
    game: Game, search_fn: ExamSearch[P]
) -> Callable[[P, jax.Array, jax.Array, jax.Array], jax.Array]:
    """Compiles ``(params, boards [B, 6, 7], players [B], key) → action [B]``, once a search."""

    @jax.jit
    def program(params: P, boards: jax.Array, players: jax.Array, key: jax.Array) -> jax.Array:
        states = jax.vmap(game.from_board)(boards, players)
        return search_fn(params, states, key).action

    return program
