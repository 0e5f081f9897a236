"""Stack the learners on out-of-fold predictions.

The photos are cut into folds by group (a site, or a run of days), never at random: photos of one
session share their label, and a learner that has seen one knows the others. Each learner predicts
every fold from the rest. The meta-learner is a non-negative ridge,

    min over a ≥ 0, b of  E[(y' − b − Σ_j a_j p'_j)²] + λ Var(y) Σ_j (a_j − a⁰_j)² + λ b²

shrunk toward coefficients a⁰ that the lesson trusts beforehand; y' = y − E[y] and p' = p − E[y],
and the mean E gives every session the same total weight. The out-of-fold estimate of a fold comes
from a ridge fitted on the other folds, so that conformal scores see no row that helped to choose
the coefficients. At the end all learners are refitted on all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from features.errors import DataSetError
from handlers.bayesian import BayesianNeuralNetwork
from handlers.boosted_trees import BoostedTrees
from handlers.conformal import total_sigma
from handlers.ensemble import MEMBERS, PM25EnsembleModel, Stack
from handlers.perceptron import Perceptron
from handlers.physics import PhysicsPath
from training.calibration import session_weights
from training.learners import fit_lightgbm, fit_mlp, fit_xgboost, one_thread
from training.lesson import Lesson
from training.physics_path import fit_physics_path, usual_place
from training.variational import fit_bayesian

__all__ = ["FittedModels", "fit_ridge_stack", "fit_stack", "group_folds"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FittedModels:
    """Models fitted on all rows, and the out-of-fold record of the same rows; arrays (n,).

    oof_ln_pm25, oof_epistemic_sd, oof_aleatoric_sd, oof_disagreement: [ln ug m-3].
    oof_members (n, 5): the members' out-of-fold predictions, in the order of `MEMBERS`.
    folds: the inner fold of each row.
    """

    ensemble: PM25EnsembleModel
    bayesian: BayesianNeuralNetwork
    oof_ln_pm25: FloatArray
    oof_members: FloatArray
    oof_epistemic_sd: FloatArray
    oof_aleatoric_sd: FloatArray
    oof_disagreement: FloatArray
    folds: IntArray

    @property
    def oof_sigma(self) -> FloatArray:
        """√(epistemic² + aleatoric² + disagreement²), out of fold (n,) [ln ug m-3]."""
        return total_sigma(self.oof_epistemic_sd, self.oof_aleatoric_sd, self.oof_disagreement)


def group_folds(groups: IntArray, w: FloatArray, n_folds: int) -> IntArray:
    """Fold number (n,) of each row; no group is cut, fold weights are as even as greed makes them.

    The heaviest group goes first, each to the lightest fold so far. With fewer groups than
    `n_folds` there are as many folds as groups. Raises DataSetError for a single group.
    """
    names, index = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise DataSetError(
            "too_few_groups",
            f"Out-of-fold prediction got {len(names)} group(s) of photos.",
            "Give photos of at least two sites or runs of days.",
        )
    weights = np.bincount(index, weights=w)
    filled = np.zeros(min(n_folds, len(names)))
    fold_of = np.zeros(len(names), dtype=np.int64)
    for group in np.argsort(-weights, kind="stable"):
        fold_of[group] = np.argmin(filled)
        filled[fold_of[group]] += weights[group]
    return np.asarray(fold_of[index])


def fit_ridge_stack(
    members: FloatArray, y: FloatArray, v: FloatArray, trust: Sequence[float], hold: float
) -> Stack:
    """Non-negative ridge of y (n,) on members (n, 5), row weights v (n,), λ = hold."""
    share = v / v.sum()
    centre = float(share @ y)
    P, t = members - centre, y - centre
    P_mean = share @ P
    variance = float(share @ t**2) or 1.0
    # For given `a` the best intercept is the mean residual / (1 + λ), here −P_mean·a / (1 + λ).
    # Put in, it leaves least squares in `a` alone: residuals about their mean, one row for what
    # the penalty keeps of that mean, and one row a coefficient.
    root, kept, pull = np.sqrt(share), np.sqrt(hold / (1.0 + hold)), np.sqrt(hold * variance)
    left = np.vstack([root[:, None] * (P - P_mean), kept * P_mean, pull * np.eye(len(trust))])
    right = np.concatenate([root * t, [0.0], pull * np.array(trust)])
    # Non-negative least squares needs no more than the Cholesky factor of the normal matrix.
    factor = np.linalg.cholesky(left.T @ left)
    a, _ = nnls(factor.T, np.linalg.solve(factor, left.T @ right))
    intercept = centre - centre * float(a.sum()) - float(a @ P_mean) / (1.0 + hold)
    return Stack(tuple(float(value) for value in a), intercept)


def fit_stack(lesson: Lesson, seed: int, n_folds: int = 4) -> FittedModels:
    """Out-of-fold predictions, the ridge on them, and all learners refitted on all rows.

    Runs on one thread; the same arguments give the same models. Raises DataSetError for fewer than
    two groups.
    """
    with one_thread():
        folds = group_folds(lesson.groups, lesson.weights, n_folds)
        n, n_members = len(lesson), len(MEMBERS)
        trusting = Stack(lesson.trust, 0.0)
        members = np.empty((n, n_members))
        disagreement, epistemic, aleatoric = np.empty(n), np.empty(n), np.empty(n)
        for fold in np.unique(folds):
            held = folds == fold
            learners = _fit_learners(lesson.of(~held), seed)
            posterior = learners.bayesian.predict(lesson.X[held])
            predicted = learners.ensemble(trusting).predict(lesson.X[held], posterior.mean)
            members[held], disagreement[held] = predicted.members, predicted.disagreement
            epistemic[held], aleatoric[held] = posterior.epistemic_sd, posterior.aleatoric_sd

        v = np.where(lesson.judges, session_weights(lesson.sessions, lesson.weights), 0.0)
        ln_pm25 = np.empty(n)
        for fold in np.unique(folds):
            held, kept = folds == fold, folds != fold
            # Where all who may judge are in this fold, nothing speaks against what is trusted.
            judged = bool(v[kept].any())
            ridge = (
                fit_ridge_stack(members[kept], lesson.y[kept], v[kept], lesson.trust, lesson.hold)
                if judged
                else trusting
            )
            ln_pm25[held] = ridge.predict(members[held])

        learners = _fit_learners(lesson, seed)
        return FittedModels(
            ensemble=learners.ensemble(
                fit_ridge_stack(members, lesson.y, v, lesson.trust, lesson.hold)
            ),
            bayesian=learners.bayesian,
            oof_ln_pm25=ln_pm25,
            oof_members=members,
            oof_epistemic_sd=epistemic,
            oof_aleatoric_sd=aleatoric,
            oof_disagreement=disagreement,
            folds=folds,
        )


@dataclass(frozen=True)
class _Learners:
    xgboost: BoostedTrees
    lightgbm: BoostedTrees
    mlp: Perceptron
    bayesian: BayesianNeuralNetwork
    physics: PhysicsPath

    def ensemble(self, stack: Stack) -> PM25EnsembleModel:
        return PM25EnsembleModel(self.xgboost, self.lightgbm, self.mlp, self.physics, stack)


def _fit_learners(lesson: Lesson, seed: int) -> _Learners:
    """All learners on the same lesson: the physics path on rows and steps, the others on copies."""
    X, y, w = lesson.with_copies()
    slopes, judges, through = lesson.slopes, lesson.judges, None
    if not slopes.any():
        slopes = judges if judges.any() else np.ones(len(lesson), dtype=bool)
    elif judges.any() and not (slopes & judges).any():
        through = usual_place(
            lesson.X[judges], lesson.y[judges], lesson.sessions[judges], lesson.groups[judges]
        )
    path = fit_physics_path(
        lesson.X[slopes], lesson.y[slopes], lesson.weights[slopes], lesson.steps, through
    )
    return _Learners(
        fit_xgboost(X, y, w, seed, lesson.signs),
        fit_lightgbm(X, y, w, seed, lesson.signs),
        fit_mlp(X, y, w, seed),
        fit_bayesian(X, y, w, seed),
        path,
    )
