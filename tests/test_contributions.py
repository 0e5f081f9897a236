"""What moved an estimate: parts that sum up to it, and that brute force finds on small models."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from handlers.aumann_shapley import mean_slope
from handlers.bayesian import BayesianNeuralNetwork
from handlers.boosted_trees import BoostedTrees
from handlers.camera import LN_PM25, CameraReference
from handlers.contributions import SHAPLEY, Contributions, contributions, logarithmic_mean
from handlers.ensemble import MEMBERS
from handlers.estimator import SUN, PM25Estimator
from handlers.perceptron import Perceptron
from handlers.physics import PhysicsPath
from handlers.tree_shapley import LeafPaths
from tests.brute_force_shapley import shapley_values
from training.boosters import trees_of_lightgbm, trees_of_xgboost
from training.table import TrainingTable

K = 6
SEEDS = st.integers(0, 10_000)


def two_rows(seed: int, columns: int = K) -> NDArray[np.float64]:
    """A row and a reference; rounded, so that values equal thresholds and one another."""
    return np.random.default_rng(seed).normal(size=(2, columns)).round(1)


def data(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(200, K)).round(1)
    return X, X[:, 0] * X[:, 1] + np.abs(X[:, 2]) + rng.normal(size=200) + 3.0


def xgboost_trees(seed: int, depth: int) -> BoostedTrees:
    parameters = {"max_depth": depth, "nthread": 1, "seed": seed}
    booster = xgboost.train(parameters, xgboost.DMatrix(*data(seed)), num_boost_round=12)
    return trees_of_xgboost(booster)


def lightgbm_booster(seed: int, leaves: int, rounds: int = 12) -> lightgbm.Booster:
    parameters = {
        "num_leaves": leaves,
        "min_data_in_leaf": 5,
        "num_threads": 1,
        "seed": seed,
        "verbose": -1,
        "deterministic": True,
        "force_row_wise": True,
    }
    X, y = data(seed)
    return lightgbm.train(parameters, lightgbm.Dataset(X, y), num_boost_round=rounds)


def one_hidden_layer(seed: int, columns: int = K, hidden: int = 5) -> Perceptron:
    rng = np.random.default_rng(seed)
    return Perceptron(
        (rng.normal(size=(columns, hidden)), rng.normal(size=(hidden, 1))),
        (rng.normal(size=hidden), rng.normal(size=1)),
    )


# ---- trees


@settings(max_examples=25)
@given(seed=SEEDS, depth=st.integers(1, 6))
def test_values_of_xgboosts_trees_are_those_of_brute_force(seed: int, depth: int) -> None:
    trees = xgboost_trees(seed, depth)
    x, usual = two_rows(seed + 1)
    got = LeafPaths.of(trees).contributions(x, usual)
    np.testing.assert_allclose(got, shapley_values(trees.predict, x, usual), atol=1e-12)


@settings(max_examples=25)
@given(seed=SEEDS, leaves=st.integers(2, 24))
def test_values_of_lightgbms_trees_are_those_of_brute_force(seed: int, leaves: int) -> None:
    trees = trees_of_lightgbm(lightgbm_booster(seed, leaves))
    x, usual = two_rows(seed + 1)
    got = LeafPaths.of(trees).contributions(x, usual)
    np.testing.assert_allclose(got, shapley_values(trees.predict, x, usual), atol=1e-12)


def test_over_all_references_stumps_give_what_lightgbm_says_itself() -> None:
    """Where a tree asks one question, its own game and ours against each training row agree."""
    booster = lightgbm_booster(3, leaves=2, rounds=40)
    X, _ = data(3)
    paths = LeafPaths.of(trees_of_lightgbm(booster))
    ours = np.mean([paths.contributions(X[7], usual) for usual in X], axis=0)
    np.testing.assert_allclose(ours, booster.predict(X[[7]], pred_contrib=True)[0, :-1], atol=1e-9)


def test_trees_of_one_leaf_and_equal_rows_move_nothing() -> None:
    booster = xgboost.train({"min_child_weight": 1e9}, xgboost.DMatrix(*data(1)), 3)
    x, usual = two_rows(1)
    alone = LeafPaths.of(trees_of_xgboost(booster))
    np.testing.assert_array_equal(alone.contributions(x, usual), np.zeros(K))
    np.testing.assert_array_equal(
        LeafPaths.of(xgboost_trees(2, 3)).contributions(x, x), np.zeros(K)
    )


# ---- line and networks


@given(seed=SEEDS)
def test_values_of_the_physics_path_are_those_of_brute_force(seed: int) -> None:
    path = PhysicsPath(np.random.default_rng(seed).normal(size=K), 1.5)
    x, usual = two_rows(seed + 1)
    expected = shapley_values(path.predict, x, usual)
    np.testing.assert_allclose(path.contributions(x, usual), expected, atol=1e-12)


@given(seed=SEEDS)
def test_values_of_a_network_are_the_integral_of_its_gradient(seed: int) -> None:
    """By Gauss and Legendre at 200 points of the way, the gradient by differences."""
    network = one_hidden_layer(seed)
    x, usual = two_rows(seed + 1)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    on_the_way = usual + 0.5 * (nodes[:, None] + 1.0) * (x - usual)
    step = 1e-5
    gradient = [
        (network.predict(on_the_way + e) - network.predict(on_the_way - e)) / (2 * step)
        for e in step * np.eye(K)
    ]
    expected = 0.5 * (np.array(gradient) @ weights) * (x - usual)
    np.testing.assert_allclose(network.contributions(x, usual), expected, atol=1e-6)


@given(seed=SEEDS)
def test_where_features_do_not_interact_a_networks_values_are_shapleys(seed: int) -> None:
    """Each hidden unit reads one feature."""
    rng = np.random.default_rng(seed)
    network = Perceptron(
        (np.diag(rng.normal(size=K)), rng.normal(size=(K, 1))), (rng.normal(size=K), np.zeros(1))
    )
    x, usual = two_rows(seed + 1)
    expected = shapley_values(network.predict, x, usual)
    np.testing.assert_allclose(network.contributions(x, usual), expected, atol=1e-10)


@pytest.mark.parametrize("layers", [(5,), (5, 4), (5, 4, 3)])
def test_a_networks_values_sum_up_however_deep_it_is(layers: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(layers))
    sides = (K, *layers, 1)
    network = Perceptron(
        tuple(rng.normal(size=pair) for pair in pairwise(sides)),
        tuple(rng.normal(size=side) for side in sides[1:]),
    )
    x, usual = two_rows(5)
    moved = np.diff(network.predict(np.stack([usual, x])))[0]
    assert network.contributions(x, usual).sum() == pytest.approx(moved, rel=1e-12)


def test_values_of_the_bayesian_network_are_the_mean_over_its_draws() -> None:
    network = BayesianNeuralNetwork(K, n_hidden=4, target_mean=3.0, target_sd=0.7)
    with pytest.raises(RuntimeError, match="draw"):
        network.contributions(*two_rows(0))
    for parameter in network.parameters():
        parameter.data.normal_()
    network.draw(n_samples=8, seed=2)
    x, usual = two_rows(1)
    got = network.contributions(x, usual)
    moved = np.diff(network.predict(np.stack([usual, x])).mean)[0]
    assert got.sum() == pytest.approx(moved, rel=1e-10)
    draws = network._draws
    assert draws is not None
    of_draws = [
        Perceptron(
            (draws.hidden_weight[:, 4 * t : 4 * t + 4], draws.head_weight[0, t][:, None]),
            (draws.hidden_bias[4 * t : 4 * t + 4], draws.head_bias[0, [t]]),
        ).contributions(x, usual)
        for t in range(8)
    ]
    np.testing.assert_allclose(got, 0.7 * np.mean(of_draws, axis=0), rtol=1e-10)


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_a_mean_slope_is_one_of_tanh(before: float, after: float) -> None:
    (slope,) = mean_slope(np.array([before]), np.array([after]))
    assert 0.0 <= slope <= 1.0
    assert slope * (after - before) == pytest.approx(np.tanh(after) - np.tanh(before), abs=1e-9)


# ---- an estimate


def seen_by(camera: str, table: TrainingTable) -> NDArray[np.float64]:
    """A photo of a known camera."""
    return np.array(table.X[[table.cameras.index(camera)]])


def known_camera(estimator: PM25Estimator) -> str:
    return sorted(estimator.cameras)[0]


def cases(estimator: PM25Estimator, table: TrainingTable) -> dict[str, tuple[Any, str | None]]:
    """Rows and cameras of every situation, with one of a camera that was calibrated later."""
    camera = known_camera(estimator)
    X = seen_by(camera, table)
    night = X.copy()
    night[0, table.names.index(SUN)] = -20.0
    unknown = X.copy()
    unknown[0, ::3] = np.nan
    return {
        "new place": (X, None),
        "known camera": (X, camera),
        "by night": (night, camera),
        "half unknown": (unknown, camera),
        "nothing known": (np.full_like(X, np.nan), None),
    }


def assert_true_of_the_estimate(
    parts: Contributions, estimator: PM25Estimator, X: NDArray[np.float64], camera: str | None
) -> None:
    served = estimator.estimate(X, [camera]).pm25[0]
    assert parts.estimate == pytest.approx(served, rel=1e-12)
    assert parts.baseline * parts.factors.prod() == pytest.approx(served, rel=1e-9)
    assert parts.baseline + parts.pm25.sum() == pytest.approx(served, rel=1e-9)
    assert abs(parts.unexplained) < 1e-9 * served
    np.testing.assert_array_equal(parts.ln[~np.isfinite(X[0])], 0.0)
    np.testing.assert_array_equal(np.sign(parts.pm25), np.sign(parts.ln))


@pytest.mark.parametrize(
    "case", ["new place", "known camera", "by night", "half unknown", "nothing known"]
)
def test_parts_sum_up_to_the_estimate_that_is_served(
    case: str, estimator: PM25Estimator, table: TrainingTable
) -> None:
    X, camera = cases(estimator, table)[case]
    parts = contributions(estimator, X, camera)
    assert_true_of_the_estimate(parts, estimator, X, camera)
    if case == "nothing known":
        assert not parts.ln.any()
        assert np.isnan(parts.shapley_share)
    else:
        assert 0.0 < parts.shapley_share <= 1.0


def test_the_whole_estimate_agrees_with_brute_force(
    estimator: PM25Estimator, table: TrainingTable
) -> None:
    """Eight features differ from the usual photo, so that 2^8 photos hold the truth: exactly for
    the part of the stack whose values are Shapley's, and nearly with the networks.
    """
    expert = estimator.new_place
    columns = [
        *expert.pipeline.selected[:7].tolist(),
        expert.pipeline.names.index("humidity_growth"),
    ]
    columns = sorted(set(columns))
    X = np.full((1, len(table.names)), np.nan)
    X[0, columns] = np.nanquantile(table.X[:, columns], 0.8, axis=0)
    usual = expert.pipeline.fill.copy()
    usual[expert.pipeline.names.index("humidity_growth")] = np.exp(expert.humidity.usual)

    def mu(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        whole = np.repeat(X, len(rows), axis=0)
        whole[:, columns] = rows
        return expert.judge(whole).mu

    got = contributions(estimator, X, None).ln[columns]
    expected = shapley_values(mu, X[0, columns], usual[columns])
    assert got.sum() == pytest.approx(expected.sum(), abs=1e-9)
    np.testing.assert_allclose(got, expected, atol=0.02 * np.abs(expected).sum())

    networks = [MEMBERS.index("mlp"), MEMBERS.index("bayesian")]
    coefficients = [
        0.0 if i in networks else c for i, c in enumerate(expert.ensemble.stack.coefficients)
    ]
    stack = replace(expert.ensemble.stack, coefficients=tuple(coefficients))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expert.ensemble, "stack", stack)
        exact = contributions(estimator, X, None)
        np.testing.assert_allclose(
            exact.ln[columns], shapley_values(mu, X[0, columns], usual[columns]), atol=1e-9
        )
    assert exact.shapley_share == 1.0
    assert SHAPLEY.tolist() == [True, True, False, False, True, True]


def test_a_camera_calibrated_later_scales_the_parts_and_by_night_none_is_left(
    estimator: PM25Estimator, table: TrainingTable
) -> None:
    reference = CameraReference(
        "balcony", "", "", {LN_PM25: (2.5, 3.0, 3.5)}, 2.8, 0.5, 12, (1.0, 1.0)
    )
    taught = estimator.with_camera(reference)
    X, _ = cases(estimator, table)["new place"]
    alone, scaled = contributions(taught, X, None), contributions(taught, X, "balcony")
    assert_true_of_the_estimate(scaled, taught, X, "balcony")
    np.testing.assert_allclose(scaled.ln, 0.5 * alone.ln, rtol=1e-12)
    night = X.copy()
    night[0, table.names.index(SUN)] = -20.0
    dark = contributions(taught, night, "balcony")
    assert_true_of_the_estimate(dark, taught, night, "balcony")
    assert not dark.ln.any()
    assert dark.baseline == pytest.approx(np.exp(2.8))


@given(st.floats(1e-3, 1e4), st.floats(1e-3, 1e4))
def test_the_logarithmic_mean_lies_between(a: float, b: float) -> None:
    mean = logarithmic_mean(a, b)
    assert min(a, b) * (1 - 1e-6) <= mean <= max(a, b) * (1 + 1e-6)
    assert mean == pytest.approx(logarithmic_mean(b, a), rel=1e-6)
