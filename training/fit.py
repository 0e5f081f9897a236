"""Fitting everything an archive estimates with, from one table of rows.

The same function fits the archive and every fold of every split: what a fold is scored with was
imputed, scaled, selected, stacked and calibrated on that fold's training rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from handlers.estimator import PM25Estimator
from handlers.expert import Expert
from training.calibration import fit_conformal
from training.camera_reference import fit_camera_references, relative_rows
from training.rendered_scenes import Lesson, lesson
from training.selection import fit_pipeline
from training.splits import run_names
from training.stacking import fit_stack
from training.table import TrainingTable, numbered, with_weather_withheld

# Kept whatever the F-test says: how haze looks depends on where the sun stands, at every site.
KEEP = ("sun_elevation_deg", "air_mass", "daylight")


def fit_estimator(
    table: TrainingTable,
    *,
    seed: int,
    feature_set: str,
    rendered: TrainingTable | None = None,
    keep: Sequence[str] = KEEP,
) -> PM25Estimator:
    """Fit both sets of models and the camera references on `table`.

    `rendered` scenes teach the models for new places, and judge nothing.
    """
    references = fit_camera_references(table, feature_set)
    known = np.flatnonzero([camera in references for camera in table.cameras])
    fixed_view = None
    if len(known):
        of_cameras = table.take(known)
        levels = np.array([references[camera or ""].shift for camera in of_cameras.cameras])
        relative = relative_rows(of_cameras.X, table.names, of_cameras.cameras, references)
        fixed_view = _fit_expert(
            lesson(replace(of_cameras, X=relative), None),
            of_cameras.ln_pm25 - levels,
            # Of a fixed camera, the days to come are new.
            _apart(numbered(run_names(of_cameras.photos)), of_cameras.sessions),
            seed=seed,
            keep=keep,
        )
    everything = lesson(table, rendered)
    rows = everything.table
    return PM25Estimator(
        names=table.names,
        new_place=_fit_expert(
            everything,
            rows.ln_pm25,
            _apart(rows.sites, numbered(run_names(rows.photos)), rows.sessions),
            seed=seed,
            keep=keep,
        ),
        fixed_view=fixed_view,
        cameras=references,
    )


def _apart(*groupings: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first of `groupings` (n,) with two groups or more: with one, nothing can be held out."""
    return next((groups for groups in groupings if len(np.unique(groups)) > 1), groupings[-1])


def _fit_expert(
    lesson: Lesson,
    y: NDArray[np.float64],
    groups: NDArray[np.int64],
    *,
    seed: int,
    keep: Sequence[str],
) -> Expert:
    """Fit one set of models to the target y (n,) [ln ug m-3].

    `groups` (n,) says what a photo in use will not have seen: out-of-fold predictions, and with
    them the stack and the interval, leave out whole groups.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    rows, weights, origin = with_weather_withheld(lesson.table, lesson.weights, rng)
    target, real, sessions = y[origin], lesson.real[origin], rows.sessions
    pipeline = fit_pipeline(rows.X, target, weights, sessions, rows.sites, rows.names, keep=keep)
    fitted = fit_stack(
        pipeline.transform(rows.X), target, weights, sessions, groups[origin], seed, judges=real
    )
    # Rendered rows judge only where there is next to nothing real to judge by.
    judges = real if len(np.unique(sessions[real])) > 1 else np.ones(len(real), dtype=bool)
    return Expert(
        pipeline=pipeline,
        ensemble=fitted.ensemble,
        bayesian=fitted.bayesian,
        conformal=fit_conformal(
            target[judges],
            fitted.oof_ln_pm25[judges],
            fitted.oof_sigma[judges],
            sessions[judges],
            weights[judges],
        ),
    )
