"""A street seen along its axis: two rows of façades, carriageway, pavements, trees, cars, wires."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from training.rendering.canvas import Canvas, Floats, noise_tile, sample_noise, weighted
from training.rendering.landscape import ASPHALT, CONCRETE, FOREST, paint_tree
from training.rendering.townscape import PANE, STOREY_M, wall_palette, window_share

CAR_PAINT = np.array(
    [
        [0.55, 0.55, 0.56],
        [0.04, 0.04, 0.045],
        [0.30, 0.03, 0.03],
        [0.05, 0.09, 0.22],
        [0.25, 0.25, 0.26],
    ],
    np.float32,
)
CLEARANCE_M = 4.0  # nothing nearer than this stands in the picture


def paint_street(
    canvas: Canvas, rng: np.random.Generator, *, end_m: float, brick: float, green: float
) -> None:
    """The street from the camera to `end_m` [m], in front of everything painted so far."""
    lane, pavement = float(rng.uniform(3.2, 5.0)), float(rng.uniform(2.2, 4.0))
    _paint_carriageway(canvas, end_m, lane, pavement)
    for side in (-1, 1):
        _paint_facades(canvas, rng, side, lane + pavement + float(rng.uniform(0, 2)), end_m, brick)
    # What stands along the street, far things first.
    spots = np.sort(rng.uniform(9, min(end_m, 150), 26))[::-1]
    for distance in spots.tolist():
        side = 1 if rng.uniform() < 0.5 else -1
        if rng.uniform() < 0.2 + green:
            _paint_street_tree(canvas, rng, side * (lane + 0.5 * pavement), distance)
        else:
            _paint_car(canvas, rng, side * (lane - 1.1), distance)
    _paint_wires(canvas, rng, lane + pavement)


def _paint_carriageway(canvas: Canvas, end_m: float, lane: float, pavement: float) -> None:
    top = canvas.clip_row(float(canvas.row_of(0.0, end_m)))
    distance = (canvas.eye_height_m / np.maximum(canvas.tan_down[top:, None], 1e-4)).astype(
        np.float32
    )
    right = canvas.tan_right[None, :] * distance
    ahead = np.repeat(distance, canvas.width, axis=1)
    side = np.abs(right)
    kind = (side > lane).astype(np.int32)
    kind[(np.abs(side - lane) < 0.12)] = 2
    dashes = (side < 0.08) & (np.mod(distance, 9) < 4)
    kind[dashes] = 2
    grain = np.clip(12 / distance, 0, 1) * sample_noise(noise_tile(0.9, 13), right * 40, ahead * 40)
    stains = sample_noise(noise_tile(1.2, 12), right * 6, ahead * 2)
    albedo = np.stack([ASPHALT, CONCRETE * 0.75, CONCRETE * 1.4])[kind]
    normal = np.zeros_like(albedo)
    normal[..., 1] = 1
    canvas.paint(
        (slice(top, canvas.height), slice(None)),
        side < lane + pavement + 3,
        weighted(albedo, np.clip(1 + 0.10 * grain + 0.10 * stains, 0.4, 1.6)),
        1 / ahead,
        normal,
    )


def _paint_facades(
    canvas: Canvas, rng: np.random.Generator, side: int, offset_m: float, end_m: float, brick: float
) -> None:
    """One row of houses, wall to wall, on the line X = side · offset_m."""
    lengths = rng.uniform(7, 20, 80)
    bounds = np.cumsum(lengths) - rng.uniform(0, 6)
    number = int(np.searchsorted(bounds, end_m)) + 1
    storeys = np.clip(np.round(rng.normal(rng.uniform(2.5, 6), 1.3, number)), 1, 12)
    height_m = (STOREY_M * storeys + rng.uniform(0.3, 1.2, number)).astype(np.float32)
    style = rng.uniform(0, 1, number).astype(np.float32)
    walls = wall_palette(rng, number, brick)

    outwards = np.maximum(side * canvas.tan_right, 1e-4)
    along = (offset_m / outwards).astype(np.float32)
    columns = np.nonzero((along > CLEARANCE_M) & (along < min(end_m, bounds[number - 1])))[0]
    if not len(columns):
        return
    window = (slice(0, canvas.height), slice(int(columns[0]), int(columns[-1]) + 1))
    along = along[window[1]]
    house = np.minimum(np.searchsorted(bounds, along), number - 1)
    height = canvas.eye_height_m - canvas.tan_down[:, None] * along
    down = height_m[house] - height
    shown = (down > 0) & (height > 0)
    start = np.concatenate([[0], bounds])[house].astype(np.float32)
    scale = np.broadcast_to((canvas.focal_px / along).astype(np.float32), shown.shape)
    across = np.broadcast_to(along - start, shown.shape) * scale
    glass = window_share(across, down * scale, scale, style[house][None, :], house[None, :])
    # Shop fronts: the ground floor is darker and more open than what is above it.
    floor = np.clip(height / STOREY_M, 0, 1)
    shade = np.where(floor < 0.85, 0.45 + 0.35 * floor, 1.0).astype(np.float32)
    cornice = (down < 0.35) | (np.abs(along - start) < 0.12)
    shade[cornice] *= 0.75
    wall = np.repeat(walls[house][None], canvas.height, axis=0)
    albedo = weighted(wall, shade * (1 - glass)) + cv2.merge([glass * p for p in PANE.tolist()])
    normal = np.zeros_like(albedo)
    normal[..., 0] = -side
    inverse = np.broadcast_to((1 / along).astype(np.float32), shown.shape).copy()
    canvas.paint(window, shown, albedo, inverse, normal, glass)


def _paint_street_tree(
    canvas: Canvas, rng: np.random.Generator, right_m: float, distance_m: float
) -> None:
    height_m = float(rng.uniform(4, 9))
    paint_tree(
        canvas,
        rng,
        column=float(canvas.column_of(right_m, distance_m)),
        base_row=float(canvas.row_of(0.0, distance_m)),
        height_px=height_m * canvas.focal_px / distance_m,
        distance_m=distance_m,
        green=FOREST * np.float32(rng.uniform(1.0, 1.7)),
    )


def _paint_car(canvas: Canvas, rng: np.random.Generator, right_m: float, distance_m: float) -> None:
    """A parked car from behind: wheels, body, cabin with its window, from dark to bright."""
    colour = CAR_PAINT[int(rng.integers(len(CAR_PAINT)))]
    dark = np.array([0.02, 0.02, 0.02], np.float32)
    for half, low, high, reflectance in (
        (0.80, 0.00, 0.50, dark),
        (0.88, 0.25, 0.95, colour),
        (0.70, 0.90, 1.45, colour),
        (0.62, 0.96, 1.36, PANE),
    ):
        left, right = (float(canvas.column_of(right_m + s * half, distance_m)) for s in (-1, 1))
        top, bottom = (float(canvas.row_of(z, distance_m)) for z in (high, low))
        _paint_block(canvas, left, top, right, bottom, distance_m, reflectance)


def _paint_block(
    canvas: Canvas,
    left: float,
    top: float,
    right: float,
    bottom: float,
    distance_m: float,
    colour: Floats,
) -> None:
    window = (
        slice(canvas.clip_row(round(top)), canvas.clip_row(round(bottom))),
        slice(max(round(left), 0), max(min(round(right), canvas.width), 0)),
    )
    canvas.albedo[window] = colour
    canvas.inverse_distance[window] = 1 / distance_m
    canvas.normal[window] = (0, 0.3, 0.95)
    canvas.glass[window] = 0


def _paint_wires(canvas: Canvas, rng: np.random.Generator, right_m: float) -> None:
    """Posts every 30 m with a lamp, and two wires along them."""
    side = 1 if rng.uniform() < 0.5 else -1
    dark = np.array([0.10, 0.10, 0.10], np.float32)
    stands = [(d, side * (right_m - 0.6)) for d in (130.0, 100.0, 70.0, 40.0, 14.0)]
    tips = []
    for distance, right in stands:
        column = float(canvas.column_of(right, distance))
        top, foot = (float(canvas.row_of(z, distance)) for z in (8.0, 0.0))
        half = max(0.10 * canvas.focal_px / distance, 0.5)
        _paint_block(canvas, column - half, top, column + half, foot, distance, dark)
        tips.append((column, top))
    for (x0, y0), (x1, y1) in pairwise(tips):
        for shift in (0.0, 0.05):
            t = np.linspace(0, 1, 12)
            y = y0 + (y1 - y0) * t + (abs(y1 - y0) * (0.25 * t * (1 - t) + shift * t))
            line = np.round(np.stack([x0 + (x1 - x0) * t, y], 1)).astype(np.int32)
            cv2.polylines(canvas.albedo, [line], False, (0.05, 0.05, 0.05), 1)
            cv2.polylines(canvas.inverse_distance, [line], False, 1 / 30, 1)
            cv2.polylines(canvas.normal, [line], False, (0.0, 0.5, 0.8), 1)
