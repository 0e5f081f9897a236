"""Texture: how grey levels follow each other, and which small patterns the picture is made of.

Two classical descriptions of the lightness plane.

*Grey-level co-occurrence* (GLCM, Haralick 1973): p(i, j), how often levels i and j, of 32, stand
at a given offset. Haze pulls far things towards one grey, so contrast falls and homogeneity rises.

*Local binary patterns* (LBP, Ojala 2002): which of the 8 neighbours on a circle of radius 1 px are
at least as light as the centre, whatever the rotation. Blind to contrast, they tell a smooth veil
from fine structure and from noise.

Both give a photo and its mirror image the same numbers. Not every row is read. On 309 photos of
two data sets, pairs from each seventh row rank the photos of a set as those from all rows do
(Spearman 0.996 or more for every property). Patterns need more: each second row gives 0.98 or more
for the whole photo and 0.82 or more for the far band; each fourth would give 0.96 and 0.68. Seven
and two, because steps of three or eight fall into step with enlarged pixels or JPEG blocks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from features.light import Light
from features.schema import Feature, FeatureFamily
from features.sky import FAR, NEAR, PictureGeometry

HARALICK = "Haralick 1973, 10.1109/TSMC.1973.4309314"
OJALA = "Ojala 2002, 10.1109/TPAMI.2002.1017623"

_Plane = NDArray[np.uint8] | NDArray[np.uint16]

LEVELS = 32
DISTANCES = (1, 2, 4)  # [px]
# Every how many rows a pair begins, and a pattern has its centre.
PAIR_ROW_STEP, ROW_STEP = 7, 2
# Fewer pixels than half a 20 x 20 patch say nothing about the texture of a band.
MIN_BAND_PIXELS = 200
# Keeps the ratio of two flat bands finite: one pair in a thousand that differs by one level.
LEAST_CONTRAST = 1e-3

_I, _J = (index.ravel() for index in np.mgrid[0:LEVELS, 0:LEVELS].astype(np.float64))
_STEP = np.abs(_I - _J)
_CLOSENESS = 1.0 / (1.0 + _STEP**2)
_ONES = np.ones(LEVELS, dtype=np.float32)
_PROPERTY_WEIGHTS = np.stack([_STEP**2, _STEP, _CLOSENESS, _I, _I**2, _I * _J], axis=1)

# Label of each of the 256 patterns: the ones of a uniform pattern, which has at most two changes
# around the circle, and 9 for all others.
_PATTERNS = np.arange(256, dtype=np.uint32)
_CHANGES = np.bitwise_count(_PATTERNS ^ ((_PATTERNS >> 1) | ((_PATTERNS & 1) << 7)))
UNIFORM_LABELS = np.where(_CHANGES <= 2, np.bitwise_count(_PATTERNS), 9).astype(np.uint8)


def co_occurrences(grey: NDArray[np.uint8], distance: int, row_step: int) -> NDArray[np.float64]:
    """Symmetric GLCMs p(i, j), one for each of four directions.

    grey      (H, W) uint8, taken to LEVELS levels of equal width
    distance  d [px]; the offsets are (0, d), (−d, d), (d, 0) and (d, d) rows and columns:
              diagonals reach as far along each side as the others (scikit-image takes d/√2)
    row_step  the upper pixel of a pair stands in rows 0, row_step, 2 row_step …
    Returns (4, LEVELS, LEVELS), each summing to 1.
    """
    d = distance
    rows, lower = grey[::row_step], grey[d::row_step]
    upper, rest = rows[: len(lower)], rows[len(lower) :]

    # One histogram over a pixel, its right and its lower neighbour holds three of the four pairs.
    corner = _joint_histogram(upper[:, :-d], upper[:, d:], lower[:, :-d])
    along = corner @ _ONES + _joint_histogram(rest[:, :-d], rest[:, d:])
    down = _ONES @ corner + _joint_histogram(upper[:, -d:], lower[:, -d:])
    rising = (_ONES @ corner.reshape(LEVELS, -1)).reshape(LEVELS, LEVELS)
    falling = _joint_histogram(upper[:, :-d], lower[:, d:])

    counts = np.array([along, rising, down, falling], dtype=np.float64)
    glcms: NDArray[np.float64] = counts + counts.transpose(0, 2, 1)
    glcms /= glcms.sum(axis=(1, 2), keepdims=True)
    return glcms


def _joint_histogram(*planes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How often each tuple of levels occurs, (LEVELS, …) with one axis for each plane."""
    n = len(planes)
    if planes[0].size == 0:
        return np.zeros((LEVELS,) * n, dtype=np.float32)
    # OpenCV counts in float32, which is exact up to 2^24 pairs.
    counts: NDArray[np.float32] = cv2.calcHist(planes, range(n), None, [LEVELS] * n, [0, 256] * n)
    return counts


