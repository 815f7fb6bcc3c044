"""Compares a study with published figures, each in the units of its source.

    python -m benchmarks.published studies/hex_scaling
    python -m benchmarks.published studies/connect_four_budget_vs_size
    python -m benchmarks.published studies/hex_scaling --plain

Hex is compared with Jones (2021), so in multiply-adds of self-play; Connect Four with Neumann and
Gros (2022), in FLOPs, a constant factor that does not change slopes. ``--plain`` rates the same
games by the plain Bradley-Terry model, as Jones did: without terms for the first move and the
openings, their effects compress the ratings. Prints Markdown: a line for each published number,
with ours, its interval, and whether the interval holds the published number.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from selfplay.ladder import database
from selfplay.ladder.ladder import LadderState
from selfplay.ratings import elo
from selfplay.report.rated_runs import PERFECT
from selfplay.scaling import (
    compute_to_reach,
    exchange,
    from_ladder,
    frontier,
    incline,
    phases,
    slopes,
)
from selfplay.scaling.compute_units import elo_per_oom, selfplay_multiply_adds
from selfplay.scaling.estimate import Estimate, InsufficientData
from selfplay.scaling.rated_versions import RatedVersions, by_budget, join_ladders
from selfplay.study.folder import Study
from tests.simulation.ladders import color_blind

PARAMETERS, COMPUTE = elo_per_oom(0.88), elo_per_oom(0.55)  # Neumann and Gros's exponents
INCLINE = 500.0  # Jones: Elo per OOM
ON_BOARDS = {"incline": 510.0, "a row, incline": 430.0, "a row, plateau": 270.0}  # Jones's fit
PERFECTION = {3: 1e11, 4: 8e11, 5: 6e12}  # Jones: multiply-adds until 50 Elo below perfect play
A_ROW = float(np.log10(7))  # Jones: 7 times as much for each row
SEARCH_PER_TRAINING = -1.2  # Jones: OOMs of search per OOM of training, on 9x9


class Line(NamedTuple):
    """A published number and the question that estimates ours."""

    what: str
    published: float
    ask: Callable[[], Estimate]

    def __str__(self) -> str:
        try:
            ours = self.ask()
        except InsufficientData as reason:
            return f"| {self.what} | {self.published:+.4g} | not answered: {reason} | |"
        agrees = "yes" if ours.covers(self.published) else "no"
        return f"| {self.what} | {self.published:+.4g} | {ours} | {agrees} |"


def jones(boards: dict[str, RatedVersions], anchors: dict[str, str]) -> Iterator[Line]:
    """Compares Hex at every search budget, board by board, then all boards with perfect play at 0.

    Jones rates at 64 simulations.
    """
    took: dict[tuple[float, int], Callable[[], Estimate]] = {}
    for game, points in boards.items():
        rows, level, stand_in = int(points.require("board")[0]), -incline.NEAR_PERFECT_ELO, ""
        if anchors[game] != PERFECT:
            level += strongest(points)
            stand_in = " (the strongest recipe at its largest budget stands in for perfect play)"
        for budget, same in by_budget(points).items():
            where = f"{game}, {budget:g} simulations"
            yield Line(f"{where}: Elo per OOM", INCLINE, lambda p=same: frontier.fit(p).slope)
            took[budget, rows] = lambda p=same, elo=level: compute_to_reach.fit(p, elo).training
            if rows in PERFECTION:
                what = f"{where}: log10 multiply-adds to 50 Elo below perfect play{stand_in}"
                yield Line(what, float(np.log10(PERFECTION[rows])), took[budget, rows])
        rising, _ = incline.on_incline(points, anchors[game] == PERFECT)
        what = f"{game}: OOMs of search per OOM of training"
        yield Line(
            what,
            SEARCH_PER_TRAINING,
            lambda p=points, k=rising: exchange.fit_frontier(p, k).training_exponent,
        )
    for budget, rows in sorted(took):
        if (budget, rows + 1) in took:
            ends = f"{rows}×{rows} to {rows + 1}×{rows + 1}"
            what = f"{budget:g} simulations: OOMs to perfect play, {ends}"
            a, b = took[budget, rows + 1], took[budget, rows]
            yield Line(what, A_ROW, lambda a=a, b=b: _less(a(), b()))
    solved = [points for game, points in boards.items() if anchors[game] == PERFECT]
    if len(solved) > 1:
        for budget, same in by_budget(join_ladders(solved)).items():
            chosen = same.select(frontier.on_frontier_by(same, "board"))

            def part(name: str, points: RatedVersions = chosen) -> Estimate:
                estimate = getattr(phases.fit(points, "board"), name)
                assert isinstance(estimate, Estimate)  # with a covariate no parameter is None
                return estimate

            for (what, value), name in zip(
                ON_BOARDS.items(), ("slope", "slope_cost", "plateau_cost"), strict=True
            ):
                what = f"{budget:g} simulations, all boards, Jones's model: {what}"
                yield Line(what, value, lambda n=name, part=part: part(n))


def neumann_gros(points: RatedVersions) -> Iterator[Line]:
    """Compares Connect Four at every budget: networks trained to the end, and the frontier."""
    for budget, same in by_budget(points).items():
        spent, where = same.require("training"), f"{budget:g} simulations"
        last = spent == np.array([spent[same.run == run].max() for run in same.run])
        ends = same.select(last)
        yield Line(
            f"{where}: Elo per OOM of parameters", PARAMETERS, lambda p=ends: slopes.per_size(p)
        )
        yield Line(
            f"{where}: Elo per OOM of training", COMPUTE, lambda p=same: frontier.fit(p).slope
        )


def strongest(points: RatedVersions) -> float:
    """Returns the Elo of the best recipe's last versions at the largest budget, mean over runs."""
    deep = points.select(points.require("simulations") == points.require("simulations").max())
    ends = {run: deep.elo[deep.run == run][np.argmax(deep.training[deep.run == run])]
            for run in deep.runs}  # fmt: skip
    recipe = {run: deep.recipe[deep.run == run][0] for run in deep.runs}
    means = [
        np.mean([ends[run] for run in deep.runs if recipe[run] == name])
        for name in set(deep.recipe)
    ]
    return float(max(means))


