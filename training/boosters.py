"""Boosters, as XGBoost and LightGBM call what they have fitted, turned into the trees that serve.

Both write their trees as JSON with every bit of their numbers. It is read once, after fitting; then
the libraries are needed no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import lightgbm
import numpy as np
import xgboost

from handlers.boosted_trees import BoostedTrees

__all__ = ["trees_of_lightgbm", "trees_of_xgboost"]

Node = TypeVar("Node")
# What a node is: a leaf's value, or column, threshold, and the children for below it and not below.
Content = float | tuple[int, float, Node, Node]


def trees_of_xgboost(booster: xgboost.Booster) -> BoostedTrees:
    """The trees of a regressor of one output with numeric splits.

    Their estimates are the booster's but for rounding: it adds the leaves in float32.
    """

    def content(node: tuple[Mapping[str, Any], int]) -> Content[tuple[Mapping[str, Any], int]]:
        tree, k = node
        first, second = tree["left_children"][k], tree["right_children"][k]
        condition = float(tree["split_conditions"][k])  # a threshold, or the value of a leaf
        if first < 0:
            return condition
        return tree["split_indices"][k], condition, (tree, first), (tree, second)

    learner = json.loads(booster.save_raw("json"))["learner"]
    trees = learner["gradient_booster"]["model"]["trees"]
    base = float(learner["learner_model_param"]["base_score"].strip("[]"))
    return _joined([(tree, 0) for tree in trees], content, base, np.float32)


def trees_of_lightgbm(booster: lightgbm.Booster) -> BoostedTrees:
    """The trees of a regressor with numeric splits; base and shrinkage are in its leaves."""

    def content(node: Mapping[str, Any]) -> Content[Mapping[str, Any]]:
        if "leaf_value" in node:
            return float(node["leaf_value"])
        # LightGBM's rule is `at most`: below the next number.
        threshold = float(np.nextafter(node["threshold"], np.inf))
        return node["split_feature"], threshold, node["left_child"], node["right_child"]

    trees = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    return _joined(trees, content, 0.0, np.float64)


def _joined(
    roots: Iterable[Node],
    content: Callable[[Node], Content[Node]],
    base: float,
    precision: type[np.floating[Any]],
) -> BoostedTrees:
    """The nodes below `roots` in one table, tree after tree, each tree level by level."""
    firsts: list[int] = []
    table: list[tuple[int, float, int, int, float]] = []
    for root in roots:
        start, nodes = len(table), [root]
        firsts.append(start)
        for node in nodes:  # grows while it is read
            match content(node):
                case (column, threshold, first, second):
                    place = start + len(nodes)
                    nodes += [first, second]
                    table.append((column, threshold, place, place + 1, 0.0))
                case leaf:
                    table.append((0, 0.0, len(table), len(table), leaf))
    columns, thresholds, first_children, second_children, leaves = zip(*table, strict=True)
    return BoostedTrees(
        roots=np.array(firsts, dtype=np.intp),
        columns=np.array(columns, dtype=np.intp),
        thresholds=np.array(thresholds, dtype=precision),
        children=np.stack([first_children, second_children], axis=1).astype(np.intp).ravel(),
        leaves=np.array(leaves, dtype=np.float64),
        base=base,
    )
