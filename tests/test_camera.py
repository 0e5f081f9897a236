"""A camera's reference: what is usual for it, taken away from each of its photos."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.errors import ArtifactError
from features.meteorology import SUN_FEATURES, WEATHER_FEATURES
from handlers.camera import NORMAL_SPAN, CameraReference, load_cameras, save_cameras
from handlers.estimator import is_night
from training.calibration import session_weights
from training.camera_reference import (
    LEAST_SESSIONS,
    fit_camera_references,
    relative_to_references,
)
from training.table import TrainingTable

REFERENCE = CameraReference(
    camera="south",
    content_hash="",
    feature_set="f" * 64,
    quantiles={"haze": (1.0, 2.0, 1.0 + NORMAL_SPAN), "sky": (0.5, 0.5, 0.5)},
    shift=3.2,
    scale=1.0,
    n=12,
    interval_factors=(1.1, 0.9),
)
NAMES = ("sun_elevation_deg", "sky", "haze")


def test_a_photo_is_told_by_how_it_differs_from_the_usual_one() -> None:
    X = np.array([[30.0, 0.7, 2.0], [40.0, 0.5, 5.0], [50.0, np.nan, np.nan]])
    relative = REFERENCE.relative(X, NAMES)
    # haze in standard deviations; sky never varied, so its plain difference; sun as it is
    expected = [[30.0, 0.2, 0.0], [40.0, 0.0, 3.0], [50.0, np.nan, np.nan]]
    np.testing.assert_allclose(relative, expected)
    assert X[0, 2] == 2.0  # the caller's rows stay as they were


def test_normal_values_become_standard_scores() -> None:
    values = np.random.default_rng(0).normal(7.0, 3.0, 50_000)
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    reference = replace(REFERENCE, quantiles={"haze": (low, middle, high)})
    relative = reference.relative(values[:, np.newaxis], ("haze",))
    assert relative.mean() == pytest.approx(0.0, abs=0.02)
    assert relative.std() == pytest.approx(1.0, abs=0.02)


def test_a_saved_reference_is_the_loaded_one(tmp_path: Path) -> None:
    references = {"south": REFERENCE, "a north": replace(REFERENCE, camera="a north", shift=1 / 3)}
    save_cameras(references, tmp_path / "cameras.json")
    assert load_cameras(tmp_path / "cameras.json") == references
    save_cameras({}, tmp_path / "none.json")
    assert load_cameras(tmp_path / "none.json") == {}


@pytest.mark.parametrize("damage", ["text", "field", "list"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "cameras.json"
    save_cameras({"south": REFERENCE}, path)
    content = json.loads(path.read_text())
    del content["south"]["shift"]
    path.write_text({"text": "{", "field": json.dumps(content), "list": "[1]"}[damage])
    with pytest.raises(ArtifactError, match=r"cameras\.json"):
        load_cameras(path)


def test_only_cameras_with_sessions_enough_get_a_reference(table: TrainingTable) -> None:
    fixed = {camera for camera in table.cameras if camera}
    assert len(fixed) == 2
    assert set(fit_camera_references(table, "set")) == fixed
    one = sorted(fixed)[0]
    session = next(s for s, c in zip(table.sessions, table.cameras, strict=True) if c == one)
    fewer = table.take(np.flatnonzero(table.sessions != session))
    assert set(fit_camera_references(fewer, "set")) == fixed - {one}


def test_a_reference_is_the_usual_photo_and_the_usual_dust(table: TrainingTable) -> None:
    for camera, reference in fit_camera_references(table, "set").items():
        own = table.take(np.flatnonzero([c == camera for c in table.cameras]))
        assert reference.n == len(np.unique(own.sessions)) == LEAST_SESSIONS
        assert (reference.camera, reference.feature_set) == (camera, "set")
        assert (reference.scale, reference.interval_factors) == (1.0, (1.0, 1.0))
        assert not {*SUN_FEATURES, *WEATHER_FEATURES} & set(reference.quantiles)
        below = session_weights(own.sessions)[own.ln_pm25 <= reference.shift].sum()
        assert 0.5 <= below / LEAST_SESSIONS <= 0.6
        by_day = ~is_night(own.X, own.names)
        assert by_day.any()
        column = own.X[by_day, own.names.index("sky_fraction")]
        assert reference.quantiles["sky_fraction"] == pytest.approx(
            np.quantile(column, (0.05, 0.5, 0.95))
        )


def test_each_row_is_relative_to_its_own_camera(table: TrainingTable) -> None:
    references = fit_camera_references(table, "set")
    relative = relative_to_references(table, references).X
    around = [table.names.index(name) for name in (*SUN_FEATURES, *WEATHER_FEATURES)]
    np.testing.assert_array_equal(relative[:, around], table.X[:, around])
    unknown = np.array([camera is None for camera in table.cameras])
    assert unknown.any()
    np.testing.assert_array_equal(relative[unknown], table.X[unknown])
    for camera in references:
        seen = np.array([c == camera for c in table.cameras]) & ~is_night(table.X, table.names)
        photo_features = np.delete(relative[seen], around, axis=1)
        medians = np.nanmedian(photo_features[:, ~np.isnan(photo_features).all(axis=0)], axis=0)
        np.testing.assert_allclose(medians, 0.0, atol=1e-9)


def test_copies_are_relative_to_the_camera_of_their_photo(table: TrainingTable) -> None:
    references = fit_camera_references(table, "set")
    relative = relative_to_references(table, references)
    assert np.isfinite(table.copies).any()
    for row in table.with_copies[::5]:
        camera = table.cameras[row]
        own = table.copies[row]
        expected = references[camera].relative(own, table.names) if camera else own
        np.testing.assert_array_equal(relative.copies[row], expected)
    np.testing.assert_array_equal(relative.with_copies, table.with_copies)


def test_a_camera_that_saw_only_nights_is_known_by_its_nights(table: TrainingTable) -> None:
    own = table.take(np.flatnonzero([camera is not None for camera in table.cameras]))
    X = own.X.copy()
    X[:, own.names.index("sun_elevation_deg")] = -20.0
    at_night = fit_camera_references(replace(own, X=X), "set")
    X[:, own.names.index("sun_elevation_deg")] = 40.0
    assert at_night == fit_camera_references(replace(own, X=X), "set")
