"""Texture: how grey levels follow each other, and which small patterns the picture is made of.

Two classical descriptions of the lightness plane.

*Grey-level co-occurrence* (GLCM, Haralick 1973): p(i, j), how often levels i and j, of 32, stand
at a given offset. Haze pulls far things towards one grey, so contrast falls and homogeneity rises.

*Local binary patterns* (LBP, Ojala 2002): which of the P neighbours on a circle of radius R
are at least as light as the centre; here rotation-invariant and uniform. Blind to contrast,
they tell a smooth veil from fine structure and from noise.

Both are mirror-invariant, and both read reference pixels only in rows that are multiples of their
distance: nearer rows repeat the same structure, and at 640 px 77,000 pairs are plenty.
"""

from __future__ import annotations

from dataclasses import dataclass
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

LEVELS = 32
DISTANCES = (1, 2, 4)
# Fewer pixels than a 20 x 20 patch say nothing about the texture of a band.
MIN_BAND_PIXELS = 400

_I, _J = np.mgrid[0:LEVELS, 0:LEVELS].astype(np.float64)
_SQUARED_STEP = (_I - _J) ** 2
_STEP = np.arange(LEVELS, dtype=np.float64)


def co_occurrences(levels: NDArray[np.uint8], distance: int) -> NDArray[np.float64]:
    """Normalised symmetric GLCMs p(i, j), one for each of the four angles 0, 45, 90, 135 deg.

    levels    (H, W) uint8 below LEVELS; H and W above `distance`²
    distance  [px]; reference pixels stand in rows 0, d, 2d …; the offsets are (0, d), (−d, d),
              (d, 0), (d, d), so that diagonals are as far in each direction as the others
              (scikit-image rounds them to d/√2).
    Returns (4, LEVELS, LEVELS), each summing to 1.
    """
    rows = levels[::distance]
    d = distance
    bins, ranges = [LEVELS] * 3, [0, LEVELS] * 3

    # One histogram over (pixel, its right, its lower neighbour) holds three of the four pairs.
    corner = cv2.calcHist(
        [rows[:-1, :-d], rows[:-1, d:], rows[1:, :-d]], [0, 1, 2], None, bins, ranges
    )
    along = corner.sum(axis=2) + _pairs(rows[-1:, :-d], rows[-1:, d:])
    down = corner.sum(axis=1) + _pairs(rows[:-1, -d:], rows[1:, -d:])
    rising = corner.sum(axis=0)
    falling = _pairs(rows[:-1, :-d], rows[1:, d:])

    counts = np.stack([along, rising, down, falling]).astype(np.float64)
    counts += counts.transpose(0, 2, 1)
    counts /= counts.sum(axis=(1, 2), keepdims=True)
    return counts


