"""How the values of a plane are distributed within each region of the picture.

One histogram per region, all counted in a single pass, stands for the plane from then on:
means, quantiles and entropies of a few thousand levels cost nothing beside sorting or masking
hundreds of thousands of pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def histograms(
    codes: NDArray[np.uint16], regions: NDArray[np.uint8], n_levels: int, n_regions: int
) -> Array:
    """(n_regions, n_levels) pixels of each level in each region.

    `codes` (H, W) lie below n_levels, a power of two; `regions` (H, W) below n_regions;
    n_levels · n_regions is at most 65536.
    """
    shift = np.arange(256, dtype=np.uint32) * n_levels
    joint = cv2.add(codes, cv2.LUT(regions, shift.astype(np.uint16)))
    size = n_levels * n_regions
    counts: Array = cv2.calcHist([joint], [0], None, [size], [0, size]).astype(np.float64)
    return counts.reshape(n_regions, n_levels)


def mean_and_sd(histogram: Array, values: Array) -> tuple[float, float]:
    """Mean and standard deviation of `values` (n_levels,) under the counts of one region."""
    n = histogram.sum()
    mean = histogram @ values / n
    variance = histogram @ np.square(values - mean) / n
    return float(mean), float(np.sqrt(variance))


def quantiles(histogram: Array, values: Array, shares: tuple[float, ...]) -> list[float]:
    """For each share of the pixels the lowest of `values` (rising) that it does not exceed."""
    running = np.cumsum(histogram)
    # Counts are whole numbers: half a pixel less keeps rounding from deciding a tie.
    at = np.searchsorted(running, np.asarray(shares) * running[-1] - 0.5)
    return [float(value) for value in values[np.minimum(at, len(values) - 1)]]


def entropy(histogram: Array) -> float:
    """Shannon entropy −Σ p log₂ p [bit] of the counts."""
    counts = histogram[histogram > 0]
    shares = counts / counts.sum()
    return float(abs(shares @ np.log2(shares)))
