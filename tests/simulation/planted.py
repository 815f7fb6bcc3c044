"""Designs with a planted truth: rated versions as a study would have them, drawn many times."""

from dataclasses import dataclass, replace

import numpy as np

from selfplay.scaling import rated_versions
from selfplay.scaling.estimate import Estimate, Floats
from selfplay.scaling.rated_versions import RatedVersions

REPLICATES = 2000
BAND = (0.935, 0.965)  # what a 95 % interval covers in 2 000 replicates, with 99.8 % certainty
NATS_PER_ELO = np.log(10) / 400


@dataclass(frozen=True)
class Luck:
    """Standard deviations of what runs of one recipe differ by, Elo."""

    level: float = 40.0  # a run is better or worse throughout
    slope: float = 40.0  # per OOM of training from the middle of the design
    search: float = 15.0  # per OOM of search from its middle, where that is known
    version: float = 20.0  # a version's own


def runs(seeds: int, versions: int = 6, ooms: float = 2.5, start: float = 12.0) -> RatedVersions:
    """A recipe's runs, their versions evenly spaced in log FLOPs, as nearly as iterations allow."""
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
    """Designs beside each other: recipes of these names, of separate runs."""
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


def ladder(truth: Floats, openings: int = 60, neighbours: int = 3) -> Floats:
    """[N, N] in Elo²: the covariance of ratings relative to an anchor among those players.

    Each plays its next neighbours in strength so many openings, both colours. The anchor is the
    weakest but one and takes part, so its own error is in all ratings.
    """
    anchor = float(np.sort(truth)[1])
    elo = np.append(truth, anchor)
    order = np.argsort(elo, kind="stable")
    information = np.zeros((len(elo), len(elo)))
    for step in range(1, neighbours + 1):
        for i, j in zip(order, order[step:], strict=False):
            p = 1 / (1 + np.exp(-NATS_PER_ELO * abs(elo[i] - elo[j])))
            told = 2 * openings * p * (1 - p) * NATS_PER_ELO**2
            information[[i, j], [i, j]] += told
            information[[i, j], [j, i]] -= told
    inverse = np.linalg.inv(information[:-1, :-1])
    return (inverse + inverse.T) / 2


def draw(
    design: RatedVersions,
    truth: Floats,
    luck: Luck = Luck(),
    *,
    openings: int = 60,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> RatedVersions:
    """The design with ratings [replicates, N]: truth, runs' luck, the ladder's errors."""
    rng = np.random.default_rng(seed)
    covariance = ladder(truth, openings)
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
    """The share of intervals that hold the truth."""
    return float(estimate.covers(truth).mean())
