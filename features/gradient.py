"""Edges: how steep lightness changes, how wide its edges are, and how sharp the skyline stands.

Haze multiplies every step of light by the transmission of its distance. Gradients therefore fall
as PM2.5 rises, most in the far band, and the ratio far to near cancels exposure. A blurred lens
lowers near gradients and widens near edges as well; haze spares them.

The skyline is the farthest edge of most photos. It is measured in linear light: with
I = J t + A (1 − t), its step over the one between sky and near ground is close to t itself.
"""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from features.light import Light
from features.schema import Feature, FeatureFamily
from features.sky import FAR, NEAR, SKY, PictureGeometry

KOSCHMIEDER = "Koschmieder 1924"
LIU = "Liu C. 2016, 10.1371/journal.pone.0145955"
MARZILIANO = "Marziliano 2002, 10.1109/ICIP.2002.1038902"
PERTUZ = "Pertuz 2013, 10.1016/j.patcog.2012.11.011"

SCOPES = ("photo", "sky", "far", "mid", "near")
# Fewer pixels than a 20 x 20 patch say nothing about the edges of a band.
MIN_BAND_PIXELS = 400

# Gradients per pixel as shares of the photo's own range of lightness (1st to 99th percentile),
# so that neither exposure nor a veil over the whole photo moves the density of edges.
EDGE_THRESHOLDS = {"edge_density_faint": 0.02, "edge_density_strong": 0.08}
# Share of the range that an edge must climb before its width counts.
EDGE_HEIGHT = 0.15
MIN_EDGES = 20

SKYLINE_REACH = 6  # [px]
MIN_SKYLINE_SHARE = 0.05
# A smaller step of linear light from sky to near ground, as at night, would divide noise by noise.
MIN_SKY_GROUND_STEP = 0.02

# Keeps the ratio of two flat bands finite: far below what one step of one code in a band makes.
LEAST_GRADIENT = 1e-3

# Sobel rows overlap by two thirds, and edges go on for rows: not every row needs to be read.
_GRADIENT_ROW_STEP = 2
_TONE_ROW_STEP = 5
_PROFILE_ROW_STEP = 8

_CODES_PER_LIGHTNESS = 2.55  # grey codes per unit of L*
# The 3 x 3 Sobel sum is eight times the derivative.
_SOBEL_TO_LIGHTNESS = 1.0 / (8.0 * _CODES_PER_LIGHTNESS)
_SOBEL_BINS = 1444  # magnitudes reach 1020 √2
_SOBEL_POWERS = np.arange(_SOBEL_BINS, dtype=np.float64)[:, None] ** [1, 2]
_LAPLACIAN_BINS = 1024  # magnitudes reach 4 × 255
_LAPLACIAN_SQUARE = np.arange(_LAPLACIAN_BINS, dtype=np.float64) ** 2

# Relative luminance of each grey code, the inverse of CIE L*.
_LIGHTNESS = np.arange(256) / _CODES_PER_LIGHTNESS
_LUMINANCE_OF_CODE = np.where(
    _LIGHTNESS > 8.0, ((_LIGHTNESS + 16.0) / 116.0) ** 3, _LIGHTNESS * 27.0 / 24389.0
)


