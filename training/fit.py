"""Fitting everything an archive estimates with, from one table of rows.

The same function fits the archive and every fold of every split: what a fold is scored with was
imputed, scaled, selected, stacked and calibrated on that fold's training rows alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from features.meteorology import SUN_FEATURES, WEATHER_FEATURES
from handlers.estimator import PM25Estimator, is_night
from handlers.expert import Expert, knows_weather
from handlers.humidity import GROWTH, HumidityCorrection
from training.applicability_domain import fit_applicability_domain
from training.calibration import fit_conformal_by_weather, session_weights
from training.camera_reference import (
    LEAST_SESSIONS,
    fit_camera_references,
    relative_to_references,
)
from training.demonstrations import demonstrations
from training.label_quality import label_trust
from training.lesson import Lesson
from training.rendered_scenes import join_rendered
from training.selection import fit_pipeline, haze_signs
from training.splits import joined, run_names
from training.stacking import fit_stack
from training.table import TrainingTable, numbered, with_weather_withheld

# Of the weather, a photo's models read what a box of air does to the dust in it: how fast it is
# blown away and how high it is mixed. The rest are seasons and sites by another name
# (docs/LOG.md). Humidity corrects the light that is lost (`handlers/humidity.py`).
BOX_MODEL = ("wind_speed_ms", "ln_boundary_layer_height")
# Of a place that nobody has seen, the models read one number: how much air the network sees before
# the distance, built so that added haze cannot lower it by moving the skyline. Whatever else a
# picture shows, it shows more of the place than of the air (docs/LOG.md).
DISTANCE = ("deep_log_optical_depth_distance",)
# What a season does to one view by itself: leaves come, and the sun they shine in. Of a known
# camera no feature is read whose name holds one of these words.
SEASONAL = ("saturation", "chroma", "hue", "colourful")
# What the stack trusts beforehand (xgboost, lightgbm, mlp, bayesian, physics), and how firmly.
# The days of a camera may change its mind a little, though not so far that what trees make of added
# haze outweighs the path; a handful of places may not.
KNOWN_VIEW = (0.05, 0.05, 0.05, 0.05, 0.8), 10.0
UNKNOWN_PLACE = (0.0, 0.0, 0.0, 0.0, 1.0), 1e3
# A camera has few days, and errors of models that miss a quarter of them are larger than those of
# the models that will serve: an eighth. Of places, halves are too few, and one fold a place takes
# more time and gives the same interval as thirds (docs/LOG.md).
FOLDS_OF_KNOWN_VIEW, FOLDS_OF_PLACES = 8, 3
# γ: urban dust takes up water in part only; of an unknown place, the picture moves the estimate by
# less than it should, and so does humidity (docs/LOG.md).
HUMIDITY_OF_KNOWN_VIEW, HUMIDITY_OF_UNKNOWN_PLACE = 0.5, 0.14


def fit_estimator(
    table: TrainingTable,
    *,
    seed: int,
    feature_set: str,
    rendered: TrainingTable | None = None,
    asked: Collection[str | None] | None = None,
) -> PM25Estimator:
    """Fit all sets of models and the camera references on `table`.

    rendered  scenes that teach the models for new places, and judge nothing
    asked     the cameras whose photos will be answered, None among them for photos without one:
              where `table` knows none of them, the models for known cameras are left out
    """
    references = fit_camera_references(table, feature_set)
    if asked is not None and not references.keys() & set(asked):
        references = {}
    fixed_view = fixed_view_night = None
    known = np.flatnonzero([camera in references for camera in table.cameras])
    if len(known):
        seen = relative_to_references(table.take(known), references)
        usual = np.array([references[camera or ""].shift for camera in seen.cameras])
        night = is_night(seen.X, seen.names)
        if _are_enough(seen, ~night):
            fixed_view = _fit_fixed_view(seen, usual, ~night, seed)
            if _are_enough(seen, night):
                fixed_view_night = _fit_fixed_view(seen, usual, night, seed)
        else:
            fixed_view = _fit_fixed_view(seen, usual, np.ones(len(seen), dtype=bool), seed)
    return PM25Estimator(
        names=table.names,
        new_place=_fit_new_place(table, rendered, seed),
        fixed_view=fixed_view,
        fixed_view_night=fixed_view_night,
        cameras=references,
        domain=fit_applicability_domain(table),
    )


def _are_enough(table: TrainingTable, rows: NDArray[np.bool_]) -> bool:
    """Whether `rows` alone can be fitted, with some of them held out."""
    return len(np.unique(table.sessions[rows])) >= LEAST_SESSIONS


def _fit_fixed_view(
    table: TrainingTable, usual: NDArray[np.float64], rows: NDArray[np.bool_], seed: int
) -> Expert:
    """Models of the difference from a camera's usual photo, `usual` (n,) its ln PM2.5."""
    chosen = np.flatnonzero(rows)
    own = table.take(chosen)
    return _fit_expert(
        own,
        own.ln_pm25 - usual[chosen],
        session_weights(own.sessions) * label_trust(own.photos),
        only=(),
        leave_out=[
            name for name in own.names if name in DISTANCE or any(w in name for w in SEASONAL)
        ],
        # Of a fixed camera, the days to come are new.
        groups=_apart(numbered(run_names(own.photos)), own.sessions),
        new_places=False,
        real=np.ones(len(own), dtype=bool),
        slopes=np.ones(len(own), dtype=bool),
        trust=KNOWN_VIEW,
        humidity_exponent=HUMIDITY_OF_KNOWN_VIEW,
        same_air=False,
        n_folds=FOLDS_OF_KNOWN_VIEW,
        seed=seed,
    )


