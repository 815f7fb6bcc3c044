"""The exam: solved positions that grade a player by what its moves are worth.

Two grades, each a share of questions with its binomial standard error:

* *kept*: the move keeps the game-theoretic result (a won position stays won, a drawn one drawn);
* *best*: no move scores higher when distance counts (wins soonest, loses latest).

Both are broken down by phase, and both stand beside the level of a player that picks legal moves
at random. Lost positions have no result to keep; they are a set of their own, *resistance*,
graded by *best* alone: does the move last longest?

Keys are fixed, so a grade is a function of parameters and search budget only.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from games import Game
from selfplay.solved.suite import Exam, Questions, load

__all__ = [
    "PHASES",
    "Exam",
    "Grade",
    "Marks",
    "Questions",
    "Result",
    "Share",
    "answer",
    "chance",
    "chance_of",
    "grade",
    "load",
    "table",
    "take",
]

BATCH: Final = 512
KEY_SEED: Final = 0
PHASES: Final = {"opening": (0, 10), "middle": (11, 20), "end": (21, 30)}  # plies, both included


class Answered(Protocol):
    """What an exam reads of a search's result."""

    @property
    def action(self) -> jax.Array: ...  # int32[B]


SearchFn = Callable[[Any, Any, jax.Array], Answered]  # (params, states [B], key) -> action [B]


@dataclass(frozen=True)
class Share:
    """A share of `count` questions; NaN where there are none."""

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
class Marks:
    """The two grades over some questions."""

    kept: Share
    best: Share


@dataclass(frozen=True)
class Grade:
    """Marks over a whole set and over its phases."""

    overall: Marks
    phases: Mapping[str, Marks]

    @property
    def kept(self) -> Share:
        """Moves that keep the result, over the whole set."""
        return self.overall.kept

    @property
    def best(self) -> Share:
        """Moves that are best, over the whole set."""
        return self.overall.best


@dataclass(frozen=True)
class Result:
    """One player's exam."""

    result: Grade
    resistance: Grade  # its `kept` is 1 by definition: everything loses

    def metrics(self) -> dict[str, float]:
        """Flat names and shares, for a metrics log."""
        named = {"kept": self.result.kept.value, "best": self.result.best.value}
        for phase, marks in self.result.phases.items():
            named[f"kept_{phase}"] = marks.kept.value
            named[f"best_{phase}"] = marks.best.value
        return named | {"resistance": self.resistance.best.value}


def grade(questions: Questions, actions: NDArray[np.integer]) -> Grade:
    """Grades actions int[N], one a question; an illegal one is a defect and raises ValueError."""
    actions = np.asarray(actions)
    if actions.shape != (len(questions),):
        raise ValueError(f"{len(questions)} questions, but answers of shape {actions.shape}")
    rows = np.arange(len(questions))
    known = (actions >= 0) & (actions < questions.scores.shape[1])
    legal = known & questions.legal[rows, np.where(known, actions, 0)]
    if not legal.all():
        at = int(legal.argmin())
        raise ValueError(f"question {at} was answered with the illegal action {actions[at]}")
    kept, best = questions.keeps[rows, actions], questions.best[rows, actions]
    return _by_phase(questions, kept.astype(float), best.astype(float))


def chance(questions: Questions) -> Grade:
    """The expected grade of a player that picks legal moves uniformly."""
    legal = questions.legal.sum(axis=1)
    return _by_phase(
        questions, questions.keeps.sum(axis=1) / legal, questions.best.sum(axis=1) / legal
    )


def chance_of(exam: Exam) -> Result:
    """:func:`chance` for both sets."""
    return Result(chance(exam.result), chance(exam.resistance))


