"""Fit the ensemble's members: XGBoost, LightGBM and a perceptron, on ln PM2.5.

Shallow, strongly shrunk models: there are thousands of photos but only about a hundred sessions,
and photos of one session share their label. Every fit runs on one thread with fixed seeds, so
that the same data give the same bytes; folds and variants run side by side instead.

X (n, k) standardised features, y (n,) ln PM2.5 [ln ug m-3], w (n,) row weights ≥ 0 of any scale,
signs (k,): +1 where an estimate may only rise with a feature, −1 where it may only fall, 0 else.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import lightgbm
import numpy as np
import numpy.typing as npt
import torch
import xgboost
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from handlers.boosted_trees import BoostedTrees
from handlers.perceptron import Perceptron
from training.boosters import trees_of_lightgbm, trees_of_xgboost

__all__ = ["fit_lightgbm", "fit_mlp", "fit_xgboost", "one_thread"]

FloatArray = npt.NDArray[np.float64]
Signs = npt.NDArray[np.int64]

BOOSTING_ROUNDS = 150

XGBOOST_PARAMETERS: dict[str, object] = {
    "objective": "reg:squarederror",
    "tree_method": "hist",
    "max_bin": 64,  # standardised physics features have no finer structure worth a split
    "max_depth": 3,
    "eta": 0.06,
    "subsample": 0.7,
    "colsample_bytree": 0.5,
    "min_child_weight": 8.0,  # in rows, since weights have a mean of 1
    "reg_lambda": 5.0,
    "nthread": 1,
}

LIGHTGBM_PARAMETERS: dict[str, object] = {
    "objective": "regression",
    "max_bin": 63,
    "num_leaves": 7,
    "learning_rate": 0.06,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "feature_fraction": 0.5,
    "min_data_in_leaf": 10,
    "lambda_l2": 5.0,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}

HIDDEN_UNITS = 32
MLP_ITERATIONS = 100  # a stopped optimiser is the second regulariser beside the weight decay
MLP_WEIGHT_DECAY = 10.0  # scikit-learn divides it by the number of rows


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS, OpenMP and torch on one thread inside the block: the order of sums stays the same."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def fit_xgboost(
    X: FloatArray, y: FloatArray, w: FloatArray, seed: int, signs: Signs
) -> BoostedTrees:
    """Gradient-boosted trees of depth 3, histogram method."""
    data = xgboost.QuantileDMatrix(X, y, weight=w / w.mean(), nthread=1, max_bin=64)
    centre = float(np.average(y, weights=w))
    parameters = XGBOOST_PARAMETERS | {
        "seed": seed,
        "base_score": centre,
        "monotone_constraints": tuple(int(sign) for sign in signs),
    }
    return trees_of_xgboost(xgboost.train(parameters, data, num_boost_round=BOOSTING_ROUNDS))


def fit_lightgbm(
    X: FloatArray, y: FloatArray, w: FloatArray, seed: int, signs: Signs
) -> BoostedTrees:
    """Gradient-boosted trees of seven leaves, grown leaf by leaf."""
    parameters = LIGHTGBM_PARAMETERS | {
        "seed": seed,
        "monotone_constraints": [int(sign) for sign in signs],
    }
    if len(y) < 10:  # LightGBM refuses a bag without rows
        parameters["bagging_fraction"] = 1.0
    data = lightgbm.Dataset(X, y, weight=w / w.mean(), params=parameters)
    return trees_of_lightgbm(lightgbm.train(parameters, data, num_boost_round=BOOSTING_ROUNDS))


def fit_mlp(X: FloatArray, y: FloatArray, w: FloatArray, seed: int) -> Perceptron:
    """One hidden tanh layer by L-BFGS; the scale of the target is folded into the last layer."""
    centre = float(np.average(y, weights=w))
    spread = float(np.sqrt(np.average((y - centre) ** 2, weights=w))) or 1.0
    network = MLPRegressor(
        hidden_layer_sizes=(HIDDEN_UNITS,),
        activation="tanh",
        solver="lbfgs",
        alpha=MLP_WEIGHT_DECAY,
        max_iter=MLP_ITERATIONS,
        random_state=seed,
    )
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopped on purpose
        network.fit(X, (y - centre) / spread, sample_weight=w / w.mean())
    *hidden, last = [np.asarray(weight, dtype=np.float64) for weight in network.coefs_]
    *hidden_biases, last_bias = [np.asarray(bias, dtype=np.float64) for bias in network.intercepts_]
    return Perceptron(
        weights=(*hidden, last * spread),
        biases=(*hidden_biases, last_bias * spread + centre),
    )