def _less(a: Estimate, b: Estimate) -> Estimate:
    """Estimates a - b of separate runs and ladders, with Welch's degrees of freedom."""
    variances = np.array([a.stderr, b.stderr]) ** 2
    df = variances.sum() ** 2 / np.sum(variances**2 / np.array([a.df, b.df]))
    return Estimate.student(a.value - b.value, np.sqrt(variances.sum()), df, "OOMs of training")


def plain(rated: LadderState) -> LadderState:
    """Rates the same games without terms for the first move and the openings.

    The covariance is too small: the two games of a pair count as independent.
    """
    ratings = elo.fit(color_blind(rated.games), len(rated.entries), rated.ratings.anchor)
    return rated._replace(ratings=replace(ratings, covariance=2 * ratings.covariance))


def lines(study: Study, rate: Callable[[LadderState], LadderState]) -> Iterator[Line]:
    """Yields every comparison of the study's games, with ratings changed by `rate`.

    Raises:
        ValueError: nothing is rated, or there are no published figures of the game.
    """
    rated = {game: study.ladder_folder(game) / database.FILE for game in study.runs_to_rate()}
    rated = {game: path for game, path in rated.items() if path.exists()}
    if not rated:
        raise ValueError(f"{study.folder} has no ladder yet; resume it with launch/ablate.py")
    kind = next(iter(rated)).partition("?")[0]
    if kind not in ("hex", "connect_four"):
        raise ValueError(f"no published figures of {kind}; choose hex or connect_four")
    states = {game: rate(from_ladder.read_state(path)) for game, path in rated.items()}
    anchors = {game: one.entries[one.ratings.anchor].spec for game, one in states.items()}
    if kind == "connect_four":
        (state,) = states.values()
        yield from neumann_gros(from_ladder.read_versions(state, study.folder))
        return
    count = selfplay_multiply_adds
    yield from jones(
        {game: from_ladder.read_versions(one, study.folder, count) for game, one in states.items()},
        anchors,
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path)
    parser.add_argument(
        "--plain", action="store_true", help="rate by the plain Bradley-Terry model"
    )
    options = parser.parse_args()
    rate = plain if options.plain else lambda rated: rated
    print("| | published | here | holds it |\n|---|---|---|---|")
    for line in lines(Study.read(options.study), rate):
        print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
