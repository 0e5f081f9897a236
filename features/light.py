"""The photograph as light: the planes that several feature families read, computed once.

Haze mixes in linear light, people and cameras see in sRGB: whoever computes a transmission
takes `linear`, whoever measures contrast as it is seen takes `lightness`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# IEC 61966-2-1: the sRGB transfer function, for each of the 256 codes.
_CODES = np.arange(256, dtype=np.float64) / 255.0
SRGB_TO_LINEAR = np.where(
    _CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4
).astype(np.float32)


@dataclass(frozen=True)
class Light:
    """The planes of one photo at the working size. All arrays are read-only by convention.

    srgb       (H, W, 3) uint8, RGB as decoded
    linear     (H, W, 3) float32, linear RGB [0..1] (IEC 61966-2-1)
    luminance  (H, W)    float32, relative luminance Y [0..1] (Rec. 709 primaries)
    lightness  (H, W)    float32, CIE L* [0..100]
    hsv        (H, W, 3) float32, hue [deg 0..360], saturation [0..1], value [0..1]
    grey       (H, W)    uint8, L* as a code 0..255 (for histograms, GLCM and LBP)
    """

    srgb: NDArray[np.uint8]
    linear: NDArray[np.float32]
    luminance: NDArray[np.float32]
    lightness: NDArray[np.float32]
    hsv: NDArray[np.float32]
    grey: NDArray[np.uint8]


def light_of(pixels: NDArray[np.uint8]) -> Light:
    """All planes of `pixels`, an sRGB picture (H, W, 3) uint8 in RGB order."""
    linear = cv2.LUT(pixels, SRGB_TO_LINEAR)
    luminance = cv2.transform(linear, np.array([[0.2126, 0.7152, 0.0722]], dtype=np.float32))
    lightness = np.where(
        luminance <= 216 / 24389, luminance * (24389 / 27), 116 * np.cbrt(luminance) - 16
    ).astype(np.float32)
    hsv = cv2.cvtColor(pixels.astype(np.float32) / 255.0, cv2.COLOR_RGB2HSV)
    return Light(
        srgb=pixels,
        linear=linear,
        luminance=luminance,
        lightness=lightness,
        hsv=hsv,
        grey=np.round(lightness * 2.55).astype(np.uint8),
    )
