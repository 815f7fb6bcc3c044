"""Selects the versions on the incline: slopes and multipliers are compared on these alone.

A floor and a plateau flatten every line through them, the more the earlier a recipe reaches them,
and at equal Elo a plateau says nothing about training. So each recipe's versions at each search
budget are divided into phases by the change points of their own curve, along training: choosing
versions by their Elo would choose those with lucky errors. Leaving out a version that belongs to
the incline costs little and biases nothing. So if a budget's recipes together show a bend at the
5 % level, that of a single recipe counts at `LEVEL`.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
from scipy.special import gammaincc

from selfplay.scaling import bends, learning_curve, slopes
from selfplay.scaling.bends import Bend
from selfplay.scaling.estimate import InsufficientData
from selfplay.scaling.partitions import FLOOR, INCLINE, PLATEAU, Mask
from selfplay.scaling.rated_versions import Ints, RatedVersions

LEVEL = 0.2  # significance level of one recipe's bend
NEAR_PERFECT_ELO = 50.0  # Jones (2021) calls this far below perfect play nearly perfect


def on_incline(points: RatedVersions, perfect: bool) -> tuple[Mask, str]:
    """Marks the versions on the incline of their recipe and budget, and counts the others.

    Args:
        points: versions of all budgets.
        perfect: True = perfect play is at 0 Elo. A recipe that plays about that well at all its
            levels of training, and whose slope may be 0, is then on the plateau.

    Returns:
        bool[N], True = on the incline (all True if otherwise none would be left), and a sentence
        about the others, which is "" without any.
    """
    budgets, notes = points.require_single().require("simulations"), []
    phase = phases_of_recipes(points, perfect)
    for budget in np.unique(budgets):
        at_budget = phase[budgets == budget]
        before, beyond = (int((at_budget == which).sum()) for which in (FLOOR, PLATEAU))
        sides = [f"{before} before the take-off"] if before else []
        sides += [f"{beyond} on a plateau"] if beyond else []
        if sides:
            off = f"{before + beyond} of {len(at_budget)} at {budget:g} simulations"
            notes.append(f"{off} ({', '.join(sides)})")
    rising = phase == INCLINE
    if not notes:
        return rising, ""
    if not rising.any():
        text = "Lines are fitted to all versions, although none is on an incline"
        return ~rising, f"{text}: {'; '.join(notes)}."
    missing = sorted(set(points.recipe.tolist()) - set(points.recipe[rising].tolist()))
    notes += [f"no version of {', '.join(missing)} is left"] if missing else []
    return rising, f"Lines leave out versions off the incline: {'; '.join(notes)}."


def phases_of_recipes(points: RatedVersions, perfect: bool = False) -> Ints:
    """Divides each recipe's versions at each budget into phases, int[..., N].

    Recipes with a single run, which do not show how much runs differ, share one curve.
    """
    phase = np.full(points.elo.shape, INCLINE)
    budgets = points.require("simulations")
    for budget in np.unique(budgets):
        curves = list(_curves(points, budgets == budget))
        parts = [points.select(chosen) for chosen in curves]
        tested = [_bends(part) for part in parts]
        counts = [_any([own[k] for own in tested if own]) for k in (0, 1)]
        for chosen, part, own in zip(curves, parts, tested, strict=True):
            if own:
                up, down = (
                    replace(bend, p_value=np.where(together, bend.p_value, 1.0))
                    for bend, together in zip(own, counts, strict=True)
                )
                phase[..., chosen] = _phases_of(part, up, down, perfect)
    return phase


def _curves(points: RatedVersions, among: Mask) -> Iterator[Mask]:
    """Yields masks bool[N] of the versions that share a curve."""
    single = np.zeros(len(points), bool)
    for name in np.unique(points.recipe[among]):
        chosen = among & (points.recipe == name)
        if len(set(points.run[chosen])) > 1:
            yield chosen
        else:
            single |= chosen
    if single.any():
        yield single


def _bends(points: RatedVersions) -> tuple[Bend, Bend] | None:
    """Tests for take-off and saturation; None if the versions are too few."""
    with suppress(InsufficientData):
        return bends.take_off(points), bends.saturation(points)
    return None


def _any(tests: list[Bend]) -> Mask:
    """Tests, bool[...], whether any of the curves bends: Fisher's sum of the logarithms of p."""
    if not tests:
        return np.array(False)
    logarithms = -sum(np.log(np.maximum(test.p_value, 1e-300)) for test in tests)
    return gammaincc(len(tests), logarithms) < bends.LEVEL


def _phases_of(points: RatedVersions, up: Bend, down: Bend, perfect: bool) -> Ints:
    """Divides the versions of one curve into phases, int[..., N]."""
    phase = learning_curve.choose_phases(points, up, down, LEVEL)
    if perfect:
        near = points.elo.mean(axis=-1) >= -NEAR_PERFECT_ELO
        over = near & (slopes.per_training(points).low <= 0)
        phase = np.where(over[..., None], PLATEAU, phase)
    return phase
