"""Mountains, ground and trees of a rendered view: relief from 1/f noise, reflectances of nature.

Linear reflectances are round figures inside the usual range of each surface: forest 0.02 to 0.07,
grass 0.05 to 0.15, bare soil 0.1 to 0.3, asphalt 0.05 to 0.12.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.rendering.canvas import (
    TILE_SIDE,
    Canvas,
    Floats,
    Numbers,
    noise_tile,
    sample_noise,
    weighted,
)

FOREST = np.array([0.035, 0.060, 0.022], np.float32)
GRASS = np.array([0.115, 0.150, 0.055], np.float32)
SOIL = np.array([0.240, 0.165, 0.105], np.float32)
STRAW = np.array([0.330, 0.270, 0.130], np.float32)
ASPHALT = np.array([0.085, 0.085, 0.088], np.float32)
CONCRETE = np.array([0.300, 0.290, 0.270], np.float32)
ROOF_TILE = np.array([0.230, 0.125, 0.085], np.float32)


@dataclass(frozen=True)
class Ridge:
    """One mountain range: where its crest and its foot stand, and how high it rises.

    crest_m, foot_m  distances of crest and foot [m], crest_m > foot_m
    height_m         height of its mean crest above the valley floor [m]
    ruggedness       SD of the crest's height over `height_m` [1]
    forest           share of forest on its slopes [0..1]; the rest is grass and soil
    """

    crest_m: float
    foot_m: float
    height_m: float
    ruggedness: float
    forest: float


def paint_ridge(canvas: Canvas, ridge: Ridge, rng: np.random.Generator) -> None:
    """A range from its foot on the valley floor up to its crest, with spurs, gullies and woods.

    Its slope is a plane seen at an angle, where 1/d is linear in the row.
    """
    offsets = rng.uniform(0, TILE_SIDE, 8).astype(np.float32)
    hills, rough = noise_tile(1.9, 11), noise_tile(1.2, 12)
    azimuth = canvas.tan_right[None, :] * 512

    def along(tile: Floats, frequency: float, line: int) -> Floats:
        row = np.full_like(azimuth, offsets[line])
        return sample_noise(tile, azimuth * np.float32(frequency) + offsets[line + 1], row)

    # A crest is a line through the relief; its finest octave is the trees that stand on it.
    outline = along(hills, 0.8, 0) + 0.06 * along(rough, 1.3, 2)
    crest_height = ridge.height_m * np.maximum(1 + ridge.ruggedness * outline, 0.15)
    crest_row = canvas.row_of(crest_height, ridge.crest_m)
    foot_m = ridge.foot_m * (1 + 0.13 * np.clip(along(hills, 1.0, 4), -2, 2))
    foot_row = canvas.row_of(0.0, foot_m)
    top, bottom = (
        canvas.clip_row(float(crest_row.min())),
        canvas.clip_row(float(foot_row.max()) + 1),
    )
    if bottom <= top:
        return
    rows = np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5
    descent = np.clip((rows - crest_row) / np.maximum(foot_row - crest_row, 1), 0, 1)
    inverse_distance = 1 / ridge.crest_m + descent * (1 / foot_m - 1 / ridge.crest_m)

    # Relief in the slope's own coordinates: spurs and gullies run down it and wander.
    down = descent * np.float32(ridge.height_m / ridge.crest_m * 512)
    u = azimuth + down * np.float32(rng.uniform(-0.6, 0.6)) + offsets[1]
    relief = sample_noise(hills, u * 1.1, down * 1.5 + offsets[6])
    detail = sample_noise(rough, u * 1.7, down * 3.4 + offsets[7])
    tilt = cv2.Sobel(relief + 0.12 * detail, cv2.CV_32F, 1, 0, ksize=3)
    tilt *= np.float32(1.5 * canvas.focal_px / 512)
    length = 1 / np.sqrt(tilt * tilt + 1)
    normal = cv2.merge([-tilt * length, 0.72 * length, 0.69 * length])

    # Woods, meadows and bare soil are three flats of colour; noise draws their borders.
    cover = 0.6 * relief + 0.55 * detail + np.float32(2.2 * (ridge.forest - 0.5))
    kind = (cover < 0).astype(np.uint8) + (cover < -1.7)
    albedo = weighted(np.stack([FOREST, GRASS, SOIL])[kind], 1 + 0.22 * np.clip(detail, -3, 3))
    shown = (rows >= crest_row) & (rows <= foot_row)
    canvas.paint((slice(top, bottom), slice(None)), shown, albedo, inverse_distance, normal)


# What lies on the ground, by number: seven crops, pavement, town green, road, road marking, and
# seven roofs and courts of a town too far away to tell its houses apart.
GROUND = np.stack(
    (
        *(GRASS, FOREST * 1.6, STRAW, GRASS * 0.7, SOIL, GRASS * 1.2, FOREST),
        *(CONCRETE * 0.55, GRASS * 0.8, ASPHALT * 1.4, CONCRETE),
        *(
            ROOF_TILE,
            CONCRETE * 0.6,
            FOREST * 1.5,
            CONCRETE * 1.1,
            ASPHALT,
            ROOF_TILE * 0.7,
            FOREST,
        ),
    )
)


def _parcels(across: Numbers, along: Numbers) -> NDArray[np.uint32]:
    """A number for the unit cell that each point lies in, without pattern from cell to cell."""
    row = np.floor(across).astype(np.int32).view(np.uint32)
    column = np.floor(along).astype(np.int32).view(np.uint32)
    mixed = row * np.uint32(2654435769) ^ column * np.uint32(2246822519)
    mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(2654435761)
    return np.asarray(mixed >> np.uint32(16))


def paint_ground(canvas: Canvas, rng: np.random.Generator, *, urban: bool) -> None:
    """The level ground from the lower border to the horizon: pavement and greens of a town, or a
    patchwork of fields; one road runs through it."""
    top = canvas.clip_row(canvas.horizon_px + 1)
    distance = (canvas.eye_height_m / canvas.tan_down[top:, None]).astype(np.float32)
    right = canvas.tan_right[None, :] * distance
    ahead = np.repeat(distance, canvas.width, axis=1)
    # What one pixel covers grows with distance; texture finer than that must fade.
    resolved = np.clip(np.float32(40 * canvas.focal_px / 512) / distance, 0, 1)
    fine = resolved * sample_noise(noise_tile(0.9, 13), right * 4, ahead * 4)
    broad = sample_noise(noise_tile(1.2, 12), right / 6 + 37, ahead / 6 + 91)
    if urban:
        kind = np.where(broad > 0.4, 8, 7)
        lots = _parcels((right + 12 * broad) / 13, (ahead + 20 * broad) / 25)
        kind = np.where(ahead > 500, 11 + lots % 7, kind)
    else:
        cos, sin = np.float32(np.cos(angle := rng.uniform(-0.5, 0.5))), np.float32(np.sin(angle))
        across = (right * cos + ahead * sin + 14 * broad) / 90
        along = (ahead * cos - right * sin + 14 * broad) / 140
        kind = _parcels(across, along) % 7
    axis = rng.uniform(-40, 40) + rng.uniform(-0.35, 0.35) * distance
    axis += 30 * np.sin(distance / rng.uniform(250, 700))
    beside = np.abs(right - axis.astype(np.float32))
    half_width = np.maximum(np.float32(8 if urban else 4), 0.6 * distance / canvas.focal_px)
    kind[beside < half_width] = 9
    kind[beside < 0.08 * half_width] = 10
    albedo = weighted(GROUND[kind], 1 + 0.14 * np.clip(fine, -3, 3))
    normal = np.zeros_like(albedo)
    normal[..., 1] = 1
    window = (slice(top, canvas.height), slice(None))
    canvas.paint(window, np.ones(right.shape, np.bool_), albedo, 1 / ahead, normal)


def paint_tree(
    canvas: Canvas,
    rng: np.random.Generator,
    *,
    column: float,
    base_row: float,
    height_px: float,
    distance_m: float,
    green: NDArray[np.float32] = FOREST,
) -> None:
    """A tree: a trunk, and a crown of leafy clumps around an ellipsoid. Sizes in pixels."""
    slender = rng.uniform(0.34, 0.55)
    radius_x, radius_y = height_px * slender, height_px * 0.42
    middle_y = base_row - height_px + radius_y
    left = int(max(column - 1.25 * radius_x, 0))
    right = int(min(column + 1.25 * radius_x, canvas.width))
    top, bottom = canvas.clip_row(middle_y - 1.2 * radius_y), canvas.clip_row(base_row)
    if right - left < 2 or bottom - top < 2:
        return
    x, y = np.meshgrid(
        ((np.arange(left, right) + 0.5 - column) / radius_x).astype(np.float32),
        ((np.arange(top, bottom) + 0.5 - middle_y) / radius_y).astype(np.float32),
    )
    u0, v0 = rng.uniform(0, TILE_SIDE, 2).astype(np.float32)
    clumps = sample_noise(noise_tile(1.2, 12), x * 14 + u0, y * 14 + v0)
    leaves = sample_noise(noise_tile(0.5, 14), x * 45 + v0, y * 45 + u0)
    reach = x * x + y * y
    crown = reach + 0.22 * clumps + 0.10 * leaves < 0.86
    trunk = (np.abs(x) < 0.07) & (y > 0)
    # The hollows between clumps see little sky: dark in their depth, bright on their rims.
    hollow = np.clip(0.75 - 0.30 * clumps + 0.22 * leaves, 0.2, 1.5)
    albedo = np.where(crown[..., None], green * (1.15 * hollow)[..., None], 0.35 * SOIL)
    facing = 0.75 * x - 0.25 * clumps, np.asarray(0.25 - 0.75 * y)
    outward = np.sqrt(np.clip(1 - 0.8 * reach, 0.05, 1))
    length = 1 / np.sqrt(facing[0] ** 2 + facing[1] ** 2 + outward**2)
    canvas.paint(
        (slice(top, bottom), slice(left, right)),
        crown | trunk,
        albedo.astype(np.float32),
        np.full(x.shape, 1 / distance_m, np.float32),
        cv2.merge([facing[0] * length, facing[1] * length, outward * length]),
    )
