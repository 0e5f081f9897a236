"""Saturation: how much colour the air has left over, and how much of it varies.

What haze adds is nearly white, so it lowers HSV saturation S = 1 − min / max of R, G, B where the
scene is more colourful than the airlight, and draws all of it to one value. Gu et al. (2019) tell
PM2.5 from two entropies of the saturation map of a picture, one of its values and one of its
wavelet coefficients.

S is read from the picture at quarter size, where pixel noise is averaged out, so the wavelet's
scales are 8, 16 and 32 px of the working size. The magnitudes of its coefficients are counted in
bins of fixed width: bins scaled to their spread would not see the loss of contrast. All of it is
whole numbers, so that every processor finds the same.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from features.distribution import Distribution
from features.light import Light
from features.schema import Feature, FeatureFamily
from features.sky import N_ZONES, PictureGeometry

_GU = "Gu et al. 2019, doi:10.1109/TIE.2018.2840515"
_KOSCHMIEDER = "Koschmieder 1924"
_LIU = "Liu et al. 2016, doi:10.1371/journal.pone.0145955"

# A region of fewer quarter-size cells than this has no statistics: its features are nan.
MIN_CELLS = 30
LEVELS = 1024
ENTROPY_LEVELS = 256
SCALES = (8, 16, 32)  # [px], blocks of 2, 4 and 8 cells
# The diagonal sub-band weighs four times as much as either of the others.
_SUB_BAND_WEIGHTS = np.array([1.0, 1.0, 4.0]) / 6.0
_MAGNITUDES = 128
_SUB_BAND_OFFSETS = np.arange(3, dtype=np.int16)[:, None] * np.int16(_MAGNITUDES)
_MAX_SKEWNESS = 10.0
_LEAST_SATURATION = 0.004  # one sRGB code: below it a ratio would divide noise by noise

_SATURATION = np.arange(LEVELS) / (LEVELS - 1.0)
# The regions as sums of the six zones of `features.sky`.
_REGIONS: dict[str, tuple[int, ...]] = {
    "picture": (1, 1, 1, 1, 1, 1),
    "sky": (1, 1, 1, 0, 0, 0),
    "far": (0, 0, 0, 1, 0, 0),
    "mid": (0, 0, 0, 0, 1, 0),
    "near": (0, 0, 0, 0, 0, 1),
    "ground": (0, 0, 0, 1, 1, 1),
    "upper_sky": (1, 0, 0, 0, 0, 0),
    "horizon_sky": (0, 0, 1, 0, 0, 0),
}
_MEMBERS = np.array(list(_REGIONS.values()), dtype=np.float64)
_WITH_ENTROPY = ("picture", "ground", "far")
_ENTROPY_MEMBERS = np.array([_REGIONS[name] for name in _WITH_ENTROPY], dtype=np.float64)
_WITH_MOMENTS: dict[str, tuple[str, Literal[-1, 0], Literal[-1, 0]]] = {
    # Place, sign of the mean, sign of the spread: grey roofs near by may gain saturation from haze.
    "picture": ("of the whole picture", -1, -1),
    "sky": ("of the sky", -1, -1),
    "far": ("of the far band", -1, -1),
    "mid": ("of the middle band", 0, -1),
    "near": ("of the near band", 0, 0),
}

FAMILY = FeatureFamily(
    name="saturation",
    version=1,
    features=(
        *(
            feature
            for region, (place, of_mean, of_spread) in _WITH_MOMENTS.items()
            for feature in (
                Feature(
                    f"{region}_saturation_mean", "1", f"mean of S {place}", of_mean, _GU, (0, 1)
                ),
                Feature(
                    f"{region}_saturation_sd",
                    "1",
                    f"standard deviation of S {place}",
                    of_spread,
                    _GU,
                    (0, 0.5),
                ),
                Feature(
                    f"{region}_saturation_skewness",
                    "1",
                    f"third central moment of S over its sd³ {place}",
                    0,
                    _GU,
                    (-_MAX_SKEWNESS, _MAX_SKEWNESS),
                ),
            )
        ),
        Feature(
            "sky_saturation_drop",
            "1",
            "mean S of the upper sky minus that of the horizon sky",
            0,
            _LIU,
            (-1, 1),
        ),
        Feature(
            "far_near_saturation_log_ratio",
            "1",
            "ln of mean S in the far band over that in the near band",
            0,
            _KOSCHMIEDER,
            (-5.53, 5.53),
        ),
        Feature(
            "saturation_entropy",
            "bit",
            f"−Σ p log₂ p of the {ENTROPY_LEVELS}-level histogram of S of the whole picture",
            -1,
            _GU,
            (0, 8),
        ),
        Feature(
            "ground_saturation_entropy",
            "bit",
            "the same for everything but the sky",
            -1,
            _GU,
            (0, 8),
        ),
        Feature("far_saturation_entropy", "bit", "the same for the far band", -1, _GU, (0, 8)),
        *(
            Feature(
                f"saturation_wavelet_entropy_{size}px",
                "bit",
                f"(E_across + E_down + 4 E_diagonal) / 6, E = −Σ p log₂ p of the magnitudes of "
                f"Haar coefficients of S at {size} px, in bins of 1/255",
                -1,
                _GU,
                (0, 7),
            )
            for size in SCALES
        ),
        Feature(
            "saturation_wavelet_entropy", "bit", "mean of these over the scales", -1, _GU, (0, 7)
        ),
    ),
)


def saturation_features(light: Light, geometry: PictureGeometry) -> dict[str, float]:
    """The features of FAMILY for one photo; nan where a region has too few cells."""
    codes = np.rint(light.saturation * (LEVELS - 1)).astype(np.uint16)
    zones = Distribution.of(codes, geometry.zones, (N_ZONES, LEVELS), MIN_CELLS)
    regions = zones.merged(_MEMBERS)
    skewness = np.clip(regions.skewness(_SATURATION), -_MAX_SKEWNESS, _MAX_SKEWNESS)
    mean = dict(zip(_REGIONS, regions.mean(_SATURATION).tolist(), strict=True))
    sd = dict(zip(_REGIONS, regions.sd(_SATURATION).tolist(), strict=True))
    skew = dict(zip(_REGIONS, skewness.tolist(), strict=True))
    levels = zones.merged(_ENTROPY_MEMBERS).coarsened(LEVELS // ENTROPY_LEVELS)
    entropy = dict(zip(_WITH_ENTROPY, levels.entropy().tolist(), strict=True))
    wavelet = wavelet_entropies(codes // np.uint16(LEVELS // ENTROPY_LEVELS))

    values: dict[str, float] = {}
    for region in _WITH_MOMENTS:
        values[f"{region}_saturation_mean"] = mean[region]
        values[f"{region}_saturation_sd"] = sd[region]
        values[f"{region}_saturation_skewness"] = skew[region]
    far, near = (max(mean[band], _LEAST_SATURATION) for band in ("far", "near"))
    return values | {
        "sky_saturation_drop": mean["upper_sky"] - mean["horizon_sky"],
        "far_near_saturation_log_ratio": float(np.log(far / near)),
        "saturation_entropy": entropy["picture"],
        "ground_saturation_entropy": entropy["ground"],
        "far_saturation_entropy": entropy["far"],
        **{
            f"saturation_wavelet_entropy_{size}px": float(value)
            for size, value in zip(SCALES, wavelet, strict=True)
        },
        "saturation_wavelet_entropy": float(wavelet.mean()),
    }


def wavelet_entropies(codes: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Entropy [bit] of Haar coefficients of `codes` (h, w) in 0..255, one for each scale, (3,).

    At each scale three means of blocks are taken from three others; the magnitude of a coefficient
    is half such a difference, 0..127.5, cut to whole codes. Sides are cut to multiples of 8: at the
    bottom, and left and right alike, for an odd excess once each way, so that a mirrored plane has
    the same entropies. nan for a plane with fewer than 8 cells on a side.
    """
    height, width = codes.shape
    coarsest = 2 ** len(SCALES)
    if min(height, width) < coarsest:
        return np.full(len(SCALES), np.nan)
    excess = width % coarsest
    magnitudes = []
    for left in {excess // 2, excess - excess // 2}:
        plane = codes[: height - height % coarsest, left : width - excess + left].astype(np.int16)
        for scale in range(len(SCALES)):
            coefficients, plane = _haar(plane)
            # Sums of 4, 16 and 64 codes: the shift makes means of them.
            coefficients >>= 2 * (scale + 1)
            coefficients += _SUB_BAND_OFFSETS + np.int16(3 * _MAGNITUDES * scale)
            magnitudes.append(coefficients.view(np.uint16).ravel())
    size = 3 * len(SCALES) * _MAGNITUDES
    counts = cv2.calcHist([np.concatenate(magnitudes)], [0], None, [size], [0, size])
    entropies = Distribution(counts.reshape(-1, _MAGNITUDES).astype(np.float64), 1).entropy()
    weighted: NDArray[np.float64] = entropies.reshape(len(SCALES), 3) @ _SUB_BAND_WEIGHTS
    return weighted


def _haar(plane: NDArray[np.int16]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """|across|, |down| and |diagonal| differences, (3, h/2 · w/2), and the sums (h/2, w/2)."""
    upper, lower = plane[::2], plane[1::2]
    both, step = upper + lower, upper - lower
    coefficients = np.empty((3, both.shape[0], both.shape[1] // 2), np.int16)
    np.subtract(both[:, ::2], both[:, 1::2], out=coefficients[0])
    np.add(step[:, ::2], step[:, 1::2], out=coefficients[1])
    np.subtract(step[:, ::2], step[:, 1::2], out=coefficients[2])
    np.abs(coefficients, out=coefficients)
    return coefficients.reshape(3, -1), both[:, ::2] + both[:, 1::2]
