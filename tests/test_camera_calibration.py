"""Calibrating a camera: the posterior is the textbook's, and its interval holds where it must."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from handlers.camera import LN_PM25, CameraReference, SitePrior
from handlers.conformal import QUANTILE_LEVELS, ConformalTable, ScoreGroup, interval_columns
from training import camera_calibration
from training.calibration import session_weights
from training.camera_calibration import (
    SLOPE_SD,
    CalibrationPhotos,
    calibrate,
)

PRIOR = SitePrior(level_sd=0.5, session_sd=0.3)
REACH = 1.6  # [ln ug m-3]


def photos_of(
    ln_pm25: NDArray[np.float64], mu: NDArray[np.float64], sessions: NDArray[np.int64] | None = None
) -> CalibrationPhotos:
    """Answered with the same reach; unless told otherwise each photo is a session."""
    reach = np.full(len(mu), REACH)
    sessions = np.arange(len(mu)) if sessions is None else sessions
    return CalibrationPhotos(ln_pm25, mu, reach, reach, sessions)


def drawn(n: int, seed: int = 0, slope: float = 1.0, level: float = 0.0) -> CalibrationPhotos:
    """n sessions of one photo each at a site with this slope and level, little noise."""
    rng = np.random.default_rng(seed)
    mu = rng.normal(3.5, 0.3, n)
    return photos_of(3.5 + level + slope * (mu - 3.5) + rng.normal(0.0, 0.1, n), mu)


def reference_of(photos: CalibrationPhotos) -> CameraReference:
    return calibrate("balcony", photos, PRIOR, content_hash="c" * 64, feature_set="f" * 64)


NOTHING = drawn(0)


@given(st.lists(st.floats(-5.0, 12.0), min_size=1, max_size=5), st.floats(0.01, 5.0))
def test_without_photos_nothing_changes(values: list[float], sigma: float) -> None:
    mu = np.array(values)
    distances = np.linspace(-sigma, 2 * sigma, len(mu) * 21).reshape(-1, 21)
    reference = reference_of(NOTHING)
    for night in (False, True):
        got, apart = reference.applied(mu, distances, np.full(len(mu), night))
        np.testing.assert_array_equal(got, mu)
        np.testing.assert_array_equal(apart, distances)
    assert reference.n == 0


@pytest.mark.parametrize("seed", range(5))
def test_level_and_slope_are_those_of_bayesian_regression(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Weighted least squares with a ridge, solved as one system, under noise that is known."""
    monkeypatch.setattr(camera_calibration, "PRIOR_SESSIONS", 1e15)
    rng = np.random.default_rng(seed)
    sessions = rng.integers(0, 6, 20)
    mu = rng.normal(3.0, 0.5, 20)
    photos = photos_of(2.0 + 0.8 * mu + rng.normal(0.0, 0.3, 20), mu, sessions)
    reference = reference_of(photos)
    w = session_weights(sessions) / (PRIOR.session_sd * REACH) ** 2
    design = np.column_stack([np.ones(20), mu - np.average(mu, weights=w)])
    precision = np.diag([1.0 / (PRIOR.level_sd * REACH) ** 2, 1.0 / SLOPE_SD**2])
    precision += design.T @ (w[:, np.newaxis] * design)
    level, slope = np.linalg.solve(precision, design.T @ (w * (photos.ln_pm25 - mu)))
    expected = mu + design @ (level, slope)
    got, _ = reference.applied(mu, np.zeros((20, 21)), np.zeros(20, dtype=bool))
    np.testing.assert_allclose(got, expected, atol=1e-9)
    covariance = np.linalg.inv(precision)
    variances = np.einsum("ij,jk,ik->i", design, covariance, design)
    mean_variance = (PRIOR.session_sd * REACH) ** 2 + np.average(variances, weights=w)
    half = 1.6448536269514722 * math.sqrt(mean_variance)
    assert reference.interval_factors == pytest.approx((half / REACH, half / REACH), rel=1e-6)


@given(st.integers(1, 8), st.integers(2, 6), st.integers(0, 1000))
def test_photos_of_a_visit_count_once(n: int, copies: int, seed: int) -> None:
    photos = drawn(n, seed, slope=1.5)
    again = np.repeat(np.arange(n), copies)
    many = photos_of(photos.ln_pm25[again], photos.mu[again], again)
    one, other = reference_of(photos), reference_of(many)
    assert one.n == other.n == n
    assert other.scale == pytest.approx(one.scale)
    assert other.interval_factors == pytest.approx(one.interval_factors)
    # The median photo is another one, so that the shift is compared at the same photo.
    at = photos.mu[:1]
    dark, flat = np.zeros(1, dtype=bool), np.zeros((1, 21))
    assert one.applied(at, flat, dark)[0] == pytest.approx(other.applied(at, flat, dark)[0])


def test_the_order_of_photos_does_not_matter() -> None:
    photos = drawn(12)
    order = np.random.default_rng(1).permutation(12)
    turned = photos_of(photos.ln_pm25[order], photos.mu[order])
    one, other = reference_of(photos), reference_of(turned)
    assert other.shift == pytest.approx(one.shift)
    assert other.scale == pytest.approx(one.scale)


