"""Effects of changes that were screened together."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import screening
from configs.studies import plackett_burman
from selfplay.scaling.rated_versions import RatedVersions

CHANGES = tuple("abcdefghijk")


def named_runs() -> list[str]:
    design = [row for half in (1, -1) for row in half * np.array(plackett_burman(12))]
    sets = [[c for c, level in zip(CHANGES, row, strict=True) if level > 0] for row in design]
    return ["+".join(names) or "none" for names in sets]


def test_planted_effects_are_found_within_their_errors() -> None:
    names, rng = named_runs(), np.random.default_rng(0)
    runs = [screening.changes_of(name) for name in names]
    truth = dict(zip(CHANGES, [3.0, -2.0, *(0.0,) * 9], strict=True))
    exact = np.array([50 + sum(truth[c] for c in run) for run in runs])
    noisy = np.array([exact + rng.normal(0, 1, 24) for _ in range(400)])
    fits = [screening.fit(runs, CHANGES, response) for response in noisy]
    found = np.array([each.effect for each in fits])
    np.testing.assert_allclose(found.mean(axis=0), list(truth.values()), atol=0.1)
    stderr = np.sqrt(np.mean([each.stderr**2 for each in fits], axis=0))
    np.testing.assert_allclose(stderr, found.std(axis=0), rtol=0.15)
    assert fits[0].freedom == 12


def test_pairs_of_changes_do_not_bias_effects() -> None:
    runs = [screening.changes_of(name) for name in named_runs()]
    response = np.array([10.0 * ({"a", "b"} <= run) for run in runs])
    effects = dict(zip(CHANGES, screening.fit(runs, CHANGES, response).effect, strict=True))
    assert [effects.pop("a"), effects.pop("b")] == pytest.approx([5, 5])
    np.testing.assert_allclose(list(effects.values()), 0, atol=1e-9)


def test_too_few_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="2 runs do not tell 1 changes apart"):
        screening.fit([frozenset("a"), frozenset()], "a", np.zeros(2))


def test_planted_savings_are_found_whatever_the_changes_cost() -> None:
    names, rng = named_runs(), np.random.default_rng(1)
    saved = dict(zip(CHANGES, [0.3, -0.2, *(0.0,) * 9], strict=True))  # OOMs
    cost = dict(zip(CHANGES, [0.2, 0.0, -0.1, *(0.0,) * 8], strict=True))
    points: list[tuple[float, float, str]] = []
    for name in names:
        run = screening.changes_of(name)
        luck = rng.normal(0, 10)
        for at in (12.0, 12.3, 12.6):
            compute = at + sum(cost[change] for change in run)
            elo = 400 * (compute + sum(saved[change] for change in run)) + luck
            points.append((compute, elo, name))
    compute, elo, runs = zip(*points, strict=True)
    versions = RatedVersions.of(elo, np.eye(len(elo)), runs, compute, recipe=runs)
    found = screening.savings(versions, versions.training)
    assert found.slope == pytest.approx(400)
    truth = 10 ** np.array([saved[change] for change in found.changes])
    np.testing.assert_allclose(found.factor, truth, rtol=0.06)
    inside = (found.interval[:, 0] <= truth) & (truth <= found.interval[:, 1])
    assert inside.sum() >= 9  # of 11, each with 95 %


def test_savings_need_two_versions_of_each_run_and_a_rising_curve() -> None:
    names = named_runs()
    single = RatedVersions.of(np.zeros(24), np.eye(24), names, np.ones(24), recipe=names)
    with pytest.raises(ValueError, match="one rated version, and a slope needs two"):
        screening.savings(single, single.training)
    twice, at = [*names, *names], np.repeat([12.0, 13.0], 24)
    falling = RatedVersions.of(-at, np.eye(48), twice, at, recipe=twice)
    with pytest.raises(ValueError, match="Elo does not grow"):
        screening.savings(falling, falling.training)
