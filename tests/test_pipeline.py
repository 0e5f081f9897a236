"""Impute, standardise, select: the same numbers as scikit-learn's, before and after the JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.preprocessing import StandardScaler

from features.errors import ArtifactError
from features.pipeline import Z_LIMIT, FeaturePipeline, as_matrix
from tests.drawn_tables import drawn_table
from training.selection import fit_pipeline

NAMES = ("haze", "edges", "blue", "sun")
anything = st.floats(width=32)


def fitted(X: np.ndarray, weights: np.ndarray | None = None) -> FeaturePipeline:
    """A pipeline that selects every column of X that is not constant."""
    table = drawn_table(X, [f"f{i}" for i in range(X.shape[1])])
    return fit_pipeline(table, np.ones(len(X)) if weights is None else weights)


def with_gaps(n: int = 200, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    X = rng.normal([3.0, -2.0, 100.0, 0.01], [1.0, 5.0, 30.0, 0.002], (n, 4))
    X[rng.random((n, 4)) < 0.2] = np.nan
    return X


def test_standardisation_is_scikit_learns_with_weights() -> None:
    X = np.random.default_rng(0).gamma(2.0, 3.0, (300, 5))
    weights = np.random.default_rng(1).uniform(0.1, 4.0, 300)
    expected = StandardScaler().fit(X, sample_weight=weights).transform(X)
    pipeline = fitted(X, weights)
    assert pipeline.selected.tolist() == list(range(5))
    np.testing.assert_allclose(pipeline.transform(X), np.clip(expected, -5, 5), atol=1e-10)


PIPELINE = fitted(with_gaps())


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf])
def test_an_unknown_value_becomes_the_training_median(unknown: float) -> None:
    X = with_gaps(201)
    pipeline = fitted(X)
    np.testing.assert_allclose(
        pipeline.fill, [np.sort(c[np.isfinite(c)])[(np.isfinite(c).sum() - 1) // 2] for c in X.T]
    )
    row = np.full((1, 4), unknown)
    np.testing.assert_array_equal(
        pipeline.transform(row), pipeline.transform(pipeline.fill[np.newaxis])
    )


def test_a_heavy_row_pulls_the_median_to_itself() -> None:
    X = np.array([[1.0], [2.0], [3.0], [np.nan]])
    assert fitted(X, np.array([1.0, 1.0, 5.0, 50.0])).fill.tolist() == [3.0]


def test_a_column_that_is_never_known_or_never_changes_is_not_selected() -> None:
    X = with_gaps()
    X[:, 1], X[:, 2] = np.nan, 7.0
    pipeline = fitted(X)
    assert pipeline.selected_names == ("f0", "f3")
    assert pipeline.sd[[1, 2]].tolist() == [1.0, 1.0]
    assert np.isfinite(pipeline.transform(X)).all()


@given(arrays.arrays(np.float64, (3, 4), elements=anything))
def test_whatever_a_photo_gives_the_learners_see_finite_numbers_within_five(X: np.ndarray) -> None:
    Z = PIPELINE.transform(X)
    assert Z.shape == (3, 4)
    assert np.all(np.abs(Z) <= Z_LIMIT)


def test_a_wild_value_says_five_standard_deviations_and_no_more() -> None:
    pipeline = fitted(with_gaps())
    wild = pipeline.mean + 1000 * pipeline.sd
    assert pipeline.transform(wild[np.newaxis]).tolist() == [[5.0] * 4]
    assert pipeline.transform(-wild[np.newaxis])[0, 0] == -5.0


def test_the_json_keeps_every_bit(tmp_path: Path) -> None:
    pipeline = fitted(with_gaps() / 3.0)
    pipeline.save(tmp_path / "pipeline.json")
    loaded = FeaturePipeline.load(tmp_path / "pipeline.json")
    assert loaded.names == pipeline.names
    for part in ("fill", "mean", "sd", "selected"):
        assert getattr(loaded, part).tobytes() == getattr(pipeline, part).tobytes()
    X = with_gaps(seed=5)
    assert loaded.transform(X).tobytes() == pipeline.transform(X).tobytes()
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "pipeline.json").read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: changed(text, "mean", None),
        lambda text: changed(text, "mean", [1.0, 2.0]),
        lambda text: changed(text, "sd", ["a", "b", "c", "d"]),
        lambda text: changed(text, "sd", [1.0, 0.0, 1.0, 1.0]),
        lambda text: changed(text, "fill", [1.0, float("nan"), 1.0, 1.0]),
        lambda text: changed(text, "names", ["f0"]),
        lambda text: changed(text, "selected", [4]),
        lambda text: changed(text, "selected", [-1]),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, damage: Callable[[str], str]) -> None:
    path = tmp_path / "pipeline.json"
    fitted(with_gaps()).save(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(ArtifactError, match=r"pipeline\.json"):
        FeaturePipeline.load(path)


def changed(text: str, key: str, value: Any) -> str:
    content = json.loads(text)
    if value is None:
        del content[key]
    else:
        content[key] = value
    return json.dumps(content)


@pytest.mark.parametrize("shape", [(3, 3), (3, 5), (4,)])
def test_rows_of_another_shape_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes \(n, 4\)"):
        fitted(with_gaps()).transform(np.zeros(shape))


def test_named_rows_stand_in_the_order_of_the_names() -> None:
    matrix = as_matrix([{"sun": 4.0, "haze": 1.0}, {"blue": 3.0, "other": 9.0}], NAMES)
    nan = np.nan
    np.testing.assert_array_equal(matrix, [[1.0, nan, nan, 4.0], [nan, nan, 3.0, nan]])
    assert as_matrix([], NAMES).shape == (0, 4)