@pytest.mark.parametrize(("slope", "level"), [(1.0, 0.0), (2.5, -1.0), (0.5, 1.5)])
def test_many_days_speak_for_themselves(slope: float, level: float) -> None:
    photos = drawn(4000, slope=slope, level=level)
    reference = reference_of(photos)
    assert reference.scale == pytest.approx(slope, abs=0.06)
    usual = 3.5 + level + slope * (float(np.median(photos.mu)) - 3.5)
    assert reference.shift == pytest.approx(usual, abs=0.03)
    assert reference.quantiles[LN_PM25] == pytest.approx(
        tuple(np.quantile(photos.mu, (0.05, 0.5, 0.95)))
    )
    half = 1.645 * 0.1  # the noise that was drawn
    assert reference.interval_factors == pytest.approx((half / REACH, half / REACH), rel=0.05)


def test_few_days_are_drawn_to_what_the_archive_knows() -> None:
    scales = [reference_of(drawn(n, slope=3.0)).scale for n in (1, 3, 10, 100)]
    assert scales == sorted(scales)
    assert 1.0 <= scales[0] < 1.1
    assert scales[-1] == pytest.approx(3.0, abs=0.2)
    far = [reference_of(drawn(n, level=2.0)).shift - 3.5 for n in (1, 3, 10, 100)]
    assert np.abs(np.array(far) - 2.0).argmax() == 0
    factors = [max(reference_of(drawn(n)).interval_factors) for n in (1, 3, 10, 100)]
    assert factors == sorted(factors, reverse=True)
    assert factors[0] < 1.0


def test_where_the_days_show_no_relation_the_camera_s_usual_level_is_left() -> None:
    rng = np.random.default_rng(3)
    photos = photos_of(rng.normal(4.0, 0.3, 200), rng.normal(3.0, 0.3, 200))
    assert reference_of(photos).scale < 0.15
    against = drawn(200, slope=-1.0)
    reference = reference_of(against)
    assert reference.scale == 0.0  # more haze is never less dust
    assert reference.shift == pytest.approx(float(against.ln_pm25.mean()), abs=0.02)


def test_a_restless_camera_is_left_a_wider_interval() -> None:
    quiet = drawn(40)
    rng = np.random.default_rng(4)
    restless = replace(quiet, ln_pm25=quiet.ln_pm25 + rng.normal(0.0, 1.0, 40))
    assert max(reference_of(restless).interval_factors) > 2 * max(
        reference_of(quiet).interval_factors
    )


def test_each_side_of_the_interval_has_a_factor_of_its_own() -> None:
    photos = drawn(20)
    one_sided = replace(photos, below=photos.below / 2.0, above=photos.above * 1.5)
    below, above = reference_of(one_sided).interval_factors
    assert below * REACH / 2.0 == pytest.approx(above * REACH * 1.5)


def test_by_day_the_difference_counts_and_by_night_the_usual_level() -> None:
    reference = reference_of(drawn(60, slope=2.0, level=-0.5))
    mu = np.array([3.0, 3.0, 4.0, 4.0])
    scores = np.array(QUANTILE_LEVELS) - 0.5
    distances = np.tile(scores, (4, 1))
    night = np.array([False, True, False, True])
    got, apart = reference.applied(mu, distances, night)
    _, middle, _ = reference.quantiles[LN_PM25]
    np.testing.assert_allclose(got[~night], reference.shift + reference.scale * (mu[::2] - middle))
    np.testing.assert_array_equal(got[night], reference.shift)
    assert np.all(np.diff(apart, axis=1) > 0.0)  # quantiles ascend
    assert np.all(np.abs(apart[1]) >= np.abs(distances[1]))  # never narrower than unknown
    assert np.all(np.abs(apart[0]) < np.abs(distances[0]) + (distances[0] == 0.0))


@pytest.mark.parametrize("n", [5, 20])
def test_the_interval_covers_what_it_promises(n: int) -> None:
    """Sites drawn as the model has them: level, slope and noise of their own, known prior."""
    rng = np.random.default_rng(n)
    hits = []
    table = ConformalTable((ScoreGroup(np.inf, 50, tuple(np.linspace(0.0, 2.0, 11))),))
    low, high = interval_columns(0.9)
    for _ in range(1500):
        variance = (PRIOR.session_sd * REACH) ** 2 * 8.0 / rng.chisquare(8.0)
        level, slope = rng.normal(0.0, PRIOR.level_sd * REACH), max(rng.normal(1.0, 1.5), 0.0)
        mu = rng.normal(3.0, 0.2, n + 1)
        y = mu.mean() + level + slope * (mu - mu.mean()) + rng.normal(0.0, variance**0.5, n + 1)
        sigma = np.full(1, REACH / table.groups[0].score_quantiles[9])
        distances = np.log(table.quantiles(mu[n:], sigma)) - mu[n:, np.newaxis]
        reference = reference_of(photos_of(y[:n], mu[:n]))
        got, apart = reference.applied(mu[n:], distances, np.zeros(1, dtype=bool))
        hits.append(got[0] + apart[0, low] <= y[n] <= got[0] + apart[0, high])
    assert np.mean(hits) == pytest.approx(0.9, abs=0.02)  # standard error 0.008
