"""Trees descended together give what XGBoost and LightGBM give."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.boosted_trees import BoostedTrees


def fitted(seed: int, rounds: int, depth: int, columns: int = 6, **more: Any) -> xgboost.Booster:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(200, columns)).round(1)  # rounded: many values equal a threshold
    y = X[:, 0] * X[:, 1 % columns] + rng.normal(size=200) + 3.0
    parameters = {"max_depth": depth, "nthread": 1, "seed": seed, **more}
    return xgboost.train(parameters, xgboost.DMatrix(X, y), num_boost_round=rounds)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), rounds=st.integers(1, 30), depth=st.integers(1, 7))
def test_estimates_are_those_of_xgboost(seed: int, rounds: int, depth: int) -> None:
    booster = fitted(seed, rounds, depth)
    X = np.random.default_rng(seed + 1).normal(size=(50, 6)).round(1) * 1.5
    trees = BoostedTrees.of_xgboost(booster)
    assert trees.depth <= depth
    np.testing.assert_allclose(trees.predict(X), booster.inplace_predict(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "more",
    [
        {"monotone_constraints": (1, -1, 0, 0, 0, 0)},
        {"min_child_weight": 1e9},  # no split is worth it: trees of one leaf
        {"tree_method": "exact", "base_score": 2.5},
        {"objective": "reg:absoluteerror"},
    ],
)
def test_any_regressor_will_do(more: dict[str, Any]) -> None:
    booster = fitted(3, 10, 4, **more)
    X = np.random.default_rng(4).normal(size=(100, 6))
    np.testing.assert_allclose(
        BoostedTrees.of_xgboost(booster).predict(X),
        booster.inplace_predict(X),
        rtol=1e-5,
        atol=1e-5,
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), rounds=st.integers(1, 30), leaves=st.integers(2, 20))
def test_estimates_are_those_of_lightgbm(seed: int, rounds: int, leaves: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(200, 6)).round(1)
    y = X[:, 0] * X[:, 1] + rng.normal(size=200) + 3.0
    parameters = {"num_leaves": leaves, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(X, y), num_boost_round=rounds)
    thresholds = [
        node["threshold"]
        for tree in booster.dump_model()["tree_info"]
        # LightGBM takes numbers of less than 1e-35 for 0.
        if abs((node := tree["tree_structure"]).get("threshold", 0.0)) > 1e-30
    ]
    asked = rng.normal(size=(50, 6)) * 1.5
    asked[: len(thresholds)] = np.array(thresholds[:50])[:, None]  # at most: the first child
    trees = BoostedTrees.of_lightgbm(booster)
    np.testing.assert_allclose(trees.predict(asked), booster.predict(asked), rtol=1e-12)


def test_a_lightgbm_without_a_split_has_trees_of_one_leaf() -> None:
    X = np.zeros((50, 3))
    parameters = {"verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(X, np.arange(50.0)), num_boost_round=3)
    trees = BoostedTrees.of_lightgbm(booster)
    np.testing.assert_allclose(trees.predict(X), booster.predict(X), rtol=1e-12)


def test_a_row_alone_and_in_a_batch_is_the_same_to_the_bit() -> None:
    trees = BoostedTrees.of_xgboost(fitted(5, 20, 3))
    X = np.random.default_rng(6).normal(size=(30, 6))
    alone = np.concatenate([trees.predict(X[k : k + 1]) for k in range(len(X))])
    np.testing.assert_array_equal(trees.predict(X), alone)


def test_a_saved_model_has_the_same_trees(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("model") / "xgboost.ubj"
    booster = fitted(7, 20, 3)
    booster.save_model(path)
    X = np.random.default_rng(8).normal(size=(30, 6))
    again = BoostedTrees.of_xgboost(xgboost.Booster({"nthread": 1}, model_file=path))
    np.testing.assert_array_equal(again.predict(X), BoostedTrees.of_xgboost(booster).predict(X))
