"""Visibility: how much contrast reaches the camera, band by band.

Haze of transmission t turns the light J of a scene into J·t + A·(1 − t): every difference of
luminance shrinks to t times itself (Koschmieder 1924). Far things lose most, so the contrast of
the far band, and its ratio to the near band in which exposure cancels, falls with PM2.5.
Ratios are given as natural logarithms: ln t = −β·d is linear in the extinction β [m⁻¹].
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from features.distribution import Distribution, median
from features.light import LIGHTNESS_LEVELS, SRGB_TO_LINEAR, Light
from features.schema import Feature, FeatureFamily
from features.sky import HORIZON_SKY, UPPER_SKY, PictureGeometry

_KOSCHMIEDER = "Koschmieder 1924"
_LIU = "Liu et al. 2016, doi:10.1371/journal.pone.0145955"
_REGIONS = ("", "sky_", "far_", "mid_", "near_")
_FAR, _MID, _NEAR = 2, 3, 4
# Which of the four bands belong to each region: all of them to the picture.
_MEMBERS = np.array(
    [[1, 1, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=np.float64
)

# A band of fewer pixels than this has no statistics: its features are nan.
_MIN_PIXELS = 480
# Every second row is counted. On 309 photos of two data sets that ranks those of a set as all rows
# do: Spearman 0.986 or more for every feature.
_ROW_STEP = 2

# What a code of `Light.lightness_code` stands for.
_LIGHTNESS = np.arange(LIGHTNESS_LEVELS) / 40.95
_LUMINANCE = np.where(_LIGHTNESS > 8.0, ((_LIGHTNESS + 16) / 116) ** 3, _LIGHTNESS * 27 / 24389)
_MAX_SKEWNESS = 10.0
_LUMINANCE_FLOOR = 1e-4  # below the first sRGB code (3e-4): keeps logarithms finite


def _statistics(
    where: str, place: str, signs: tuple[Literal[-1, 0, 1], ...]
) -> tuple[Feature, ...]:
    mean, contrast, order = signs
    return (
        Feature(f"{where}lightness_mean", "L*", f"mean CIE L* {place}", mean, _LIU, (0, 100)),
        Feature(
            f"{where}lightness_sd",
            "L*",
            f"standard deviation of L* {place}",
            contrast,
            _LIU,
            (0, 50),
        ),
        Feature(
            f"{where}rms_contrast",
            "1",
            f"standard deviation of relative luminance Y [0..1] {place}: t times itself where haze "
            "is even, and more where it veils nearer and further things unlike",
            0,
            _LIU,
            (0, 0.5),
        ),
        Feature(
            f"{where}michelson_contrast",
            "1",
            f"(p95 − p5) / (p95 + p5) of relative luminance {place}",
            contrast,
            _KOSCHMIEDER,
            (0, 1),
        ),
        Feature(
            f"{where}entropy",
            "bit",
            f"entropy of the 256-level L* histogram {place}",
            order,
            _LIU,
            (0, 8),
        ),
        Feature(
            f"{where}lightness_skewness",
            "1",
            f"third central moment of L* over its sd³ {place}, cut",
            0,
            _LIU,
            (-_MAX_SKEWNESS, _MAX_SKEWNESS),
        ),
    )


FAMILY = FeatureFamily(
    name="visibility",
    version=3,
    features=(
        *_statistics("", "of the whole picture", (0, 0, 0)),
        *_statistics("sky_", "in the sky", (0, -1, -1)),
        *_statistics("far_", "in the far band", (1, -1, -1)),
        *_statistics("mid_", "in the middle band", (1, -1, -1)),
        *_statistics("near_", "in the near band", (0, 0, 0)),
        Feature(
            "far_near_contrast_log_ratio",
            "1",
            "ln of RMS contrast in the far band over that in the near band",
            -1,
            _KOSCHMIEDER,
            (-8.6, 8.6),
        ),
        Feature(
            "mid_near_contrast_log_ratio",
            "1",
            "ln of RMS contrast in the middle band over that in the near band",
            -1,
            _KOSCHMIEDER,
            (-8.6, 8.6),
        ),
        Feature(
            "far_contrast_over_airlight_log",
            "1",
            "ln of RMS contrast in the far band over the luminance of the horizon sky",
            -1,
            _KOSCHMIEDER,
            (-9.3, 8.6),
        ),
        Feature(
            "far_black_target_contrast",
            "1",
            "1 − p5 of far luminance / horizon sky luminance: t, were the darkest 5 % black",
            -1,
            _KOSCHMIEDER,
            (-1, 1),
        ),
        Feature(
            "mid_black_target_contrast",
            "1",
            "the same for the middle band",
            -1,
            _KOSCHMIEDER,
            (-1, 1),
        ),
        Feature(
            "near_black_target_contrast",
            "1",
            "the same for the near band",
            -1,
            _KOSCHMIEDER,
            (-1, 1),
        ),
        # Haze draws it to 0: down where the band is darker than the sky, up where it is brighter.
        *(
            Feature(
                f"{band}_weber_contrast",
                "1",
                f"1 − mean luminance of the {place} band / that of the horizon sky, cut",
                0,
                _KOSCHMIEDER,
                (-1, 1),
            )
            for band, place in (("far", "far"), ("mid", "middle"), ("near", "near"))
        ),
        Feature(
            "skyline_weber_contrast",
            "1",
            "median over columns of (sky − ground) / sky luminance at the skyline",
            -1,
            _KOSCHMIEDER,
            (-1e4, 1),
        ),
        Feature(
            "skyline_edge_strength",
            "1",
            "mean over columns of the steepest luminance step within 6 px of the skyline, "
            "over the sky's luminance there",
            -1,
            _KOSCHMIEDER,
            (0, 1e4),
        ),
        Feature(
            "skyline_near_contrast_log_ratio",
            "1",
            "ln of |sky − ground| at the skyline over |sky − near band|, mean luminances",
            -1,
            _KOSCHMIEDER,
            (-5, 5),
        ),
        Feature(
            "sky_luminance_gradient_log",
            "1",
            "ln of upper sky luminance over horizon sky luminance",
            0,
            _LIU,
            (-9.3, 9.3),
        ),
        Feature(
            "sky_fraction",
            "1",
            "share of the picture that is sky: what haze hides altogether counts as sky",
            0,
            _LIU,
            (0, 1),
        ),
        Feature(
            "skyline_roughness",
            "1",
            "mean absolute step of the skyline between columns, over the picture's height",
            0,
            _LIU,
            (0, 1),
        ),
        Feature("sky_confidence", "1", "how clearly sky and ground part", 0, _LIU, (0, 1)),
    ),
)


def visibility_features(light: Light, geometry: PictureGeometry) -> dict[str, float]:
    """The features of FAMILY for one photo; nan where a band has too few pixels."""
    bands = Distribution.of(
        light.lightness_code[::_ROW_STEP],
        geometry.bands[::_ROW_STEP],
        (4, LIGHTNESS_LEVELS),
        _MIN_PIXELS // _ROW_STEP,
    )
    regions = bands.merged(_MEMBERS)
    low, high = (regions.quantile(_LUMINANCE, share) for share in (0.05, 0.95))
    rms = regions.sd(_LUMINANCE)
    table = np.column_stack(
        [
            regions.mean(_LIGHTNESS),
            regions.sd(_LIGHTNESS),
            rms,
            (high - low) / np.maximum(high + low, _LUMINANCE_FLOOR),
            regions.coarsened(16).entropy(),
            np.clip(regions.skewness(_LIGHTNESS), -_MAX_SKEWNESS, _MAX_SKEWNESS),
        ]
    )
    values = dict(zip(FAMILY.names, table.ravel().tolist(), strict=False))

    upper, horizon = _zone_luminances(light, geometry)[[UPPER_SKY, HORIZON_SKY]].tolist()
    black = np.clip(1.0 - low / max(horizon, _LUMINANCE_FLOOR), -1.0, 1.0)
    luminance = regions.mean(_LUMINANCE)
    band_weber = np.clip(1.0 - luminance / max(horizon, _LUMINANCE_FLOOR), -1.0, 1.0)
    weber, edge, contrast = _skyline_features(light, geometry, float(luminance[_NEAR]))
    return values | {
        "far_near_contrast_log_ratio": _log_ratio(rms[_FAR], rms[_NEAR]),
        "mid_near_contrast_log_ratio": _log_ratio(rms[_MID], rms[_NEAR]),
        "far_contrast_over_airlight_log": _log_ratio(rms[_FAR], horizon),
        "far_black_target_contrast": float(black[_FAR]),
        "mid_black_target_contrast": float(black[_MID]),
        "near_black_target_contrast": float(black[_NEAR]),
        "far_weber_contrast": float(band_weber[_FAR]),
        "mid_weber_contrast": float(band_weber[_MID]),
        "near_weber_contrast": float(band_weber[_NEAR]),
        "skyline_weber_contrast": weber,
        "skyline_edge_strength": edge,
        "skyline_near_contrast_log_ratio": contrast,
        "sky_luminance_gradient_log": _log_ratio(upper, horizon),
        "sky_fraction": float(bands.counts[0].sum() / bands.counts.sum()),
        "skyline_roughness": _roughness(geometry),
        "sky_confidence": geometry.confidence,
    }


def _zone_luminances(light: Light, geometry: PictureGeometry) -> NDArray[np.float64]:
    """(6,) mean relative luminance of each zone, nan where it has too few cells."""
    red, green, blue = (
        cv2.LUT(channel, SRGB_TO_LINEAR * np.float32(weight))
        for channel, weight in zip(cv2.split(light.quarter), (0.2126, 0.7152, 0.0722), strict=True)
    )
    sums = geometry.zone_members @ (red + green + blue).ravel().astype(np.float64)
    cells = geometry.zone_cells
    means: NDArray[np.float64] = sums / np.where(16 * cells < _MIN_PIXELS, np.nan, cells)
    return means


def _log_ratio(part: float, whole: float) -> float:
    return float(np.log(max(part, _LUMINANCE_FLOOR) / max(whole, _LUMINANCE_FLOOR)))


def _skyline_features(
    light: Light, geometry: PictureGeometry, near_mean: float
) -> tuple[float, float, float]:
    """Weber contrast and edge strength of the skyline, and its contrast over the near band's."""
    height, width = geometry.bands.shape
    columns = np.flatnonzero((geometry.skyline >= 10) & (geometry.skyline <= height - 10))
    if len(columns) < 0.1 * width:
        return float("nan"), float("nan"), float("nan")
    rows = geometry.skyline[columns] + np.arange(-8, 8)[:, None]
    luminance = light.luminance_code.ravel().take(rows * width + columns) / 65535.0
    sky = np.maximum(luminance[0:6].mean(axis=0), _LUMINANCE_FLOOR)
    ground = luminance[10:16].mean(axis=0)
    weber = median((sky - ground) / sky)
    steps = np.abs(np.diff(luminance[2:15], axis=0)).max(axis=0)
    edge = float(np.mean(steps / sky))
    at_skyline, to_near = abs(sky - ground).mean(), abs(sky.mean() - near_mean)
    return weber, edge, float(np.clip(_log_ratio(at_skyline, to_near), -5.0, 5.0))


def _roughness(geometry: PictureGeometry) -> float:
    if geometry.confidence == 0.0:
        return float("nan")
    return float(np.abs(np.diff(geometry.skyline)).mean() / len(geometry.bands))
