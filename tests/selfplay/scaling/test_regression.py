"""Least squares over runs: closed forms, shared errors, and rejected input."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from selfplay.scaling.estimate import Floats
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.regression import LEAST, Regression, regress
from tests.simulation.planted import ladder, runs

SEEDS, VERSIONS = 4, 5


def studied(noise: float = 0.0, level: bool = True) -> RatedVersions:
    """Makes runs at equal or nearly equal FLOPs, each with its own slope."""
    points = runs(SEEDS, VERSIONS)
    rng = np.random.default_rng(1)
    spent = np.tile(np.linspace(12, 14, VERSIONS), SEEDS) if level else points.training
    run_slopes = np.array([450.0, 520.0, 480.0, 610.0])[points.run_index]
    elo = run_slopes * (spent - 12) + rng.normal(size=len(spent)) * 20
    errors = np.diag(rng.uniform(0.5, 2, len(spent))) * noise**2
    return replace(points, elo=elo, training=spent, covariance=errors)


def columns(points: RatedVersions) -> Floats:
    return np.stack([np.ones(len(points)), points.training - 13], axis=1)


def unbalanced() -> tuple[RatedVersions, Regression]:
    """Makes runs of 2 to 6 versions at random places, one of them far from all others."""
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


def test_balanced_design_gives_students_t_over_runs() -> None:
    """Exactly: each run's slope is one draw, whatever its versions share."""
    points = studied()
    run_slopes = [
        np.polyfit(points.training[points.run == run], points.elo[points.run == run], 1)[0]
        for run in points.runs
    ]
    result = regress(points, columns(points)).contrast(points.elo, [0, 1], "")
    stderr = np.std(run_slopes, ddof=1) / np.sqrt(SEEDS)
    assert result.value == pytest.approx(np.mean(run_slopes))
    assert result.stderr == pytest.approx(stderr)
    assert result.df == pytest.approx(SEEDS - 1)
    half = student.ppf(0.975, SEEDS - 1) * stderr
    np.testing.assert_allclose(
        [result.low, result.high], np.mean(run_slopes) + np.array([-half, half])
    )


def test_variance_over_runs_is_unbiased() -> None:
    """If versions differ independently, in any design, the runs' parts sum to it."""
    _, fitted = unbalanced()
    parts = np.einsum("gkn,gln->kl", fitted.spread, fitted.spread)
    np.testing.assert_allclose(parts, fitted.operator @ fitted.operator.T, atol=1e-9)


def test_variance_with_rating_errors_is_unbiased() -> None:
    """Even if they are as large as the differences between runs: their part is subtracted."""
    rng = np.random.default_rng(4)
    label = np.arange(90) % 30  # enough runs that no variance is cut off at 0
    spent = rng.uniform(12, 14, len(label))
    root = 6 * rng.normal(size=(len(label), len(label)))
    errors = root @ root.T  # some 57 Elo each
    points = RatedVersions.of(spent, errors, [f"r{i}" for i in label], spent)
    fitted = regress(points, columns(points))
    a, whole = fitted.operator[1], 60.0**2 * np.eye(len(label)) + errors
    drawn = rng.normal(size=(3_000, len(label))) @ np.linalg.cholesky(whole).T
    result = fitted.contrast(drawn, [0, 1], "")
    assert np.square(result.stderr).mean() == pytest.approx(a @ whole @ a, rel=0.02)


def test_variance_is_at_least_that_of_the_ratings() -> None:
    """Ratings that happen to be on a line keep the uncertainty of the ladder."""
    points = studied(noise=30)
    points = replace(points, elo=500 * points.training)
    fitted = regress(points, columns(points))
    known = fitted.operator[1] @ points.covariance @ fitted.operator[1]
    assert fitted.contrast(points.elo, [0, 1], "").stderr == pytest.approx(np.sqrt(known))
    ratio = fitted.ratio(points.elo, [1, 0], [0, 1], "")
    along = fitted.operator[0] - ratio.value * fitted.operator[1]
    assert ratio.stderr == pytest.approx(np.sqrt(LEAST * along @ points.covariance @ along) / 500)


def test_shared_rating_error_counts_once() -> None:
    """For example the anchor's: it moves the level, not the slope, and more runs do not help."""
    points, shared = studied(noise=10), 70.0
    moved = replace(points, covariance=points.covariance + shared**2)
    for weights, added in (([0, 1], 0.0), ([1, 0], shared**2)):
        before, after = (
            regress(p, columns(p)).contrast(points.elo, weights, "") for p in (points, moved)
        )
        assert after.stderr**2 == pytest.approx(before.stderr**2 + added)


def test_known_variance_has_infinite_degrees_of_freedom() -> None:
    """A level that is uncertain only through the anchor has a normal interval."""
    points = studied()
    points = replace(points, covariance=np.full_like(points.covariance, 1e6))
    result = regress(points, columns(points)).contrast(points.elo, [1, 0], "")
    assert result.df > 1e4
    assert result.high - result.value == pytest.approx(1.96 * result.stderr, rel=1e-3)