def _pairs(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    # float32 counts, as OpenCV gives them, are exact up to 2^24 pairs.
    histogram: NDArray[np.float32] = cv2.calcHist(
        [first, second], [0, 1], None, [LEVELS] * 2, [0, LEVELS] * 2
    )
    return histogram


def haralick(p: NDArray[np.float64]) -> dict[str, float]:
    """Texture properties, each the mean over the angles of `p` (angles, LEVELS, LEVELS).

    contrast Σ(i−j)²p · dissimilarity Σ|i−j|p · homogeneity Σp/(1+(i−j)²) · energy √Σp² ·
    correlation Σ(i−µ)(j−µ)p/σ² (1 for a single grey) · entropy −Σ p ln p [nat]
    """
    marginal = p.sum(axis=2)
    mean = marginal @ _STEP
    variance = marginal @ _STEP**2 - mean**2
    covariance = np.einsum("aij,i,j->a", p, _STEP, _STEP) - mean**2
    single_grey = variance < 1e-15
    correlation = np.where(single_grey, 1.0, covariance / np.where(single_grey, 1.0, variance))
    return {
        "contrast": float((p * _SQUARED_STEP).sum(axis=(1, 2)).mean()),
        "dissimilarity": float((p * np.abs(_I - _J)).sum(axis=(1, 2)).mean()),
        "homogeneity": float((p / (1.0 + _SQUARED_STEP)).sum(axis=(1, 2)).mean()),
        "energy": float(np.sqrt((p**2).sum(axis=(1, 2))).mean()),
        "correlation": float(correlation.mean()),
        "entropy": float(-(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=(1, 2)).mean()),
    }


def step_histogram(levels: NDArray[np.uint8], bands: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How often the levels of direct neighbours differ by 0, 1, … within each depth band.

    A pair across a border counts for the nearer band. Returns (4, LEVELS) counts over the
    horizontal and vertical pairs whose reference row is even.
    """
    levels_even, bands_even = levels[:-1:2], bands[:-1:2]
    neighbours = (
        (levels_even[:, :-1], levels_even[:, 1:], bands_even[:, :-1], bands_even[:, 1:]),
        (levels_even, levels[1::2], bands_even, bands[1::2]),
    )
    counts = np.zeros(4 * LEVELS)
    for first, second, band, other_band in neighbours:
        code = cv2.max(band, other_band) * np.uint8(LEVELS) + cv2.absdiff(first, second)
        counts += cv2.calcHist([code], [0], None, [4 * LEVELS], [0, 4 * LEVELS]).ravel()
    return counts.reshape(4, LEVELS)


@dataclass(frozen=True)
class _Circle:
    """P neighbours at radius R, each the weighted sum of its (at most four) nearest pixels.

    neighbours  for each, its taps (dy, dx, weight); weights are fixed-point, 256 in sum, so that
                a comparison with 256 × the centre is exact in 16 bits
    labels      (2^P,) uint8: number of ones of a uniform pattern, P + 1 for any other
    """

    radius: int
    neighbours: tuple[tuple[tuple[int, int, int], ...], ...]
    labels: NDArray[np.uint8]


@lru_cache(maxsize=4)
def _circle(points: int, radius: int) -> _Circle:
    neighbours = []
    for k in range(points):
        angle = 2.0 * np.pi * k / points
        y, x = round(-radius * np.sin(angle), 5), round(radius * np.cos(angle), 5)
        top, left = int(np.floor(y)), int(np.floor(x))
        fy, fx = y - top, x - left
        weights = {
            (top, left): (1 - fy) * (1 - fx),
            (top, left + 1): (1 - fy) * fx,
            (top + 1, left): fy * (1 - fx),
            (top + 1, left + 1): fy * fx,
        }
        neighbours.append(tuple((*at, round(256 * w)) for at, w in weights.items() if w > 0))
    codes = np.arange(2**points, dtype=np.uint32)
    turned = (codes >> 1) | ((codes & 1) << (points - 1))
    uniform = np.bitwise_count(codes ^ turned) <= 2
    labels = np.where(uniform, np.bitwise_count(codes), points + 1).astype(np.uint8)
    return _Circle(radius, tuple(neighbours), labels)


def local_binary_patterns(grey: NDArray[np.uint8], points: int, radius: int) -> NDArray[np.uint8]:
    """Rotation-invariant uniform LBP labels, 0 … P of a uniform pattern, P + 1 of the others.

    grey  (H, W) uint8. Returns the labels of pixel rows R, 2R, 3R … and columns R … W − R − 1:
    ((H − R − 1) // R, W − 2R) uint8. Neighbours between pixels are bilinear in 8-bit fixed
    point: 0.4 % of the labels differ from a floating-point evaluation (ties).
    """
    circle = _circle(points, radius)
    height, width = grey.shape
    r = radius

    def shifted(plane: NDArray[np.uint16], dy: int, dx: int) -> NDArray[np.uint16]:
        return plane[r + dy : height - r + dy : r, r + dx : width - r + dx]

    plane = grey.astype(np.uint16)
    weights = {weight for taps in circle.neighbours for _, _, weight in taps}
    products = {weight: plane * np.uint16(weight) for weight in weights | {256}}
    centre = np.ascontiguousarray(shifted(products[256], 0, 0))
    code = np.zeros(centre.shape, np.uint8 if points == 8 else np.uint16)
    value = np.empty_like(centre)
    for taps in circle.neighbours:
        (dy, dx, weight), *others = taps
        value[...] = shifted(products[weight], dy, dx)
        for dy, dx, weight in others:
            value += shifted(products[weight], dy, dx)
        code += code
        code |= value >= centre
    return circle.labels[code]


def label_histogram(
    labels: NDArray[np.uint8], bands: NDArray[np.uint8], n: int
) -> NDArray[np.float64]:
    """Counts (4, n) of labels 0 … n − 1 (n at most 32) in each depth band."""
    code = bands * np.uint8(32) + labels
    counts: NDArray[np.float32] = cv2.calcHist([code], [0], None, [128], [0, 128])
    return counts.reshape(4, 32)[:, :n].astype(np.float64)


_GLCM_MEANINGS: tuple[tuple[str, Literal[-1, 0, 1], str], ...] = (
    ("contrast", -1, "mean squared step between the levels of a pair"),
    ("dissimilarity", -1, "mean absolute step between the levels of a pair"),
    ("homogeneity", +1, "closeness of the levels of a pair, 1 when all are equal"),
    ("energy", +1, "root of the sum of squared co-occurrence probabilities"),
    ("correlation", 0, "linear correlation of the levels of a pair"),
    ("entropy", -1, "entropy of the co-occurrences [nat]"),
)


def _glcm_features() -> list[Feature]:
    features = [
        Feature(
            f"glcm_{name}_d{d}", "1", f"{meaning}, {d} px apart, mean of 4 angles", sign, HARALICK
        )
        for d in DISTANCES
        for name, sign, meaning in _GLCM_MEANINGS
    ]
    for band in ("far", "near"):
        features.append(
            Feature(f"glcm_contrast_{band}", "1", f"mean squared step, {band} band", -1, HARALICK)
        )
        features.append(
            Feature(
                f"glcm_homogeneity_{band}",
                "1",
                f"closeness of neighbours, {band} band",
                1,
                HARALICK,
            )
        )
    ratio = "ln of the GLCM contrast of the far band over that of the near band"
    features.append(Feature("glcm_contrast_far_to_near", "1", ratio, -1, HARALICK))
    return features


def _lbp_features(name: str, points: int, where: str) -> list[Feature]:
    features = [
        Feature(
            f"{name}_{ones}",
            "1",
            f"share of uniform patterns with {ones} of {points} neighbours not darker, {where}",
            0,
            OJALA,
        )
        for ones in range(points + 1)
    ]
    mixed = f"share of patterns with more than two changes around the circle, {where}"
    return [*features, Feature(f"{name}_mixed", "1", mixed, 0, OJALA)]


FAMILY = FeatureFamily(
    "texture",
    1,
    (
        *_glcm_features(),
        *_lbp_features("lbp8", 8, "whole photo"),
        *_lbp_features("lbp8_far", 8, "far band"),
        *_lbp_features("lbp8_near", 8, "near band"),
        *_lbp_features("lbp16", 16, "whole photo"),
    ),
)


def texture_features(light: Light, geometry: PictureGeometry) -> dict[str, float]:
    """The features of FAMILY; those of a band with fewer than 400 pixels are nan."""
    levels = light.grey // np.uint8(256 // LEVELS)
    values: list[float] = []
    for distance in DISTANCES:
        values += haralick(co_occurrences(levels, distance)).values()

    steps = step_histogram(levels, geometry.bands)
    contrast = _shares(steps) @ _STEP**2
    homogeneity = _shares(steps) @ (1.0 / (1.0 + _STEP**2))
    values += [contrast[FAR], homogeneity[FAR], contrast[NEAR], homogeneity[NEAR]]
    # Half a grey level at 32 levels is the step that rounding alone can make or hide.
    values.append(float(np.log((contrast[FAR] + 1e-3) / (contrast[NEAR] + 1e-3))))

    fine = label_histogram(local_binary_patterns(light.grey, 8, 1), geometry.bands[1:-1, 1:-1], 10)
    coarse = label_histogram(
        local_binary_patterns(light.grey, 16, 2), geometry.bands[2:-2:2, 2:-2], 18
    )
    by_band = _shares(fine)
    values += [*fine.sum(axis=0) / fine.sum(), *by_band[FAR], *by_band[NEAR]]
    values += [*coarse.sum(axis=0) / coarse.sum()]
    return dict(zip(FAMILY.names, map(float, values), strict=True))


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    totals = counts.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = counts / np.where(totals < MIN_BAND_PIXELS, np.nan, totals)
    return shares