def haralick(glcms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Texture properties (…, 6) of GLCMs p (…, LEVELS, LEVELS), symmetric, each summing to 1.

    contrast Σ(i−j)²p · dissimilarity Σ|i−j|p · homogeneity Σp/(1+(i−j)²) · energy √Σp² ·
    correlation Σ(i−µ)(j−µ)p/σ² (1 where there is one level alone) · entropy −Σ p ln p [nat]
    """
    p = glcms.reshape(*glcms.shape[:-2], LEVELS * LEVELS)
    sums = p @ _PROPERTY_WEIGHTS
    contrast, dissimilarity, homogeneity, mean, mean_square, mean_product = np.moveaxis(sums, -1, 0)
    variance = mean_square - mean**2
    one_level = variance < 1e-12
    covariance = mean_product - mean**2
    correlation = np.where(one_level, 1.0, covariance / np.where(one_level, 1.0, variance))
    energy = np.sqrt(np.einsum("...k,...k->...", p, p))
    entropy = -np.einsum("...k,...k->...", p, np.log(p + np.finfo(np.float64).tiny))
    return np.stack([contrast, dissimilarity, homogeneity, energy, correlation, entropy], axis=-1)


def step_histogram(grey: NDArray[np.uint8], bands: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How often the levels of direct neighbours differ by 0, 1, … within each depth band.

    Returns (4, LEVELS) counts over the pairs (0, 1) and (1, 0) whose upper pixel is in an even
    row. A pair across a border counts for the nearer band.
    """
    levels = grey >> 3
    upper, lower = levels[:-1:ROW_STEP], levels[1::ROW_STEP]
    band, lower_band = bands[:-1:ROW_STEP], bands[1::ROW_STEP]
    counts = np.zeros((4, LEVELS))
    for first, second, nearer in (
        (upper[:, :-1], upper[:, 1:], cv2.max(band[:, :-1], band[:, 1:])),
        (upper, lower, cv2.max(band, lower_band)),
    ):
        counts += _histogram_by_band(cv2.absdiff(first, second), nearer, LEVELS)
    return counts


def _histogram_by_band(
    values: NDArray[np.uint8], bands: NDArray[np.uint8], n: int
) -> NDArray[np.float64]:
    """Counts (4, n) of the values below n, n ≤ 64, in each depth band."""
    # Band, value and lane in one byte: a histogram of one plane takes half the time of one of two.
    code = np.multiply(bands, np.uint8(n))
    code += values
    code += _lanes(code.shape[1], 4 * n)
    counts: NDArray[np.float32] = cv2.calcHist([code], [0], None, [256], [0, 256])
    n_lanes = 256 // (4 * n)
    by_lane = counts[: n_lanes * 4 * n].reshape(n_lanes, 4, n)
    total: NDArray[np.float64] = by_lane.sum(axis=0, dtype=np.float64)
    return total


@lru_cache(maxsize=16)
def _lanes(width: int, n: int) -> NDArray[np.uint8]:
    """(width,) n times the number of the lane in which each column is counted.

    A processor that counts one value twice in a row waits for its own last count, and neighbours
    are mostly equal: so neighbouring columns are counted apart, in as many lanes as a byte holds.
    """
    return (np.arange(width) % (256 // n) * n).astype(np.uint8)


def local_binary_patterns(grey: NDArray[np.uint8], row_step: int = ROW_STEP) -> NDArray[np.uint8]:
    """Codes of 8 bits: which of 8 neighbours at radius 1 are at least as light as the centre.

    From the highest bit down: the neighbour on the right, then once around by way of the top.
    grey      (H, W) uint8
    row_step  1 or 2; centres are in rows 1, 1 + row_step … below H − 1, columns 1 … W − 2
    The four neighbours on the diagonals are bilinear in 8-bit fixed point: (128 d + 53 (s + t) +
    22 c) / 256, of the pixel d on the diagonal, s and t beside it, and the centre c. Where that
    rounds the other way than floating point, some 0.4 % of the labels differ.
    """
    height, width = grey.shape
    rows = len(range(1, height - 1, row_step))
    # Rows are laid end to end, so that a neighbour is a shift; the last two columns are cut off.
    n = rows * width - 2
    outer, inner = grey[::row_step].ravel(), grey[1::row_step].ravel()
    below = 2 // row_step

    def seen(plane: _Plane, row: int, column: int) -> _Plane:
        """`plane` at each centre, moved by columns; rows of `outer` are 0 above, `below` below."""
        start = row * width + 1 + column
        return plane[start : start + n]

    # Of a row above or below: what a column and the next give to a diagonal on either side.
    wide = outer.astype(np.uint16)
    diagonal, side = wide * np.uint16(128), wide * np.uint16(53)
    to_right, to_left = side[:-1] + diagonal[1:], side[1:] + diagonal[:-1]
    wide = inner.astype(np.uint16)
    side, share = wide * np.uint16(53), wide * np.uint16(256 - 22)
    right, left = seen(side, 0, 1), seen(side, 0, -1)
    centre, centre_share = seen(inner, 0, 0), seen(share, 0, 0)

    total, bit = np.empty(n, dtype=np.uint16), np.empty(n, dtype=np.bool_)
    codes = np.zeros(rows * width, dtype=np.uint8)
    code = codes[:n]
    for neighbour, beside in (
        (seen(inner, 0, 1), None),
        (seen(to_right, 0, 0), right),
        (seen(outer, 0, 0), None),
        (seen(to_left, 0, -1), left),
        (seen(inner, 0, -1), None),
        (seen(to_left, below, -1), left),
        (seen(outer, below, 0), None),
        (seen(to_right, below, 0), right),
    ):
        if beside is None:
            np.greater_equal(neighbour, centre, out=bit)
        else:
            np.greater_equal(np.add(neighbour, beside, out=total), centre_share, out=bit)
        code += code
        code += bit.view(np.uint8)
    return codes.reshape(rows, width)[:, : width - 2]


def pattern_histogram(codes: NDArray[np.uint8], bands: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Counts (4, 10) of the uniform labels of LBP codes in each depth band."""
    return _histogram_by_band(cv2.LUT(codes, UNIFORM_LABELS), bands, 10)


_PROPERTIES: tuple[tuple[str, Literal[-1, 0, 1], str, tuple[float, float]], ...] = (
    ("contrast", -1, "mean squared step between the levels of a pair", (0, 961)),
    ("dissimilarity", -1, "mean absolute step between the levels of a pair", (0, 31)),
    ("homogeneity", +1, "closeness of the levels of a pair, 1 where all are equal", (0, 1)),
    ("energy", +1, "root of the sum of squared co-occurrence probabilities", (0, 1)),
    ("correlation", 0, "linear correlation of the levels of a pair", (-1, 1)),
    ("entropy", -1, "entropy of the co-occurrences, in nats", (0, 6.94)),
)


def _pattern_features(name: str, where: str) -> list[Feature]:
    meanings = {
        **{
            str(ones): f"uniform patterns with {ones} of 8 neighbours not darker"
            for ones in range(9)
        },
        "mixed": "patterns with more than two changes around the circle",
    }
    return [
        Feature(f"{name}_{label}", "1", f"share of {meaning}, {where}", 0, OJALA, (0, 1))
        for label, meaning in meanings.items()
    ]


FAMILY = FeatureFamily(
    "texture",
    3,
    (
        *(
            Feature(f"glcm_{name}_d{d}", "1", f"{meaning}, {d} px apart", sign, HARALICK, bounds)
            for d in DISTANCES
            for name, sign, meaning, bounds in _PROPERTIES
        ),
        Feature("glcm_contrast_far", "1", "mean squared step, far band", -1, HARALICK, (0, 961)),
        Feature(
            "glcm_homogeneity_far", "1", "closeness of neighbours, far band", 1, HARALICK, (0, 1)
        ),
        Feature("glcm_contrast_near", "1", "mean squared step, near band", -1, HARALICK, (0, 961)),
        Feature(
            "glcm_homogeneity_near", "1", "closeness of neighbours, near band", 1, HARALICK, (0, 1)
        ),
        Feature(
            "glcm_contrast_far_to_near",
            "1",
            "ln of far over near contrast",
            -1,
            HARALICK,
            (-13.8, 13.8),
        ),
        *_pattern_features("lbp8", "whole photo"),
        *_pattern_features("lbp8_far", "far band"),
        *_pattern_features("lbp8_near", "near band"),
    ),
)


def texture_features(light: Light, geometry: PictureGeometry) -> dict[str, float]:
    """The features of FAMILY; nan for those of a band that is too small."""
    # The mean over directions first: the properties of it rank photos as the mean of those of each.
    properties = haralick(
        np.stack([co_occurrences(light.grey, d, PAIR_ROW_STEP).mean(axis=0) for d in DISTANCES])
    )

    steps = _shares(step_histogram(light.grey, geometry.bands))
    squared_step = np.arange(LEVELS) ** 2
    contrast, homogeneity = steps @ squared_step, steps @ (1.0 / (1.0 + squared_step))
    far_to_near = np.log((contrast[FAR] + LEAST_CONTRAST) / (contrast[NEAR] + LEAST_CONTRAST))

    patterns = pattern_histogram(
        local_binary_patterns(light.grey), geometry.bands[1:-1:ROW_STEP, 1:-1]
    )
    by_band = _shares(patterns)
    values = [
        *properties.ravel(),
        *(contrast[FAR], homogeneity[FAR], contrast[NEAR], homogeneity[NEAR], far_to_near),
        *patterns.sum(axis=0) / patterns.sum(),
        *by_band[FAR],
        *by_band[NEAR],
    ]
    return dict(zip(FAMILY.names, map(float, values), strict=True))


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    totals = counts.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = counts / np.where(totals < MIN_BAND_PIXELS, np.nan, totals)
    return shares
