"""Least squares over runs: closed forms, what shared errors do, and what cannot be fitted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from selfplay.scaling.estimate import Floats
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.regression import Regression, regress
from tests.simulation.planted import ladder, runs

SEEDS, VERSIONS = 4, 5


def studied(noise: float = 0.0, level: bool = True) -> RatedVersions:
    """Runs at the same FLOPs, or at nearly the same, each with a slope of its own."""
    points = runs(SEEDS, VERSIONS)
    rng = np.random.default_rng(1)
    spent = np.tile(np.linspace(12, 14, VERSIONS), SEEDS) if level else points.training
    own = np.array([450.0, 520.0, 480.0, 610.0])[points.run_index]
    elo = own * (spent - 12) + rng.normal(size=len(spent)) * 20
    errors = np.diag(rng.uniform(0.5, 2, len(spent))) * noise**2
    return replace(points, elo=elo, training=spent, covariance=errors)


def columns(points: RatedVersions) -> Floats:
    return np.stack([np.ones(len(points)), points.training - 13], axis=1)


def unbalanced() -> tuple[RatedVersions, Regression]:
    """Runs of 2 to 6 versions, at random places, one of them far from all others."""
    rng = np.random.default_rng(2)
    label = np.repeat([0, 1, 2, 3, 4], [2, 6, 3, 5, 4])
    spent = rng.uniform(12, 14, len(label)) + 15 * (label == 0)
    root = rng.normal(size=(len(label), len(label)))
    points = RatedVersions.of(400 * spent, root @ root.T, [f"r{i}" for i in label], spent)
    return points, regress(points, columns(points))


def test_coefficients_are_least_squares() -> None:
    points, fitted = unbalanced()
    elo = np.random.default_rng(3).normal(size=len(points))
    slope, level = np.polyfit(points.training - 13, elo, 1)
    np.testing.assert_allclose(fitted.coefficients(elo), [level, slope], atol=1e-9)
    assert fitted.contrast(elo, [0, 1], "").value == pytest.approx(slope)


def test_a_balanced_design_is_students_t_over_runs() -> None:
    """Exactly: each run's own slope is a draw, whatever its versions share."""
    points = studied()
    own = [
        np.polyfit(points.training[points.run == run], points.elo[points.run == run], 1)[0]
        for run in points.runs
    ]
    found = regress(points, columns(points)).contrast(points.elo, [0, 1], "")
    stderr = np.std(own, ddof=1) / np.sqrt(SEEDS)
    assert found.value == pytest.approx(np.mean(own))
    assert found.stderr == pytest.approx(stderr)
    assert found.df == pytest.approx(SEEDS - 1)
    half = student.ppf(0.975, SEEDS - 1) * stderr
    np.testing.assert_allclose([found.low, found.high], np.mean(own) + np.array([-half, half]))


def test_the_variance_over_runs_is_unbiased() -> None:
    """Where versions differ independently, in any design: the runs' parts add up to it."""
    _, fitted = unbalanced()
    parts = np.einsum("gkn,gln->kl", fitted.spread, fitted.spread)
    np.testing.assert_allclose(parts, fitted.operator @ fitted.operator.T, atol=1e-9)


def test_the_variance_with_ratings_errors_is_unbiased() -> None:
    """Where they are as large as what runs differ in: their part of the residuals is taken out."""
    rng = np.random.default_rng(4)
    label = np.arange(90) % 30  # so many runs that nothing is cut off at 0
    spent = rng.uniform(12, 14, len(label))
    root = 6 * rng.normal(size=(len(label), len(label)))
    errors = root @ root.T  # some 57 Elo each
    points = RatedVersions.of(spent, errors, [f"r{i}" for i in label], spent)
    fitted = regress(points, columns(points))
    a, whole = fitted.operator[1], 60.0**2 * np.eye(len(label)) + errors
    drawn = rng.normal(size=(3_000, len(label))) @ np.linalg.cholesky(whole).T
    found = fitted.contrast(drawn, [0, 1], "")
    assert np.square(found.stderr).mean() == pytest.approx(a @ whole @ a, rel=0.02)


def test_errors_of_ratings_are_the_least_there_is() -> None:
    """Ratings on a line, by luck: the ladder is no surer of them for that."""
    points = studied(noise=30)
    points = replace(points, elo=500 * points.training)
    fitted = regress(points, columns(points))
    known = fitted.operator[1] @ points.covariance @ fitted.operator[1]
    assert fitted.contrast(points.elo, [0, 1], "").stderr == pytest.approx(np.sqrt(known))
    ratio = fitted.ratio(points.elo, [1, 0], [0, 1], "")
    along = fitted.operator[0] - ratio.value * fitted.operator[1]
    assert ratio.stderr == pytest.approx(np.sqrt(along @ points.covariance @ along) / 500)


def test_an_error_that_all_ratings_share_counts_once() -> None:
    """The anchor's: it moves the level and no slope, and more runs do not reduce it."""
    points, shared = studied(noise=10), 70.0
    moved = replace(points, covariance=points.covariance + shared**2)
    for weights, added in (([0, 1], 0.0), ([1, 0], shared**2)):
        before, after = (
            regress(p, columns(p)).contrast(points.elo, weights, "") for p in (points, moved)
        )
        assert after.stderr**2 == pytest.approx(before.stderr**2 + added)


def test_what_the_ladder_knows_has_no_few_degrees_of_freedom() -> None:
    """A level that is uncertain by the anchor alone: the normal distribution's interval."""
    points = studied()
    points = replace(points, covariance=np.full_like(points.covariance, 1e6))
    found = regress(points, columns(points)).contrast(points.elo, [1, 0], "")
    assert found.df > 1e4
    assert found.high - found.value == pytest.approx(1.96 * found.stderr, rel=1e-3)


