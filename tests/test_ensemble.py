"""The ensemble: each member learns, the stack adds up, and what is saved is loaded or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.neural_network import MLPRegressor

from features.errors import ArtifactError
from handlers.ensemble import MEMBERS, PM25EnsembleModel, Stack
from handlers.perceptron import Perceptron
from tests.drawn_tables import no_steps
from training.learners import fit_lightgbm, fit_mlp, fit_xgboost
from training.physics_path import fit_physics_path

STACK = Stack((0.3, 0.2, 0.1, 0.2, 0.2), 0.05)
FREE = np.zeros(8, dtype=np.int64)  # no feature of a certain sign

SEEDED = ("xgboost.safetensors", "lightgbm.safetensors", "mlp.safetensors")
FILES = (*SEEDED, "physics.json", "stack.json")


def smooth_data(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 8))
    return X, 2.5 + 0.5 * X[:, 0] + 0.3 * np.tanh(X[:, 1]) + 0.05 * rng.normal(size=n)


def fit(seed: int = 0) -> PM25EnsembleModel:
    X, y = smooth_data(600, seed=0)
    w = np.ones(600)
    return PM25EnsembleModel(
        fit_xgboost(X, y, w, seed, FREE),
        fit_lightgbm(X, y, w, seed, FREE),
        fit_mlp(X, y, w, seed),
        fit_physics_path(X, y, w, no_steps(8)),
        STACK,
    )


@pytest.fixture(scope="module")
def model() -> PM25EnsembleModel:
    return fit()


def test_each_member_finds_a_known_function(model: PM25EnsembleModel) -> None:
    X, y = smooth_data(300, seed=1)
    members = model.predict(X, y).members
    for name, estimate in zip(MEMBERS, members.T, strict=True):
        assert np.mean((estimate - y) ** 2) < 0.25 * y.var(), name


def test_the_stack_is_the_weighted_sum_of_its_members(model: PM25EnsembleModel) -> None:
    X, y = smooth_data(50, seed=2)
    prediction = model.predict(X, y + 0.1)
    expected = prediction.members @ np.array(STACK.coefficients) + STACK.intercept
    np.testing.assert_allclose(prediction.ln_pm25, expected, rtol=1e-12)
    np.testing.assert_array_equal(prediction.members[:, MEMBERS.index("bayesian")], y + 0.1)
    np.testing.assert_allclose(prediction.disagreement, prediction.members.std(axis=1))
    assert np.all(np.exp(prediction.ln_pm25) > 0.0)


def test_an_answer_does_not_depend_on_its_neighbours(model: PM25EnsembleModel) -> None:
    X, y = smooth_data(100, seed=3)
    together = model.predict(X, y)
    alone = np.concatenate([model.predict(X[[i]], y[[i]]).ln_pm25 for i in range(len(X))])
    np.testing.assert_allclose(alone, together.ln_pm25, rtol=1e-12)
    order = np.random.default_rng(0).permutation(len(X))
    shuffled = model.predict(X[order], y[order])
    np.testing.assert_allclose(shuffled.ln_pm25, together.ln_pm25[order], rtol=1e-12)


@pytest.mark.parametrize("layers", [(12,), (10, 5)])
def test_perceptron_is_scikit_learns(layers: tuple[int, ...]) -> None:
    X, y = smooth_data(200, seed=4)
    oracle = MLPRegressor(
        hidden_layer_sizes=layers, activation="tanh", solver="lbfgs", alpha=10.0, random_state=0
    )
    oracle.fit(X, y)
    ours = Perceptron(tuple(oracle.coefs_), tuple(oracle.intercepts_))
    np.testing.assert_allclose(ours.predict(X), oracle.predict(X), rtol=1e-10)


def test_heavy_rows_count_more() -> None:
    X = np.zeros((400, 3))
    y, w = np.repeat([1.0, 3.0], 200), np.repeat([1.0, 3.0], 200)
    assert fit_xgboost(X, y, w, 0, FREE[:3]).predict(X[:1])[0] == pytest.approx(2.5, abs=0.02)
    assert fit_lightgbm(X, y, w, 0, FREE[:3]).predict(X[:1])[0] == pytest.approx(2.5, abs=0.02)
    assert fit_mlp(X, y, w, 0).predict(X[:1])[0] == pytest.approx(2.5, abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_trees_keep_to_the_signs_even_against_the_data(seed: int) -> None:
    """Wherever one stands, an estimate never falls with a feature of sign +1, nor rises with −1."""
    rng = np.random.default_rng(seed)
    X, w = rng.normal(size=(400, 8)), rng.uniform(0.1, 3.0, 400)
    y = X @ rng.normal(size=8) + 2.0 * X[:, 0] * X[:, 1] + rng.normal(size=400)
    signs = np.array([1, -1, 1, -1, 1, -1, 0, 0])
    xgboost, lightgbm = fit_xgboost(X, y, w, seed, signs), fit_lightgbm(X, y, w, seed, signs)
    for name, predict in (("xgboost", xgboost.predict), ("lightgbm", lightgbm.predict)):
        moved = []
        for feature, sign in enumerate(signs):
            along = np.repeat(rng.normal(size=(40, 8)), 50, axis=0)
            along[:, feature] = np.tile(np.linspace(-4.0, 4.0, 50), 40)
            steps = np.diff(np.asarray(predict(along), dtype=np.float64).reshape(40, 50), axis=1)
            if sign:
                assert np.all(sign * steps >= -1e-6), (name, feature)
            moved.append(np.abs(steps).max() > 0.01)
        assert any(moved[:6]) and all(moved[6:]), name


def test_without_signs_trees_may_go_either_way() -> None:
    X, _ = smooth_data(400, seed=0)
    y = np.abs(X[:, 0])
    for trees in (
        fit_xgboost(X, y, np.ones(400), 0, FREE),
        fit_lightgbm(X, y, np.ones(400), 0, FREE),
    ):
        ends = np.zeros((3, 8))
        ends[:, 0] = [-2.0, 0.0, 2.0]
        low, middle, high = trees.predict(ends)
        assert middle < low and middle < high


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_handful_of_rows_is_answered_with_their_mean(n: int) -> None:
    X, y = smooth_data(n, seed=0)
    for trees in (fit_lightgbm(X, y, np.ones(n), 0, FREE), fit_xgboost(X, y, np.ones(n), 0, FREE)):
        np.testing.assert_allclose(trees.predict(X), y.mean(), rtol=1e-5)


def test_same_data_and_seed_give_the_same_bytes(model: PM25EnsembleModel, tmp_path: Path) -> None:
    model.save(tmp_path / "first")
    fit().save(tmp_path / "again")
    fit(seed=1).save(tmp_path / "other_seed")
    for file in FILES:
        first = (tmp_path / "first" / file).read_bytes()
        assert (tmp_path / "again" / file).read_bytes() == first, file
        if file in SEEDED:
            assert (tmp_path / "other_seed" / file).read_bytes() != first, file


def test_a_loaded_ensemble_answers_as_the_saved_one_and_saves_the_same_bytes(
    model: PM25EnsembleModel, tmp_path: Path
) -> None:
    model.save(tmp_path / "first")
    loaded = PM25EnsembleModel.load(tmp_path / "first")
    X, y = smooth_data(50, seed=5)
    np.testing.assert_array_equal(loaded.predict(X, y).members, model.predict(X, y).members)
    loaded.save(tmp_path / "second")
    for file in (tmp_path / "first").iterdir():
        assert (tmp_path / "second" / file.name).read_bytes() == file.read_bytes(), file.name


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_refused(model: PM25EnsembleModel, tmp_path: Path, file: str) -> None:
    model.save(tmp_path)
    (tmp_path / file).write_bytes(b"damaged")
    with pytest.raises(ArtifactError):
        PM25EnsembleModel.load(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(ArtifactError):
        PM25EnsembleModel.load(tmp_path)
