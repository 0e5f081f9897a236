"""Out-of-fold stacking: no session leaks, the ridge does what its formula says, runs repeat."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from features.errors import DataSetError
from handlers.conformal import interval_columns, total_sigma
from handlers.ensemble import MEMBERS
from tests.drawn_tables import drawn_steps, no_steps
from training.calibration import fit_conformal, session_weights
from training.lesson import Lesson
from training.physics_path import fit_physics_path, usual_place
from training.stacking import FittedModels, fit_ridge_stack, fit_stack, group_folds

M = len(MEMBERS)
TRUST, HOLD = (0.1, 0.15, 0.05, 0.2, 0.5), 3.0


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
    return fit_stack(lesson_of(data), seed=0)


def lesson_of(data: Sessions, **changes: object) -> Lesson:
    """The rows alone: nothing is shown beside them, and every one judges and teaches."""
    n, k = data.X.shape
    everyone = np.ones(n, dtype=bool)
    lesson = Lesson(
        data.X,
        data.y,
        data.w,
        data.sessions,
        data.groups,
        judges=everyone,
        slopes=everyone,
        trust=TRUST,
        hold=HOLD,
        signs=np.zeros(k, dtype=np.int64),
        steps=no_steps(k),
    )
    return replace(lesson, **changes)  # type: ignore[arg-type]


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
    return y[:, None] * rng.uniform(0.2, 1.2, M) + noise * rng.uniform(0.1, 0.9, M) + 0.3


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("hold", [0.1, 3.0, 100.0])
@pytest.mark.parametrize("trust", [TRUST, (0.2,) * M, (0.0,) * (M - 1) + (1.0,)])
def test_ridge_minimises_its_formula(seed: int, trust: tuple[float, ...], hold: float) -> None:
    rng = np.random.default_rng(seed)
    y, v = rng.normal(2.8, 0.6, 200), rng.random(200)
    members = members_like(y, seed)
    share = v / v.sum()
    centre = share @ y

    def objective(parameters: np.ndarray) -> float:
        a, b = parameters[:M], parameters[M]
        residual = (y - centre) - b - (members - centre) @ a
        penalty = (share @ (y - centre) ** 2) * ((a - np.array(trust)) ** 2).sum() + b**2
        return float(share @ residual**2 + hold * penalty)

    bounds = [(0.0, None)] * M + [(None, None)]
    best = minimize(objective, np.full(M + 1, 0.1), bounds=bounds, options={"ftol": 1e-15})
    stack = fit_ridge_stack(members, y, v, trust, hold)
    np.testing.assert_allclose(stack.coefficients, best.x[:M], atol=1e-4)
    expected = best.x[M] + centre * (1.0 - best.x[:M].sum())
    assert stack.intercept == pytest.approx(expected, abs=1e-3)


def test_perfect_members_are_trusted_as_before() -> None:
    y = np.random.default_rng(0).normal(2.8, 0.6, 100)
    stack = fit_ridge_stack(np.tile(y[:, None], M), y, np.ones(100), TRUST, HOLD)
    np.testing.assert_allclose(stack.coefficients, TRUST)
    assert stack.intercept == pytest.approx(0.0, abs=1e-12)


def test_a_worthless_member_counts_least_and_an_inverted_one_not_at_all() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(2.8, 0.6, 500)
    good = y[:, None] + 0.2 * rng.normal(size=(500, M - 1))
    even = (1.0 / M,) * M
    noise = 2.8 + 2.0 * rng.normal(size=500)
    worthless = fit_ridge_stack(np.column_stack([good, noise]), y, np.ones(500), even, HOLD)
    assert worthless.coefficients[-1] < 0.5 * min(worthless.coefficients[:-1])
    inverted = fit_ridge_stack(np.column_stack([good, 6 * (2.8 - y)]), y, np.ones(500), even, HOLD)
    assert inverted.coefficients[-1] == 0.0


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
    fitted = fit_stack(lesson_of(data, y=lottery), seed=0)
    assert r2(lottery, fitted.oof_ln_pm25) < 0.1
    seen = fitted.ensemble.xgboost.predict(data.X)
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
    low, high = interval_columns(0.9)
    quantiles = table.quantiles(prediction.ln_pm25, sigma)
    lower, upper = quantiles[:, low], quantiles[:, high]
    inside = (np.exp(new.y) >= lower) & (np.exp(new.y) <= upper)
    assert 0.84 < np.average(inside, weights=new.w) < 0.98


def test_same_arguments_give_the_same_models(
    tmp_path: Path,
) -> None:
    data = photos_of_sessions(24, seed=4)
    runs = [fit_stack(lesson_of(data), seed=0, n_folds=2) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].oof_ln_pm25, runs[1].oof_ln_pm25)
    for name, models in zip(("first", "again"), runs, strict=True):
        models.ensemble.save(tmp_path / name)
        models.bayesian.save(tmp_path / name / "bayesian.safetensors")
    for file in (tmp_path / "first").iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name


def test_one_site_cannot_be_stacked(data: Sessions) -> None:
    with pytest.raises(DataSetError, match="at least two sites"):
        fit_stack(lesson_of(data, groups=np.zeros(len(data.y), dtype=np.int64)), seed=0)


def few_rows() -> Sessions:
    return photos_of_sessions(24, seed=4)


def test_the_physics_path_learns_from_its_rows_and_steps_alone() -> None:
    data = few_rows()
    n, k = data.X.shape
    slopes = np.arange(n) % 3 > 0
    steps = drawn_steps(n, 50, k, seed=1, kinds=(-1,))
    fitted = fit_stack(lesson_of(data, slopes=slopes, steps=steps), seed=0, n_folds=2)
    expected = fit_physics_path(data.X[slopes], data.y[slopes], data.w[slopes], steps)
    np.testing.assert_allclose(fitted.ensemble.physics.weights, expected.weights, rtol=1e-9)
    assert fitted.ensemble.physics.intercept == pytest.approx(expected.intercept)


def test_where_others_teach_it_the_judges_usual_place_is_its_level() -> None:
    data = few_rows()
    judges = data.groups % 2 == 0
    taught = data.y + np.where(judges, 0.0, 5.0)  # scenes that are far dustier than real places
    steps = drawn_steps(len(data.y), 50, data.X.shape[1], seed=1, kinds=(-1,))
    lesson = lesson_of(data, y=taught, judges=judges, slopes=~judges, steps=steps)
    path = fit_stack(lesson, seed=0, n_folds=2).ensemble.physics
    usual = usual_place(data.X[judges], taught[judges], data.sessions[judges], data.groups[judges])
    expected = fit_physics_path(
        data.X[~judges], taught[~judges], data.w[~judges], steps, through=usual
    )
    np.testing.assert_allclose(path.weights, expected.weights, rtol=1e-9)
    assert path.intercept == pytest.approx(expected.intercept)


def test_the_more_firmly_it_holds_the_less_the_stack_changes_its_mind() -> None:
    y = np.random.default_rng(0).normal(2.8, 0.6, 200)
    members = members_like(y, 0)
    apart = [
        np.abs(
            np.array(fit_ridge_stack(members, y, np.ones(200), TRUST, hold).coefficients) - TRUST
        ).max()
        for hold in (0.1, 1.0, 10.0, 1e6)
    ]
    assert apart == sorted(apart, reverse=True)
    assert apart[0] > 0.05 and apart[-1] < 1e-4


def test_only_those_who_judge_fit_the_stack() -> None:
    """What the others' labels are does not show in the stack, once the learners are given."""
    data = few_rows()
    judges = data.groups % 2 == 0
    fitted = fit_stack(lesson_of(data, judges=judges), seed=0, n_folds=2)
    v = np.where(judges, session_weights(data.sessions, data.w), 0.0)
    expected = fit_ridge_stack(fitted.oof_members[judges], data.y[judges], v[judges], TRUST, HOLD)
    np.testing.assert_allclose(fitted.ensemble.stack.coefficients, expected.coefficients)
    assert fitted.ensemble.stack.intercept == pytest.approx(expected.intercept)


def test_a_fold_without_judges_elsewhere_keeps_its_trust() -> None:
    data = few_rows()
    judges = data.groups == 0
    fitted = fit_stack(lesson_of(data, judges=judges), seed=0, n_folds=2)
    alone = fitted.folds == fitted.folds[judges][0]
    np.testing.assert_allclose(
        fitted.oof_ln_pm25[alone], fitted.oof_members[alone] @ np.array(TRUST)
    )


def test_held_out_rows_are_not_seen_not_even_in_copies() -> None:
    """Copies and steps of the photos of a fold are left out with them."""
    data = few_rows()
    n, k = data.X.shape
    folds = fit_stack(lesson_of(data), seed=0, n_folds=2).folds
    steps = drawn_steps(n, 80, k, seed=2, kinds=tuple(range(-1, 6)))
    wild = replace(steps, after=np.where(folds[steps.origin, None] == 0, 9.0, steps.after))
    one, other = (
        fit_stack(lesson_of(data, steps=shown), seed=0, n_folds=2) for shown in (steps, wild)
    )
    np.testing.assert_array_equal(one.oof_members[folds == 0], other.oof_members[folds == 0])
    assert not np.allclose(one.oof_members[folds == 1], other.oof_members[folds == 1])
