"""Haze: dark channel, airlight, transmission.

Outdoors some colour channel of some pixel in every small patch is nearly black. Where even the
darkest is bright, the light came from the air in between: the dark channel measures it. Divided
by the airlight A it gives the transmission t = 1 − ω · dark(I / A), and −ln t is the optical
depth β·d. ω is 1 here: the 0.95 of the literature leaves some haze in for the eye.

The dark channel is stated in linear light: in sRGB codes the noise of a JPEG in deep shadow would
outweigh it (re-encoding at quality 75 moves the far band's mean 3 times as far).

The sky has no transmission and is left out throughout. t and β·d are relative numbers: white
walls, fog and snow read as haze, and one photo cannot tell β from d.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from features.distribution import Distribution
from features.light import SRGB_TO_LINEAR, Light, quarter_of
from features.schema import Feature, FeatureFamily
from features.sky import FAR_ZONE, HORIZON_SKY, N_ZONES, SKY, PictureGeometry

_HE = "He et al. 2011, doi:10.1109/TPAMI.2010.168"
_HE_GUIDED = "He et al. 2013, doi:10.1109/TPAMI.2012.213"
_ZHU = "Zhu et al. 2015, doi:10.1109/TIP.2015.2446191"
_KOSCHMIEDER = "Koschmieder 1924"

_PATCH = 15  # px at the working size: the patch of the literature for pictures of 600 px
_AIRLIGHT_SHARE = 0.001  # of the ground's cells, when no sky shows the airlight
_AIRLIGHT_FLOOR = 0.005  # linear light: at night the air gives none
_MIN_CELLS = 30  # of a band at quarter size: fewer have no statistics

# Guided filter: radius in quarter-size cells (40 px of the photo), variance of the guide below
# which it smooths.
_GUIDED_RADIUS = 10
_GUIDED_EPSILON = 1e-3

_DENSE = 0.2  # transmission below which a pixel counts as hidden
_MIN_TRANSMISSION = 0.02  # where sight ends; also bounds the optical depth at 3.9

_LEVELS = 1024
_TRANSMISSIONS = np.arange(_LEVELS, dtype=np.float64) / (_LEVELS - 1)
_OPTICAL_DEPTHS = -np.log(np.maximum(_TRANSMISSIONS, _MIN_TRANSMISSION))
_IS_HIDDEN = (_TRANSMISSIONS < _DENSE).astype(np.float64)
_LINEAR = SRGB_TO_LINEAR.astype(np.float64)

_BANDS = ("far", "mid", "near")
_REGIONS = ("ground", *_BANDS)
# Which of the six zones belong to each region.
_MEMBERS = np.array(
    [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]],
    dtype=np.float64,
)
_PLACES = {
    "ground": "on everything but the sky",
    "far": "in the far band",
    "mid": "in the middle band",
    "near": "in the near band",
}

FAMILY = FeatureFamily(
    name="haze",
    version=3,
    features=(
        *(
            Feature(
                f"{region}_dark_channel_{name}", "1", f"{what} {_PLACES[region]}", 1, _HE, (0, 1)
            )
            for region in _REGIONS
            for name, what in (
                ("mean", "mean dark channel, in linear light,"),
                ("p50", "median of the dark channel"),
                ("p75", "75 % quantile of the dark channel"),
                ("p90", "90 % quantile of the dark channel"),
            )
        ),
        Feature(
            "far_near_dark_channel_difference",
            "1",
            "mean dark channel of the far band minus that of the near band",
            1,
            _HE,
            (-1, 1),
        ),
        Feature(
            "airlight_luminance",
            "1",
            "relative luminance of the airlight: the median colour of the horizon sky, or of the "
            "cells with the brightest dark channel",
            0,
            _HE,
            (_AIRLIGHT_FLOOR, 1),
        ),
        Feature(
            "airlight_blue_red_log_ratio",
            "1",
            "ln(blue / red) of the airlight in linear light",
            -1,
            _KOSCHMIEDER,
            (-5.3, 5.3),
        ),
        Feature(
            "ground_transmission_mean", "1", "mean transmission of the ground", -1, _HE, (0, 1)
        ),
        *(
            Feature(
                f"ground_transmission_p{share}",
                "1",
                f"{share} % quantile of the ground's transmission, refined by a guided filter",
                -1,
                _HE_GUIDED,
                (0, 1),
            )
            for share in (10, 50, 90)
        ),
        *(
            Feature(
                f"{band}_transmission_mean",
                "1",
                f"mean transmission {_PLACES[band]}",
                -1,
                _HE,
                (0, 1),
            )
            for band in _BANDS
        ),
        *(
            Feature(
                f"{band}_transmission_p{share}",
                "1",
                f"{share} % quantile of transmission {_PLACES[band]}",
                -1,
                _HE,
                (0, 1),
            )
            for band in _BANDS
            for share in (10, 50, 90)
        ),
        Feature(
            "hidden_fraction",
            "1",
            f"share of the ground with transmission < {_DENSE}",
            1,
            _HE,
            (0, 1),
        ),
        *(
            Feature(
                f"{band}_optical_depth",
                "1",
                f"mean −ln t = β·d {_PLACES[band]}",
                1,
                _KOSCHMIEDER,
                (0, 3.92),
            )
            for band in _BANDS
        ),
        Feature(
            "far_near_optical_depth_difference",
            "1",
            "optical depth of the far band minus that of the near band",
            1,
            _KOSCHMIEDER,
            (-3.92, 3.92),
        ),
        *(
            Feature(
                f"{region}_attenuation_depth",
                "1",
                "mean of 0.121779 + 0.959710 v − 0.780245 s (HSV), a relative depth, "
                + _PLACES[region],
                1,
                _ZHU,
                (-0.66, 1.09),
            )
            for region in _REGIONS
        ),
        Feature(
            "far_near_attenuation_depth_difference",
            "1",
            "attenuation depth of the far band minus that of the near band",
            0,
            _ZHU,
            (-1.75, 1.75),
        ),
    ),
)


def haze_features(light: Light, geometry: PictureGeometry) -> dict[str, float]:
    """The features of FAMILY for one photo; nan where a band has too few cells."""
    dark, airlight, transmission = _seen_through(light, geometry)
    zones = geometry.zones[-len(dark) :]

    of_dark = _by_region(dark.astype(np.uint16), zones, len(_LINEAR))
    of_t = _by_region(np.rint(transmission * (_LEVELS - 1)).astype(np.uint16), zones, _LEVELS)
    table = {
        "dark_channel_mean": of_dark.mean(_LINEAR),
        "dark_channel_p50": of_dark.quantile(_LINEAR, 0.5),
        "dark_channel_p75": of_dark.quantile(_LINEAR, 0.75),
        "dark_channel_p90": of_dark.quantile(_LINEAR, 0.9),
        "transmission_mean": of_t.mean(_TRANSMISSIONS),
        "transmission_p10": of_t.quantile(_TRANSMISSIONS, 0.1),
        "transmission_p50": of_t.quantile(_TRANSMISSIONS, 0.5),
        "transmission_p90": of_t.quantile(_TRANSMISSIONS, 0.9),
        "optical_depth": of_t.mean(_OPTICAL_DEPTHS),
        "attenuation_depth": _attenuation_depths(light, geometry),
    }
    values = {
        f"{region}_{quantity}": float(value)
        for quantity, row in table.items()
        for region, value in zip(_REGIONS, row, strict=True)
    }
    values |= {
        "airlight_luminance": float(airlight @ (0.2126, 0.7152, 0.0722)),
        "airlight_blue_red_log_ratio": float(np.log(airlight[2] / airlight[0])),
        "hidden_fraction": float(of_t.mean(_IS_HIDDEN)[0]),
    }
    for quantity in ("dark_channel_mean", "optical_depth", "attenuation_depth"):
        difference = values[f"far_{quantity}"] - values[f"near_{quantity}"]
        values[f"far_near_{quantity.removesuffix('_mean')}_difference"] = difference
    return {name: values[name] for name in FAMILY.names}


def transmission_map(light: Light, geometry: PictureGeometry) -> NDArray[np.float64]:
    """(H // 4, W // 4) transmission of the ground [0..1], the very one that the features are read
    from; nan in the sky.
    """
    _, _, transmission = _seen_through(light, geometry)
    whole = np.full(geometry.zones.shape, np.nan)
    whole[-len(transmission) :] = transmission
    whole[geometry.zones < FAR_ZONE] = np.nan
    return whole


def _seen_through(
    light: Light, geometry: PictureGeometry
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
    """Dark channel (h, w), airlight (3,) and transmission (h, w), at quarter size.

    All are about the ground: rows of cells above the highest of it are left out.
    """
    top = int((geometry.zones >= FAR_ZONE).any(axis=1).argmax())
    darkest = darkest_channels(light, geometry, top)
    dark = np.asarray(cv2.min(cv2.min(darkest[0], darkest[1]), darkest[2]), dtype=np.uint8)
    airlight = airlight_of(light, geometry, dark)
    transmission = transmission_of(darkest, airlight, light.quarter[top:], geometry.zones[top:])
    return dark, airlight, transmission


def darkest_channels(
    light: Light, geometry: PictureGeometry, top: int = 0
) -> list[NDArray[np.uint8]]:
    """Three (h − top, w) at quarter size: each channel's minimum over the patch, without the sky.

    `top` is the first row of cells that is wanted.
    """
    margin = min(top, 2)  # cells that the patch reaches up
    rows = slice(4 * (top - margin), None)
    sky = cv2.compare(geometry.bands[rows], SKY, cv2.CMP_EQ)
    patch = np.ones((_PATCH, _PATCH), np.uint8)
    return [
        quarter_of(cv2.erode(cv2.max(channel[rows], sky), patch))[margin:]
        for channel in light.channels
    ]


def airlight_of(
    light: Light, geometry: PictureGeometry, dark: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """(3,) linear RGB of the air itself: the median of the horizon sky.

    Without one, the mean of the ground's cells whose dark channel is within the highest 0.1 %;
    `dark` holds the lower rows of cells, all that have ground.
    """
    sky = np.flatnonzero(geometry.zones.ravel() == HORIZON_SKY)
    if len(sky) >= _MIN_CELLS:
        codes = light.quarter.reshape(-1, 3).take(sky, axis=0).T.copy()
        codes.sort(axis=1)
        colour = SRGB_TO_LINEAR[codes[:, (len(sky) - 1) // 2]]
    else:
        ground = geometry.zones[-len(dark) :] >= FAR_ZONE
        ground = ground if ground.any() else np.ones_like(ground)
        hazy = np.sort(dark[ground])
        least = hazy[-max(1, round(_AIRLIGHT_SHARE * len(hazy)))]
        brightest = light.quarter[-len(dark) :][ground & (dark >= least)]
        colour = SRGB_TO_LINEAR[brightest].mean(axis=0, dtype=np.float64)
    airlight: NDArray[np.float64] = np.maximum(colour.astype(np.float64), _AIRLIGHT_FLOOR)
    return airlight


def transmission_of(
    darkest: list[NDArray[np.uint8]],
    airlight: NDArray[np.float64],
    guide: NDArray[np.uint8],
    zones: NDArray[np.uint8],
) -> NDArray[np.float64]:
    """(h, w) t = 1 − min over channels of I / A in linear light, [0..1].

    `darkest` are three (h, w) planes; a guided filter draws the edges of t to those of `guide`
    (h, w, 3), over the ground alone. In the sky t is without meaning.
    """
    red, green, blue = (
        cv2.LUT(channel, SRGB_TO_LINEAR / a) for channel, a in zip(darkest, airlight, strict=True)
    )
    raw = 1.0 - np.minimum(cv2.min(cv2.min(red, green), blue), 1.0)
    grey = cv2.cvtColor(guide, cv2.COLOR_RGB2GRAY) / 255.0
    refined = _guided_filter(raw, grey, (zones >= FAR_ZONE).astype(np.float64))
    return np.minimum(np.maximum(refined, 0.0), 1.0)


def _guided_filter(
    plane: NDArray[np.float64], guide: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """He et al. 2013, every window mean weighted: cells of weight 0 touch no other."""
    side = 2 * _GUIDED_RADIUS + 1

    def window_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
        total: NDArray[np.float64] = cv2.blur(values, (side, side), borderType=cv2.BORDER_CONSTANT)
        return total

    n = np.maximum(window_sum(weight), 1e-9)
    weighted_guide, weighted_plane = weight * guide, weight * plane
    mean_guide, mean_plane = window_sum(weighted_guide) / n, window_sum(weighted_plane) / n
    covariance = window_sum(weighted_guide * plane) / n - mean_guide * mean_plane
    variance = window_sum(weighted_guide * guide) / n - mean_guide * mean_guide
    slope = covariance / (variance + _GUIDED_EPSILON)
    offset = mean_plane - slope * mean_guide
    return (window_sum(weight * slope) * guide + window_sum(weight * offset)) / n


def _attenuation_depths(light: Light, geometry: PictureGeometry) -> NDArray[np.float64]:
    """(regions,) mean depth of the colour attenuation prior."""
    depth = 0.121779 + 0.959710 * light.value - 0.780245 * light.saturation
    sums = _MEMBERS @ (geometry.zone_members @ depth.ravel().astype(np.float64))
    cells = _MEMBERS @ geometry.zone_cells
    means: NDArray[np.float64] = sums / np.where(cells < _MIN_CELLS, np.nan, cells)
    return means


def _by_region(codes: NDArray[np.uint16], zones: NDArray[np.uint8], n_levels: int) -> Distribution:
    return Distribution.of(codes, zones, (N_ZONES, n_levels), _MIN_CELLS).merged(_MEMBERS)
