"""The physics path: it minimises its formula, goes on beyond the training range, and is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from features.errors import ArtifactError
from handlers.physics import PhysicsPath
from tests.drawn_tables import drawn_steps, no_steps
from training import physics_path
from training.physics_path import fit_physics_path, usual_place

Floats = NDArray[np.float64]
K = 4


def rows(n: int, seed: int) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    X = rng.normal(0.5, 1.0, (n, K))
    y = 3.0 + X @ np.array([0.6, -0.2, 0.0, 0.1]) + 0.3 * rng.normal(size=n)
    return X, y, rng.uniform(0.0, 2.0, n)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ridge", [0.01, 0.25, 3.0])
def test_it_minimises_its_formula(seed: int, ridge: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(physics_path, "RIDGE", ridge)
    X, y, v = rows(60, seed)
    steps = drawn_steps(60, 40, K, seed)

    def objective(parameters: Floats) -> float:
        w, b = parameters[:K], parameters[K]
        labelled = v @ (y - b - X @ w) ** 2
        missing = steps.rise - (steps.after - steps.before) @ w
        short = (steps.rise > 0) & (missing > 0)
        shown = np.where(short, physics_path.SHORTFALL, 1.0) * steps.weights @ missing**2
        return float(labelled + shown + ridge * v.sum() * w @ w)

    best = minimize(objective, np.zeros(K + 1), tol=1e-12)
    path = fit_physics_path(X, y, v, steps)
    np.testing.assert_allclose(path.weights, best.x[:K], atol=1e-5)
    assert path.intercept == pytest.approx(best.x[K], abs=1e-5)
    assert objective(np.array([*path.weights, path.intercept])) <= best.fun + 1e-9


def test_a_line_is_found_when_nothing_holds_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(physics_path, "RIDGE", 0.0)
    X, _, v = rows(50, 0)
    w = np.array([0.5, -1.0, 0.0, 2.0])
    path = fit_physics_path(X, 1.5 + X @ w, v, no_steps(K))
    np.testing.assert_allclose(path.weights, w, atol=1e-10)
    assert path.intercept == pytest.approx(1.5)


def test_by_hand_for_one_feature() -> None:
    """Rows at x = ∓1 say a slope of 1, one step of 1 says 3 and is answered by less, so that it
    weighs c times its weight: w = (2 + 3 c u) / (2 + c u + 2 λ).
    """
    u = 5.0
    steps = drawn_steps(1, 1, 1, seed=0)
    before, after = np.array([[0.0]]), np.array([[1.0]])
    steps = type(steps)(
        steps.origin, before, after, np.array([3.0]), np.array([3.0]), np.array([u]), steps.kind
    )
    path = fit_physics_path(np.array([[-1.0], [1.0]]), np.array([1.0, 3.0]), np.ones(2), steps)
    u *= physics_path.SHORTFALL
    assert path.weights[0] == pytest.approx((2 + 3 * u) / (2 + u + 2 * physics_path.RIDGE))
    assert path.intercept == pytest.approx(2.0)


def test_haze_that_is_answered_by_less_weighs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer steps of haze sink below what was added than with all of them at one weight."""
    X, y, v = rows(80, 2)
    steps = drawn_steps(80, 200, K, seed=2)
    haze = steps.rise > 0
    missing = {}
    for factor in (1.0, 3.0, 30.0):
        monkeypatch.setattr(physics_path, "SHORTFALL", factor)
        w = fit_physics_path(X, y, v, steps).weights
        missing[factor] = (
            steps.weights[haze]
            @ np.maximum(steps.rise[haze] - (steps.after - steps.before)[haze] @ w, 0.0) ** 2
        )
    assert missing[30.0] < missing[3.0] < missing[1.0]


def test_steps_do_not_move_the_level() -> None:
    X, y, v = rows(80, 1)
    path = fit_physics_path(X, y, v, drawn_steps(80, 200, K, seed=1))
    assert np.average(path.predict(X), weights=v) == pytest.approx(np.average(y, weights=v))


