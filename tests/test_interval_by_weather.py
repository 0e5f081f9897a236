"""A photo's interval is calibrated on photos that came with as much as it did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features.meteorology import WEATHER_FEATURES
from handlers.conformal import ConformalTable, interval_columns
from handlers.estimator import PM25Estimator
from handlers.expert import WITHOUT_WEATHER, Expert, knows_weather
from tests.any_estimates import assert_plausible, assert_the_same
from training.calibration import fit_conformal, fit_conformal_by_weather
from training.table import TrainingTable

SPREAD_WITH, SPREAD_WITHOUT = 0.2, 0.5  # of ln PM2.5, where weather is known and where it is not


def drawn(
    n_sessions: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Errors, sessions and whether weather is known: each of five photos a session both ways."""
    sessions = np.repeat(np.arange(n_sessions), 10)
    with_weather = np.tile([True, False], 5 * n_sessions)
    spread = np.where(with_weather, SPREAD_WITH, SPREAD_WITHOUT)
    of_session = rng.normal(size=n_sessions)[sessions]
    errors = spread * (of_session + rng.normal(size=len(sessions))) / np.sqrt(2)
    return errors, sessions, with_weather


def by_weather(
    errors: NDArray[np.float64],
    sessions: NDArray[np.int64],
    with_weather: NDArray[np.bool_],
    sites: NDArray[np.int64] | None = None,
) -> tuple[ConformalTable, ConformalTable | None]:
    ones = np.ones(len(errors))
    return fit_conformal_by_weather(
        errors,
        np.zeros(len(errors)),
        ones,
        sessions,
        ones,
        sites=sites,
        trust=ones,
        with_weather=with_weather,
    )


def coverage_90(table: ConformalTable, errors: NDArray[np.float64]) -> float:
    low, high = interval_columns(0.9)
    lower, upper = np.log(table.quantiles(np.zeros(1), np.ones(1))[0, [low, high]])
    return float(np.mean((lower <= errors) & (errors <= upper)))


def test_photos_with_weather_and_without_are_each_covered() -> None:
    """One table for both covers too many of the ones and too few of the others."""
    rng = np.random.default_rng(3)
    new, _, new_with = drawn(4000, rng)
    covered = []
    for _ in range(200):
        errors, sessions, with_weather = drawn(40, rng)
        known, unknown = by_weather(errors, sessions, with_weather)
        assert unknown is not None
        one = fit_conformal(errors, np.zeros(len(errors)), np.ones(len(errors)), sessions)
        covered.append(
            [
                coverage_90(known, new[new_with]),
                coverage_90(unknown, new[~new_with]),
                coverage_90(one, new[new_with]),
                coverage_90(one, new[~new_with]),
            ]
        )
    of_known, of_unknown, one_of_known, one_of_unknown = np.mean(covered, axis=0)
    assert of_known == pytest.approx(0.91, abs=0.015)  # 0.9 · 41 / 40 of sessions, at the most
    assert of_unknown == pytest.approx(0.91, abs=0.015)
    assert one_of_known > 0.97 and one_of_unknown < 0.87


@pytest.mark.parametrize("n_with", [0, 9, 31, 40])
def test_a_table_of_its_own_needs_ten_sessions(n_with: int) -> None:
    """With fewer of either kind, one table holds for all."""
    errors, sessions, _ = drawn(40, np.random.default_rng(4))
    together, none = by_weather(errors, sessions, sessions < n_with)
    assert none is None
    assert together == fit_conformal(errors, np.zeros(400), np.ones(400), sessions)


def test_new_places_have_one_table() -> None:
    """Their law is that of places, and few of those know their weather."""
    errors, sessions, with_weather = drawn(40, np.random.default_rng(5))
    _, without = by_weather(errors, sessions, with_weather, sites=sessions % 5)
    assert without is None


def test_one_field_is_weather() -> None:
    names = ("haze", *WEATHER_FEATURES)
    X = np.full((len(names) + 1, len(names)), np.nan)
    np.fill_diagonal(X[:-1], 1.0)
    np.testing.assert_array_equal(
        knows_weather(X, names), [False, *[True] * (len(names) - 1), False]
    )
    assert not knows_weather(np.ones((2, 1)), ["haze"]).any()


@pytest.fixture(scope="module")
def known_view(estimator: PM25Estimator) -> Expert:
    """Models of known cameras whose intervals are three times as wide without weather."""
    fixed_view = estimator.fixed_view
    assert fixed_view is not None
    wide = replace(
        fixed_view.conformal,
        groups=tuple(
            replace(group, score_quantiles=tuple(3.0 * size for size in group.score_quantiles))
            for group in fixed_view.conformal.groups
        ),
    )
    return replace(fixed_view, conformal_without_weather=wide)


def test_each_photo_gets_the_interval_of_its_kind_alone_and_among_others(
    estimator: PM25Estimator, known_view: Expert, table: TrainingTable
) -> None:
    parted = replace(estimator, fixed_view=known_view, fixed_view_night=None)
    whole = replace(
        estimator,
        fixed_view=replace(known_view, conformal_without_weather=None),
        fixed_view_night=None,
    )
    camera = next(camera for camera in table.cameras if estimator.is_fixed_view(camera))
    cameras = [camera] * len(table)
    apart, usual = (which.estimate(table.X, cameras) for which in (parted, whole))
    with_weather = knows_weather(table.X, table.names)
    assert with_weather.any() and not with_weather.all()
    assert_plausible(apart)
    np.testing.assert_array_equal(apart.pm25, usual.pm25)
    reach, usually = (np.log(one.quantiles / one.pm25[:, None]) for one in (apart, usual))
    times = np.where(with_weather, 1.0, 3.0)[:, None]
    np.testing.assert_allclose(reach, times * usually, atol=1e-12)
    for row in (np.flatnonzero(with_weather)[:1], np.flatnonzero(~with_weather)[:1]):
        alone = parted.estimate(table.X[row], [camera])
        among = replace(apart, **{k: v[row] for k, v in vars(apart).items()})
        assert_the_same(alone, among)


def test_both_tables_are_saved_and_loaded(known_view: Expert, tmp_path: Path) -> None:
    known_view.save(tmp_path / "both")
    loaded = Expert.load(tmp_path / "both")
    assert loaded.conformal == known_view.conformal
    assert loaded.conformal_without_weather == known_view.conformal_without_weather
    replace(known_view, conformal_without_weather=None).save(tmp_path / "one")
    assert not (tmp_path / "one" / WITHOUT_WEATHER).exists()
    assert Expert.load(tmp_path / "one").conformal_without_weather is None
