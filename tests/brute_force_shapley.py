"""Shapley values as they are defined: every combination of features is asked for."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def shapley_values(
    predict: Callable[[FloatArray], FloatArray], x: FloatArray, usual: FloatArray
) -> FloatArray:
    """Those (k,) of row x (k,) against the row `usual` (k,): 2^k estimates of `predict`."""
    k = len(x)
    coalitions = np.array([[(mask >> j) & 1 for j in range(k)] for mask in range(2**k)], bool)
    worth = predict(np.where(coalitions, x, usual))
    values = np.zeros(k)
    for j in range(k):
        others = [i for i in range(k) if i != j]
        for size in range(k):
            share = factorial(size) * factorial(k - size - 1) / factorial(k)
            for members in combinations(others, size):
                mask = sum(1 << i for i in members)
                values[j] += share * (worth[mask | 1 << j] - worth[mask])
    return values
