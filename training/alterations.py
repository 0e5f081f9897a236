"""Altered copies of a photo: one thing changed, of which it is known what it means for PM2.5.

    haze       light on its way is scattered: PM2.5 is higher, by how much follows from physics
    nuisance   exposure, compression, sharpness: the air is what it was

Features that move with the first and not with the second are worth reading, and models are shown
both. Haze is Koschmieder's, in linear light,

    I'(x) = I(x) t(x) + A (1 − t(x)),   t = exp(−τ w(x)),   0 ≤ w ≤ 1,

where τ is the optical depth that is added at the horizon. How distance, and with it w, grows from
the lower border to the horizon differs between views: evenly in a steep street, only close to the
horizon over a plane. The airlight A lies between the horizon's colour and the brightest light.
Both are drawn for each photo, and stay the same for all its copies.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from features.light import SRGB_TO_LINEAR, Light, srgb_of
from features.sky import HORIZON_SKY, PictureGeometry, picture_geometry

# A plane seen from above: the share w of the horizon's distance reached at height x below it,
# ∝ 1 / (x + c), with c the nearness of the lower border.
_PLANE = 0.08
_LINEAR_STEPS = 4096


@dataclass(frozen=True)
class Alteration:
    """One change of a photo.

    optical_depth  added at the horizon [1]; 0 where the air stays as it is
    before         the alteration that this one goes a step further than; None: the photo itself
    """

    name: str
    optical_depth: float = 0.0
    before: str | None = None

    @property
    def is_haze(self) -> bool:
        return self.optical_depth > 0


ALTERATIONS = (
    Alteration("haze_0.1", 0.1),
    Alteration("haze_0.2", 0.2, "haze_0.1"),
    Alteration("haze_0.4", 0.4, "haze_0.2"),
    Alteration("haze_0.8", 0.8, "haze_0.4"),
    Alteration("haze_1.6", 1.6, "haze_0.8"),
    Alteration("haze_3.0", 3.0, "haze_1.6"),
    Alteration("exposure_-1"),
    Alteration("exposure_+1"),
    Alteration("jpeg_60"),
    Alteration("half_size"),
)


def altered(pixels: NDArray[np.uint8], light: Light, seed: int) -> dict[str, NDArray[np.uint8]]:
    """Every alteration of a photo by name: sRGB `pixels` (H, W, 3) and their `light`.

    `seed` draws what is unknown about the view; the same seed gives the same pictures.
    """
    geometry = picture_geometry(light)
    linear = SRGB_TO_LINEAR[pixels]
    rng = np.random.Generator(np.random.PCG64(seed))
    way = _way(geometry, rng)
    airlight = _airlight(linear, geometry, rng)
    pictures = {}
    for change in ALTERATIONS:
        if change.is_haze:
            t = np.exp(-change.optical_depth * way)[:, np.newaxis, np.newaxis]
            pictures[change.name] = _encoded(linear * t + airlight * (1 - t))
    pictures["exposure_-1"] = _encoded(linear * np.float32(0.5))
    pictures["exposure_+1"] = _encoded(linear * np.float32(2.0))
    pictures["jpeg_60"] = _recompressed(pixels, 60)
    height, width = pixels.shape[:2]
    half = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    pictures["half_size"] = cv2.resize(half, (width, height)).astype(np.uint8)
    return pictures


def _way(geometry: PictureGeometry, rng: np.random.Generator) -> NDArray[np.float32]:
    """w of each row (H,): 0 at the lower border, 1 at the horizon and in the sky above."""
    height, width = geometry.bands.shape
    edges = geometry.skyline[geometry.skyline > 0]
    # Where most columns show no skyline, the horizon is taken to be half way up.
    row = float(np.median(edges)) if len(edges) > 0.3 * width else height / 2
    horizon = min(row, 0.75 * height)
    below = np.clip((np.arange(height) + 0.5 - horizon) / (height - horizon), 0, 1)
    if rng.random() < 0.5:
        way = 1 - below
    else:
        way = (_PLANE / (below + _PLANE) - _PLANE / (1 + _PLANE)) * (1 + _PLANE)
    return np.asarray(way, dtype=np.float32)


def _airlight(
    linear: NDArray[np.float32], geometry: PictureGeometry, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The airlight (3,) in linear light."""
    brightest = np.percentile(linear[::4, ::4].reshape(-1, 3), 99, axis=0)
    zones = geometry.zones
    height, width = (min(a, b) for a, b in zip(zones.shape, linear[::4, ::4].shape, strict=False))
    at_horizon = linear[::4, ::4][:height, :width][zones[:height, :width] == HORIZON_SKY]
    share = rng.random()
    if len(at_horizon) < 100:
        share = 1.0
        at_horizon = brightest[np.newaxis]
    mixed = share * brightest + (1 - share) * np.median(at_horizon, axis=0)
    return np.asarray(mixed, dtype=np.float32)


def _encoded(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    """sRGB codes of linear light [0, 1]; what is brighter is white."""
    steps = np.clip(linear * (_LINEAR_STEPS - 1) + 0.5, 0, _LINEAR_STEPS - 1).astype(np.uint16)
    return np.asarray(_CODE_OF_STEP[steps])


def _srgb_codes() -> NDArray[np.uint8]:
    light = np.arange(_LINEAR_STEPS) / (_LINEAR_STEPS - 1)
    return np.asarray(255 * srgb_of(light) + 0.5, dtype=np.uint8)


_CODE_OF_STEP = _srgb_codes()


def _recompressed(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(
        cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), dtype=np.uint8
    )
