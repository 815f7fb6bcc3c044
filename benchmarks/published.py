"""A study beside what others have published, each figure in the convention of its source.

    python benchmarks/published.py studies/hex_scaling
    python benchmarks/published.py studies/connect_four_budget_vs_size

Hex is compared with Jones (2021), and so in multiply-adds of self-play; Connect Four with Neumann
and Gros (2022), in FLOPs, which leave slopes as they are. Versions count at the budget at which
most were rated. Prints Markdown: one line for each published number, with ours, its interval, and
whether the interval holds the published one.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not benchmarks/: its selfplay.py would hide the package

import numpy as np

from selfplay.scaling import exchange, findings, frontier, incline, reading, slopes, threshold
from selfplay.scaling.conventions import elo_per_oom, selfplay_multiply_adds
from selfplay.scaling.estimate import Estimate, Unanswerable
from selfplay.scaling.points import Points, joined
from selfplay.study.folder import Study
from selfplay.study.report import LADDER, PERFECT

PARAMETERS, COMPUTE = elo_per_oom(0.88), elo_per_oom(0.55)  # Neumann and Gros's exponents
INCLINE = 500.0  # Jones: Elo per OOM
ON_BOARDS = {"incline": 510.0, "a row, incline": 430.0, "a row, plateau": 270.0}  # Jones's fit
PERFECTION = {3: 1e11, 4: 8e11, 5: 6e12}  # Jones: multiply-adds until 50 Elo below perfect play
A_ROW = float(np.log10(7))  # Jones: 7 times as much for each row
SEARCH_PER_TRAINING = -1.2  # Jones: OOMs of search per OOM of training, on 9x9


class Line(NamedTuple):
    """One published number, and ours."""

    what: str
    published: float
    ask: Callable[[], Estimate]

    def __str__(self) -> str:
        try:
            ours = self.ask()
        except Unanswerable as reason:
            return f"| {self.what} | {self.published:+.4g} | not answered: {reason} | |"
        agrees = "yes" if ours.covers(self.published) else "no"
        return f"| {self.what} | {self.published:+.4g} | {ours} | {agrees} |"


def jones(boards: dict[str, Points], anchors: dict[str, str]) -> Iterator[Line]:
    """Hex, board by board, then all boards that have perfect play at 0."""
    at_budget = {game: _headline(points) for game, points in boards.items()}
    took: dict[int, Callable[[], Estimate]] = {}
    for game, points in at_budget.items():
        rows = int(points.known("board")[0])
        level = findings.NEARLY_PERFECT
        stand_in = ""
        if anchors[game] != PERFECT:
            level += strongest(boards[game])
            stand_in = " (the strongest recipe at its largest budget stands in for perfect play)"
        yield Line(f"{game}: Elo per OOM", INCLINE, lambda p=points: frontier.fit(p).slope)
        took[rows] = lambda p=points, elo=level: threshold.fit(p, elo).training
        if rows in PERFECTION:
            what = f"{game}: log10 multiply-adds to 50 Elo below perfect play{stand_in}"
            yield Line(what, float(np.log10(PERFECTION[rows])), took[rows])
        what = f"{game}: OOMs of search per OOM of training"
        yield Line(what, SEARCH_PER_TRAINING, lambda p=boards[game]: exchange.fit(p).a)
    for rows in sorted(took):
        if rows + 1 in took:
            what = f"OOMs to perfect play from {rows}×{rows} to {rows + 1}×{rows + 1}"
            yield Line(what, A_ROW, lambda r=rows: _less(took[r + 1](), took[r]()))
    solved = [points for game, points in at_budget.items() if anchors[game] == PERFECT]
    if len(solved) > 1:
        whole = joined(solved)
        on = np.concatenate([frontier.leading(points) for points in solved])

        def part(name: str) -> Estimate:
            found = getattr(incline.fit(whole.select(on), "board"), name)
            assert isinstance(found, Estimate)  # none is None with a covariate
            return found

        for (what, value), name in zip(
            ON_BOARDS.items(), ("slope", "slope_cost", "plateau_cost"), strict=True
        ):
            yield Line(f"all boards, Jones's model: {what}", value, lambda n=name: part(n))


def neumann_gros(points: Points) -> Iterator[Line]:
    """Connect Four: networks trained to the end, and the frontier."""
    same = _headline(points)
    spent = same.known("training")
    last = spent == np.array([spent[same.run == run].max() for run in same.run])
    yield Line("Elo per OOM of parameters", PARAMETERS, lambda: slopes.per_size(same.select(last)))
    yield Line("Elo per OOM of training", COMPUTE, lambda: frontier.fit(same).slope)


def strongest(points: Points) -> float:
    """Elo of the best recipe's last versions at their largest budget, mean over its runs."""
    deep = points.select(points.known("simulations") == points.known("simulations").max())
    ends = {run: deep.elo[deep.run == run][np.argmax(deep.training[deep.run == run])]
            for run in deep.runs}  # fmt: skip
    recipe = {run: deep.recipe[deep.run == run][0] for run in deep.runs}
    means = [
        np.mean([ends[run] for run in deep.runs if recipe[run] == one]) for one in set(deep.recipe)
    ]
    return float(max(means))


def _headline(points: Points) -> Points:
    budget = findings.headline_budget(points)
    return points.select(points.known("simulations") == budget)


def _less(a: Estimate, b: Estimate) -> Estimate:
    """a - b of separate runs and ladders, with Welch's degrees of freedom."""
    variances = np.array([a.stderr, b.stderr]) ** 2
    df = variances.sum() ** 2 / np.sum(variances**2 / np.array([a.df, b.df]))
    return Estimate.student(a.value - b.value, np.sqrt(variances.sum()), df, "OOMs of training")


def lines(study: Study) -> Iterator[Line]:
    """Every comparison that the study's games have.

    Raises:
        ValueError: nothing rated, or a game that nobody here is compared with.
    """
    rated = {game: study.ladder(game) / LADDER for game in study.games()}
    rated = {game: path for game, path in rated.items() if path.exists()}
    if not rated:
        raise ValueError(f"{study.folder} has no ladder yet; go on with launch/ablate.py")
    kind = next(iter(rated)).partition("?")[0]
    if kind not in ("hex", "connect_four"):
        raise ValueError(f"no published figures of {kind} here; choose hex or connect_four")
    standings = {game: reading.standing(path) for game, path in rated.items()}
    anchors = {game: one.entries[one.ratings.anchor].spec for game, one in standings.items()}
    if kind == "connect_four":
        (standing,) = standings.values()
        yield from neumann_gros(reading.points(standing, study.folder))
        return
    count = selfplay_multiply_adds
    yield from jones(
        {game: reading.points(one, study.folder, count) for game, one in standings.items()}, anchors
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path)
    study = Study.read(parser.parse_args().study)
    print("| | published | here | holds it |\n|---|---|---|---|")
    for line in lines(study):
        print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