def test_fewer_runs_have_fewer_degrees_of_freedom() -> None:
    points = studied(level=False)
    less = points.select(points.run_index < 3)
    df = [float(regress(p, columns(p)).contrast(p.elo, [0, 1], "").df) for p in (points, less)]
    assert df[0] == pytest.approx(3, rel=0.05) and df[1] == pytest.approx(2, rel=0.05)


def test_fieller_bounds_are_just_significant() -> None:
    points = studied()
    fitted = regress(points, columns(points))
    result = fitted.ratio(points.elo, [1, 0], [0, 1], "")
    level, slope = fitted.coefficients(points.elo)
    assert result.value == pytest.approx(level / slope)
    assert result.low < result.value < result.high
    for end in (result.low, result.high):
        rest = fitted.contrast(points.elo, [1, -float(end)], "")
        assert min(abs(rest.low), abs(rest.high)) == pytest.approx(0, abs=1e-6)


def test_ratio_to_a_denominator_near_zero_has_no_bound() -> None:
    points = studied()
    flat = replace(points, elo=points.elo - 515 * points.training)
    result = regress(flat, columns(flat)).ratio(flat.elo, [1, 0], [0, 1], "OOMs")
    assert result.low == -np.inf and result.high == np.inf and not result.bounded
    assert "no bound" in str(result)


def test_batch_equals_its_replicates() -> None:
    points = studied(noise=20, level=False)
    points = replace(points, covariance=ladder(points.elo))
    fitted = regress(points, columns(points))
    batch = points.elo + np.random.default_rng(5).normal(size=(2, 3, len(points))) * 50
    for make in (
        lambda elo: fitted.contrast(elo, [0, 1], ""),
        lambda elo: fitted.ratio(elo, [1, 0], [0, 1], ""),
        lambda elo: fitted.prediction(elo, [1.0, 1.5], points.covariance[0], 900.0),
    ):
        whole, single = make(batch), make(batch[1, 2])
        for name in ("value", "low", "high", "stderr", "df"):
            assert getattr(whole, name).shape == (2, 3)
            assert getattr(whole, name)[1, 2] == pytest.approx(getattr(single, name))


def test_prediction_adds_one_more_run_and_its_error() -> None:
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


def test_prediction_scatters_at_least_as_versions() -> None:
    """In the middle a line is more certain than any version of one more run."""
    points = studied(level=False)
    scatter = np.random.default_rng(6).normal(size=len(points)) * 100
    scattered = replace(points, elo=500 * points.training + scatter)
    result = regress(points, columns(points)).prediction(
        scattered.elo, [1, 0], np.zeros(len(points)), 0.0
    )
    assert result.stderr > 80


def test_one_run_is_rejected() -> None:
    points = runs(1)
    with pytest.raises(ValueError, match="at least 2, got 1: 'run0'"):
        regress(points, columns(points))


def test_equal_training_determines_no_slope() -> None:
    points = replace(runs(3), training=np.full(18, 13.0))
    with pytest.raises(ValueError, match="18 versions determine 1 of 2 coefficients"):
        regress(points, columns(points))


def test_one_version_per_run_gives_classical_least_squares() -> None:
    """The versions are then an independent sample: classical least squares."""
    rng = np.random.default_rng(7)
    spent = np.linspace(12, 14, 40)
    elo = 500 * spent + rng.normal(size=40) * 30
    points = RatedVersions.of(elo, np.zeros((40, 40)), [f"r{i}" for i in range(40)], spent)
    result = regress(points, columns(points)).contrast(elo, [0, 1], "")
    left = elo - np.polyval(np.polyfit(spent, elo, 1), spent)
    classical = np.sqrt(left @ left / 38 / np.square(spent - spent.mean()).sum())
    assert result.stderr == pytest.approx(classical, rel=0.2)
    assert 20 < result.df < 38


def test_number_that_one_run_decides_is_rejected() -> None:
    points = studied()
    alone = (points.run == "run2").astype(float)
    fitted = regress(points, np.column_stack([columns(points), alone]))
    with pytest.raises(ValueError, match="run 'run2' alone decides this number"):
        fitted.contrast(points.elo, [0, 0, 1], "")
    assert fitted.contrast(points.elo, [0, 1, 0], "").stderr > 0


def test_exact_ratings_have_an_interval_of_zero_width() -> None:
    points = studied()
    points = replace(points, elo=np.round(512 * points.training))
    points = replace(points, elo=512.0 * (points.training - 12))
    result = regress(points, columns(points)).contrast(points.elo, [0, 1], "")
    assert result.stderr == pytest.approx(0, abs=1e-6)
    assert np.isfinite(result.df)
