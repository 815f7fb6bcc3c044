"""Designs with a planted truth, whose ratings are drawn many times."""

from dataclasses import dataclass, replace

import numpy as np

from selfplay.scaling import rated_versions
from selfplay.scaling.estimate import Estimate, Floats
from selfplay.scaling.rated_versions import RatedVersions

REPLICATES = 2000
BAND = (0.935, 0.965)  # the coverage of a 95 % interval in 2 000 replicates, in 998 of 1 000 cases
NATS_PER_ELO = np.log(10) / 400


@dataclass(frozen=True)
class Luck:
    """Standard deviations of the differences between runs of one recipe, Elo."""

    level: float = 40.0  # of a whole run
    slope: float = 40.0  # per OOM of training from the middle of the design
    search: float = 15.0  # per OOM of search from its middle, if known
    version: float = 20.0  # of a single version


def runs(seeds: int, versions: int = 6, ooms: float = 2.5, start: float = 12.0) -> RatedVersions:
    """Makes a recipe's runs, with versions spaced in log FLOPs evenly up to a jitter.

    Args:
        seeds: the number of runs.
        versions: of each run.
        ooms: from the first version to the last one.
        start: log10 FLOPs of the first versions.
    """
    rng = np.random.default_rng(seeds)
    spent = np.concatenate([start + np.linspace(0, ooms, versions)] * seeds)
    spent = spent + rng.uniform(-0.03, 0.03, len(spent))
    run = np.repeat(np.arange(seeds), versions)
    return RatedVersions.of(
        np.zeros(len(spent)),
        np.zeros((len(spent), len(spent))),
        [f"run{i}" for i in run],
        spent,
        seed=run,
    )


def joined(*parts: RatedVersions, names: tuple[str, ...]) -> RatedVersions:
    """Joins designs as recipes of these names, with separate runs."""
    return rated_versions.join_ladders(
        [
            replace(
                part,
                run=np.array([f"{name}-{run}" for run in part.run], np.str_),
                recipe=np.full(len(part), name),
            )
            for part, name in zip(parts, names, strict=True)
        ]
    )


def ladder(
    truth: Floats, openings: int = 60, neighbors: int = 3, pair_effect: float = 0.0
) -> Floats:
    """Computes the covariance float[N, N], Elo², of ratings relative to an anchor on the ladder.

    Each player plays its next `neighbors` in strength, `openings` each with both colors. The anchor
    is as strong as the second weakest player, and its error is in all ratings.

    Args:
        truth: the players' Elo.
        openings: of each pairing.
        neighbors: how many stronger players each player meets.
        pair_effect: the standard deviation of a pairing's own effect on its difference, Elo. No
            number of games between the two averages it out.
    """
    anchor = float(np.sort(truth)[1])
    elo = np.append(truth, anchor)
    order = np.argsort(elo, kind="stable")
    information = np.zeros((len(elo), len(elo)))
    for step in range(1, neighbors + 1):
        for i, j in zip(order, order[step:], strict=False):
            p = 1 / (1 + np.exp(-NATS_PER_ELO * abs(elo[i] - elo[j])))
            gain = 2 * openings * p * (1 - p) * NATS_PER_ELO**2
            gain = 1 / (1 / gain + pair_effect**2)
            information[[i, j], [i, j]] += gain
            information[[i, j], [j, i]] -= gain
    inverse = np.linalg.inv(information[:-1, :-1])
    return (inverse + inverse.T) / 2


def draw(
    design: RatedVersions,
    truth: Floats,
    luck: Luck = Luck(),
    *,
    openings: int = 60,
    neighbors: int = 3,
    pair_effect: float = 0.0,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> RatedVersions:
    """Draws ratings [replicates, N] of a design: the truth, the runs' luck, the ladder's errors."""
    rng = np.random.default_rng(seed)
    covariance = ladder(truth, openings, neighbors, pair_effect)
    runs, index = len(design.runs), design.run_index
    x = design.training - design.training.mean()
    size = len(design)
    elo = truth + luck.level * rng.normal(size=(replicates, runs))[:, index]
    elo += luck.slope * rng.normal(size=(replicates, runs))[:, index] * x
    if not np.isnan(design.search).any():
        y = design.search - design.search.mean()
        elo += luck.search * rng.normal(size=(replicates, runs))[:, index] * y
    elo += luck.version * rng.normal(size=(replicates, size))
    elo += rng.normal(size=(replicates, size)) @ np.linalg.cholesky(covariance).T
    return replace(design, elo=elo, covariance=covariance)


def coverage(estimate: Estimate, truth: float) -> float:
    """Computes the fraction of intervals that hold the truth."""
    return float(estimate.covers(truth).mean())
