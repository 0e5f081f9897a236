"""What every pixel of a rendered view looks at: reflectance, distance, surface, glass.

A view is painted from far to near, as painters do, onto planes of numbers instead of colours.
Light, haze and camera come later (`renderer.py`), so one painted place can be seen at
any hour and through any air.

Projection of a level pinhole camera (focal length f [px], horizon row y_h [px], eye height h [m]):
a point at height z [m] and distance d [m] falls on row y = y_h + f·(h − z)/d, and one that lies
X [m] to the right on column x = x_c + f·X/d.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.floating]
TILE_SIDE = 512


@lru_cache(maxsize=16)
def noise_tile(exponent: float, seed: int) -> Floats:
    """Tileable Gaussian noise (512, 512) of zero mean and unit SD, amplitude ∝ frequency^−exponent.

    Natural terrain, clouds and foliage have 1/f^a spectra: 1.7 rolls like hills, 1.2 is leafy.
    """
    white = np.random.default_rng(seed).standard_normal((TILE_SIDE, TILE_SIDE))
    spectrum = np.fft.rfft2(white)
    frequency = np.hypot(
        np.fft.fftfreq(TILE_SIDE)[:, None] * TILE_SIDE, np.arange(TILE_SIDE // 2 + 1)[None, :]
    )
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(spectrum * frequency**-exponent, s=white.shape)
    tile: Floats = ((field - field.mean()) / field.std()).astype(np.float32)
    tile.setflags(write=False)
    return tile


def sample_noise(tile: Floats, u: Numbers, v: Numbers) -> Floats:
    """The tile read at columns `u` and rows `v` [tile px], repeating for ever, bilinear."""
    # cv2.remap keeps coordinates in 16 bits: fold them into one tile before asking.
    u = u - TILE_SIDE * np.floor(u * (1 / TILE_SIDE))
    v = v - TILE_SIDE * np.floor(v * (1 / TILE_SIDE))
    return np.asarray(
        cv2.remap(
            tile,
            u.astype(np.float32),
            v.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )
    )


def weighted(planes: Floats, weight: Floats) -> Floats:
    """Planes (H, W, 3) times a weight (H, W). NumPy's broadcast over three channels is slow."""
    return np.asarray(cv2.multiply(planes, cv2.merge([weight, weight, weight])))


class Canvas:
    """The planes of one view under construction, and the projection that fills them.

    albedo            (H, W, 3) linear reflectance [0..1]
    inverse_distance  (H, W) 1/d [m-1]; 0 is the sky
    normal            (H, W, 3) unit surface normal: right, up, towards the camera
    glass             (H, W) share of window in the pixel [0..1]
    """

    def __init__(
        self, width: int, height: int, focal: float, horizon: float, eye_height_m: float
    ) -> None:
        self.width, self.height = width, height
        self.focal_px = focal * max(width, height)
        self.horizon_px = horizon * height
        self.eye_height_m = eye_height_m
        self.tan_right = ((np.arange(width) + 0.5 - width / 2) / self.focal_px).astype(np.float32)
        self.tan_down = ((np.arange(height) + 0.5 - self.horizon_px) / self.focal_px).astype(
            np.float32
        )
        self.albedo = np.zeros((height, width, 3), np.float32)
        self.inverse_distance = np.zeros((height, width), np.float32)
        self.normal = np.zeros((height, width, 3), np.float32)
        self.glass = np.zeros((height, width), np.float32)

    def row_of(self, height_m: float | Numbers, distance_m: float | Numbers) -> Floats:
        """Row [px, fractional] of a point at `height_m` above the ground."""
        return np.asarray(
            self.horizon_px + self.focal_px * (self.eye_height_m - height_m) / distance_m,
            dtype=np.float32,
        )

    def column_of(self, right_m: float | Numbers, distance_m: float | Numbers) -> Floats:
        """Column [px, fractional] of a point `right_m` beside the optical axis."""
        return np.asarray(self.width / 2 + self.focal_px * right_m / distance_m, dtype=np.float32)

    def clip_row(self, row: float) -> int:
        return int(min(max(row, 0), self.height))

    def paint(
        self,
        window: tuple[slice, slice],
        mask: NDArray[np.bool_],
        albedo: Floats,
        inverse_distance: Numbers,
        normal: Floats,
        glass: Floats | None = None,
    ) -> None:
        """Put a surface in front of everything painted so far, where `mask` holds.

        All arrays have the shape of the window: (h, w) or (h, w, 3).
        """
        shown = mask.view(np.uint8)
        cv2.copyTo(albedo, shown, self.albedo[window])
        cv2.copyTo(
            inverse_distance.astype(np.float32, copy=False), shown, self.inverse_distance[window]
        )
        cv2.copyTo(normal, shown, self.normal[window])
        cv2.copyTo(
            np.zeros(mask.shape, np.float32) if glass is None else glass, shown, self.glass[window]
        )
