"""Exact Shapley values of boosted trees: what each feature moved their sum by.

The players are features; v(S) is the trees' answer to a row with the features S of the photo and
all others of the reference u. Shapley values (1953) share out v(all) − v(none) in the one way that
is additive, symmetric and fair to features that do nothing (SHAP, Lundberg & Lee 2017, arXiv
1705.07874; the interventional form, Janzing 2020, arXiv 1910.13413).

For one leaf they have a closed form. Let a features lead to it with the photo's value alone, b with
the reference's value alone, and the others with both; if one leads there with neither, the leaf
gives nothing. It pays its value c when all the a and none of the b come from the photo, so that

    each of the a gets  + c · (a − 1)! b! / (a + b)!
    each of the b gets  − c · a! (b − 1)! / (a + b)!

XGBoost's `pred_contribs` and LightGBM's `pred_contrib` play another game, in which a feature that
is left out follows both branches in the share of the training rows: their baselines would be those
of two different mixtures, and neither that of the networks beside them in the stack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.boosted_trees import MAX_DEPTH, BoostedTrees

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LeafPaths:
    """The way to each of m leaves: on it up to d features are held within [low, high).

    columns    (m, d) the features, each once in a row; 0 with open bounds fills up
    low, high  (m, d) bounds, of the precision in which the trees compare
    leaves     (m,) what a leaf adds
    """

    columns: NDArray[np.intp]
    low: FloatArray
    high: FloatArray
    leaves: FloatArray
    trees: BoostedTrees

    @classmethod
    def of(cls, trees: BoostedTrees) -> LeafPaths:
        """The paths to all leaves of `trees`."""
        ways: list[dict[int, tuple[float, float]]] = []
        leaves: list[float] = []
        waiting: list[tuple[int, dict[int, tuple[float, float]]]] = [
            (int(root), {}) for root in trees.roots
        ]
        while waiting:
            node, way = waiting.pop()
            first, second = trees.children[2 * node : 2 * node + 2].tolist()
            if first == node:
                ways.append(way)
                leaves.append(float(trees.leaves[node]))
                continue
            column, threshold = int(trees.columns[node]), float(trees.thresholds[node])
            low, high = way.get(column, (-math.inf, math.inf))
            waiting.append((first, {**way, column: (low, min(high, threshold))}))
            waiting.append((second, {**way, column: (max(low, threshold), high)}))
        depth = max(1, *(len(way) for way in ways))
        columns = np.zeros((len(ways), depth), dtype=np.intp)
        low_bounds, high_bounds = np.full((2, *columns.shape), math.inf)
        low_bounds *= -1
        for row, way in enumerate(ways):
            for place, (column, bounds) in enumerate(way.items()):
                columns[row, place] = column
                low_bounds[row, place], high_bounds[row, place] = bounds
        return cls(columns, low_bounds, high_bounds, np.array(leaves), trees)

    def contributions(self, x: FloatArray, usual: FloatArray) -> FloatArray:
        """Shapley values (k,) of row x (k,) against the reference row `usual` (k,).

        They sum to predict(x) − predict(usual).
        """
        by_photo, by_usual = (self._leads(row) for row in (x, usual))
        reached = (by_photo | by_usual).all(axis=1)
        gains, losses = (
            by_photo[reached] & ~by_usual[reached],
            by_usual[reached] & ~by_photo[reached],
        )
        a, b = gains.sum(axis=1), losses.sum(axis=1)
        leaves = self.leaves[reached]
        each = np.where(gains, (leaves * _WEIGHTS[a, b])[:, None], 0.0)
        each -= np.where(losses, (leaves * _WEIGHTS[b, a])[:, None], 0.0)
        sums = np.bincount(self.columns[reached].ravel(), each.ravel(), minlength=len(x))
        return sums.astype(np.float64)

    def _leads(self, row: FloatArray) -> NDArray[np.bool_]:
        """(m, d) whether the value of a feature lets a row pass on its way to a leaf."""
        values = row.astype(self.trees.precision)[self.columns]
        return (values >= self.low) & (values < self.high)


def _weights(most: int) -> FloatArray:
    """(most + 1, most + 1): (a − 1)! b! / (a + b)! for a ≥ 1, 0 for a = 0."""
    return np.array(
        [
            [
                math.factorial(a - 1) * math.factorial(b) / math.factorial(a + b) if a else 0.0
                for b in range(most + 1)
            ]
            for a in range(most + 1)
        ]
    )


_WEIGHTS = _weights(MAX_DEPTH)  # no way to a leaf holds more features
