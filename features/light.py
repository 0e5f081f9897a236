"""The photograph as light: the planes that several feature families read, each computed once.

Haze mixes in linear light, people and cameras see in sRGB: whoever computes a transmission
takes linear light (`SRGB_TO_LINEAR`), whoever measures contrast as it is seen takes `lightness`.

A plane is computed when it is first asked for, so that a family nobody runs costs nothing.
Luminance is summed in whole numbers, 65535 codes for [0..1], from one table per channel:
within 1.5 codes of the exact sum, which is at most 0.021 in L* (in the deepest shadow).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Code = TypeVar("Code", np.uint8, np.uint16)

# IEC 61966-2-1: the sRGB transfer function, for each of the 256 codes.
_CODES = np.arange(256, dtype=np.float64) / 255.0
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4)
SRGB_TO_LINEAR = _LINEAR.astype(np.float32)
_UNIT = _CODES.astype(np.float32)

# Luminance of a channel's code, as a share of 65535: Rec. 709 weights × linear light.
_LUMINANCE_SHARES = tuple(
    np.rint(65535 * weight * _LINEAR).astype(np.uint16) for weight in (0.2126, 0.7152, 0.0722)
)

# CIE 1976 L* of each of the 65536 luminance codes.
_Y = np.arange(65536, dtype=np.float64) / 65535.0
_LIGHTNESS = np.where(_Y <= 216 / 24389, _Y * (24389 / 27), 116 * np.cbrt(_Y) - 16)
_LIGHTNESS_F32 = _LIGHTNESS.astype(np.float32)
_LIGHTNESS_U8 = np.rint(_LIGHTNESS * 2.55).astype(np.uint8)

# L* in steps of 100/4095: fine enough that a histogram of it stands for the plane itself.
LIGHTNESS_LEVELS = 4096
_LIGHTNESS_U12 = np.rint(_LIGHTNESS * 40.95).astype(np.uint16)


@dataclass(frozen=True)
class Light:
    """The planes of one photo at the working size. All arrays are read-only by convention.

    srgb            (H, W, 3) uint8, RGB as decoded
    enlargement     how many pixels a pixel of the file is wide, at least 1; above it, the picture
                    is softer than its size lets expect
    channels        three (H, W) uint8, the same as separate planes
    quarter         (H // 4, W // 4, 3) uint8, mean of 4 × 4 pixels: colour without pixel noise
    saturation      (H // 4, W // 4) float32, HSV saturation [0..1] of `quarter`
    value           (H // 4, W // 4) float32, HSV value [0..1] of `quarter`
    luminance       (H, W)    float32, relative luminance Y [0..1] (Rec. 709 primaries)
    lightness       (H, W)    float32, CIE L* [0..100]
    lightness_code  (H, W)    uint16, L* as a code 0..4095 (for histograms)
    grey            (H, W)    uint8, L* as a code 0..255 (for histograms, GLCM and LBP)
    """

    srgb: NDArray[np.uint8]
    enlargement: float = 1.0

    @cached_property
    def channels(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        red, green, blue = cv2.split(self.srgb)
        return red, green, blue

    @cached_property
    def quarter(self) -> NDArray[np.uint8]:
        return quarter_of(self.srgb)

    @cached_property
    def value(self) -> NDArray[np.float32]:
        red, green, blue = cv2.split(self.quarter)
        value: NDArray[np.float32] = cv2.LUT(cv2.max(cv2.max(red, green), blue), _UNIT)
        return value

    @cached_property
    def saturation(self) -> NDArray[np.float32]:
        red, green, blue = cv2.split(self.quarter)
        grey_part = cv2.LUT(cv2.min(cv2.min(red, green), blue), _UNIT)
        saturation: NDArray[np.float32] = (self.value - grey_part) / np.maximum(
            self.value, _UNIT[1]
        )
        return saturation

    @cached_property
    def luminance_code(self) -> NDArray[np.uint16]:
        """(H, W) uint16, relative luminance in 65535ths."""
        red, green, blue = (
            cv2.LUT(channel, share)
            for channel, share in zip(self.channels, _LUMINANCE_SHARES, strict=True)
        )
        total: NDArray[np.uint16] = cv2.add(cv2.add(red, green), blue)
        return total

    @cached_property
    def luminance(self) -> NDArray[np.float32]:
        return self.luminance_code * np.float32(1 / 65535)

    @cached_property
    def lightness(self) -> NDArray[np.float32]:
        plane: NDArray[np.float32] = cv2.LUT(self.luminance_code, _LIGHTNESS_F32)
        return plane

    @cached_property
    def lightness_code(self) -> NDArray[np.uint16]:
        plane: NDArray[np.uint16] = cv2.LUT(self.luminance_code, _LIGHTNESS_U12)
        return plane

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        plane: NDArray[np.uint8] = cv2.LUT(self.luminance_code, _LIGHTNESS_U8)
        return plane


def light_of(pixels: NDArray[np.uint8]) -> Light:
    """The light of bare `pixels`, an sRGB picture (H, W, 3) uint8 in RGB order."""
    return Light(np.ascontiguousarray(pixels))


def srgb_of(light: NDArray[np.floating]) -> NDArray[np.floating]:
    """sRGB [0..1] of linear light [0..1] (IEC 61966-2-1), the inverse of `SRGB_TO_LINEAR`."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def quarter_of(plane: NDArray[Code]) -> NDArray[Code]:
    """Means of 4 × 4 pixels, (H // 4, W // 4[, 3]); up to three rows at the lower border go.

    Where the width is no multiple of 4, cells counted from the left and from the right border
    are averaged: a mirrored picture gives the mirrored cells.
    """
    rows, columns = 4 * (plane.shape[0] // 4), 4 * (plane.shape[1] // 4)
    if columns == plane.shape[1]:
        return _half(_half(plane[:rows]))
    left, right = plane[:rows, :columns], plane[:rows, -columns:]
    means: NDArray[Code] = cv2.addWeighted(_half(_half(left)), 0.5, _half(_half(right)), 0.5, 0.0)
    return means


def _half(plane: NDArray[Code]) -> NDArray[Code]:
    """Twice a half costs a third of a quarter at once."""
    size = (plane.shape[1] // 2, plane.shape[0] // 2)
    half: NDArray[Code] = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return half
