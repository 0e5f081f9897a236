"""The veil: airlight laid over fixed parts of the picture, whose features no geometry can lose.

Where haze hides the distance, a skyline falls to what is still seen, and a far band then measures
nearer things. A fixed part of the picture measures the same things in any haze. With the white
point A in the airlight's place, v = dark(I) / A rises in every pixel that haze is added to, since
I·t + A·(1 − t) is never further from A than I was; so do its means and quantiles over a part
(He et al. 2011 for the dark channel). 1 − v is the transmission of black things.

The white point is the least of the channels' 99 % quantiles in linear light: unlike the colour of
the horizon it does not change when haze brightens a dark horizon, and exposure cancels until
highlights clip. Between views the numbers differ with what they show; within one view, with haze.

The belt is the rows from 40 to 70 % of the height, where most horizons and what lies under them
are found.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from features.detail import HORIZON_ROWS
from features.light import SRGB_TO_LINEAR, Light, quarter_of
from features.schema import Feature, FeatureFamily
from features.sky import FAR_ZONE, N_ZONES, NEAR_ZONE, PictureGeometry

_HE = "He et al. 2011, doi:10.1109/TPAMI.2010.168"
_KOSCHMIEDER = "Koschmieder 1924"

_PATCH = 15  # px at the working size, as for the dark channel of the ground
_WHITE_SHARE = 0.99
_WHITE_FLOOR = 0.005  # linear light
_MIN_CELLS = 30  # of a band at quarter size: fewer have no statistics
_LOG_FLOOR = 0.01  # added to v before its logarithm
_MIN_TRANSMISSION = 0.02  # bounds the depth at 3.9
_DETAIL_FLOOR = 0.1  # [sRGB codes] added before the logarithm
_CLEAR, _DENSE = 0.2, 0.8  # v below which things count as clear, and above which as hidden
_DETAIL_RANGE = (-2.31, 5.55)

# The parts: strips of rows by where they end [share of the height], and what each part is made of.
_STRIP_ENDS = (1 / 3, 0.4, 2 / 3, 0.7, 1.0)
_PARTS = {
    "picture": ((1, 1, 1, 1, 1), "of the whole picture"),
    "upper_third": ((1, 0, 0, 0, 0), "of the upper third"),
    "middle_third": ((0, 1, 1, 0, 0), "of the middle third"),
    "lower_third": ((0, 0, 0, 1, 1), "of the lower third"),
    "belt": ((0, 0, 1, 1, 0), "of the belt"),
}
_MEMBERS = np.array([members for members, _ in _PARTS.values()], dtype=np.float64)
_LINEAR = SRGB_TO_LINEAR.astype(np.float64)

_STATISTICS = (
    ("mean", "mean veil", (0.0, 1.0)),
    ("p10", "10 % quantile of the veil", (0.0, 1.0)),
    ("p25", "25 % quantile of the veil", (0.0, 1.0)),
    ("p75", "75 % quantile of the veil", (0.0, 1.0)),
    ("log_mean", f"mean ln(veil + {_LOG_FLOOR})", (-4.61, 0.01)),
    ("depth", "mean −ln(1 − veil)", (0.0, 3.92)),
)

FAMILY = FeatureFamily(
    name="veil",
    version=1,
    features=(
        *(
            Feature(f"{part}_veil_{name}", "1", f"{what} {place}", 1, _HE, bounds)
            for part, (_, place) in _PARTS.items()
            for name, what, bounds in _STATISTICS
        ),
        Feature(
            "belt_row_veil",
            "1",
            "mean over the belt's rows of the 25 % quantile of the veil in each: its darker things",
            1,
            _HE,
            (0, 1),
        ),
        Feature(
            "belt_lower_veil_difference",
            "1",
            "belt_row_veil minus the 25 % quantile of the veil of the lower third: far minus near, "
            "without a skyline",
            1,
            _HE,
            (-1, 1),
        ),
        Feature(
            "clear_fraction", "1", f"share of the picture with veil < {_CLEAR}", -1, _HE, (0, 1)
        ),
        Feature(
            "veiled_fraction",
            "1",
            f"share of the picture with veil > {_DENSE}: white-out, and what is white by itself",
            1,
            _HE,
            (0, 1),
        ),
        Feature("far_veil_mean", "1", "mean veil of the far band", 1, _HE, (0, 1)),
        Feature("far_veil_p50", "1", "median of the veil of the far band", 1, _HE, (0, 1)),
        Feature("far_veil_depth", "1", "mean −ln(1 − veil) of the far band", 1, _HE, (0, 3.92)),
        Feature(
            "far_near_veil_difference",
            "1",
            "mean veil of the far band minus that of the near band",
            1,
            _HE,
            (-1, 1),
        ),
        Feature(
            "picture_detail_log",
            "1",
            "ln of the mean step of lightness from side to side over 8 px [sRGB codes]",
            -1,
            _KOSCHMIEDER,
            _DETAIL_RANGE,
        ),
        Feature("belt_detail_log", "1", "the same over the belt", -1, _KOSCHMIEDER, _DETAIL_RANGE),
        Feature(
            "horizon_detail_log",
            "1",
            "the same over the 32 px below the row where detail sets in",
            -1,
            _KOSCHMIEDER,
            _DETAIL_RANGE,
        ),
    ),
)


def veil_features(light: Light, geometry: PictureGeometry) -> dict[str, float]:
    """The features of FAMILY for one photo; nan where a band has too few cells."""
    dark = dark_channel(light)
    levels = np.minimum(_LINEAR / white_point(light), 1.0)  # v of each code
    depths = -np.log(np.maximum(1.0 - levels, _MIN_TRANSMISSION))
    # What is averaged, as a function of the code: all regions at once.
    quantities = np.stack(
        [levels, np.log(levels + _LOG_FLOOR), depths, levels < _CLEAR, levels > _DENSE], axis=1
    )
    height = len(dark)
    ends = [round(share * height) for share in _STRIP_ENDS]
    strips = np.repeat(np.arange(len(ends), dtype=np.uint16), np.diff([0, *ends]))
    parts = _MEMBERS @ _counts(dark, strips[:, None], len(ends))
    sizes = parts.sum(axis=1, keepdims=True)
    mean, log_mean, depth, clear, dense = (parts @ quantities / sizes).T
    running = np.cumsum(parts, axis=1)
    p10, p25, p75 = (levels[(running < share * sizes).sum(axis=1)] for share in (0.10, 0.25, 0.75))
    table = (mean, p10, p25, p75, log_mean, depth)
    values = {
        f"{part}_veil_{name}": float(value)
        for (name, *_), row in zip(_STATISTICS, table, strict=True)
        for part, value in zip(_PARTS, row, strict=True)
    }
    belt = dark[ends[1] : ends[3]]
    darker = np.partition(belt, belt.shape[1] // 4, axis=1)[:, belt.shape[1] // 4]
    detail = geometry.row_detail
    belt_row_veil = float(levels[darker].mean())
    values |= {
        "belt_row_veil": belt_row_veil,
        "belt_lower_veil_difference": belt_row_veil - values["lower_third_veil_p25"],
        "clear_fraction": float(clear[0]),
        "veiled_fraction": float(dense[0]),
        "picture_detail_log": _log_detail(detail),
        "belt_detail_log": _log_detail(detail[ends[1] : ends[3]]),
        "horizon_detail_log": _log_detail(detail[geometry.detail_row + 1 :][:HORIZON_ROWS]),
    }
    values |= _band_values(_counts(dark, geometry.zones, N_ZONES), levels, depths)
    return {name: values[name] for name in FAMILY.names}


def _counts(
    codes: NDArray[np.uint8], regions: NDArray[np.unsignedinteger], n_regions: int
) -> NDArray[np.float64]:
    """(n_regions, 256) cells of each code in each region."""
    joint = np.left_shift(regions, 8, dtype=np.uint16) + codes
    size = 256 * n_regions
    counts = cv2.calcHist([joint], [0], None, [size], [0, size]).reshape(n_regions, 256)
    return np.asarray(counts, dtype=np.float64)


def _band_values(
    counts: NDArray[np.float64], levels: NDArray[np.float64], depths: NDArray[np.float64]
) -> dict[str, float]:
    """What is read from the far and the near band, whose cells are counted by code."""
    bands = counts[[FAR_ZONE, NEAR_ZONE]]
    sizes = bands.sum(axis=1)
    known = np.where(sizes < _MIN_CELLS, np.nan, sizes)
    far, near = (bands @ levels / known).tolist()
    median = levels[(np.cumsum(bands[0]) < 0.5 * sizes[0]).sum()] if sizes[0] else np.nan
    return {
        "far_veil_mean": far,
        "far_veil_p50": float(median if sizes[0] >= _MIN_CELLS else np.nan),
        "far_veil_depth": float(bands[0] @ depths / known[0]),
        "far_near_veil_difference": far - near,
    }


def dark_channel(light: Light) -> NDArray[np.uint8]:
    """(H // 4, W // 4) the least channel within the patch, sky included [sRGB codes]."""
    red, green, blue = light.channels
    least = cv2.min(cv2.min(red, green), blue)
    return quarter_of(cv2.erode(least, np.ones((_PATCH, _PATCH), np.uint8)))


def white_point(light: Light) -> float:
    """The least of the channels' 99 % quantiles in linear light [0.005..1]."""
    share = _WHITE_SHARE * light.quarter.shape[0] * light.quarter.shape[1]
    code = min(
        int(
            (
                np.cumsum(cv2.calcHist([light.quarter], [channel], None, [256], [0, 256])) < share
            ).sum()
        )
        for channel in range(3)
    )
    return max(float(_LINEAR[code]), _WHITE_FLOOR)


def _log_detail(rows: NDArray[np.float64]) -> float:
    return float(np.log(rows.mean() + _DETAIL_FLOOR)) if len(rows) else float("nan")