@pytest.mark.parametrize("given_back", [0.0, 0.5, 1.0])
def test_shifted_it_answers_haze_by_as_much_as_was_added(
    given_back: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the penalty takes from the slopes is given back: a power of one factor for all."""
    monkeypatch.setattr(physics_path, "GIVEN_BACK", given_back)
    X, y, v = rows(80, 1)
    steps, point = drawn_steps(80, 200, K, seed=1), np.array([1.0, -2.0, 0.5, 0.0])
    free, held = (fit_physics_path(X, y, v, steps, through) for through in (None, (point, 4.5)))
    added, answered_free, answered_held = (
        steps.weights @ values
        for values in (
            steps.rise,
            *(path.predict(steps.after) - path.predict(steps.before) for path in (free, held)),
        )
    )
    assert answered_held == pytest.approx(answered_free ** (1 - given_back) * added**given_back)
    factor = held.weights / free.weights
    assert factor == pytest.approx(factor[0])
    assert factor[0] > 1.0 or given_back == 0


@pytest.mark.parametrize("own_share", [0.0, 0.25, 1.0])
def test_shifted_it_stands_between_the_usual_level_and_its_own(
    own_share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(physics_path, "OWN_LEVEL", own_share)
    X, y, v = rows(80, 1)
    steps, point = drawn_steps(80, 20, K, seed=1), np.array([[1.0, -2.0, 0.5, 0.0]])
    own = fit_physics_path(X, y, v, steps).predict(point)[0]
    held = fit_physics_path(X, y, v, steps, (point[0], 4.5))
    assert held.predict(point)[0] == pytest.approx(own_share * own + (1 - own_share) * 4.5)


def test_shifted_without_haze_to_answer_it_keeps_its_slopes() -> None:
    X, y, v = rows(80, 1)
    free, held = (
        fit_physics_path(X, y, v, no_steps(K), through) for through in (None, (np.zeros(K), 3.0))
    )
    np.testing.assert_array_equal(held.weights, free.weights)


def test_the_usual_place_is_a_median_of_medians_of_medians() -> None:
    """Neither a long visit nor a place with many visits counts for more than any other."""
    y = np.array([1.0, 1.0, 1.0, 3.0, 5.0, 9.0, 20.0])
    sessions = np.array([0, 0, 0, 1, 2, 3, 4])
    places = np.array([0, 0, 0, 0, 0, 1, 2])
    # places 0, 1, 2 have the levels 3 (of 1, 3, 5), 9 and 20
    picture, level = usual_place(np.column_stack([y, -y]), y, sessions, places)
    assert level == 9.0
    assert picture.tolist() == [9.0, -9.0]


def test_a_nuisance_that_is_shown_is_not_read() -> None:
    """Feature 0 goes with the label, and with exposure; steps of exposure say to leave it alone."""
    X, y, v = rows(200, 2)
    free = fit_physics_path(X, y, v, no_steps(K))
    steps = drawn_steps(200, 300, K, seed=2)
    after = steps.before.copy()
    after[:, 0] += 2.0
    shown = type(steps)(
        steps.origin,
        steps.before,
        after,
        np.zeros(300),
        np.zeros(300),
        np.full(300, 20.0),
        steps.kind,
    )
    assert free.weights[0] > 0.3
    assert abs(fit_physics_path(X, y, v, shown).weights[0]) < 0.02


@given(st.integers(0, 1000), st.floats(1.0, 1e4))
def test_it_goes_on_in_a_straight_line_beyond_what_it_has_seen(seed: int, far: float) -> None:
    X, y, v = rows(40, 3)
    path = fit_physics_path(X, y, v, no_steps(K))
    direction = np.random.default_rng(seed).normal(size=K)
    at = path.predict(np.outer([0.0, 1.0, far], direction))
    assert at[2] - at[0] == pytest.approx(far * (at[1] - at[0]), rel=1e-9, abs=1e-9)


def test_alone_and_in_a_batch_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    path = PhysicsPath(rng.normal(size=97), 3.0)
    X = rng.normal(size=(33, 97))
    alone = np.concatenate([path.predict(X[i : i + 1]) for i in range(len(X))])
    assert alone.tobytes() == path.predict(X).tobytes()
    assert path.predict(X[:0]).shape == (0,)


def test_the_json_keeps_every_bit(tmp_path: Path) -> None:
    path = PhysicsPath(np.random.default_rng(0).normal(size=9) / 3, 1 / 3)
    path.save(tmp_path / "physics.json")
    loaded = PhysicsPath.load(tmp_path / "physics.json")
    assert loaded.weights.tobytes() == path.weights.tobytes()
    assert loaded.intercept == path.intercept
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "physics.json").read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"weights": [1.0]}),
        json.dumps({"weights": [[1.0]], "intercept": 0.0}),
        json.dumps({"weights": [1.0, None], "intercept": 0.0}),
        json.dumps({"weights": ["a"], "intercept": 0.0}),
        json.dumps({"weights": [float("nan")], "intercept": 0.0}),
        json.dumps({"weights": [1.0], "intercept": float("inf")}),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "physics.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ArtifactError, match=r"physics\.json"):
        PhysicsPath.load(path)
