"""From light to pixels: metering, white balance, lens, vignette, noise, tone curve, sRGB.

Every camera differs in these, and none of them tells anything about the air: they are the nuisance
that an estimator must see through.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from features.light import srgb_of
from training.rendering.canvas import Floats

MIDDLE_GREY = 0.18
METER_TARGET = 0.30  # linear value that the meter gives to what it measures, before the tone curve
CODES = 8192  # steps of the tone curve's table
WHITE = 2.0  # linear light where the table ends
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # Rec. 709


@dataclass(frozen=True)
class CameraResponse:
    """How a camera turns light into pixels.

    exposure_ev    stops over what its meter asks for [EV]
    white_balance  gains of R, G, B [1]
    contrast       exponent around middle grey [1]
    saturation     chroma gain [1]
    noise          SD of read noise at middle grey, linear [1]
    blur           radius (SD) of the lens [px at 640 px]
    vignette       light lost in the corners [0..1]
    """

    exposure_ev: float
    white_balance: tuple[float, float, float]
    contrast: float
    saturation: float
    noise: float
    blur: float
    vignette: float


def draw_camera(rng: np.random.Generator) -> CameraResponse:
    """A camera, from a good phone to a cheap webcam."""
    warm, tint = rng.normal(0, 0.05), rng.normal(0, 0.015)
    return CameraResponse(
        exposure_ev=float(rng.normal(0, 0.3)),
        white_balance=(float(1 + warm), float(1 - tint), float(1 - warm)),
        contrast=float(rng.uniform(0.9, 1.25)),
        saturation=float(rng.uniform(0.95, 1.35)),
        noise=float(rng.uniform(0.002, 0.012)),
        blur=float(rng.uniform(0.45, 0.9)),
        vignette=float(rng.uniform(0.0, 0.25)),
    )


def develop(light: Floats, camera: CameraResponse, seed: int) -> NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 sRGB that `camera` makes of linear light (H, W, 3)."""
    height, width = light.shape[:2]
    sample = light[::8, ::8] @ LUMINANCE
    # Between the mean and the geometric mean: the sky keeps its colour, the shade its detail.
    metered = np.sqrt(sample.mean() * np.exp(np.log(sample + 1e-6).mean()))
    gain = METER_TARGET * 2**camera.exposure_ev / metered
    grey = np.tile(LUMINANCE, (3, 1))
    colours = grey + camera.saturation * (np.eye(3) - grey)
    matrix = colours @ np.diag(camera.white_balance) * gain
    picture = cv2.transform(light, matrix.astype(np.float32))
    cv2.GaussianBlur(picture, (0, 0), camera.blur * max(width, height) / 640, dst=picture)

    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    falloff = (1 - camera.vignette * 0.5 * (x * x + y * y)) * np.float32(CODES / WHITE)
    # Shot noise grows with the root of the light; read noise does not.
    grain = np.random.default_rng([seed, 2]).standard_normal((height, width), np.float32)
    grain *= np.sqrt(0.3 + 4 * np.maximum(picture[..., 1], 0))
    grain *= np.float32(camera.noise * CODES / WHITE)
    for channel in range(3):
        picture[..., channel] *= falloff
        picture[..., channel] += grain
    np.clip(picture, 0, CODES - 1, out=picture)
    codes = _tone_table(camera.contrast).take(picture.astype(np.uint16), mode="clip")
    return np.asarray(codes, np.uint8)


def _tone_table(contrast: float) -> NDArray[np.uint8]:
    """sRGB codes for linear light 0..WHITE (middle grey 0.18): contrast, shoulder, sRGB."""
    x = (np.arange(CODES) + 0.5) * (WHITE / CODES)
    x = MIDDLE_GREY * (x / MIDDLE_GREY) ** contrast
    shoulder = 1.05 * x * (1 + x / 20) / (1 + 0.42 * x)
    return np.round(255 * srgb_of(np.clip(shoulder, 0, 1))).astype(np.uint8)