def _fit_new_place(table: TrainingTable, rendered: TrainingTable | None, seed: int) -> Expert:
    """Models for cameras that nobody has seen."""
    rows, weights, real = join_rendered(table, rendered)
    return _fit_expert(
        rows,
        rows.ln_pm25,
        weights,
        only=DISTANCE,
        leave_out=(),
        groups=_apart(
            numbered(joined([photo.site for photo in rows.photos], rows.photos)),
            numbered(run_names(rows.photos)),
            rows.sessions,
        ),
        new_places=True,
        real=real,
        # Between real places PM2.5 goes with their buildings: what haze looks like is learned from
        # scenes whose every place is another one, and from the labels how much dust is usual.
        slopes=~real,
        trust=UNKNOWN_PLACE,
        humidity_exponent=HUMIDITY_OF_UNKNOWN_PLACE,
        same_air=True,
        n_folds=FOLDS_OF_PLACES,
        seed=seed,
    )


def _apart(*groupings: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first of `groupings` (n,) with two groups or more: with one, nothing can be held out."""
    return next((groups for groups in groupings if len(np.unique(groups)) > 1), groupings[-1])


def _fit_expert(
    table: TrainingTable,
    y: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    only: Sequence[str],
    leave_out: Sequence[str],
    groups: NDArray[np.int64],
    new_places: bool,
    real: NDArray[np.bool_],
    slopes: NDArray[np.bool_],
    trust: tuple[tuple[float, ...], float],
    humidity_exponent: float,
    same_air: bool,
    n_folds: int,
    seed: int,
) -> Expert:
    """Fit one set of models to the target y (n,) [ln ug m-3].

    only, leave_out  features to choose from (() for all), and those not to be read
    groups (n,)  what a photo in use will not have seen: out-of-fold predictions, and with them the
                 stack and the interval, leave out whole groups
    new_places   whether what is asked later are places: then their effect is in the interval
    real (n,)    rows that may judge; rendered ones may only where next to nothing real is there
    n_folds      into how many the groups are gathered
    slopes, trust, same_air  as in `training/lesson.py`, `training/demonstrations.py`
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    rows, weights, origin = with_weather_withheld(table, weights, rng)
    sees = any(name not in {*SUN_FEATURES, *WEATHER_FEATURES} for name in rows.names)
    humidity = (
        _fit_humidity(rows, weights, humidity_exponent) if sees else HumidityCorrection(0.0, 0.0)
    )
    not_read = [name for name in WEATHER_FEATURES if name not in BOX_MODEL] if sees else []
    pipeline = fit_pipeline(rows, weights, only=only, leave_out=[*leave_out, *not_read])
    judges = real[origin]
    if len(np.unique(rows.sessions[judges])) < 2:
        judges = np.ones(len(origin), dtype=bool)
    lesson = Lesson(
        X=pipeline.transform(rows.X),
        y=y[origin] + humidity.growth(rows.X, rows.names),
        weights=weights,
        sessions=rows.sessions,
        groups=groups[origin],
        judges=judges,
        slopes=slopes[origin],
        trust=trust[0],
        hold=trust[1],
        signs=haze_signs(rows, pipeline.sd)[pipeline.selected],
        steps=demonstrations(rows, pipeline, weights, same_air=same_air),
    )
    fitted = fit_stack(lesson, seed, n_folds)
    spread, unit = fitted.oof_sigma[judges], None
    if new_places:
        # At a place that nobody has seen, the spread of posterior and learners is no larger where
        # the error is (docs/LOG.md): one unit for all, and the distance to the training photos.
        unit = float(np.median(spread))
        spread = np.full(len(spread), unit)
    conformal, without_weather = fit_conformal_by_weather(
        lesson.y[judges],
        fitted.oof_ln_pm25[judges],
        spread,
        lesson.sessions[judges],
        weights[judges],
        sites=rows.sites[judges] if new_places else None,
        trust=label_trust([rows.photos[int(i)] for i in np.flatnonzero(judges)]),
        with_weather=knows_weather(rows.X[judges], rows.names),
    )
    return Expert(
        pipeline=pipeline,
        ensemble=fitted.ensemble,
        bayesian=fitted.bayesian,
        humidity=humidity,
        conformal=replace(conformal, unit=unit),
        conformal_without_weather=without_weather,
    )


def _fit_humidity(
    rows: TrainingTable, weights: NDArray[np.float64], exponent: float
) -> HumidityCorrection:
    """The correction whose mean over the rows that know their humidity is 0."""
    f = rows.X[:, rows.names.index(GROWTH)] if GROWTH in rows.names else np.full(len(rows), np.nan)
    known = np.isfinite(f)
    if not known.any():
        return HumidityCorrection(exponent, 0.0)
    usual = float(np.average(np.log(f[known]), weights=weights[known]))
    return HumidityCorrection(exponent, usual)