def test_fewer_runs_have_fewer_degrees_of_freedom() -> None:
    points = studied(level=False)
    less = points.select(points.run_index < 3)
    df = [float(regress(p, columns(p)).contrast(p.elo, [0, 1], "").df) for p in (points, less)]
    assert df[0] == pytest.approx(3, rel=0.05) and df[1] == pytest.approx(2, rel=0.05)


def test_fiellers_ends_are_where_the_difference_is_just_significant() -> None:
    points = studied()
    fitted = regress(points, columns(points))
    found = fitted.ratio(points.elo, [1, 0], [0, 1], "")
    level, slope = fitted.coefficients(points.elo)
    assert found.value == pytest.approx(level / slope)
    assert found.low < found.value < found.high
    for end in (found.low, found.high):
        rest = fitted.contrast(points.elo, [1, -float(end)], "")
        assert min(abs(rest.low), abs(rest.high)) == pytest.approx(0, abs=1e-6)


def test_a_ratio_to_what_may_be_nothing_has_no_bound() -> None:
    points = studied()
    flat = replace(points, elo=points.elo - 515 * points.training)
    found = regress(flat, columns(flat)).ratio(flat.elo, [1, 0], [0, 1], "OOMs")
    assert found.low == -np.inf and found.high == np.inf and not found.bounded
    assert "no bound" in str(found)


def test_a_batch_is_its_replicates() -> None:
    points = studied(noise=20, level=False)
    points = replace(points, covariance=ladder(points.elo))
    fitted = regress(points, columns(points))
    batch = points.elo + np.random.default_rng(5).normal(size=(2, 3, len(points))) * 50
    for make in (
        lambda elo: fitted.contrast(elo, [0, 1], ""),
        lambda elo: fitted.ratio(elo, [1, 0], [0, 1], ""),
        lambda elo: fitted.prediction(elo, [1.0, 1.5], points.covariance[0], 900.0),
    ):
        whole, one = make(batch), make(batch[1, 2])
        for name in ("value", "low", "high", "stderr", "df"):
            assert getattr(whole, name).shape == (2, 3)
            assert getattr(whole, name)[1, 2] == pytest.approx(getattr(one, name))


def test_a_prediction_is_wider_by_one_more_run_and_its_own_error() -> None:
    points = studied()
    fitted = regress(points, columns(points))
    line = fitted.contrast(points.elo, [1, 1.5], "")
    none = np.zeros(len(points))
    ahead = fitted.prediction(points.elo, [1, 1.5], none, 0.0)
    assert ahead.value == pytest.approx(float(line.value))
    assert ahead.stderr**2 == pytest.approx((1 + SEEDS) * line.stderr**2)
    rated = fitted.prediction(points.elo, [1, 1.5], none, 40.0**2)
    assert rated.stderr**2 == pytest.approx(ahead.stderr**2 + 40**2)
    assert ahead.df == pytest.approx(SEEDS - 1)
    known = 40**2 / ahead.stderr**2
    assert rated.df == pytest.approx((SEEDS - 1) * (1 + known) ** 2)
    tied = fitted.prediction(points.elo, [1, 1.5], np.full(len(points), 50.0), 40.0**2)
    assert tied.stderr**2 == pytest.approx(rated.stderr**2 - 2 * 50)


def test_a_prediction_scatters_as_versions_do() -> None:
    """In the middle a line is surer than any version of one more run."""
    points = studied(level=False)
    one = np.random.default_rng(6).normal(size=len(points)) * 100
    scattered = replace(points, elo=500 * points.training + one)
    found = regress(points, columns(points)).prediction(
        scattered.elo, [1, 0], np.zeros(len(points)), 0.0
    )
    assert found.stderr > 80


def test_one_run_has_no_interval() -> None:
    points = runs(1)
    with pytest.raises(ValueError, match="at least 2, got 1: 'run0'"):
        regress(points, columns(points))


def test_equal_training_has_no_slope() -> None:
    points = replace(runs(3), training=np.full(18, 13.0))
    with pytest.raises(ValueError, match="18 versions determine 1 of 2 coefficients"):
        regress(points, columns(points))


def test_one_version_of_each_run_is_enough() -> None:
    """They are then a sample of independent versions: classical least squares."""
    rng = np.random.default_rng(7)
    spent = np.linspace(12, 14, 40)
    elo = 500 * spent + rng.normal(size=40) * 30
    points = RatedVersions.of(elo, np.zeros((40, 40)), [f"r{i}" for i in range(40)], spent)
    found = regress(points, columns(points)).contrast(elo, [0, 1], "")
    left = elo - np.polyval(np.polyfit(spent, elo, 1), spent)
    classical = np.sqrt(left @ left / 38 / np.square(spent - spent.mean()).sum())
    assert found.stderr == pytest.approx(classical, rel=0.2)
    assert 20 < found.df < 38


def test_a_number_that_one_run_decides_has_no_interval() -> None:
    points = studied()
    alone = (points.run == "run2").astype(float)
    fitted = regress(points, np.column_stack([columns(points), alone]))
    with pytest.raises(ValueError, match="run 'run2' alone decides this number"):
        fitted.contrast(points.elo, [0, 0, 1], "")
    assert fitted.contrast(points.elo, [0, 1, 0], "").stderr > 0


def test_ratings_without_any_error_have_an_interval_of_a_point() -> None:
    points = studied()
    points = replace(points, elo=np.round(512 * points.training))
    points = replace(points, elo=512.0 * (points.training - 12))
    found = regress(points, columns(points)).contrast(points.elo, [0, 1], "")
    assert found.stderr == pytest.approx(0, abs=1e-6)
    assert np.isfinite(found.df)
