"""Boosted regression trees that are descended together, one level of all of them at a time.

XGBoost sets up a batch before it looks at a row, which for one row takes ten times as long as the
trees do. Here the nodes of all trees lie in one table, so that a level of all trees is one step.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import xgboost
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class BoostedTrees:
    """Nodes (m,) of all trees end to end; a leaf is its own child.

    roots       (t,) first node of each tree
    columns     (m,) column that a node asks for
    thresholds  (m,) a value below goes to the first child, any other to the second
    children    (2 m,) first and second child of each node
    leaves      (m,) what a leaf adds, 0 for other nodes
    depth       levels below the roots
    base        what is added to
    """

    roots: NDArray[np.intp]
    columns: NDArray[np.intp]
    thresholds: NDArray[np.float32]
    children: NDArray[np.intp]
    leaves: NDArray[np.float64]
    depth: int
    base: float

    @classmethod
    def of(cls, booster: xgboost.Booster) -> BoostedTrees:
        """The trees of a regressor of one output with numeric splits."""
        learner = json.loads(booster.save_raw("json"))["learner"]
        trees = learner["gradient_booster"]["model"]["trees"]
        sizes = np.array([len(tree["split_indices"]) for tree in trees], dtype=np.intp)
        roots, node = np.cumsum(sizes) - sizes, np.arange(sizes.sum(), dtype=np.intp)

        def joined(field: str) -> NDArray[np.float64]:
            return np.concatenate([np.asarray(tree[field], dtype=np.float64) for tree in trees])

        first, second = (
            joined(field).astype(np.intp) for field in ("left_children", "right_children")
        )
        is_leaf, offset = first < 0, np.repeat(roots, sizes)
        children = np.stack([np.where(is_leaf, node, child + offset) for child in (first, second)])
        conditions = joined("split_conditions")  # the threshold of a split, the value of a leaf
        return cls(
            roots=roots,
            columns=joined("split_indices").astype(np.intp),
            thresholds=conditions.astype(np.float32),
            children=children.T.ravel(),
            leaves=np.where(is_leaf, conditions, 0.0),
            depth=_depth(children, roots),
            base=float(learner["learner_model_param"]["base_score"].strip("[]")),
        )

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Estimates (n,) of rows X (n, k) without nan, the same for a row alone and in a batch.

        XGBoost's own to float32: it adds the leaves in another order and precision.
        """
        estimates = np.empty(len(X))
        for k, row in enumerate(X.astype(np.float32)):  # what XGBoost compares
            node = self.roots
            for _ in range(self.depth):
                is_second = row.take(self.columns.take(node)) >= self.thresholds.take(node)
                node = self.children.take(2 * node + is_second)
            estimates[k] = self.base + self.leaves.take(node).sum()
        return estimates


def _depth(children: NDArray[np.intp], roots: NDArray[np.intp]) -> int:
    """Levels below `roots` until every node is its own child."""
    depth, level = 0, roots
    while (children[:, level] != level).any():
        depth, level = depth + 1, np.unique(children[:, level])
    return depth
