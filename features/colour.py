"""Colour: haze bleaches the distance and whitens the horizon.

Light scattered by fine particles is nearly white, so what is mixed with it loses chroma and drifts
towards the colour of the horizon sky. White balance moves absolute colour as much as PM2.5 does:
differences inside the photo (near to far, zenith side to horizon) are the robust part. Everything
is measured at quarter size, where pixel noise is averaged out; L*, a* and b* are OpenCV's, within
0.5 of the CIE formulas.

Hue is an angle and has no moments of its own: its direction is that of the means of a* and b*, and
how much it scatters is told by their length beside the mean chroma. Skewness is given for HSV value
(and saturation, in `features.saturation`), which end at 0 and 1; a* and b* change sign, and the
third moment of such a mixture says which things are in view.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from features.distribution import Distribution
from features.light import SRGB_TO_LINEAR, Light
from features.schema import Feature, FeatureFamily
from features.sky import FAR_ZONE, N_ZONES, PictureGeometry

_HASLER = "Hasler & Süsstrunk 2003"
_LIU = "Liu et al. 2016, doi:10.1371/journal.pone.0145955"
_KOSCHMIEDER = "Koschmieder 1924"
_CIE = "CIE 1976 L*a*b*, D65"
_SMITH = "Smith 1978, doi:10.1145/800248.807361"
_BUCHSBAUM = "Buchsbaum 1980, doi:10.1016/0016-0032(80)90058-7"

# A region of fewer quarter-size cells than this has no colour: its features are nan.
_MIN_CELLS = 30

# Linear light below the fourth sRGB code is noise: it must not decide a ratio of channels.
_LINEAR_FLOOR = 1e-3
_LOG_LINEAR = np.log(np.maximum(SRGB_TO_LINEAR, _LINEAR_FLOOR))
_LOG_RANGE = (-6.91, 6.91)  # of a ratio of two channels in linear light

_VALUE = np.arange(256) / 255.0
_MAX_SKEWNESS = 10.0
_LEAST_CHROMA = 0.1  # below it a ratio of chromas, or the scatter of a hue, is rounding

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
_PLACES = {
    "picture": "of the whole picture",
    "sky": "of the sky",
    "upper_sky": "of the upper sky",
    "horizon_sky": "of the horizon sky",
    "far": "of the far band",
    "mid": "of the middle band",
    "near": "of the near band",
}
_WITH_VALUE = ("picture", "sky", "far", "mid", "near")
_WITH_CHROMA = ("picture", "upper_sky", "horizon_sky", "far", "mid", "near")
_WITH_COLOURFULNESS = ("picture", "sky", "far", "mid", "near")
_WITH_BLUE_RED = ("upper_sky", "horizon_sky", "far", "mid", "near")

# Every difference between colours shrinks to t times itself, so their spread falls; a mean moves
# towards the airlight's, up or down, and only overhead is this surely the paler one.
_SKIES = ("sky", "upper_sky", "horizon_sky")
_FADING = ("picture", *_SKIES, "far")


def _falls(region: str, among: tuple[str, ...]) -> Literal[-1, 0]:
    return -1 if region in among else 0


def _value_features(region: str) -> tuple[Feature, ...]:
    name, place = f"{region}_value", _PLACES[region]
    limits = (-_MAX_SKEWNESS, _MAX_SKEWNESS)
    rises: Literal[0, 1] = 1 if region == "far" else 0
    return (
        Feature(
            f"{name}_mean", "1", f"mean of HSV value max(R, G, B) {place}", rises, _SMITH, (0, 1)
        ),
        Feature(
            f"{name}_sd",
            "1",
            f"standard deviation of HSV value {place}",
            _falls(region, _FADING),
            _SMITH,
            (0, 0.5),
        ),
        Feature(f"{name}_skewness", "1", f"skewness of HSV value {place}, cut", 0, _SMITH, limits),
    )


def _chroma_features(region: str) -> tuple[Feature, ...]:
    place, sign = _PLACES[region], _falls(region, _FADING)
    spread = "standard deviation of CIE"
    return (
        Feature(f"{region}_a_mean", "a*", f"mean CIE a* {place}", 0, _CIE, (-128, 128)),
        Feature(f"{region}_b_mean", "b*", f"mean CIE b* {place}", 0, _CIE, (-128, 128)),
        Feature(
            f"{region}_chroma_mean",
            "C*",
            f"mean CIE chroma √(a*² + b*²) {place}",
            _falls(region, ("upper_sky",)),
            _CIE,
            (0, 182),
        ),
        Feature(f"{region}_a_sd", "a*", f"{spread} a* {place}", sign, _CIE, (0, 128)),
        Feature(f"{region}_b_sd", "b*", f"{spread} b* {place}", sign, _CIE, (0, 128)),
        Feature(
            f"{region}_chroma_sd",
            "C*",
            f"{spread} chroma {place}",
            _falls(region, ("picture", *_SKIES)),
            _CIE,
            (0, 91),
        ),
        Feature(
            f"{region}_hue_concentration",
            "1",
            f"√(ā*² + b̄*²) / mean chroma {place}: 1 where all is of one hue",
            0,
            _CIE,
            (0, 1),
        ),
    )


FAMILY = FeatureFamily(
    name="colour",
    version=3,
    features=(
        *(feature for region in _WITH_VALUE for feature in _value_features(region)),
        *(feature for region in _WITH_CHROMA for feature in _chroma_features(region)),
        *(
            Feature(
                f"{region}_colourfulness",
                "1",
                f"√(σ²rg + σ²yb) + 0.3 √(μ²rg + μ²yb) [sRGB codes] {_PLACES[region]}",
                _falls(region, ("picture", *_SKIES)),
                _HASLER,
                (0, 480),
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
                _LOG_RANGE,
            )
            for region in _WITH_BLUE_RED
        ),
        Feature(
            "sky_blue_red_drop",
            "1",
            "ln(blue / red) of the upper sky minus that of the horizon sky: white balance cancels",
            0,
            _LIU,
            (-13.82, 13.82),
        ),
        Feature(
            "far_near_blue_red_difference",
            "1",
            "ln(blue / red) of the far band minus that of the near band",
            0,
            _KOSCHMIEDER,
            (-13.82, 13.82),
        ),
        Feature(
            "far_horizon_blue_red_distance",
            "1",
            "|ln(blue / red) of the far band − that of the horizon sky|: haze draws it to 0",
            -1,
            _KOSCHMIEDER,
            (0, 13.82),
        ),
        Feature(
            "far_horizon_colour_distance",
            "ΔE*ab",
            "CIE 1976 difference between the mean colours of far band and horizon sky",
            -1,
            _CIE,
            (0, 376),
        ),
        Feature(
            "far_near_chroma_log_ratio",
            "1",
            "ln of mean chroma in the far band over that in the near band",
            0,
            _KOSCHMIEDER,
            (-7.51, 7.51),
        ),
        Feature(
            "grey_world_red_log_gain",
            "1",
            "ln of mean red over mean green in linear light on everything but the sky",
            0,
            _BUCHSBAUM,
            _LOG_RANGE,
        ),
        Feature(
            "grey_world_blue_log_gain",
            "1",
            "ln of mean blue over mean green in linear light on everything but the sky",
            0,
            _BUCHSBAUM,
            _LOG_RANGE,
        ),
    ),
)


class _Means(NamedTuple):
    """Means over one region of the planes that `_planes` stacks, in its order."""

    lightness: float
    a: float
    b: float
    chroma: float
    a_squared: float
    chroma_squared: float
    red_green: float
    red_green_squared: float
    yellow_blue: float
    yellow_blue_squared: float
    blue_red: float

    def chroma_moments(self) -> tuple[float, ...]:
        """The values of `_chroma_features`, in their order."""
        return (
            self.a,
            self.b,
            self.chroma,
            _sd(self.a, self.a_squared),
            _sd(self.b, self.chroma_squared - self.a_squared),
            _sd(self.chroma, self.chroma_squared),
            min(float(np.hypot(self.a, self.b)) / max(self.chroma, _LEAST_CHROMA), 1.0),
        )

    def colourfulness(self) -> float:
        spread = np.hypot(
            _sd(self.red_green, self.red_green_squared),
            _sd(self.yellow_blue, self.yellow_blue_squared),
        )
        return float(spread + 0.3 * np.hypot(self.red_green, self.yellow_blue))


def colour_features(light: Light, geometry: PictureGeometry) -> dict[str, float]:
    """The features of FAMILY for one photo; nan where a region has too few cells."""
    of = _region_means(_planes(light), geometry)
    upper, horizon, far, near = (of[name] for name in ("upper_sky", "horizon_sky", "far", "near"))
    distance = (far.lightness - horizon.lightness, far.a - horizon.a, far.b - horizon.b)
    values = [
        *_value_moments(light, geometry),
        *(moment for region in _WITH_CHROMA for moment in of[region].chroma_moments()),
        *(of[region].colourfulness() for region in _WITH_COLOURFULNESS),
        *(of[region].blue_red for region in _WITH_BLUE_RED),
        upper.blue_red - horizon.blue_red,
        far.blue_red - near.blue_red,
        abs(far.blue_red - horizon.blue_red),
        float(np.linalg.norm(distance)),
        _log_ratio(far.chroma, near.chroma, _LEAST_CHROMA),
        *_grey_world_gains(light, geometry),
    ]
    return dict(zip(FAMILY.names, values, strict=True))


def _value_moments(light: Light, geometry: PictureGeometry) -> list[float]:
    """Mean, sd and skewness of HSV value, one region after the other."""
    codes = np.rint(light.value * 255).astype(np.uint16)
    members = _REGION_MEMBERS[[list(_REGIONS).index(region) for region in _WITH_VALUE]]
    regions = Distribution.of(codes, geometry.zones, (N_ZONES, 256), _MIN_CELLS).merged(members)
    skewness = np.clip(regions.skewness(_VALUE), -_MAX_SKEWNESS, _MAX_SKEWNESS)
    moments = np.column_stack([regions.mean(_VALUE), regions.sd(_VALUE), skewness])
    values: list[float] = moments.ravel().tolist()
    return values


def _grey_world_gains(light: Light, geometry: PictureGeometry) -> tuple[float, float]:
    """ln of mean red and mean blue over mean green of the ground, in linear light."""
    ground = (geometry.zones >= FAR_ZONE).view(np.uint8)
    if cv2.countNonZero(ground) < _MIN_CELLS:
        return float("nan"), float("nan")
    red, green, blue, _ = cv2.mean(cv2.LUT(light.quarter, SRGB_TO_LINEAR), ground)
    return _log_ratio(red, green, _LINEAR_FLOOR), _log_ratio(blue, green, _LINEAR_FLOOR)


def _planes(light: Light) -> NDArray[np.float64]:
    """(11, h · w) the planes that `_Means` names."""
    codes = cv2.split(light.quarter)
    lightness, a, b = cv2.split(
        cv2.cvtColor(light.quarter.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    )
    red, green, blue = (code.astype(np.float32) for code in codes)
    red_green, yellow_blue = red - green, 0.5 * (red + green) - blue
    a_squared = a * a
    chroma_squared = a_squared + b * b
    planes = np.empty((len(_Means._fields), *lightness.shape))
    for plane, values in zip(
        planes,
        (
            lightness,
            a,
            b,
            np.sqrt(chroma_squared),  # cv2.magnitude rounds by where in memory a plane lies
            a_squared,
            chroma_squared,
            red_green,
            red_green * red_green,
            yellow_blue,
            yellow_blue * yellow_blue,
            cv2.LUT(codes[2], _LOG_LINEAR) - cv2.LUT(codes[0], _LOG_LINEAR),
        ),
        strict=True,
    ):
        plane[:] = values
    return planes.reshape(len(planes), -1)


def _region_means(planes: NDArray[np.float64], geometry: PictureGeometry) -> dict[str, _Means]:
    cells = _REGION_MEMBERS @ geometry.zone_cells
    cells[cells < _MIN_CELLS] = np.nan
    means = _REGION_MEMBERS @ (geometry.zone_members @ planes.T) / cells[:, None]
    return {name: _Means(*row) for name, row in zip(_REGIONS, means.tolist(), strict=True)}


def _sd(mean: float, mean_of_squares: float) -> float:
    return float(np.sqrt(np.maximum(mean_of_squares - mean * mean, 0.0)))


def _log_ratio(part: float, whole: float, floor: float) -> float:
    return float(np.log(np.maximum(part, floor) / np.maximum(whole, floor)))
