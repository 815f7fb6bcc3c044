"""Studies of several sizes with a take-off, and predictions of their largest runs.

Each size has the same floor and the same plateau, and a larger one needs more training for both
ends of the incline.
"""

from dataclasses import replace

import numpy as np

from selfplay.scaling import candidates, extrapolation
from selfplay.scaling.candidates import CANDIDATES, Mask
from selfplay.scaling.estimate import NUMBERS, Estimate, Floats
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation.planted import draw, joined, runs
from tests.simulation.studies import START

MIN_REACH = 0.3  # as in a report
SIZES = (3.6, 4.1, 4.6, 5.1)  # log10 parameters
FLOOR, SLOPE = 200.0, 550.0


def grown_in_phases(
    seeds: int, plateau: float = 1500.0, delay: float = 0.3, later: float = 0.8
) -> tuple[RatedVersions, Floats]:
    """Designs sizes that take off and reach a plateau.

    Args:
        seeds: runs of each size.
        plateau: Elo.
        delay: OOMs by which the incline begins later per OOM of parameters.
        later: OOMs by which the runs begin later per OOM of parameters.
    """
    parts = []
    for size in SIZES:
        part = runs(seeds, versions=6, ooms=1.8, start=START + later * (size - SIZES[0]))
        parts.append(replace(part, parameters=np.full(len(part), size)))
    design = joined(*parts, names=tuple(f"size {size}" for size in SIZES))
    rising = SLOPE * (design.training - START - delay * (design.parameters - SIZES[0]))
    return design, np.clip(rising, FLOOR, plateau)


def any_study(seeds: int, place: int) -> tuple[RatedVersions, Floats]:
    """Designs a study whose plateau and delay are drawn, the same for equal `place`."""
    rng = np.random.default_rng(place)
    return grown_in_phases(seeds, plateau=rng.uniform(1000, 2500), delay=rng.uniform(0, 0.8))


def predict_largest(points: RatedVersions) -> Estimate:
    """Predicts the largest runs of each replicate as `extrapolation.compare` does.

    Curves are fitted to all replicates at once, and only the best one's interval is computed.

    Returns:
        Predicted less rated Elo [R, M], which is 0 in truth.
    """
    held_out = extrapolation.largest_runs(points, MIN_REACH)
    out = np.isin(points.run, held_out)
    fitted = points.select(~out)
    errors = np.sqrt(np.square(_errors(fitted)).mean(axis=-1))
    best, weights = np.argmin(errors, axis=0), extrapolation.trust(errors)
    misses = _errors(points)
    predicted = points.elo[:, _beyond(points, out)] - misses
    parts: list[Estimate] = []
    for replicate, place in enumerate(best):
        single = replace(points, elo=points.elo[replicate])
        test = extrapolation.predict_runs(single, held_out, CANDIDATES[place])
        spread = extrapolation.disagreement(
            weights[:, replicate], predicted[:, replicate], predicted[place, replicate]
        )
        estimate = extrapolation.widened(test.predicted, spread)
        if not estimate.bounded.all():  # the curve depends on one run alone
            estimate = extrapolation.compare(single, MIN_REACH).test.predicted
        ends = {n: getattr(estimate, n) - test.rated for n in ("value", "low", "high")}
        parts.append(replace(estimate, **ends))
    return Estimate(**{n: np.stack([getattr(p, n) for p in parts]) for n in NUMBERS}, unit="Elo")


def _errors(points: RatedVersions) -> Floats:
    """Computes rated less predicted Elo of the largest runs by each candidate, [K, R, M]."""
    out = np.isin(points.run, extrapolation.largest_runs(points, MIN_REACH))
    target, fitted = _beyond(points, out), points.select(~out)
    at = points.training[target], points.parameters[target]
    predicted = [candidates.fit(c, fitted).mean(*at) for c in CANDIDATES]
    return points.elo[:, target] - np.stack(predicted)


def _beyond(points: RatedVersions, out: Mask) -> Mask:
    """Marks the held-out versions with more training than all others, bool[N]."""
    return out & (points.training > points.training[~out].max())


def covered(seeds: int, studies: int, replicates: int) -> tuple[float, float]:
    """Computes the share of predictions whose intervals hold the rating, and its standard error.

    Args:
        seeds: runs of each size.
        studies: how many, of `any_study`.
        replicates: of each.
    """
    shares: list[float] = []
    for place in range(studies):
        points = draw(*any_study(seeds, place), seed=place, replicates=replicates)
        shares.append(float(predict_largest(points).covers(0.0).mean()))
    return float(np.mean(shares)), float(np.std(shares) / np.sqrt(studies))
