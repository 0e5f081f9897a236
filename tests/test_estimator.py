"""Estimates with their intervals: inside, never negative, the same however they are asked for."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import ArtifactError
from features.metadata import PhotoMetadata
from features.meteorology import SUN_FEATURES, WEATHER_FEATURES
from handlers.estimator import Estimates, PM25Estimator, is_night
from handlers.expert import Expert
from handlers.humidity import GROWTH
from tests.any_estimates import (
    assert_plausible,
    assert_the_same,
    every,
    sets_of_models,
    tables_without_weather,
)
from training.alterations import ALTERATIONS
from training.fit import fit_estimator
from training.splits import run_names
from training.table import TrainingTable


def as_unknown(table: TrainingTable) -> list[None]:
    return [None] * len(table)


def test_estimates_lie_inside_their_intervals(
    estimator: PM25Estimator, table: TrainingTable
) -> None:
    estimates = estimator.estimate(table.X, table.cameras)
    assert estimates.quantiles.shape == (len(table), 21)
    assert_plausible(estimates)
    np.testing.assert_allclose(estimates.quantiles[:, 10], estimates.pm25)
    for level, low, high in ((0.5, 5, 15), (0.8, 2, 18), (0.9, 1, 19), (0.95, 0, 20)):
        lower, upper = estimates.interval(level)
        np.testing.assert_array_equal(lower, estimates.quantiles[:, low])
        np.testing.assert_array_equal(upper, estimates.quantiles[:, high])
    with pytest.raises(ValueError, match=r"level is 0\.75"):
        estimates.interval(0.75)


def test_models_that_nobody_asks_are_left_out_and_the_others_stay(
    estimator: PM25Estimator, table: TrainingTable
) -> None:
    strangers = fit_estimator(table, seed=25, feature_set="x", asked=[None, "never seen"])
    assert strangers.fixed_view is None
    assert not strangers.cameras
    whole = fit_estimator(table, seed=25, feature_set="x", asked=table.cameras)
    assert_the_same(
        strangers.estimate(table.X, as_unknown(table)), whole.estimate(table.X, as_unknown(table))
    )
    assert whole.fixed_view is not None
    assert whole.cameras.keys() == estimator.cameras.keys()


def test_confidence_falls_as_the_relative_width_grows(
    estimator: PM25Estimator, table: TrainingTable
) -> None:
    estimates = estimator.estimate(table.X, table.cameras)
    lower, upper = estimates.interval()
    order = np.argsort((upper - lower) / estimates.pm25)
    assert np.all(np.diff(estimates.confidence[order]) <= 1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 3.0, 1e6]), st.floats(0.0, 1.0))
def test_even_a_photo_like_no_other_gets_a_plausible_answer(
    estimator: PM25Estimator, table: TrainingTable, seed: int, wild: float, unknown: float
) -> None:
    rng = np.random.default_rng(seed)
    spread = np.nan_to_num(np.nanstd(table.X, axis=0))
    X = np.nan_to_num(table.X[:3]) + wild * spread * rng.normal(size=(3, table.X.shape[1]))
    X[rng.random(X.shape) < unknown] = np.nan
    known = next(iter(estimator.cameras))
    assert_plausible(estimator.estimate(X, [known, None, "never seen"]))


def test_a_photo_of_which_nothing_is_known_gets_a_wide_interval_around_the_usual(
    estimator: PM25Estimator, table: TrainingTable
) -> None:
    nothing = estimator.estimate(np.full((1, len(table.names)), np.nan), [None])
    usual = np.median(table.pm25)
    assert 0.4 * usual < nothing.pm25[0] < 2.5 * usual
    lower, upper = nothing.interval()
    assert lower[0] < usual < upper[0]


def test_it_has_learned_something(estimator: PM25Estimator, table: TrainingTable) -> None:
    estimates = estimator.estimate(table.X, table.cameras)
    assert np.corrcoef(np.log(estimates.pm25), table.ln_pm25)[0, 1] > 0.7
    lower, upper = estimates.interval()
    inside = (lower <= table.pm25) & (table.pm25 <= upper)
    assert inside.mean() > 0.8


def test_a_batch_gives_what_each_photo_gives_alone(
    estimator: PM25Estimator, table: TrainingTable
) -> None:
    batch = estimator.estimate(table.X, table.cameras)
    for i in range(0, len(table), 7):
        alone = estimator.estimate(table.X[i : i + 1], [table.cameras[i]])
        for name, values in every(batch).items():
            np.testing.assert_allclose(every(alone)[name][0], values[i], rtol=1e-9, err_msg=name)


def test_the_order_of_the_rows_does_not_matter(
    estimator: PM25Estimator, table: TrainingTable
) -> None:
    order = np.random.default_rng(0).permutation(len(table))
    cameras = table.cameras
    straight = estimator.estimate(table.X, cameras)
    shuffled = estimator.estimate(table.X[order], [cameras[i] for i in order])
    back = np.argsort(order)
    assert_the_same(straight, Estimates(**{k: v[back] for k, v in every(shuffled).items()}))


def test_no_photos_give_no_estimates(estimator: PM25Estimator, table: TrainingTable) -> None:
    assert estimator.estimate(table.X[:0], []).quantiles.shape == (0, 21)


def test_a_known_camera_is_judged_against_itself(
    estimator: PM25Estimator, table: TrainingTable
) -> None:
    known = next(iter(estimator.cameras))
    assert estimator.knows(known)
    assert not estimator.knows("never seen") and not estimator.knows(None)
    seen = np.array([camera == known for camera in table.cameras])
    X = table.X[seen & ~is_night(table.X, table.names)]
    by_itself = estimator.estimate(X, [known] * len(X))
    as_new = estimator.estimate(X, [None] * len(X))
    assert_the_same(as_new, estimator.estimate(X, ["never seen"] * len(X)))
    assert np.abs(np.log(by_itself.pm25 / as_new.pm25)).max() > 1e-3
    assert estimator.fixed_view is not None
    judged = estimator.fixed_view.judge(estimator.cameras[known].relative(X, estimator.names))
    np.testing.assert_allclose(
        by_itself.pm25, np.exp(estimator.cameras[known].shift + judged.mu), rtol=1e-9
    )


def test_scale_shift_and_interval_factors_of_a_reference(
    estimator: PM25Estimator, table: TrainingTable
) -> None:
    known = next(iter(estimator.cameras))
    reference = replace(estimator.cameras[known], shift=0.0, scale=1.0, interval_factors=(1.0, 1.0))
    X = table.X[:6]

    def with_reference(**changes: object) -> Estimates:
        cameras = {known: replace(reference, **changes)}  # type: ignore[arg-type]
        return replace(estimator, cameras=cameras).estimate(X, [known] * 6)

    plain = with_reference()
    louder = with_reference(shift=3.0, scale=2.0)
    np.testing.assert_allclose(np.log(louder.pm25), 3.0 + 2.0 * np.log(plain.pm25))
    # How sure one is of it is another question, which the interval factors answer.
    np.testing.assert_allclose(
        louder.quantiles / louder.pm25[:, np.newaxis], plain.quantiles / plain.pm25[:, np.newaxis]
    )
    wider = with_reference(interval_factors=(2.0, 0.5))
    np.testing.assert_allclose(wider.pm25, plain.pm25)
    relative = np.log(plain.quantiles / plain.pm25[:, np.newaxis])
    np.testing.assert_allclose(
        np.log(wider.quantiles / wider.pm25[:, np.newaxis]),
        np.where(relative < 0, 2 * relative, 0.5 * relative),
        atol=1e-12,
    )
    assert_plausible(wider)


def test_named_features_become_a_row(estimator: PM25Estimator) -> None:
    row = estimator.row({"sky_fraction": 0.25, "no feature of ours": 1.0})
    assert row.shape == (1, len(estimator.names))
    assert row[0, estimator.names.index("sky_fraction")] == 0.25
    assert np.isnan(row).sum() == len(estimator.names) - 1


def test_what_was_saved_answers_the_same(
    estimator: PM25Estimator, table: TrainingTable, tmp_path: Path
) -> None:
    estimator.save(tmp_path)
    loaded = PM25Estimator.load(tmp_path)
    assert loaded.names == estimator.names
    assert loaded.cameras == estimator.cameras
    assert_the_same(
        loaded.estimate(table.X, table.cameras), estimator.estimate(table.X, table.cameras)
    )
    loaded.save(tmp_path / "again")
    for path in tmp_path.glob("*/*"):
        again = tmp_path / "again" / path.relative_to(tmp_path)
        if path.is_file() and again.is_file():
            assert again.read_bytes() == path.read_bytes(), path.name


def test_without_known_cameras_there_is_one_set_of_models(
    estimator: PM25Estimator, table: TrainingTable, tmp_path: Path
) -> None:
    alone = replace(estimator, fixed_view=None, fixed_view_night=None, cameras={})
    alone.save(tmp_path)
    assert not (tmp_path / "fixed_view").exists()
    loaded = PM25Estimator.load(tmp_path)
    assert loaded.fixed_view is None
    assert_the_same(
        loaded.estimate(table.X, table.cameras), estimator.estimate(table.X, as_unknown(table))
    )


@pytest.mark.parametrize(
    "part",
    [
        *("pipeline.json", "xgboost.safetensors", "lightgbm.safetensors"),
        *("mlp.safetensors", "stack.json"),
        *("physics.json", "bayesian.safetensors", "humidity.json", "conformal.json"),
    ],
)
def test_a_part_that_is_missing_is_named(fitted_artifact: Path, tmp_path: Path, part: str) -> None:
    folder = tmp_path / "new_place"
    shutil.copytree(fitted_artifact / "new_place", folder)
    (folder / part).unlink()
    with pytest.raises(ArtifactError):
        Expert.load(folder)


def test_hiding_the_weather_hardly_moves_the_mean_estimate(
    estimator: PM25Estimator, table: TrainingTable
) -> None:
    """Weather is known at two of three sites, and all three have the same level."""
    weather = np.array([name in WEATHER_FEATURES for name in table.names])
    known = np.isfinite(table.X[:, weather]).any(axis=1)
    hidden = np.where(weather, np.nan, table.X)
    for cameras in (table.cameras, as_unknown(table)):
        chosen = [cameras[i] for i in np.flatnonzero(known)]
        with_weather = estimator.estimate(table.X[known], chosen).pm25.mean()
        without = estimator.estimate(hidden[known], chosen).pm25.mean()
        assert without == pytest.approx(with_weather, rel=0.10)


def test_no_weather_does_not_mean_the_places_that_have_none(table: TrainingTable) -> None:
    """Two of four sites know the weather and are twice as hazy as the others, 50 and 25 ug m-3.

    A photo without weather may come from any of them, and is judged near their common mean of 35.
    """
    rng = np.random.default_rng(0)
    sites = np.repeat(np.arange(4), 75)
    day, known = rng.normal(0.0, 0.5, 300), sites < 2
    photo = day + rng.normal(0.0, 0.6, 300)
    weather = np.where(known, day, np.nan) + rng.normal(0.0, 0.5, (len(WEATHER_FEATURES), 300))
    weather[WEATHER_FEATURES.index(GROWTH)] = np.exp(np.abs(weather[0]))
    nobody = replace(table.photos[0], metadata=PhotoMetadata())
    names = ("haze", *WEATHER_FEATURES)
    hazy = TrainingTable(
        names,
        np.column_stack([photo, *weather]),
        25.0 * np.where(known, 2.0, 1.0) * np.exp(day),
        tuple(replace(nobody, site=f"{s}", session=f"{i}") for i, s in enumerate(sites)),
        np.full((300, len(ALTERATIONS), len(names)), np.nan),
    )
    fitted = fit_estimator(hazy, seed=1, feature_set="drawn")
    hidden = np.column_stack([photo[known], np.full((150, len(WEATHER_FEATURES)), np.nan)])
    estimates = fitted.estimate(hidden, [None] * 150).pm25
    assert 30.0 < np.exp(np.log(estimates).mean()) < 42.0


def test_the_same_rows_and_seed_give_the_same_models(
    estimator: PM25Estimator, table: TrainingTable, tmp_path: Path
) -> None:
    again = fit_estimator(
        table, seed=1, feature_set=next(iter(estimator.cameras.values())).feature_set
    )
    estimator.save(tmp_path / "one")
    again.save(tmp_path / "two")
    files = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert len(files) == 9 * sets_of_models(estimator) + 2 + len(tables_without_weather(estimator))
    for path in files:
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert other.read_bytes() == path.read_bytes(), path.name


def test_one_site_can_be_learned_from(table: TrainingTable) -> None:
    """A fold that holds one of two sites back leaves one to train on."""
    fitted = fit_estimator(table.take(np.flatnonzero(table.sites == 0)), seed=1, feature_set="x")
    assert_plausible(fitted.estimate(table.X, table.cameras))


def test_a_camera_of_one_run_of_days_can_be_learned_from(table: TrainingTable) -> None:
    """Ten days without a gap are one run, so that there is no other run to be judged by."""
    own = table.take(np.flatnonzero([camera is not None for camera in table.cameras]))
    first = datetime(2025, 3, 1, 12, tzinfo=UTC)
    photos = tuple(
        replace(p, metadata=replace(p.metadata, captured_at=first + timedelta(days=int(session))))
        for p, session in zip(own.photos, own.sessions, strict=True)
    )
    assert len(set(run_names(photos))) == 2  # one at each of the two sites
    fitted = fit_estimator(
        replace(own, photos=photos).take(np.flatnonzero(own.sites == 0)), seed=1, feature_set="x"
    )
    assert fitted.fixed_view is not None
    assert_plausible(fitted.estimate(table.X, table.cameras))


def test_a_table_without_copies_can_be_learned_from(table: TrainingTable) -> None:
    without = replace(table, copies=np.full_like(table.copies, np.nan))
    assert_plausible(
        fit_estimator(without, seed=1, feature_set="x").estimate(table.X, table.cameras)
    )


def test_rendered_rows_teach_new_places_and_nothing_else(table: TrainingTable) -> None:
    own, other = table.take(np.arange(40)), table.take(np.arange(40, 60))
    alone = fit_estimator(own, seed=1, feature_set="x")
    taught = fit_estimator(own, seed=1, feature_set="x", rendered=other)
    known = next(iter(alone.cameras))
    by_camera = [known] * len(table)
    assert_the_same(taught.estimate(table.X, by_camera), alone.estimate(table.X, by_camera))
    assert taught.new_place.conformal.n_sessions == alone.new_place.conformal.n_sessions == 20
    strange = [estimator.estimate(table.X, as_unknown(table)).pm25 for estimator in (alone, taught)]
    assert not np.allclose(strange[0], strange[1])


def test_a_camera_is_known_by_its_days_even_where_no_photo_is_read(table: TrainingTable) -> None:
    """Models of sun and weather alone: their reference holds a level, and no features."""
    around = fit_estimator(
        table.with_columns((*SUN_FEATURES, *WEATHER_FEATURES)), seed=1, feature_set=""
    )
    camera = next(iter(around.cameras))
    own = np.array([seen_by == camera for seen_by in table.cameras])
    estimates = around.estimate(table.X[own][:, -len(around.names) :], [camera] * int(own.sum()))
    usual = np.median(table.pm25[own])
    assert 0.5 * usual < np.median(estimates.pm25) < 2 * usual
