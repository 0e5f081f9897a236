"""Buildings of a rendered view: low houses, towers with windows, near roofs, a street.

Reflectances are round figures of the usual range: brick 0.1 to 0.35, plaster 0.4 to 0.7, roof tile
0.1 to 0.3, concrete 0.2 to 0.35. A storey is 3 m.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.rendering.canvas import TILE_SIDE, Canvas, Floats, noise_tile, sample_noise, weighted
from training.rendering.landscape import FOREST

STOREY_M = 3.0
BRICK = np.array([[0.27, 0.145, 0.10], [0.23, 0.125, 0.09], [0.33, 0.20, 0.14]], np.float32)
PLASTER = np.array(
    [[0.62, 0.59, 0.53], [0.50, 0.47, 0.42], [0.55, 0.46, 0.33], [0.45, 0.49, 0.50]], np.float32
)
GREY = np.array([[0.32, 0.31, 0.29], [0.24, 0.25, 0.27], [0.40, 0.40, 0.39]], np.float32)
TILES = np.array([[0.25, 0.12, 0.08], [0.19, 0.10, 0.075], [0.30, 0.17, 0.12]], np.float32)
SHEET = np.array([[0.26, 0.27, 0.29], [0.17, 0.17, 0.17], [0.36, 0.36, 0.35]], np.float32)
PANE = np.array([0.045, 0.055, 0.065], np.float32)


@dataclass(frozen=True)
class TownStyle:
    """How a town is built.

    near_m, far_m  where it begins and ends [m]
    density        number of things (houses, trees) in the picture
    tower_share    share of towers among them [0..1]
    tower_m        height of a tower: lowest, highest [m]
    brick          share of brick walls [0..1]
    green          share of trees [0..1]
    """

    near_m: float
    far_m: float
    density: int
    tower_share: float
    tower_m: tuple[float, float]
    brick: float
    green: float


def wall_palette(rng: np.random.Generator, n: int, brick: float) -> Floats:
    """Wall reflectances (n, 3), each slightly its own."""
    kind = rng.uniform(size=n)
    walls = np.where(
        (kind < brick)[:, None],
        BRICK[rng.integers(0, len(BRICK), n)],
        np.where(
            (kind < brick + 0.7 * (1 - brick))[:, None],
            PLASTER[rng.integers(0, len(PLASTER), n)],
            GREY[rng.integers(0, len(GREY), n)],
        ),
    )
    return np.asarray(walls * rng.uniform(0.75, 1.15, (n, 1)), dtype=np.float32)


@dataclass(frozen=True)
class Town:
    """Houses and street trees as numbers, far ones first; every array has one entry for each.

    column, base_row  middle of the foot [px]
    distance_m        of the front [m]
    wide_m, high_m, deep_m  size [m]; a tree's crown is as wide as high_m
    wall, roof        (n, 3) reflectance
    is_tree, is_tiled (n,) bool: a tree; a house under a hipped roof of tiles
    """

    column: Floats
    base_row: Floats
    distance_m: Floats
    wide_m: Floats
    high_m: Floats
    deep_m: Floats
    wall: Floats
    roof: Floats
    is_tree: NDArray[np.bool_]
    is_tiled: NDArray[np.bool_]


# A tree in town is three round clumps: shift aside, height of the middle, radius, over its height.
CLUMPS = ((0.0, 0.66, 0.34), (0.22, 0.42, 0.30), (-0.20, 0.40, 0.32))


def paint_things(canvas: Canvas, town: Town, rng: np.random.Generator) -> None:
    """Houses are boxes: a roof where the eye is above it, a flank and a front with windows.
    Trees are three round clumps. So each thing is three faces in one painter's list."""
    n = len(town.distance_m)
    edges, outward = _faces(canvas, town, rng)
    face_of = _paint_faces(canvas, edges, town)
    painted = np.flatnonzero(face_of.any(axis=1))
    if not len(painted):
        return
    window = (slice(int(painted[0]), int(painted[-1]) + 1), slice(None))
    shown = face_of[window] > 0
    face = np.maximum(face_of[window] - 1, 0)

    def on_pixels(of_thing: NDArray[np.generic]) -> Floats:
        return np.repeat(of_thing, 3).astype(np.float32)[face]

    rows, columns = (axis.astype(np.float32) for axis in np.ogrid[window[0], : canvas.width])
    scale = on_pixels(canvas.focal_px / town.distance_m)
    across, down = columns - edges[:, 0][face], rows - edges[:, 1][face]
    is_tree = np.repeat(town.is_tree, 3)[face]
    is_wall = (np.tile([False, True, True], n) & np.repeat(~town.is_tree, 3))[face]
    glass = window_share(across, down, scale, on_pixels(rng.uniform(0, 1, n)), face) * is_wall

    # Streets between houses see little sky: the foot of a wall is darker than its head.
    above_foot = (edges[:, 3] - edges[:, 1])[face] - down
    shade = np.where(is_wall, np.clip(0.5 + above_foot / (28 * scale), 0.5, 1), np.float32(1))
    # Leaves are rough, walls and roofs less so.
    grain = noise_tile(0.9, 13)[:: TILE_SIDE // 256, :: TILE_SIDE // 256]
    grain = np.tile(grain, (canvas.height // 256 + 1, canvas.width // 256 + 1))
    grain = grain[window[0], : canvas.width] * np.where(is_tree, np.float32(0.3), np.float32(0.07))
    surface = np.stack([town.roof, town.wall, town.wall], 1).reshape(-1, 3).astype(np.float32)
    bare = weighted(surface[face], shade * np.clip(1 + grain, 0.25, 2) * (1 - glass))
    albedo = bare + cv2.merge([glass * pane for pane in PANE.tolist()])

    normal = outward[face]
    span = np.maximum(edges[:, 2] - edges[:, 0], 1)[face[is_tree]]
    normal[is_tree, 0] = np.clip(1.4 * across[is_tree] / span - 0.7, -0.7, 0.7)
    normal[is_tree, 1] = np.clip(0.9 - 1.2 * down[is_tree] / span, -0.3, 0.8)
    canvas.paint(window, shown, albedo, on_pixels(1 / town.distance_m), normal, glass)


def _faces(canvas: Canvas, town: Town, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Three faces a thing: left, top, right, bottom [px] (n · 3, 4), and normals (n · 3, 3)."""
    n = len(town.distance_m)
    scale = canvas.focal_px / town.distance_m
    wide, high = town.wide_m * scale, town.high_m * scale
    left, right = town.column - wide / 2, town.column + wide / 2
    foot, top = town.base_row, town.base_row - high
    rise = (top - canvas.horizon_px) * town.deep_m / (town.distance_m + town.deep_m)
    rise = np.clip(rise, 0, 0.8 * wide) + town.is_tiled * 2.2 * scale
    # The flank towards the optical axis is the one that a perspective shows.
    flank_right = town.column < canvas.width / 2
    turn = np.where(flank_right, 1.0, -1.0)
    split = town.column + turn * wide * (0.5 - rng.uniform(0.15, 0.45, n))
    boxes = (
        (left, top - rise, right, top),
        (np.where(flank_right, split, left), top, np.where(flank_right, right, split), foot),
        (np.where(flank_right, left, split), top, np.where(flank_right, split, right), foot),
    )
    edges = np.empty((n, 3, 4), np.float32)
    for number, (box, (shift, lift, size)) in enumerate(zip(boxes, CLUMPS, strict=True)):
        x, y, r = town.column + shift * high, foot - lift * high, size * high
        clump = (x - r, y - r, x + r, y + r)
        for edge in range(4):
            edges[:, number, edge] = np.where(town.is_tree, clump[edge], box[edge])
    normals = np.array([[0, 1, 0], [0.8, 0, 0.6], [-0.3, 0, 0.95]]) * np.ones((n, 1, 1))
    normals[:, :, 0] *= turn[:, None]
    normals[town.is_tree] = (0, 0.5, 0.5)
    return edges.reshape(-1, 4), normals.reshape(-1, 3).astype(np.float32)


def _paint_faces(canvas: Canvas, edges: Floats, town: Town) -> NDArray[np.int32]:
    """Which face each pixel sees (H, W): 0 none, else 1 + its row in `edges` (n · 3, 4)."""
    face_of = np.zeros((canvas.height, canvas.width), np.int32)
    boxes = np.round(edges).astype(np.int32).tolist()
    shapes = np.repeat(np.where(town.is_tree, 2, 0), 3)
    shapes[::3] += town.is_tiled & ~town.is_tree
    for number, ((x0, y0, x1, y1), shape) in enumerate(zip(boxes, shapes.tolist(), strict=True), 1):
        if shape == 2:
            cv2.circle(face_of, ((x0 + x1) // 2, (y0 + y1) // 2), (x1 - x0) // 2, number, -1)
        elif shape == 1 and x1 - x0 > 4:
            eaves, ridge = (x1 - x0) // 12, (x1 - x0) // 4
            hipped = [[x0 - eaves, y1], [x0 + ridge, y0], [x1 - ridge, y0], [x1 + eaves, y1]]
            cv2.fillConvexPoly(face_of, np.array(hipped, np.int32), number)
        elif x1 > 0 and y1 > 0:
            face_of[max(y0, 0) : y1, max(x0, 0) : x1] = number
    return face_of


def window_share(
    across: Floats, down: Floats, scale: Floats, style: Floats, thing: NDArray[np.int32]
) -> Floats:
    """Share of window at pixels `across`, `down` [px] from a face's upper left corner.

    scale: pixels per metre. Windows finer than two pixels become their mean, as in a lens.
    """
    u, v = across / ((2.4 + 2.2 * style) * scale), down / (STOREY_M * scale) - 0.35
    ribbon = style > 0.72
    column, row = np.floor(u), np.floor(v)
    within = (np.abs(u - column - 0.5) < 0.20 + 0.12 * style) | ribbon
    window = within & (np.abs(v - row - 0.5) < 0.24) & (v > 0)
    mean = np.where(ribbon, 0.48, 0.48 * (0.40 + 0.24 * style))
    # Curtains and reflections make no two windows alike.
    number = column.astype(np.int32) * 13 + row.astype(np.int32) * 29 + thing * 7
    depth = 0.45 + 0.15 * ((number >> 1) & 3).astype(np.float32)
    sharp = np.clip(STOREY_M * scale / 2.5 - 0.8, 0, 1)
    return np.asarray(mean * 0.7 * (1 - sharp) + window * depth * sharp, dtype=np.float32)


def paint_town(canvas: Canvas, style: TownStyle, rng: np.random.Generator) -> None:
    """A town on the level ground, as dense on the picture near as far."""
    n = style.density
    span = canvas.row_of(0.0, np.array([style.far_m, style.near_m], np.float32))
    row = np.sort(span[0] + (span[1] - span[0]) * rng.uniform(size=n) ** 1.5).astype(np.float32)
    distance = canvas.focal_px * canvas.eye_height_m / (row - canvas.horizon_px)
    column = (rng.uniform(-0.03, 1.03, n) * canvas.width).astype(np.float32)
    paint_things(canvas, _draw_things(canvas, style, rng, column, row, distance), rng)


def paint_hillside_town(
    canvas: Canvas, style: TownStyle, rng: np.random.Generator, climb: float
) -> None:
    """Houses that climb the slopes behind the valley floor, thinning out upwards.

    climb: how much of the slopes' height they reach [0..1].
    """
    inverse = canvas.inverse_distance
    slope = (inverse < 1 / style.near_m) & (inverse > 1 / style.far_m)
    top = np.where(slope.any(axis=0), slope.argmax(axis=0), canvas.height)
    foot = float(canvas.row_of(0.0, style.near_m))
    column = rng.uniform(0, canvas.width - 1, style.density).astype(np.float32)
    height = (
        climb
        * rng.beta(1.0, 2.0, style.density)
        * np.clip(
            1 + 0.9 * noise_tile(1.7, 11)[37, (column * (512 / canvas.width)).astype(int)], 0.2, 2
        )
    )
    row = foot - height * (foot - top[column.astype(int)])
    row = np.clip(row, 0, canvas.height - 1).astype(np.float32)
    distance = 1 / np.maximum(inverse[row.astype(int), column.astype(int)], 1e-5)
    order = np.argsort(row)
    keep = order[slope[row[order].astype(int), column[order].astype(int)]]
    things = _draw_things(canvas, style, rng, column[keep], row[keep], distance[keep])
    paint_things(canvas, things, rng)


def _draw_things(
    canvas: Canvas,
    style: TownStyle,
    rng: np.random.Generator,
    column: Floats,
    row: Floats,
    distance: Floats,
) -> Town:
    """What stands at each of the given feet."""
    n = len(row)
    # Towers stand together: quarters of them come from a broad noise over the town.
    right = (column - canvas.width / 2) / canvas.focal_px * distance
    quarter = sample_noise(
        noise_tile(1.7, 11), right[None] / 12 + np.float32(100), distance[None] / 12
    )[0]
    is_tower = rng.uniform(size=n) < style.tower_share * np.clip(1 + 1.2 * quarter, 0, 3)
    is_tree = (rng.uniform(size=n) < style.green) & ~is_tower
    low, high = style.tower_m
    tall = low + (high - low) * rng.beta(1.2, 2.5, n)
    height = np.where(is_tower, tall, STOREY_M * rng.integers(1, 4, n))
    slab = rng.uniform(13, 28, n)
    is_tiled = (rng.uniform(size=n) < 0.15 + 0.7 * style.brick) & ~is_tower
    wall = wall_palette(rng, n, style.brick)
    return Town(
        column=column,
        base_row=row,
        distance_m=distance.astype(np.float32),
        wide_m=np.where(is_tower, np.maximum(slab, tall / 5), rng.uniform(8, 18, n)),
        high_m=np.where(is_tree, rng.uniform(6, 13, n), height),
        deep_m=np.where(is_tower, 20, rng.uniform(9, 18, n)),
        wall=np.where(is_tree[:, None], FOREST * rng.uniform(0.8, 1.9, (n, 1)), wall),
        roof=np.where(
            is_tree[:, None],
            FOREST * 1.4,
            np.where(is_tiled[:, None], TILES[rng.integers(0, 3, n)], SHEET[rng.integers(0, 3, n)]),
        ),
        is_tree=is_tree,
        is_tiled=is_tiled & ~is_tree,
    )
