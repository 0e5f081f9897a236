"""Known cameras by night: models of their own, where there are nights enough to fit them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handlers.estimator import DAYLIGHT, SUN, PM25Estimator, is_night
from tests.any_estimates import assert_plausible, assert_the_same, every, sets_of_models
from training.fit import fit_estimator
from training.table import TrainingTable


def dusk_to_dawn(table: TrainingTable, *, camera: str) -> TrainingTable:
    """Every other photo of `camera` by night, all others of the table by day."""
    elevation = table.names.index(SUN)
    X = table.X.copy()
    X[:, elevation] = 40.0
    own = np.flatnonzero([c == camera for c in table.cameras])
    X[own[::2], elevation] = -15.0
    return replace(table, X=X)


@pytest.fixture(scope="module")
def nights(table: TrainingTable) -> TrainingTable:
    return dusk_to_dawn(table, camera=next(camera for camera in table.cameras if camera))


@pytest.fixture(scope="module")
def by_day_and_night(nights: TrainingTable) -> PM25Estimator:
    return fit_estimator(nights, seed=1, feature_set="x")


def test_known_cameras_have_models_of_their_own_for_the_night(
    by_day_and_night: PM25Estimator, nights: TrainingTable
) -> None:
    models, (camera, *_) = by_day_and_night, [camera for camera in nights.cameras if camera]
    assert models.fixed_view is not None and models.fixed_view_night is not None
    rows = nights.X[np.array(nights.cameras) == camera][:4].copy()
    reference = models.cameras[camera]
    elevation = nights.names.index(SUN)
    for sun, expert in (
        (-15.0, models.fixed_view_night),
        (DAYLIGHT - 0.01, models.fixed_view_night),
        (DAYLIGHT, models.fixed_view),
        (np.nan, models.fixed_view),  # unknown counts as day
    ):
        rows[:, elevation] = sun
        judged = expert.judge(reference.relative(rows, nights.names))
        np.testing.assert_allclose(
            np.log(models.estimate(rows, [camera] * 4).pm25), reference.shift + judged.mu
        )
        as_new = models.new_place.judge(rows).mu
        np.testing.assert_allclose(np.log(models.estimate(rows, [None] * 4).pm25), as_new)


def test_day_and_night_in_one_batch_are_what_each_is_alone(
    by_day_and_night: PM25Estimator, nights: TrainingTable
) -> None:
    batch = by_day_and_night.estimate(nights.X, nights.cameras)
    assert_plausible(batch)
    for i in range(0, len(nights), 5):
        alone = by_day_and_night.estimate(nights.X[i : i + 1], [nights.cameras[i]])
        for name, values in every(batch).items():
            np.testing.assert_allclose(every(alone)[name][0], values[i], rtol=1e-9, err_msg=name)


def test_all_three_sets_of_models_are_saved(
    by_day_and_night: PM25Estimator, nights: TrainingTable, tmp_path: Path
) -> None:
    by_day_and_night.save(tmp_path)
    loaded = PM25Estimator.load(tmp_path)
    assert sets_of_models(loaded) == 3
    assert_the_same(
        loaded.estimate(nights.X, nights.cameras),
        by_day_and_night.estimate(nights.X, nights.cameras),
    )


def test_without_models_for_the_night_those_of_the_day_judge_it(
    by_day_and_night: PM25Estimator, nights: TrainingTable
) -> None:
    without = replace(by_day_and_night, fixed_view_night=None)
    night = is_night(nights.X, nights.names)
    cameras = [nights.cameras[i] for i in np.flatnonzero(night)]
    told = without.estimate(nights.X[night], cameras)
    assert_plausible(told)
    assert not np.allclose(
        told.pm25, by_day_and_night.estimate(nights.X[night], cameras).pm25, rtol=1e-6
    )
