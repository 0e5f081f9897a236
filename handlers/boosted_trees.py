"""Boosted regression trees that are descended together, one level of all of them at a time.

XGBoost and LightGBM set up a batch before they look at a row, which for one row takes many times as
long as the trees do. Here the nodes of all trees lie in one table: a level of all is one step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
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
    precision   of the values that are compared
    """

    roots: NDArray[np.intp]
    columns: NDArray[np.intp]
    thresholds: NDArray[np.floating[Any]]
    children: NDArray[np.intp]
    leaves: NDArray[np.float64]
    depth: int
    base: float
    precision: type[np.floating[Any]]

    @classmethod
    def of_xgboost(cls, booster: xgboost.Booster) -> BoostedTrees:
        """The trees of a regressor of one output with numeric splits."""
        learner = json.loads(booster.save_raw("json"))["learner"]
        trees = learner["gradient_booster"]["model"]["trees"]
        base = float(learner["learner_model_param"]["base_score"].strip("[]"))
        return cls._joined(trees, base, np.float32)

    @classmethod
    def of_lightgbm(cls, booster: lightgbm.Booster) -> BoostedTrees:
        """The trees of a regressor with numeric splits; base and shrinkage are in its leaves."""
        trees = [_as_table(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]]
        return cls._joined(trees, 0.0, np.float64)

    @classmethod
    def _joined(
        cls, trees: list[dict[str, list[float]]], base: float, precision: type[np.floating[Any]]
    ) -> BoostedTrees:
        """Trees as XGBoost writes them: a table of nodes each, the root first, no child being −1,
        and in `split_conditions` the threshold of a split or the value of a leaf.
        """
        sizes = np.array([len(tree["split_indices"]) for tree in trees], dtype=np.intp)
        roots, node = np.cumsum(sizes) - sizes, np.arange(sizes.sum(), dtype=np.intp)

        def joined(field: str) -> NDArray[np.float64]:
            return np.concatenate([np.asarray(tree[field], dtype=np.float64) for tree in trees])

        first, second = (
            joined(field).astype(np.intp) for field in ("left_children", "right_children")
        )
        is_leaf, offset = first < 0, np.repeat(roots, sizes)
        children = np.stack([np.where(is_leaf, node, child + offset) for child in (first, second)])
        conditions = joined("split_conditions")
        return cls(
            roots=roots,
            columns=joined("split_indices").astype(np.intp),
            thresholds=conditions.astype(precision),
            children=children.T.ravel(),
            leaves=np.where(is_leaf, conditions, 0.0),
            depth=_depth(children, roots),
            base=base,
            precision=precision,
        )

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Estimates (n,) of rows X (n, k) without nan, the same for a row alone and in a batch.

        Those of the booster but for rounding: XGBoost adds the leaves in float32.
        """
        estimates = np.empty(len(X))
        for k, row in enumerate(X.astype(self.precision)):
            node = self.roots
            for _ in range(self.depth):
                is_second = row.take(self.columns.take(node)) >= self.thresholds.take(node)
                node = self.children.take(2 * node + is_second)
            estimates[k] = self.base + self.leaves.take(node).sum()
        return estimates


def _as_table(root: Mapping[str, Any]) -> dict[str, list[float]]:
    """A tree of LightGBM's, whose nodes hold one another, as XGBoost writes its own."""
    fields = ("left_children", "right_children", "split_indices", "split_conditions")
    table: dict[str, list[float]] = {field: [] for field in fields}
    nodes = [root]
    for node in nodes:  # grows while it is read
        if "leaf_value" in node:
            cells = (-1.0, -1.0, 0.0, node["leaf_value"])
        else:
            # LightGBM's rule is `at most`: below the next number.
            threshold = np.nextafter(node["threshold"], np.inf)
            cells = (len(nodes), len(nodes) + 1, node["split_feature"], threshold)
            nodes += [node["left_child"], node["right_child"]]
        for field, cell in zip(fields, cells, strict=True):
            table[field].append(cell)
    return table


def _depth(children: NDArray[np.intp], roots: NDArray[np.intp]) -> int:
    """Levels below `roots` until every node is its own child."""
    depth, level = 0, roots
    while (children[:, level] != level).any():
        depth, level = depth + 1, np.unique(children[:, level])
    return depth
