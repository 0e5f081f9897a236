"""Boosted regression trees that are descended together, one level of all of them at a time.

    estimate = base + Σ_t the leaf that tree t leads the row to

The nodes of all trees lie in one table: a level of all is one step, where the libraries that fit
trees set up a batch before they look at a row, which for one row takes many times as long as the
trees do. They are fitted in `training/learners.py`; the pass here needs numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from features.errors import ArtifactError

__all__ = ["MAX_DEPTH", "BoostedTrees"]

MAX_DEPTH = 30  # no tree of ours is a third as deep

_PRECISIONS = (np.float32, np.float64)
_INDEX = np.int32  # of what a file counts in


@dataclass(frozen=True, eq=False)
class BoostedTrees:
    """Nodes (m,) of all trees in one table, each behind its parent; a leaf is its own child.

    roots       (t,) first node of each tree
    columns     (m,) column that a node asks for; 0 for leaves
    thresholds  (m,) a value below goes to the first child, any other to the second; float32 or
                float64, the precision of the values that are compared
    children    (2 m,) first and second child of each node
    leaves      (m,) what a leaf adds, 0 for other nodes
    base        what is added to

    Raises ValueError unless every node is the root or the child of just one tree, no tree is deeper
    than MAX_DEPTH, and all numbers and their sums are finite.
    """

    roots: NDArray[np.intp]
    columns: NDArray[np.intp]
    thresholds: NDArray[np.floating[Any]]
    children: NDArray[np.intp]
    leaves: NDArray[np.float64]
    base: float

    def __post_init__(self) -> None:
        m = len(self.columns)
        shapes = (self.thresholds.shape, self.leaves.shape, self.children.shape)
        if self.columns.shape != (m,) or shapes != ((m,), (m,), (2 * m,)):
            raise ValueError("parts of the table differ in length")
        if self.roots.ndim != 1 or not self.roots.size:
            raise ValueError("there is no tree")
        if self.thresholds.dtype not in _PRECISIONS:
            raise ValueError(f"thresholds of type {self.thresholds.dtype}")
        self._check_forest()
        if self.columns.min() < 0:
            raise ValueError("a node asks for a column below 0")
        with np.errstate(all="ignore"):
            largest = np.abs(self.leaves).sum() + abs(self.base)
        if not (np.isfinite(largest) and np.isfinite(self.thresholds).all()):
            raise ValueError("numbers that are not finite")
        if self.depth > MAX_DEPTH:
            raise ValueError(f"a tree is deeper than {MAX_DEPTH} levels")

    def _check_forest(self) -> None:
        """A child stands behind its parent, so no way leads back; each has one parent, so that
        the levels below the roots meet every node once.
        """
        m = len(self.columns)
        node, pairs = np.arange(m)[:, None], self.children.reshape(m, 2)
        inner = (pairs != node).any(axis=1)
        begun = np.concatenate([self.roots, pairs[inner].ravel()])
        if begun.min() < 0 or begun.max() >= m:
            raise ValueError("a node outside the table")
        if (pairs[inner] <= node[inner]).any():
            raise ValueError("a child before its parent")
        if (np.bincount(begun, minlength=m) != 1).any():
            raise ValueError("a node of no tree, or of several places in them")

    @cached_property
    def depth(self) -> int:
        """Levels below the roots until every node is a leaf, counted no further than needed to
        know that they are more than MAX_DEPTH.
        """
        depth, level, pairs = 0, self.roots, self.children.reshape(-1, 2)
        while depth <= MAX_DEPTH:
            level = level[pairs[level, 0] != level]
            if not level.size:
                break
            depth, level = depth + 1, pairs[level].ravel()
        return depth

    @property
    def precision(self) -> type[np.floating[Any]]:
        """The type in which values and thresholds are compared."""
        return self.thresholds.dtype.type

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Estimates (n,) of rows X (n, k) without nan, the same for a row alone and in a batch."""
        estimates = np.empty(len(X))
        for k, row in enumerate(X.astype(self.precision)):
            node = self.roots
            for _ in range(self.depth):
                is_second = row.take(self.columns.take(node)) >= self.thresholds.take(node)
                node = self.children.take(2 * node + is_second)
            estimates[k] = self.base + self.leaves.take(node).sum()
        return estimates

    def save(self, path: Path) -> None:
        """Write safetensors, one tensor a field; same trees, same bytes."""
        tensors = {
            "roots": self.roots.astype(_INDEX),
            "columns": self.columns.astype(_INDEX),
            "thresholds": np.ascontiguousarray(self.thresholds),
            "children": self.children.astype(_INDEX),
            "leaves": np.ascontiguousarray(self.leaves),
            "base": np.array(self.base),
        }
        save_file(tensors, path)

    @classmethod
    def load(cls, path: Path, n_features: int) -> BoostedTrees:
        """Read what `save` wrote, trees that ask for columns of rows (n, n_features).

        Raises ArtifactError when the file is missing or damaged. Nothing in it is believed: trees
        that were read descend every row to a leaf.
        """
        try:
            tensors = load_file(path)
            roots, columns, children = (
                _typed(tensors.pop(name), _INDEX).astype(np.intp)
                for name in ("roots", "columns", "children")
            )
            thresholds = tensors.pop("thresholds")
            leaves, base = (_typed(tensors.pop(name), np.float64) for name in ("leaves", "base"))
            if tensors:
                raise ValueError(f"it holds {', '.join(sorted(tensors))} as well")
            trees = cls(roots, columns, thresholds, children, leaves, base.item())
            if columns.max() >= n_features:
                raise ValueError(f"a node asks for a column beyond {n_features}")
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise ArtifactError(
                "boosted_trees_unreadable",
                f"{path.name} does not hold boosted trees: {error}.",
                "Train again, or fetch the archive again.",
            ) from error
        return trees


def _typed(tensor: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    if tensor.dtype != dtype:
        raise ValueError(f"numbers of type {tensor.dtype} and not {np.dtype(dtype)}")
    return tensor
