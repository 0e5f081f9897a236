"""Skylight: how the colour of the sky changes with height, how much of it is cloud, and the sun.

A clear sky is blue overhead and pales towards the horizon, where the path through the air is long.
Fine particles whiten the lower sky first, which steepens the profile of blue over red; thick haze
whitens all of it and flattens the profile again. White balance adds a constant to ln(blue / red),
and leaves slope and fit as they are.

The sun in the picture, or close to it, is scattered forward by the haze: the sky around it is
bright whatever the amount. What is clipped tells nothing, so its share is told.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from features.light import SRGB_TO_LINEAR, Light
from features.schema import Feature, FeatureFamily
from features.sky import FAR_ZONE, PictureGeometry

_LIU = "Liu et al. 2016, doi:10.1371/journal.pone.0145955"
_NAYAR = "Narasimhan & Nayar 2002, doi:10.1023/A:1016328200723"

MIN_CELLS = 30  # of a sky at quarter size: fewer have no statistics
MIN_ROWS = 6  # of cells: fewer have no profile

# Linear light below the fourth sRGB code is noise: it must not decide a ratio of channels.
_LINEAR_FLOOR = 1e-3
_LOG_LINEAR = np.log(np.maximum(SRGB_TO_LINEAR, _LINEAR_FLOOR))

# Cloud scatters red as well as blue: their sRGB ratio in a clear sky lies below this.
_CLOUD_RED_BLUE = 0.75
_CLIPPED = 250  # sRGB code that every channel of a glaring cell reaches
# Shares of the sky: smaller spots are cloud, larger ones a white sky. In four photos of a webcam
# the sun and its bloom take 0.010 to 0.035.
_SMALLEST_SUN, _LARGEST_SUN = 0.0005, 0.1
_LEAST_ROUNDNESS = 0.5

FAMILY = FeatureFamily(
    name="skylight",
    version=1,
    features=(
        Feature(
            "sky_blue_red_slope",
            "1",
            "rise of ln(blue / red), linear light, per picture height upwards: least squares over "
            "the rows of the sky, each weighing as many cells as it has",
            0,
            _LIU,
            (-np.inf, np.inf),
        ),
        Feature("sky_blue_red_fit_r2", "1", "R² of that fit", 0, _LIU, (0, 1)),
        Feature(
            "sky_blue_red_sd",
            "1",
            "standard deviation of ln(blue / red) over the sky",
            -1,
            _LIU,
            (0, 7),
        ),
        Feature(
            "cloud_fraction",
            "1",
            f"share of the sky whose red is above {_CLOUD_RED_BLUE} of its blue [sRGB codes]",
            0,
            _LIU,
            (0, 1),
        ),
        Feature(
            "glare_fraction",
            "1",
            f"share of the sky with every channel at or above {_CLIPPED} [sRGB codes]",
            0,
            _NAYAR,
            (0, 1),
        ),
        Feature(
            "sun_in_frame",
            "1",
            f"1 where what glares is round and at most {_LARGEST_SUN:.0%} of the sky, else 0",
            0,
            _NAYAR,
            (0, 1),
        ),
    ),
)


class _Sky(NamedTuple):
    """The cells of the sky, among the upper rows of cells, all that have some."""

    inside: NDArray[np.bool_]  # (h, w)
    codes: NDArray[np.uint8]  # (h, w, 3)


def skylight_features(light: Light, geometry: PictureGeometry) -> dict[str, float]:
    """The features of FAMILY for one photo; all nan without a sky."""
    inside = geometry.zones < FAR_ZONE
    # A cell with ground under it shows some of that ground.
    inside[:-1] &= inside[1:]
    rows = np.flatnonzero(inside.any(axis=1))
    if geometry.confidence == 0.0 or np.count_nonzero(inside) < MIN_CELLS:
        return dict.fromkeys(FAMILY.names, float("nan"))
    last = int(rows[-1]) + 1
    sky = _Sky(inside[:last], light.quarter[:last])
    red, green, blue = cv2.split(sky.codes)
    n = int(np.count_nonzero(sky.inside))
    cloudy = (red > _CLOUD_RED_BLUE * blue) & sky.inside
    glaring = (cv2.min(cv2.min(red, green), blue) >= _CLIPPED) & sky.inside
    blue_red = np.where(
        sky.inside, cv2.LUT(blue, _LOG_LINEAR) - cv2.LUT(red, _LOG_LINEAR), np.float32(0)
    )
    return {
        **dict(
            zip(FAMILY.names, blue_red_profile(blue_red, sky.inside, len(inside)), strict=False)
        ),
        "cloud_fraction": float(np.count_nonzero(cloudy) / n),
        "glare_fraction": float(np.count_nonzero(glaring) / n),
        "sun_in_frame": float(is_sun(glaring, n)),
    }


def blue_red_profile(
    blue_red: NDArray[np.float32], inside: NDArray[np.bool_], height: int
) -> tuple[float, float, float]:
    """Slope upwards [per `height`], R² and standard deviation of `blue_red` in the sky.

    blue_red, inside  (h, w) upper rows of cells; `blue_red` is 0 where not `inside`
    height            rows of cells of the whole picture
    The slope is that of the rows' means on their height. Slope and R² are nan for fewer than six
    rows; R² is 1 for a profile without any change.
    """
    cells = np.count_nonzero(inside, axis=1).astype(np.float64)
    sums = blue_red.sum(axis=1, dtype=np.float64)
    n = cells.sum()
    mean = sums.sum() / n
    spread = float(np.vdot(blue_red, blue_red)) / n - mean * mean
    sd = float(np.sqrt(max(spread, 0.0)))
    filled = cells > 0
    if np.count_nonzero(filled) < MIN_ROWS:
        return float("nan"), float("nan"), sd
    weight, profile = cells[filled], sums[filled] / cells[filled] - mean
    up = -np.flatnonzero(filled) / height
    up = up - weight @ up / n
    slope = float(weight @ (up * profile) / (weight @ (up * up)))
    total = float(weight @ (profile * profile))
    if total <= 1e-12 * n:
        return slope, 1.0, sd
    left = float(weight @ (profile - slope * up) ** 2)
    return slope, min(max(1.0 - left / total, 0.0), 1.0), sd


def is_sun(glaring: NDArray[np.bool_], n_sky: int) -> bool:
    """Whether the `glaring` cells (h, w) of a sky of `n_sky` cells are one small round spot.

    Roundness is n / (2π (σx² + σy²)), with a cell's own variance of 1/12 taken in: 1 for a disc,
    less for anything drawn out or scattered.
    """
    row, column = np.nonzero(glaring)
    n = len(row)
    if n == 0 or not _SMALLEST_SUN * n_sky <= n <= _LARGEST_SUN * n_sky:
        return False
    variance = float(row.var() + column.var()) + 1 / 6
    return n / (2 * np.pi * variance) >= _LEAST_ROUNDNESS
