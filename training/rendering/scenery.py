"""Places: where the camera stands, what lies before it, and how far away everything is.

A `Place` is a handful of numbers and a seed; `paint_place` turns it into planes of reflectance and
distance. The same place can be seen again at any hour, in any weather and through any haze.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from training.rendering.canvas import Canvas, Floats
from training.rendering.landscape import Ridge, paint_ground, paint_ridge, paint_tree
from training.rendering.street import paint_street
from training.rendering.townscape import TownStyle, paint_hillside_town, paint_town

PlaceKind = Literal["valley_city", "metropolis", "hills", "rooftops", "street"]
PLACE_KINDS: tuple[PlaceKind, ...] = get_args(PlaceKind)


@dataclass(frozen=True)
class Place:
    """A view that stays: camera position and everything that stands.

    kind          what a stranger would call it
    seed          draws every ridge, house and tree
    focal         focal length over the picture's long side [1]
    horizon       row of the horizon over the picture's height, from the top [0..1]
    eye_height_m  height of the camera over the ground before it [m]
    ridges        mountain ranges, far ones first
    brick         share of brick among the walls [0..1]
    green         share of trees in the town [0..1]
    """

    kind: PlaceKind
    seed: int
    focal: float
    horizon: float
    eye_height_m: float
    ridges: tuple[Ridge, ...]
    brick: float
    green: float


@dataclass(frozen=True)
class Scenery:
    """The planes of a place at one picture size; arrays are read-only.

    albedo      (H, W, 3) linear reflectance [0..1]
    distance_m  (H, W) [m]; inf is the sky
    normal      (H, W, 3) surface normal: right, up, towards the camera
    glass       (H, W) share of window [0..1]
    is_sky      (H, W) bool
    tan_right   (W,) tangent of the azimuth of a column, right of the optical axis
    tan_up      (H,) tangent of the elevation of a row
    """

    albedo: Floats
    distance_m: Floats
    normal: Floats
    glass: Floats
    is_sky: NDArray[np.bool_]
    tan_right: Floats
    tan_up: Floats


def draw_place(rng: np.random.Generator, kind: PlaceKind | None = None) -> Place:
    """A place of the given kind, or of any."""
    chosen = kind or PLACE_KINDS[int(rng.integers(len(PLACE_KINDS)))]
    eye, horizon = {
        "valley_city": ((120, 260), (0.36, 0.46)),
        "metropolis": ((60, 130), (0.40, 0.54)),
        "hills": ((25, 90), (0.40, 0.52)),
        "rooftops": ((18, 30), (0.34, 0.46)),
        "street": ((1.7, 4.5), (0.50, 0.58)),
    }[chosen]
    return Place(
        kind=chosen,
        seed=int(rng.integers(2**31)),
        focal=float(rng.uniform(0.72, 0.95)),
        horizon=float(rng.uniform(*horizon)),
        eye_height_m=float(rng.uniform(*eye)),
        ridges=_draw_ridges(rng, chosen),
        brick=float(rng.beta(1.0, 1.6)),
        green=float(rng.uniform(0.15, 0.45)),
    )


def _draw_ridges(rng: np.random.Generator, kind: PlaceKind) -> tuple[Ridge, ...]:
    nearest, count, slope = {
        "valley_city": ((5000, 9000), 3, (0.11, 0.17)),
        "metropolis": ((14000, 26000), int(rng.integers(0, 3)), (0.02, 0.05)),
        "hills": ((900, 1800), 5, (0.06, 0.10)),
        "rooftops": ((4500, 11000), int(rng.integers(1, 4)), (0.05, 0.11)),
        "street": ((3000, 8000), int(rng.integers(0, 3)), (0.06, 0.12)),
    }[kind]
    ridges: list[Ridge] = []
    crest = float(rng.uniform(*nearest))
    rise = float(rng.uniform(*slope))
    for _ in range(count):
        ridges.append(
            Ridge(
                crest_m=crest,
                foot_m=0.62 * crest,
                height_m=rise * crest,
                ruggedness=float(rng.uniform(0.18, 0.34)),
                forest=float(rng.uniform(0.35, 0.95)),
            )
        )
        crest *= float(rng.uniform(1.5, 2.1))
        rise *= float(rng.uniform(0.80, 1.10))
    return tuple(reversed(ridges))


@lru_cache(maxsize=4)
def paint_place(place: Place, width: int, height: int) -> Scenery:
    """The planes of `place` for a picture of width × height [px], painted from far to near."""
    rng = np.random.default_rng(place.seed)
    canvas = Canvas(width, height, place.focal, place.horizon, place.eye_height_m)
    paint_ground(canvas, rng, urban=place.kind != "hills")
    for ridge in place.ridges:
        paint_ridge(canvas, ridge, rng)
    nearest = place.ridges[-1] if place.ridges else None
    floor_end = nearest.foot_m if nearest else 30_000.0
    _PAINTERS[place.kind](canvas, place, floor_end, rng)
    with np.errstate(divide="ignore"):
        distance = np.asarray(1 / canvas.inverse_distance, np.float32)
    scenery = Scenery(
        albedo=canvas.albedo,
        distance_m=distance,
        normal=canvas.normal,
        glass=canvas.glass,
        is_sky=np.isinf(distance),
        tan_right=canvas.tan_right,
        tan_up=-canvas.tan_down,
    )
    for plane in vars(scenery).values():
        plane.setflags(write=False)
    return scenery


def _paint_valley_city(
    canvas: Canvas, place: Place, floor_end: float, rng: np.random.Generator
) -> None:
    crest = place.ridges[-1].crest_m
    slopes = TownStyle(floor_end, crest, 2200, 0.02, (15, 40), 0.75, 0.1)
    paint_hillside_town(canvas, slopes, rng, climb=0.65)
    town = TownStyle(280, floor_end, 1700, 0.22, (24, 85), place.brick, place.green)
    paint_town(canvas, town, rng)
    _paint_tree_border(canvas, rng, count=9, size=0.17)


def _paint_metropolis(
    canvas: Canvas, place: Place, floor_end: float, rng: np.random.Generator
) -> None:
    skyline = TownStyle(1300, min(floor_end, 14_000), 600, 0.45, (45, 260), 0.1, 0.1)
    paint_town(canvas, skyline, rng)
    blocks = TownStyle(130, 1300, 800, 0.08, (25, 70), place.brick, place.green)
    paint_town(canvas, blocks, rng)
    _paint_tree_border(canvas, rng, count=7, size=0.15)


def _paint_hills(canvas: Canvas, place: Place, floor_end: float, rng: np.random.Generator) -> None:
    hamlet = TownStyle(120, floor_end, 260, 0.0, (0, 1), place.brick, 0.88)
    paint_town(canvas, hamlet, rng)
    _paint_tree_border(canvas, rng, count=5, size=0.30)


def _paint_rooftops(
    canvas: Canvas, place: Place, floor_end: float, rng: np.random.Generator
) -> None:
    town = TownStyle(420, min(floor_end, 9000), 320, 0.25, (20, 75), place.brick, 0.3)
    paint_town(canvas, town, rng)
    near = TownStyle(48, 420, 260, 0.0, (20, 30), place.brick, place.green)
    paint_town(canvas, near, rng)


def _paint_street(canvas: Canvas, place: Place, floor_end: float, rng: np.random.Generator) -> None:
    end = float(rng.uniform(140, 420))
    town = TownStyle(end, min(floor_end, 6000), 160, 0.25, (20, 70), place.brick, 0.35)
    paint_town(canvas, town, rng)
    paint_street(canvas, rng, end_m=end, brick=place.brick, green=place.green)


def _paint_tree_border(
    canvas: Canvas, rng: np.random.Generator, *, count: int, size: float
) -> None:
    """Trees at the lower border: what stands right before the camera."""
    for column in np.sort(rng.uniform(-0.02, 1.02, count)):
        height = canvas.height * size * float(rng.uniform(0.6, 1.4))
        paint_tree(
            canvas,
            rng,
            column=float(column) * canvas.width,
            base_row=canvas.height + 0.35 * height,
            height_px=height,
            distance_m=float(rng.uniform(15, 60)),
        )


_PAINTERS = {
    "valley_city": _paint_valley_city,
    "metropolis": _paint_metropolis,
    "hills": _paint_hills,
    "rooftops": _paint_rooftops,
    "street": _paint_street,
}
