"""Aumann–Shapley values of a network of tanh units: what each input moved its output by.

    φ_j = (x_j − u_j) ∫₀¹ ∂f/∂x_j (u + t (x − u)) dt,   Σ_j φ_j = f(x) − f(u)

(Aumann & Shapley 1974; as integrated gradients Sundararajan 2017, arXiv 1703.01365.) Along the
straight line from u to x what enters a hidden unit changes from a₀ to a₁ at an even rate. For one
hidden layer the integral is therefore the unit's mean slope, and the values are exact:

    φ_j = Σ_h v_h · (tanh a₁ₕ − tanh a₀ₕ) / (a₁ₕ − a₀ₕ) · w_jh (x_j − u_j)

Unlike Shapley values they do not ask for 2^k estimates; where features do not interact the two are
the same. Through several layers the product of mean slopes still sums up exactly (the rescale rule
of DeepLIFT, Shrikumar 2017, arXiv 1704.02685).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_SAME = 1e-6  # apart by less, the difference quotient would be rounding; the slope is its limit


def mean_slope(before: FloatArray, after: FloatArray) -> FloatArray:
    """Mean slope of tanh between `before` and `after`, arrays of one shape; in [0, 1]."""
    apart = after - before
    same = np.abs(apart) < _SAME
    quotient = (np.tanh(after) - np.tanh(before)) / np.where(same, 1.0, apart)
    return np.where(same, 1.0 - np.tanh(0.5 * (before + after)) ** 2, quotient)
