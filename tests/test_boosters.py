"""Trees made of boosters give what XGBoost and LightGBM give."""

from __future__ import annotations

import json
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from training.boosters import trees_of_lightgbm, trees_of_xgboost


def fitted(seed: int, rounds: int, depth: int, columns: int = 6, **more: Any) -> xgboost.Booster:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(200, columns)).round(1)  # rounded: many values equal a threshold
    y = X[:, 0] * X[:, 1 % columns] + rng.normal(size=200) + 3.0
    parameters = {"max_depth": depth, "nthread": 1, "seed": seed, **more}
    return xgboost.train(parameters, xgboost.DMatrix(X, y), num_boost_round=rounds)


def fitted_lightgbm(seed: int, rounds: int, leaves: int) -> lightgbm.Booster:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(200, 6)).round(1)
    y = X[:, 0] * X[:, 1] + rng.normal(size=200) + 3.0
    parameters = {"num_leaves": leaves, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    return lightgbm.train(parameters, lightgbm.Dataset(X, y), num_boost_round=rounds)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), rounds=st.integers(1, 30), depth=st.integers(1, 7))
def test_estimates_are_those_of_xgboost(seed: int, rounds: int, depth: int) -> None:
    booster = fitted(seed, rounds, depth)
    X = np.random.default_rng(seed + 1).normal(size=(50, 6)).round(1) * 1.5
    trees = trees_of_xgboost(booster)
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
        trees_of_xgboost(booster).predict(X),
        booster.inplace_predict(X),
        rtol=1e-5,
        atol=1e-5,
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), rounds=st.integers(1, 30), leaves=st.integers(2, 20))
def test_estimates_are_those_of_lightgbm(seed: int, rounds: int, leaves: int) -> None:
    booster = fitted_lightgbm(seed, rounds, leaves)
    thresholds = [
        node["threshold"]
        for tree in booster.dump_model()["tree_info"]
        # LightGBM takes numbers of less than 1e-35 for 0.
        if abs((node := tree["tree_structure"]).get("threshold", 0.0)) > 1e-30
    ]
    asked = np.random.default_rng(seed + 1).normal(size=(50, 6)) * 1.5
    asked[: len(thresholds)] = np.array(thresholds[:50])[:, None]  # at most: the first child
    trees = trees_of_lightgbm(booster)
    np.testing.assert_allclose(trees.predict(asked), booster.predict(asked), rtol=1e-12)


def test_a_lightgbm_without_a_split_has_trees_of_one_leaf() -> None:
    X = np.zeros((50, 3))
    parameters = {"verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(X, np.arange(50.0)), num_boost_round=3)
    trees = trees_of_lightgbm(booster)
    np.testing.assert_allclose(trees.predict(X), booster.predict(X), rtol=1e-12)


def test_pruned_branches_are_left_out() -> None:
    """XGBoost leaves nodes that it has pruned in its table, where no way leads to them."""
    booster = fitted(5, 20, 6, tree_method="exact", gamma=3.0)
    written = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    trees = trees_of_xgboost(booster)
    assert len(trees.leaves) < sum(len(tree["split_indices"]) for tree in written)
    X = np.random.default_rng(6).normal(size=(100, 6))
    np.testing.assert_allclose(trees.predict(X), booster.inplace_predict(X), rtol=1e-5, atol=1e-5)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_a_booster_read_back_gives_the_same_numbers(seed: int) -> None:
    """Nothing is lost in what is written: trees of a saved model are those of the fitted one."""
    of_xgboost, of_lightgbm = fitted(seed, 10, 4), fitted_lightgbm(seed, 10, 12)
    xgboost_again = xgboost.Booster(model_file=of_xgboost.save_raw("ubj"))
    lightgbm_again = lightgbm.Booster(model_str=of_lightgbm.model_to_string())
    for trees, again in (
        (trees_of_xgboost(of_xgboost), trees_of_xgboost(xgboost_again)),
        (trees_of_lightgbm(of_lightgbm), trees_of_lightgbm(lightgbm_again)),
    ):
        for field in ("roots", "columns", "thresholds", "children", "leaves", "base"):
            np.testing.assert_array_equal(getattr(trees, field), getattr(again, field))
