"""Trees descended together: what is saved is loaded to the bit, and what was damaged is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from features.errors import ArtifactError
from handlers.boosted_trees import MAX_DEPTH, BoostedTrees
from handlers.tree_shapley import LeafPaths

K = 5  # features
INDICES = ("roots", "columns", "children")
NUMBERS = ("thresholds", "leaves", "base")
Tensors = dict[str, NDArray[np.generic]]


def grown(seed: int, n_trees: int = 4, precision: type[np.floating] = np.float64) -> BoostedTrees:
    """Trees that ask for any column, of up to eight splits each, at any of their leaves."""
    rng = np.random.default_rng(seed)
    roots: list[int] = []
    children: list[list[int]] = []
    for _ in range(n_trees):
        roots.append(len(children))
        children.append([len(children)] * 2)
        for _ in range(rng.integers(9)):
            leaf = rng.choice([k for k in range(roots[-1], len(children)) if children[k][0] == k])
            children[leaf] = [len(children), len(children) + 1]
            children += [[node] * 2 for node in children[leaf]]
    m = len(children)
    is_leaf = np.array(children)[:, 0] == np.arange(m)
    return BoostedTrees(
        roots=np.array(roots),
        columns=np.where(is_leaf, 0, rng.integers(K, size=m)),
        thresholds=np.where(is_leaf, 0.0, rng.normal(size=m)).astype(precision),
        children=np.array(children).ravel(),
        leaves=np.where(is_leaf, rng.normal(size=m), 0.0),
        base=2.5,
    )


def one_by_one(trees: BoostedTrees, row: NDArray[np.float64]) -> float:
    """The estimate of a row as it is defined: tree after tree, question after question."""
    values = row.astype(trees.precision)
    reached = []
    for root in trees.roots:
        node = root
        while trees.children[2 * node] != node:
            second = values[trees.columns[node]] >= trees.thresholds[node]
            node = trees.children[2 * node + second]
        reached.append(trees.leaves[node])
    return trees.base + math.fsum(reached)


def chain(n_splits: int) -> BoostedTrees:
    """One tree that asks one question after the other: node k leads to a leaf or onwards."""
    m = 2 * n_splits + 1
    children = np.arange(m)[:, None].repeat(2, axis=1)
    for node in range(0, m - 2, 2):
        children[node] = node + 1, node + 2
    zeros = np.zeros(m)
    return BoostedTrees(
        np.array([0]), np.zeros(m, dtype=np.intp), zeros, children.ravel(), zeros, 0.0
    )


def tensors_of(trees: BoostedTrees, folder: Path) -> Tensors:
    trees.save(folder / "whole.safetensors")
    return dict(load_file(folder / "whole.safetensors"))


def refusal(tensors: Tensors, folder: Path) -> str:
    path = folder / "trees.safetensors"
    save_file(tensors, path)
    with pytest.raises(ArtifactError, match=r"trees\.safetensors") as caught:
        BoostedTrees.load(path, K)
    assert caught.value.code == "boosted_trees_unreadable"
    return caught.value.detail


# ---- descent


@given(seed=st.integers(0, 10_000), precision=st.sampled_from([np.float32, np.float64]))
def test_all_trees_at_once_give_what_each_gives(seed: int, precision: type[np.floating]) -> None:
    trees = grown(seed, precision=precision)
    X = np.random.default_rng(seed + 1).normal(size=(10, K))
    asks = trees.children[::2] != np.arange(len(trees.columns))
    X[0] = trees.thresholds[asks][0] if asks.any() else 0.0  # a tie goes to the second child
    expected = [one_by_one(trees, row) for row in X]
    np.testing.assert_allclose(trees.predict(X), expected, rtol=1e-12, atol=1e-12)


def test_a_row_alone_and_in_a_batch_is_the_same_to_the_bit() -> None:
    trees = grown(5, n_trees=100)
    X = np.random.default_rng(6).normal(size=(30, K))
    alone = np.concatenate([trees.predict(X[k : k + 1]) for k in range(len(X))])
    np.testing.assert_array_equal(trees.predict(X), alone)


def test_depth_is_counted() -> None:
    for n_splits in (0, 1, 2, MAX_DEPTH):
        assert chain(n_splits).depth == n_splits


# ---- files


@given(seed=st.integers(0, 10_000), precision=st.sampled_from([np.float32, np.float64]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_gives_the_trees_back_to_the_bit_and_always_has_the_same_bytes(
    seed: int, precision: type[np.floating], tmp_path: Path
) -> None:
    trees = grown(seed, precision=precision)
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    trees.save(first)
    loaded = BoostedTrees.load(first, K)
    loaded.save(second)
    assert second.read_bytes() == first.read_bytes()
    assert (loaded.precision, loaded.base) == (precision, trees.base)
    for field in (*INDICES, "thresholds", "leaves"):
        assert getattr(loaded, field).dtype == getattr(trees, field).dtype, field
        np.testing.assert_array_equal(getattr(loaded, field), getattr(trees, field))
    X = np.random.default_rng(seed).normal(size=(5, K))
    np.testing.assert_array_equal(loaded.predict(X), trees.predict(X))


@given(kept=st.floats(0.0, 1.0, exclude_max=True), seed=st.integers(0, 100))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_without_its_end_is_refused(kept: float, seed: int, tmp_path: Path) -> None:
    path = tmp_path / "trees.safetensors"
    grown(seed).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ArtifactError):
        BoostedTrees.load(path, K)


def test_what_is_missing_or_no_file_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"no trees")
    for name in ("text", "nowhere", "."):
        with pytest.raises(ArtifactError):
            BoostedTrees.load(tmp_path / name, K)


@pytest.mark.parametrize("name", [*INDICES, *NUMBERS])
def test_a_tensor_that_is_missing_or_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    whole = tensors_of(grown(1), tmp_path)
    assert name in refusal({k: v for k, v in whole.items() if k != name}, tmp_path)
    other = np.float16 if name in NUMBERS else np.int64
    assert str(np.dtype(other)) in refusal(whole | {name: whole[name].astype(other)}, tmp_path)
    refusal(whole | {name: np.stack([whole[name]] * 2)}, tmp_path)
    refusal(whole | {name: whole[name].reshape(-1)[:0]}, tmp_path)
    if name != "base":
        refusal(whole | {name: np.append(whole[name], whole[name][-1:])}, tmp_path)
        refusal(whole | {name: whole[name][:-1]}, tmp_path)


def test_a_tensor_more_is_refused(tmp_path: Path) -> None:
    whole = tensors_of(grown(1), tmp_path)
    assert "depth" in refusal(whole | {"depth": np.array([3], dtype=np.int32)}, tmp_path)


@pytest.mark.parametrize(
    ("children", "said"),
    [
        ([1, 2, 1, 1, 0, 0], "before its parent"),  # back to the root
        ([1, 2, 2, 2, 1, 1], "before its parent"),  # two that lead to each other
        ([1, 2, 1, 2, 2, 2], "before its parent"),  # a leaf for some rows alone
        ([1, 1, 1, 1, 2, 2], "no tree, or of several"),  # one child twice, the other never
        ([1, 2, 2, 2, 2, 2], "no tree, or of several"),  # a way that joins another
        ([1, 2, 1, 1, 2, 3], "outside the table"),
        ([1, 2, 1, 1, 2, -1], "outside the table"),
        ([1, 2**31 - 1, 1, 1, 2, 2], "outside the table"),
        ([-(2**31), 2, 1, 1, 2, 2], "outside the table"),
    ],
)
def test_nodes_that_make_no_tree_are_refused(
    children: list[int], said: str, tmp_path: Path
) -> None:
    whole = tensors_of(chain(1), tmp_path)
    assert whole["children"].tolist() == [1, 2, 1, 1, 2, 2]
    assert said in refusal(whole | {"children": np.array(children, dtype=np.int32)}, tmp_path)


@pytest.mark.parametrize("roots", [[], [1], [0, 0], [0, 2], [3], [-1], [-3]])
def test_roots_that_are_none_are_refused(roots: list[int], tmp_path: Path) -> None:
    whole = tensors_of(chain(1), tmp_path)
    refusal(whole | {"roots": np.array(roots, dtype=np.int32)}, tmp_path)


@pytest.mark.parametrize("column", [-1, K, 2**31 - 1, -(2**31)])
def test_a_column_that_no_row_has_is_refused(column: int, tmp_path: Path) -> None:
    whole = tensors_of(chain(1), tmp_path)
    whole["columns"] = np.array([column, 0, 0], dtype=np.int32)
    assert "column" in refusal(whole, tmp_path)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(name: str, value: float, tmp_path: Path) -> None:
    whole = tensors_of(chain(1), tmp_path)
    whole[name] = np.full_like(whole[name], value)
    assert "finite" in refusal(whole, tmp_path)


def test_leaves_whose_sum_is_not_finite_are_refused(tmp_path: Path) -> None:
    whole = tensors_of(grown(1, n_trees=3), tmp_path)
    whole["leaves"] = np.full_like(whole["leaves"], 1e308)
    assert "finite" in refusal(whole, tmp_path)


def test_a_tree_of_no_end_is_refused_however_large_it_is(tmp_path: Path) -> None:
    whole = tensors_of(chain(MAX_DEPTH), tmp_path)
    m = 2 * 200_000 + 1
    children = np.arange(m)[:, None].repeat(2, axis=1)
    children[:-2:2] = np.stack([np.arange(1, m, 2), np.arange(2, m, 2)], axis=1)
    whole["children"] = children.ravel().astype(np.int32)
    for name in ("columns", "thresholds", "leaves"):
        whole[name] = np.zeros(m, dtype=whole[name].dtype)
    assert "deeper" in refusal(whole, tmp_path)


@given(data=st.data(), seed=st.integers(0, 100))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_changed_is_refused_or_still_answers(
    data: st.DataObject, seed: int, tmp_path: Path
) -> None:
    """Any indices and numbers: a file that is taken descends every row to a finite estimate."""
    whole = tensors_of(grown(seed), tmp_path)
    m = len(whole["columns"])
    near = st.integers(-2, m + 1)
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from([*INDICES, *NUMBERS]))
        tensor = whole[name] = np.atleast_1d(whole[name]).copy()
        place = data.draw(st.integers(0, len(tensor) - 1))
        if name in INDICES:
            tensor[place] = data.draw(near | st.integers(-(2**31), 2**31 - 1))
        else:
            tensor[place] = data.draw(st.floats())
    path = tmp_path / "changed.safetensors"
    save_file(whole, path)
    try:
        trees = BoostedTrees.load(path, K)
    except ArtifactError:
        return
    X = np.random.default_rng(seed).normal(size=(5, K))
    assert np.isfinite(trees.predict(X)).all()
    LeafPaths.of(trees).contributions(X[0], X[1])


@given(place=st.floats(0.0, 1.0, exclude_max=True), value=st.integers(0, 255))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_changed_byte_is_refused_or_still_answers(
    place: float, value: int, tmp_path: Path
) -> None:
    path = tmp_path / "changed.safetensors"
    grown(2).save(path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] = value
    path.write_bytes(content)
    try:
        trees = BoostedTrees.load(path, K)
    except ArtifactError:
        return
    X = np.random.default_rng(3).normal(size=(5, K))
    assert np.isfinite(trees.predict(X)).all()
