"""Colour: haze bleaches the distance and whitens the horizon.

Light scattered by fine particles is nearly white, so what is mixed with it loses saturation and
chroma and drifts towards the colour of the horizon sky. White balance moves absolute colour as
much as PM2.5 does: differences inside the photo (near to far, zenith side to horizon) are the
robust part. Everything is measured at quarter size, where pixel noise is averaged out; L*, a* and
b* are OpenCV's, within 0.5 of the CIE formulas.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from features.distribution import Distribution
from features.light import SRGB_TO_LINEAR, Light
from features.schema import Feature, FeatureFamily
from features.sky import N_ZONES, PictureGeometry

_HASLER = "Hasler & Süsstrunk 2003"
_GU = "Gu et al. 2019, doi:10.1109/TIE.2018.2840515"
_LIU = "Liu et al. 2016, doi:10.1371/journal.pone.0145955"
_KOSCHMIEDER = "Koschmieder 1924"
_CIE = "CIE 1976 L*a*b*, D65"

# A region of fewer quarter-size cells than this has no colour: its features are nan.
_MIN_CELLS = 30

# Linear light below the fourth sRGB code is noise: it must not decide a ratio of channels.
_LINEAR_FLOOR = 1e-3
_LOG_LINEAR = np.log(np.maximum(SRGB_TO_LINEAR, _LINEAR_FLOOR))

# Cloud scatters red as well as blue: their sRGB ratio in a clear sky lies below this.
_CLOUD_RED_BLUE = 0.75

# The regions that features are computed for, as sums of the six zones of `features.sky`.
_REGIONS: dict[str, tuple[int, ...]] = {
    "picture": (1, 1, 1, 1, 1, 1),
    "sky": (1, 1, 1, 0, 0, 0),
    "upper_sky": (1, 0, 0, 0, 0, 0),
    "horizon_sky": (0, 0, 1, 0, 0, 0),
    "far": (0, 0, 0, 1, 0, 0),
    "mid": (0, 0, 0, 0, 1, 0),
    "near": (0, 0, 0, 0, 0, 1),
}
_REGION_MEMBERS = np.array(list(_REGIONS.values()), dtype=np.float64)
# Whole picture, ground, far band.
_ENTROPY_MEMBERS = np.array(
    [[1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 0, 0]], dtype=np.float64
)
_PLACES = {
    "picture": "of the whole picture",
    "sky": "of the sky",
    "upper_sky": "of the upper sky",
    "horizon_sky": "of the horizon sky",
    "far": "of the far band",
    "mid": "of the middle band",
    "near": "of the near band",
}
_WITH_SATURATION = ("picture", "sky", "far", "mid", "near")
_WITH_CHROMA = ("picture", "upper_sky", "horizon_sky", "far", "near")
_WITH_COLOURFULNESS = ("picture", "sky", "far", "near")
_WITH_BLUE_RED = ("upper_sky", "horizon_sky", "far", "near")


# Haze draws colour towards that of the airlight. Only where this is whiter than the scene does
# saturation fall: grey roofs under a blue sky gain some. So the ground's sign is open.
_SIGN: dict[str, Literal[-1, 0]] = {
    "picture": -1,
    "sky": -1,
    "upper_sky": -1,
    "horizon_sky": -1,
    "far": 0,
    "mid": 0,
    "near": 0,
}


FAMILY = FeatureFamily(
    name="colour",
    version=2,
    features=(
        *(
            feature
            for region in _WITH_SATURATION
            for feature in (
                Feature(
                    f"{region}_saturation_mean",
                    "1",
                    f"mean HSV saturation {_PLACES[region]}",
                    _SIGN[region],
                    _GU,
                ),
                Feature(
                    f"{region}_saturation_sd",
                    "1",
                    f"standard deviation of HSV saturation {_PLACES[region]}",
                    _SIGN[region],
                    _GU,
                ),
            )
        ),
        *(
            feature
            for region in _WITH_CHROMA
            for feature in (
                Feature(f"{region}_a_mean", "a*", f"mean CIE a* {_PLACES[region]}", 0, _CIE),
                Feature(f"{region}_b_mean", "b*", f"mean CIE b* {_PLACES[region]}", 0, _CIE),
                Feature(
                    f"{region}_chroma_mean",
                    "C*",
                    f"mean CIE chroma √(a*² + b*²) {_PLACES[region]}",
                    _SIGN[region],
                    _CIE,
                ),
            )
        ),
        *(
            Feature(
                f"{region}_colourfulness",
                "1",
                f"√(σ²rg + σ²yb) + 0.3 √(μ²rg + μ²yb) [sRGB codes] {_PLACES[region]}",
                _SIGN[region],
                _HASLER,
            )
            for region in _WITH_COLOURFULNESS
        ),
        *(
            Feature(
                f"{region}_blue_red_log_ratio",
                "1",
                f"mean ln(blue / red) in linear light {_PLACES[region]}",
                -1 if region.endswith("sky") else 0,
                _LIU,
            )
            for region in _WITH_BLUE_RED
        ),
        Feature(
            "sky_blue_red_drop",
            "1",
            "ln(blue / red) of the upper sky minus that of the horizon sky: white balance cancels",
            0,
            _LIU,
        ),
        Feature(
            "far_near_blue_red_difference",
            "1",
            "ln(blue / red) of the far band minus that of the near band",
            0,
            _KOSCHMIEDER,
        ),
        Feature(
            "far_horizon_blue_red_distance",
            "1",
            "|ln(blue / red) of the far band − that of the horizon sky|: haze draws it to 0",
            -1,
            _KOSCHMIEDER,
        ),
        Feature(
            "far_horizon_colour_distance",
            "ΔE*ab",
            "CIE 1976 difference between the mean colours of far band and horizon sky",
            -1,
            _CIE,
        ),
        Feature(
            "sky_saturation_drop",
            "1",
            "mean saturation of the upper sky minus that of the horizon sky",
            0,
            _LIU,
        ),
        Feature(
            "far_near_saturation_log_ratio",
            "1",
            "ln of mean saturation in the far band over that in the near band",
            0,
            _KOSCHMIEDER,
        ),
        Feature(
            "far_near_chroma_log_ratio",
            "1",
            "ln of mean chroma in the far band over that in the near band",
            0,
            _KOSCHMIEDER,
        ),
        Feature(
            "saturation_entropy",
            "bit",
            "entropy of the 256-level saturation histogram of the whole picture",
            -1,
            _GU,
        ),
        Feature("ground_saturation_entropy", "bit", "the same for everything but the sky", -1, _GU),
        Feature("far_saturation_entropy", "bit", "the same for the far band", -1, _GU),
        Feature(
            "cloud_fraction",
            "1",
            f"share of the sky whose red is above {_CLOUD_RED_BLUE} of its blue [sRGB codes]",
            0,
            _LIU,
        ),
    ),
)


class _Means(NamedTuple):
    """Means over one region of the planes that `_planes` stacks, in its order."""

    saturation: float
    saturation_squared: float
    lightness: float
    a: float
    b: float
    chroma: float
    red_green: float
    red_green_squared: float
    yellow_blue: float
    yellow_blue_squared: float
    blue_red: float
    cloud: float

    def saturation_sd(self) -> float:
        return _sd(self.saturation, self.saturation_squared)

    def colourfulness(self) -> float:
        spread = np.hypot(
            _sd(self.red_green, self.red_green_squared),
            _sd(self.yellow_blue, self.yellow_blue_squared),
        )
        return float(spread + 0.3 * np.hypot(self.red_green, self.yellow_blue))


def colour_features(light: Light, geometry: PictureGeometry) -> dict[str, float]:
    """The features of FAMILY for one photo; nan where a region has too few cells."""
    saturation, planes = _planes(light)
    of = _region_means(planes, geometry)
    upper, horizon, far, near = (of[name] for name in ("upper_sky", "horizon_sky", "far", "near"))

    values: dict[str, float] = {}
    for name in _WITH_SATURATION:
        values[f"{name}_saturation_mean"] = of[name].saturation
        values[f"{name}_saturation_sd"] = of[name].saturation_sd()
    for name in _WITH_CHROMA:
        values[f"{name}_a_mean"] = of[name].a
        values[f"{name}_b_mean"] = of[name].b
        values[f"{name}_chroma_mean"] = of[name].chroma
    for name in _WITH_COLOURFULNESS:
        values[f"{name}_colourfulness"] = of[name].colourfulness()
    for name in _WITH_BLUE_RED:
        values[f"{name}_blue_red_log_ratio"] = of[name].blue_red

    whole, ground, distance = (
        Distribution.of(saturation, geometry.zones, (N_ZONES, 256), _MIN_CELLS)
        .merged(_ENTROPY_MEMBERS)
        .entropy()
    )
    return values | {
        "sky_blue_red_drop": upper.blue_red - horizon.blue_red,
        "far_near_blue_red_difference": far.blue_red - near.blue_red,
        "far_horizon_blue_red_distance": abs(far.blue_red - horizon.blue_red),
        "far_horizon_colour_distance": float(
            np.linalg.norm(
                (far.lightness - horizon.lightness, far.a - horizon.a, far.b - horizon.b)
            )
        ),
        "sky_saturation_drop": upper.saturation - horizon.saturation,
        "far_near_saturation_log_ratio": _log_ratio(far.saturation, near.saturation, 0.004),
        "far_near_chroma_log_ratio": _log_ratio(far.chroma, near.chroma, 0.1),
        "saturation_entropy": float(whole),
        "ground_saturation_entropy": float(ground),
        "far_saturation_entropy": float(distance),
        "cloud_fraction": of["sky"].cloud,
    }


def _planes(light: Light) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """(h, w) saturation as codes 0..255, and (12, h · w) the planes that `_Means` names."""
    codes = cv2.split(light.quarter)
    saturation = light.saturation
    lightness, a, b = cv2.split(
        cv2.cvtColor(light.quarter.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    )
    red, green, blue = (code.astype(np.float32) for code in codes)
    red_green, yellow_blue = red - green, 0.5 * (red + green) - blue
    planes = np.empty((len(_Means._fields), *saturation.shape))
    for plane, values in zip(
        planes,
        (
            saturation,
            saturation * saturation,
            lightness,
            a,
            b,
            np.sqrt(a * a + b * b),  # cv2.magnitude rounds by where in memory a plane lies
            red_green,
            red_green * red_green,
            yellow_blue,
            yellow_blue * yellow_blue,
            cv2.LUT(codes[2], _LOG_LINEAR) - cv2.LUT(codes[0], _LOG_LINEAR),
            red > _CLOUD_RED_BLUE * blue,
        ),
        strict=True,
    ):
        plane[:] = values
    return np.rint(saturation * 255).astype(np.uint16), planes.reshape(len(planes), -1)


def _region_means(planes: NDArray[np.float64], geometry: PictureGeometry) -> dict[str, _Means]:
    cells = _REGION_MEMBERS @ geometry.zone_cells
    cells[cells < _MIN_CELLS] = np.nan
    means = _REGION_MEMBERS @ (geometry.zone_members @ planes.T) / cells[:, None]
    return {name: _Means(*row) for name, row in zip(_REGIONS, means.tolist(), strict=True)}


def _sd(mean: float, mean_of_squares: float) -> float:
    return float(np.sqrt(np.maximum(mean_of_squares - mean * mean, 0.0)))


def _log_ratio(part: float, whole: float, floor: float) -> float:
    return float(np.log(np.maximum(part, floor) / np.maximum(whole, floor)))