def gradient_histogram(grey: NDArray[np.uint8], bands: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Counts (4, 1444) of Sobel magnitudes √(Gx² + Gy²), rounded, in each depth band.

    grey, bands  (H, W) uint8; every second row is counted.
    """
    horizontal, vertical = cv2.spatialGradient(grey)
    magnitude = cv2.magnitude(
        horizontal[::_GRADIENT_ROW_STEP].astype(np.float32),
        vertical[::_GRADIENT_ROW_STEP].astype(np.float32),
    )
    code = np.rint(magnitude, out=magnitude).astype(np.uint16)
    return _banded_histogram(code, bands[::_GRADIENT_ROW_STEP], _SOBEL_BINS)


def laplacian_histogram(grey: NDArray[np.uint8], bands: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Counts (4, 1024) of |∇²|, the Laplacian of four neighbours, in each depth band.

    grey, bands  (H, W) uint8; every second row is counted, the border is not.
    """
    plane = grey.astype(np.int16)
    rows, columns = slice(1, -1, _GRADIENT_ROW_STEP), slice(1, -1)
    laplacian = plane[:-2:_GRADIENT_ROW_STEP, columns] + plane[2::_GRADIENT_ROW_STEP, columns]
    laplacian += plane[rows, :-2]
    laplacian += plane[rows, 2:]
    laplacian -= plane[rows, columns] * np.int16(4)
    code = np.abs(laplacian, out=laplacian).view(np.uint16)
    return _banded_histogram(code, bands[rows, columns], _LAPLACIAN_BINS)


def _banded_histogram(
    code: NDArray[np.uint16], bands: NDArray[np.uint8], bins: int
) -> NDArray[np.float64]:
    code += bands * np.uint16(bins)
    counts: NDArray[np.float32] = cv2.calcHist([code], [0], None, [4 * bins], [0, 4 * bins])
    return counts.reshape(4, bins).astype(np.float64)


def edge_widths(
    grey: NDArray[np.uint8], bands: NDArray[np.uint8], least_height: float
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Width [px] and depth band of the edges along every eighth row.

    An edge is a longest strictly rising or falling run of grey codes that climbs at least
    `least_height` codes: its width is the distance between the extrema on its two sides
    (Marziliano 2002). Of the bands at its two ends, the nearer one counts.
    """
    rows = grey[::_PROFILE_ROW_STEP].astype(np.int16)
    width = rows.shape[1]
    direction = np.full(rows.shape, 2, dtype=np.int8)  # the 2 in the last column ends the row
    direction[:, :-1] = np.sign(rows[:, 1:] - rows[:, :-1])
    turns = np.flatnonzero(direction.ravel()[1:] != direction.ravel()[:-1]) + 1
    extrema = np.append(0, turns)
    tall = np.abs(np.diff(rows.ravel()[extrema])) >= max(least_height, 1.0)
    starts, ends = extrema[:-1][tall], extrema[1:][tall]
    within_row = starts % width != width - 1
    starts, ends = starts[within_row], ends[within_row]
    label = bands[::_PROFILE_ROW_STEP].ravel()
    return ends - starts, np.maximum(label[starts], label[ends])


def skyline_sharpness(
    luminance: NDArray[np.uint16], skyline: NDArray[np.int32], contrast: float
) -> tuple[float, float, float]:
    """Sharpness [px-1], step [1] and width [px] of the skyline, in linear light.

    luminance  (H, W) uint16, relative luminance in 65535ths
    contrast   the step from mean sky to mean near ground
    sharpness  steepest |ΔI| from row to row within 6 px of the skyline, mean over the columns
               that have one, over `contrast`
    step       |mean of the 6 rows above − mean of the 6 rows below|, mean and divisor likewise
    width      step / sharpness
    All nan when under 5 % of the columns have a skyline, or `contrast` is not at least 0.02.
    """
    nan = float("nan")
    height, width = luminance.shape
    columns = np.flatnonzero((skyline > 0) & (skyline < height))
    if columns.size < MIN_SKYLINE_SHARE * width or not contrast >= MIN_SKY_GROUND_STEP:
        return nan, nan, nan
    reach = np.arange(-SKYLINE_REACH, SKYLINE_REACH)[:, None]
    rows = np.clip(skyline[columns] + reach, 0, height - 1)
    profile = luminance.ravel().take(rows * width + columns) / 65535.0
    sharpness = float(np.abs(np.diff(profile, axis=0)).max(axis=0).mean() / contrast)
    above, below = profile[:SKYLINE_REACH].mean(axis=0), profile[SKYLINE_REACH:].mean(axis=0)
    step = float(np.abs(above - below).mean() / contrast)
    return sharpness, step, step / sharpness if sharpness > 0 else nan


_SCOPE_MEANINGS: tuple[tuple[str, str, str, Literal[-1, 0, 1], str, tuple[float, float]], ...] = (
    ("gradient_mean", "L* px-1", "mean Sobel gradient", -1, LIU, (0, 71)),
    ("gradient_p95", "L* px-1", "95th percentile of the Sobel gradient", -1, LIU, (0, 71)),
    ("tenengrad", "L*2 px-2", "mean squared Sobel gradient (Tenengrad)", -1, PERTUZ, (0, 5000)),
    ("laplacian_energy", "L*2 px-4", "mean squared Laplacian", -1, PERTUZ, (0, 160000)),
    (
        "laplacian_to_tenengrad",
        "px-2",
        "Laplacian energy over Tenengrad: fineness, unmoved by contrast",
        0,
        PERTUZ,
        (0, math.inf),
    ),
    (
        "edge_density_faint",
        "1",
        "share of pixels steeper than 2 % of the range per px",
        0,
        LIU,
        (0, 1),
    ),
    (
        "edge_density_strong",
        "1",
        "share of pixels steeper than 8 % of the range per px",
        0,
        LIU,
        (0, 1),
    ),
)

FAMILY = FeatureFamily(
    "gradient",
    2,
    (
        *(
            Feature(
                f"{name}_{scope}",
                unit,
                f"{meaning}, {'whole photo' if scope == 'photo' else scope + ' band'}",
                # A veil thins the edges of the far band out of the photo's own range.
                -1 if name.startswith("edge_density") and scope == "far" else sign,
                reference,
                bounds,
            )
            for scope in SCOPES
            for name, unit, meaning, sign, reference, bounds in _SCOPE_MEANINGS
        ),
        Feature(
            "gradient_mean_far_to_near",
            "1",
            "ln of the far over the near mean",
            -1,
            LIU,
            (-11.2, 11.2),
        ),
        Feature(
            "laplacian_energy_far_to_near",
            "1",
            "ln of the far over the near energy",
            -1,
            PERTUZ,
            (-18.9, 18.9),
        ),
        Feature(
            "edge_width_photo",
            "px",
            "mean width of tall edges, whole photo",
            0,
            MARZILIANO,
            (1, 639),
        ),
        Feature(
            "edge_width_far", "px", "mean width of tall edges, far band", 0, MARZILIANO, (1, 639)
        ),
        Feature(
            "edge_width_near", "px", "mean width of tall edges, near band", 0, MARZILIANO, (1, 639)
        ),
        Feature(
            "skyline_sharpness",
            "px-1",
            "steepest step at the skyline over that from sky to near ground, linear light",
            -1,
            KOSCHMIEDER,
            (0, 50),
        ),
        Feature(
            "skyline_step",
            "1",
            "step across the skyline over that from sky to near ground, linear light",
            -1,
            KOSCHMIEDER,
            (0, 50),
        ),
        Feature("skyline_width", "px", "step over sharpness of the skyline", 0, MARZILIANO, (0, 6)),
    ),
)


def gradient_features(light: Light, geometry: PictureGeometry) -> dict[str, float]:
    """The features of FAMILY; nan in a band under 400 pixels, and for widths of under 20 edges."""
    counted = slice(None, None, _TONE_ROW_STEP)
    codes = cv2.calcHist(
        (geometry.bands[counted], light.grey[counted]), (0, 1), None, (4, 256), (0, 4, 0, 256)
    ).astype(np.float64)
    lowest, highest = _quantiles(codes.sum(axis=0, keepdims=True), 0.01, 0.99)
    lightness_range = float(highest[0] - lowest[0])

    by_scope = _scope_statistics(
        _with_whole_photo(gradient_histogram(light.grey, geometry.bands)),
        _with_whole_photo(laplacian_histogram(light.grey, geometry.bands)),
        lightness_range,
    )
    values = {
        f"{name}_{scope}": by_scope[name][k]
        for k, scope in enumerate(SCOPES)
        for name, *_ in _SCOPE_MEANINGS
    }
    for name in ("gradient_mean", "laplacian_energy"):
        values[f"{name}_far_to_near"] = np.log(
            (values[f"{name}_far"] + LEAST_GRADIENT) / (values[f"{name}_near"] + LEAST_GRADIENT)
        )

    widths, bands = edge_widths(light.grey, geometry.bands, EDGE_HEIGHT * lightness_range)
    for scope, among in (
        ("photo", widths),
        ("far", widths[bands == FAR]),
        ("near", widths[bands == NEAR]),
    ):
        values[f"edge_width_{scope}"] = among.mean() if among.size >= MIN_EDGES else np.nan

    sky, ground = (
        codes[band] @ _LUMINANCE_OF_CODE / codes[band].sum() if codes[band].any() else np.nan
        for band in (SKY, NEAR)
    )
    skyline = skyline_sharpness(light.luminance_code, geometry.skyline, abs(sky - ground))
    values |= zip(("skyline_sharpness", "skyline_step", "skyline_width"), skyline, strict=True)
    return {name: float(values[name]) for name in FAMILY.names}


def _with_whole_photo(by_band: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.vstack([by_band.sum(axis=0), by_band])


def _scope_statistics(
    gradients: NDArray[np.float64], laplacians: NDArray[np.float64], lightness_range: float
) -> dict[str, NDArray[np.float64]]:
    """Each statistic of _SCOPE_MEANINGS, for all SCOPES at once, from histograms (5, bins)."""
    totals = gradients.sum(axis=1)
    totals[totals * _GRADIENT_ROW_STEP < MIN_BAND_PIXELS] = np.nan
    mean, mean_square = (gradients @ _SOBEL_POWERS).T / totals
    tenengrad = mean_square * _SOBEL_TO_LIGHTNESS**2
    laplacian_totals = np.where(np.isnan(totals), np.nan, laplacians.sum(axis=1))
    # A band may have pixels in the rows of the one and none in the rows of the other.
    laplacian_totals[laplacian_totals == 0] = np.nan
    laplacian_energy = laplacians @ _LAPLACIAN_SQUARE / laplacian_totals / _CODES_PER_LIGHTNESS**2
    (p95,) = _quantiles(gradients, 0.95)
    # A flat photo has no edges: one unit of the Sobel sum is the least that counts.
    densities = {
        name: gradients[:, int(np.ceil(max(8.0 * threshold * lightness_range, 1.0))) :].sum(axis=1)
        / totals
        for name, threshold in EDGE_THRESHOLDS.items()
    }
    return {
        "gradient_mean": mean * _SOBEL_TO_LIGHTNESS,
        "gradient_p95": np.where(np.isnan(totals), np.nan, p95 * _SOBEL_TO_LIGHTNESS),
        "tenengrad": tenengrad,
        "laplacian_energy": laplacian_energy,
        "laplacian_to_tenengrad": laplacian_energy / np.where(tenengrad > 0, tenengrad, np.nan),
        **densities,
    }


def _quantiles(counts: NDArray[np.float64], *levels: float) -> list[NDArray[np.float64]]:
    """Of histograms (n, bins): the bin at which each level of the distribution is reached."""
    cumulative = np.cumsum(counts, axis=1)
    return [(cumulative < q * cumulative[:, -1:]).sum(axis=1).astype(np.float64) for q in levels]
