"""Out-of-fold stacking: no session leaks, the ridge does what its formula says, runs repeat."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from features.errors import DataSetError
from handlers.conformal import total_sigma
from handlers.ensemble import MEMBERS
from training.calibration import fit_conformal, session_weights
from training.stacking import RIDGE, FittedModels, fit_ridge_stack, fit_stack, group_folds


@dataclass(frozen=True)
class Sessions:
    X: np.ndarray
    y: np.ndarray
    truth: np.ndarray
    sessions: np.ndarray

    @property
    def w(self) -> np.ndarray:
        return session_weights(self.sessions)

    @property
    def groups(self) -> np.ndarray:
        return self.sessions // 3


def photos_of_sessions(n_sessions: int, seed: int) -> Sessions:
    """Photos that share their session's PM2.5, whose ln is 2.8 + 0.5 z0 + 0.3 z1 + N(0, 0.15²).

    The photos show z with noise, and four features that name the session but say nothing of it.
    """
    rng = np.random.default_rng(seed)
    sessions = np.repeat(np.arange(n_sessions), rng.integers(4, 16, n_sessions))
    z, decoys = rng.normal(size=(n_sessions, 2)), rng.normal(size=(n_sessions, 4))
    truth = (2.8 + 0.5 * z[:, 0] + 0.3 * z[:, 1])[sessions]
    y = truth + 0.15 * rng.normal(size=n_sessions)[sessions]
    X = np.column_stack([z[sessions] + 0.2 * rng.normal(size=(len(y), 2)), decoys[sessions]])
    return Sessions(X, y, truth, sessions)


@pytest.fixture(scope="module")
def data() -> Sessions:
    return photos_of_sessions(90, seed=0)


@pytest.fixture(scope="module")
def fitted(data: Sessions) -> FittedModels:
    return fit_stack(data.X, data.y, data.w, data.sessions, data.groups, seed=0)


def r2(y: np.ndarray, estimate: np.ndarray) -> float:
    return float(1.0 - np.mean((y - estimate) ** 2) / y.var())


@given(
    st.lists(st.tuples(st.integers(0, 12), st.floats(0.01, 10.0)), min_size=2, max_size=80),
    st.integers(2, 6),
)
def test_folds_cut_no_group_and_leave_none_empty(
    rows: list[tuple[int, float]], n_folds: int
) -> None:
    groups, w = np.array([group for group, _ in rows]), np.array([weight for _, weight in rows])
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        with pytest.raises(DataSetError, match="at least two"):
            group_folds(groups, w, n_folds)
        return
    folds = group_folds(groups, w, n_folds)
    assert set(folds) == set(range(min(n_folds, n_groups)))
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1
    totals = np.bincount(folds, weights=w)
    heaviest = max(w[groups == group].sum() for group in np.unique(groups))
    assert totals.max() - totals.min() <= heaviest + 1e-9


def members_like(y: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(len(y), len(MEMBERS)))
    return y[:, None] * rng.uniform(0.2, 1.2, 4) + noise * rng.uniform(0.1, 0.9, 4) + 0.3


@pytest.mark.parametrize("seed", range(4))
def test_ridge_minimises_its_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, v = rng.normal(2.8, 0.6, 200), rng.random(200)
    members = members_like(y, seed)
    share = v / v.sum()
    centre = share @ y

    def objective(parameters: np.ndarray) -> float:
        a, b = parameters[:4], parameters[4]
        residual = (y - centre) - b - (members - centre) @ a
        penalty = (share @ (y - centre) ** 2) * ((a - 0.25) ** 2).sum() + b**2
        return float(share @ residual**2 + RIDGE * penalty)

    bounds = [(0.0, None)] * 4 + [(None, None)]
    best = minimize(objective, np.full(5, 0.1), bounds=bounds, options={"ftol": 1e-15})
    stack = fit_ridge_stack(members, y, v)
    np.testing.assert_allclose(stack.coefficients, best.x[:4], atol=1e-4)
    expected = best.x[4] + centre * (1.0 - best.x[:4].sum())
    assert stack.intercept == pytest.approx(expected, abs=1e-3)


def test_equal_perfect_members_get_equal_weights_that_sum_to_one() -> None:
    y = np.random.default_rng(0).normal(2.8, 0.6, 100)
    stack = fit_ridge_stack(np.tile(y[:, None], 4), y, np.ones(100))
    np.testing.assert_allclose(stack.coefficients, 0.25)
    assert stack.intercept == pytest.approx(0.0, abs=1e-12)


def test_a_worthless_member_counts_least_and_an_inverted_one_not_at_all() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(2.8, 0.6, 500)
    good = y[:, None] + 0.2 * rng.normal(size=(500, 3))
    noise = 2.8 + 2.0 * rng.normal(size=500)
    worthless = fit_ridge_stack(np.column_stack([good, noise]), y, np.ones(500))
    assert worthless.coefficients[3] < 0.5 * min(worthless.coefficients[:3])
    inverted = fit_ridge_stack(np.column_stack([good, 6 * (2.8 - y)]), y, np.ones(500))
    assert inverted.coefficients[3] == 0.0


def test_out_of_fold_estimates_are_as_good_as_those_for_new_sessions(
    data: Sessions, fitted: FittedModels
) -> None:
    new = photos_of_sessions(90, seed=1)
    posterior = fitted.bayesian.predict(new.X)
    unseen = r2(new.y, fitted.ensemble.predict(new.X, posterior.mean).ln_pm25)
    out_of_fold = r2(data.y, fitted.oof_ln_pm25)
    seen_mean = fitted.bayesian.predict(data.X).mean
    seen = r2(data.y, fitted.ensemble.predict(data.X, seen_mean).ln_pm25)
    assert unseen > 0.7
    assert out_of_fold == pytest.approx(unseen, abs=0.1)
    assert seen > out_of_fold


def test_features_that_name_a_session_score_nothing_out_of_fold(data: Sessions) -> None:
    rng = np.random.default_rng(2)
    lottery = rng.normal(2.8, 0.6, len(np.unique(data.sessions)))[data.sessions]
    fitted = fit_stack(data.X, lottery, data.w, data.sessions, data.groups, seed=0)
    assert r2(lottery, fitted.oof_ln_pm25) < 0.1
    seen = fitted.ensemble.xgboost.inplace_predict(data.X)
    assert r2(lottery, seen) > 0.3


def test_the_record_covers_every_row(data: Sessions, fitted: FittedModels) -> None:
    n = len(data.y)
    assert fitted.oof_members.shape == (n, len(MEMBERS))
    assert np.all(np.isfinite(fitted.oof_members))
    assert np.all(fitted.oof_sigma > 0.0)
    np.testing.assert_array_equal(
        fitted.oof_sigma,
        total_sigma(fitted.oof_epistemic_sd, fitted.oof_aleatoric_sd, fitted.oof_disagreement),
    )
    for session in np.unique(data.sessions):
        assert len(set(fitted.folds[data.sessions == session])) == 1


def test_intervals_from_the_record_hold_for_new_sessions(
    data: Sessions, fitted: FittedModels
) -> None:
    table = fit_conformal(data.y, fitted.oof_ln_pm25, fitted.oof_sigma, data.sessions, data.w)
    new = photos_of_sessions(300, seed=3)
    posterior = fitted.bayesian.predict(new.X)
    prediction = fitted.ensemble.predict(new.X, posterior.mean)
    sigma = total_sigma(posterior.epistemic_sd, posterior.aleatoric_sd, prediction.disagreement)
    lower, upper = table.interval(prediction.ln_pm25, sigma)
    inside = (np.exp(new.y) >= lower) & (np.exp(new.y) <= upper)
    assert 0.84 < np.average(inside, weights=new.w) < 0.98


def test_same_arguments_give_the_same_models(
    tmp_path: Path,
) -> None:
    data = photos_of_sessions(24, seed=4)
    runs = [
        fit_stack(data.X, data.y, data.w, data.sessions, data.groups, seed=0, n_folds=2)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(runs[0].oof_ln_pm25, runs[1].oof_ln_pm25)
    for name, models in zip(("first", "again"), runs, strict=True):
        models.ensemble.save(tmp_path / name)
        models.bayesian.save(tmp_path / name / "bayesian.safetensors")
    for file in (tmp_path / "first").iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name


def test_one_site_cannot_be_stacked(data: Sessions) -> None:
    with pytest.raises(DataSetError, match="at least two sites"):
        fit_stack(data.X, data.y, data.w, data.sessions, np.zeros(len(data.y), dtype=int), seed=0)
