"""A plain view whose haze is known: blocks of random reflectance on a plain, under a smooth sky."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

AIRLIGHT = np.array([0.58, 0.66, 0.78])
DATASETS = Path(__file__).resolve().parents[2] / "shared" / "datasets"


def to_srgb(linear: NDArray[np.float64]) -> NDArray[np.uint8]:
    linear = np.clip(linear, 0.0, 1.0)
    codes = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * codes).astype(np.uint8)


@lru_cache(maxsize=32)
def landscape(
    extinction: float, *, seed: int = 0, height: int = 480, width: int = 640, horizon: float = 0.4
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The picture (H, W, 3) sRGB and its skyline (W,), for an extinction in 1 / (far distance).

    The distance falls from 1 at the horizon to 0.02 at the lower border as on a plain; roofs of
    different heights stand on the horizon. I = J·t + A·(1 − t) with t = exp(−extinction · d).
    """
    rng = np.random.default_rng(seed)
    horizon_row = round(horizon * height)
    roofs = np.repeat(rng.integers(0, height // 12, -(-width // 20)), 20)[:width]
    skyline = horizon_row - roofs

    cells = rng.uniform(0.01, 0.55, (-(-height // 8), -(-width // 8), 1)) * rng.uniform(
        0.5, 1.0, (-(-height // 8), -(-width // 8), 3)
    )
    cells[rng.random(cells.shape[:2]) < 0.3] = 0.004  # windows and shadows
    scene = np.kron(cells, np.ones((8, 8, 1)))[:height, :width]

    row = np.arange(height)[:, None]
    distance = np.clip(0.02 * height / np.maximum(row - horizon_row, 1), 0.02, 1.0)
    distance = np.where(row <= horizon_row, 1.0, distance)
    transmission = np.exp(-extinction * distance)[:, :, None]
    ground = scene * transmission + AIRLIGHT * (1 - transmission)

    zenith = np.array([0.16, 0.30, 0.62])
    share = (row / horizon_row).clip(0, 1)[:, :, None] ** 2
    sky = zenith * (1 - share) + AIRLIGHT * share
    picture = np.where((row < skyline)[:, :, None], sky, ground)
    return to_srgb(picture), skyline


def re_encoded(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """The picture after one more JPEG compression."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def real_photo(name: str) -> NDArray[np.uint8]:
    """A photo of the development data at the working size; skips the test where it is absent."""
    path = DATASETS / name
    if not path.exists():
        pytest.skip(f"development photo {name} is not here")
    bgr = cv2.imread(str(path))
    height, width = bgr.shape[:2]
    scale = 640 / max(height, width)
    size = (round(width * scale), round(height * scale))
    return cv2.cvtColor(cv2.resize(bgr, size), cv2.COLOR_BGR2RGB)
