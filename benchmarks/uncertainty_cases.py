"""Folds of a split as training fits them, with what their models were taught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

import training.fit
from handlers.conformal import ConformalTable
from handlers.estimator import PM25Estimator, is_night
from training.calibration import fit_conformal, fit_conformal_by_weather, session_weights
from training.cross_validation import folds_of
from training.lesson import Lesson
from training.run import SEED
from training.splits import Fold
from training.stacking import FittedModels, fit_stack
from training.table import LOWEST_LABEL, TrainingTable

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Case:
    """One fold of a split: what was learned from, and m photos held out.

    lesson, fitted  the rows that taught, and what training made of them
    calibrate       (mu, sigma) of the lesson's rows → the table, as training fits it, though one
                    for all rows, whether they know their weather or not
    by_session      the same without an effect of places or less trusted labels
    Z               (m, k) standardised features; members (m, 5) estimates of the learners
    offset, scale   (m,): ln PM2.5 = offset + scale · what the models say
    pm25, weights   (m,) label [ug m-3]; every session's weights sum to 1
    """

    lesson: Lesson
    fitted: FittedModels
    calibrate: Callable[[Array, Array], ConformalTable]
    by_session: Callable[[Array, Array], ConformalTable]
    Z: Array
    members: Array
    offset: Array
    scale: Array
    pm25: Array
    weights: Array

    @property
    def target(self) -> Array:
        """What the models should have said (m,) [ln ug m-3]."""
        return np.asarray((np.log(np.maximum(self.pm25, LOWEST_LABEL)) - self.offset) / self.scale)

    def pm25_quantiles(self, table: ConformalTable, mu: Array, sigma: Array) -> Array:
        """(m, 21) [ug m-3] of estimates mu (m,) with spreads sigma (m,) of the models' target."""
        ln = np.log(table.quantiles(mu, sigma))
        return np.asarray(np.exp(self.offset[:, None] + self.scale[:, None] * ln))


def cases(
    split: str, table: TrainingTable, rendered: TrainingTable | None, feature_set: str
) -> Iterator[Case]:
    """The folds of a split that ask its kind of expert, each fitted once."""
    fixed = np.array([camera is not None for camera in table.cameras])
    for fold in folds_of(split, table):
        chosen = fold
        if split == "unseen_days":
            chosen = Fold(fold.train[fixed[fold.train]], fold.test[fixed[fold.test]], fold.name)
        if len(chosen.test):
            yield _case(split, chosen, table, rendered, feature_set)


def _case(
    split: str, fold: Fold, table: TrainingTable, rendered: TrainingTable | None, feature_set: str
) -> Case:
    """Lesson and calibration are caught where training hands them on, so that nothing that is
    compared here can differ from what is trained."""
    lessons: list[tuple[Lesson, FittedModels]] = []
    calibrations: list[tuple[Any, Any]] = []

    def caught_stack(lesson: Lesson, seed: int, n_folds: int) -> FittedModels:
        lessons.append((lesson, fit_stack(lesson, seed, n_folds)))
        return lessons[-1][1]

    def caught_conformal(
        *arguments: Any, with_weather: NDArray[np.bool_], **named: Any
    ) -> tuple[ConformalTable, ConformalTable | None]:
        calibrations.append((arguments, named))
        return fit_conformal_by_weather(*arguments, with_weather=with_weather, **named)

    with (
        mock.patch.object(training.fit, "fit_stack", caught_stack),
        mock.patch.object(training.fit, "fit_conformal_by_weather", caught_conformal),
    ):
        estimator = training.fit.fit_estimator(
            table.take(fold.train), seed=SEED, feature_set=feature_set, rendered=rendered
        )
    test = table.take(fold.test)
    if split == "unseen_days":
        test, X, offset, scale = _relative_by_day(estimator, test)
        expert = estimator.fixed_view
        assert expert is not None
    else:
        expert, X, offset, scale = (
            estimator.new_place,
            test.X,
            np.zeros(len(test)),
            np.ones(len(test)),
        )
    number = [fitted.ensemble is expert.ensemble for _, fitted in lessons].index(True)
    (y, _, _, sessions, *rest), named = calibrations[number]
    lesson, fitted = lessons[number]

    def calibrated(mu: Array, sigma: Array, **circumstances: Any) -> ConformalTable:
        judges = lesson.judges
        return fit_conformal(y, mu[judges], sigma[judges], sessions, *rest, **circumstances)

    Z = expert.pipeline.transform(X)
    return Case(
        lesson=lesson,
        fitted=fitted,
        calibrate=partial(calibrated, **named),
        by_session=calibrated,
        Z=Z,
        members=expert.ensemble.predict(Z, expert.bayesian.predict(Z).mean).members,
        offset=offset - scale * expert.humidity.growth(X, expert.pipeline.names),
        scale=scale,
        pm25=test.pm25,
        weights=session_weights(test.sessions),
    )


def _relative_by_day(
    estimator: PM25Estimator, test: TrainingTable
) -> tuple[TrainingTable, Array, Array, Array]:
    """The photos by day of known cameras, their rows relative to the camera's, shift and scale."""
    known = np.array([estimator.knows(camera) for camera in test.cameras])
    test = test.take(np.flatnonzero(known & ~is_night(test.X, test.names)))
    references = [estimator.cameras[camera or ""] for camera in test.cameras]
    rows = [
        reference.relative(row[None], test.names)
        for reference, row in zip(references, test.X, strict=True)
    ]
    return (
        test,
        np.vstack(rows),
        np.array([reference.shift for reference in references]),
        np.array([reference.scale for reference in references]),
    )