def answer(
    game: Game,
    questions: Questions,
    search_fn: SearchFn,
    params: Any,
    key: jax.Array,
    batch: int = BATCH,
) -> NDArray[np.int32]:
    """The actions int32[N] that a search plays at the questions.

    `search_fn` must be traceable, and the same object from call to call: it is compiled once, for
    batches of `batch` positions (the last one is filled up with the first question). The answers
    are a function of params, key and batch.
    """
    program = _program(game, search_fn)
    actions = []
    for index, start in enumerate(range(0, len(questions), batch)):
        rows = np.arange(start, start + batch)
        rows = np.where(rows < len(questions), rows, 0)
        boards = jnp.asarray(questions.boards[rows])
        players = jnp.asarray(questions.players[rows], jnp.int32)
        actions.append(program(params, boards, players, jax.random.fold_in(key, index)))
    return np.concatenate([np.asarray(part) for part in actions])[: len(questions)]


def take(
    game: Game,
    exam: Exam,
    search_fn: SearchFn,
    params: Any,
    key: jax.Array | None = None,
    batch: int = BATCH,
) -> Result:
    """Sits the whole exam. Leave `key` out for grades that can be compared with other runs'."""
    key = jax.random.key(KEY_SEED) if key is None else key
    grades = [
        grade(questions, answer(game, questions, search_fn, params, part, batch))
        for questions, part in zip(
            (exam.result, exam.resistance), jax.random.split(key), strict=True
        )
    ]
    return Result(*grades)


def table(exam: Exam, results: Mapping[str, Result], title: str = "") -> Table:
    """A rich table: a column for each named result (a budget, say), and the chance level last."""
    grid = Table(title=title or None, caption=f"{_counts(exam)}; ± is one standard error")
    grid.add_column("moves that …")
    columns = {name: [str(share) for share in _shares(result)] for name, result in results.items()}
    columns["chance"] = [f"{share.value:6.1%}" for share in _shares(chance_of(exam))]
    for name in columns:
        grid.add_column(name, justify="right")
    rows = zip(_labels(), *columns.values(), strict=True)
    for i, cells in enumerate(rows):
        last_of_part = i in (len(PHASES), 2 * len(PHASES) + 1)
        grid.add_row(*cells, end_section=last_of_part)
    return grid


def _labels() -> list[str]:
    """The table's rows, in the order of :func:`_shares`."""
    kept = ["keep the result", *(f"  {phase}" for phase in PHASES)]
    best = ["are best (distance-aware)", *(f"  {phase}" for phase in PHASES)]
    return [*kept, *best, "resist longest when lost"]


def _by_phase(questions: Questions, kept: NDArray[np.float64], best: NDArray[np.float64]) -> Grade:
    """Means of kept [N] and best [N] over everything and over each phase."""

    def marks(where: NDArray[np.bool_]) -> Marks:
        count = int(where.sum())
        means = [float(part[where].mean()) if count else float("nan") for part in (kept, best)]
        return Marks(Share(means[0], count), Share(means[1], count))

    plies = questions.plies
    phases = {name: marks((plies >= a) & (plies <= b)) for name, (a, b) in PHASES.items()}
    return Grade(marks(np.ones(len(plies), bool)), phases)


def _shares(result: Result) -> list[Share]:
    """A result's shares in the order of the table's rows."""
    phases = list(result.result.phases.values())
    return [
        result.result.kept,
        *(marks.kept for marks in phases),
        result.result.best,
        *(marks.best for marks in phases),
        result.resistance.best,
    ]


def _counts(exam: Exam) -> str:
    return f"{len(exam.result)} result and {len(exam.resistance)} resistance questions"


@functools.lru_cache(maxsize=16)
def _program(game: Game, search_fn: SearchFn) -> Callable[..., jax.Array]:
    """(params, boards [B, 6, 7], players [B], key) -> action [B], jitted once a search."""

    @jax.jit
    def program(params: Any, boards: jax.Array, players: jax.Array, key: jax.Array) -> jax.Array:
        states = jax.vmap(game.from_board)(boards, players)
        return search_fn(params, states, key).action

    return program
