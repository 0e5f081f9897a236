"""Pictures in haze of known transmission: what the deep network learns from.

    light of a rendered place (its own haze known) ─ Koschmieder, linear light → hazier light
      ─ a camera of any kind → sRGB picture;    target: transmission t of each cell, and its ground

The added haze lies before the picture in one of two ways. *Measured*: along the true distances,
t = exp(−β·d). *Free*: along an invented depth that rises from the lower border to an invented
horizon and wanders, so that a transmission cannot be guessed from what kind of thing is seen and
where it stands, and must be read from what haze does: it lifts shadows, takes contrast and
bends colours towards the airlight. The target is always the optical depth of all air, the
rendered and the added, so more haze is a larger target for the same picture, past white-out too.

No label of PM2.5 and no photograph is used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from features.haze_network import CELL, PICTURE_HEIGHT, PICTURE_WIDTH, log_optical_depth
from features.light import SRGB_TO_LINEAR, srgb_of
from training.rendering.atmosphere import WAVELENGTH_NM
from training.rendering.camera_response import LUMINANCE, METER_TARGET, MIDDLE_GREY
from training.rendering.canvas import Floats
from training.rendering.scene_light import draw_moment, scene_light
from training.rendering.scenery import PLACE_KINDS, draw_place, paint_place

STORED_WIDTH, STORED_HEIGHT = 256, 192  # a rendered scene, before it is cropped [px]
MOMENTS = 2  # of each place
LONGEST_PATH_KM = 30.0
DENSEST = 8.0  # optical depth; e^-8 of the light is less than a code of the picture
PICTURES_OF_A_SCENE = 3
MEASURED_SHARE = 0.35  # of the pictures: haze along true distances
DEVELOPED_SHARE = 0.3  # of the pictures: haze added to the finished photo, not to the scene
UNTOUCHED_SHARE = 0.1  # of the pictures: no haze added
_ROWS, _COLUMNS = PICTURE_HEIGHT // CELL, PICTURE_WIDTH // CELL


@dataclass(frozen=True)
class ScenePool:
    """n rendered scenes of known air, in half precision.

    light     (n, STORED_HEIGHT, STORED_WIDTH, 3) linear light at the camera; white is about 1
    path_km   (places, STORED_HEIGHT, STORED_WIDTH) way through the haze; in the sky an estimate
    is_sky    (places, STORED_HEIGHT, STORED_WIDTH)
    beta      (n,) extinction at 549 nm [km-1]
    airlight  (n, 3) of the horizon, in the units of `light`
    Scene i shows place i // MOMENTS.
    """

    light: NDArray[np.float16]
    path_km: NDArray[np.float16]
    is_sky: NDArray[np.bool_]
    beta: NDArray[np.float32]
    airlight: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.beta)


@dataclass(frozen=True)
class HazyPictures:
    """m pictures and what is true in each cell of CELL × CELL pixels.

    pictures  (m, PICTURE_HEIGHT, PICTURE_WIDTH, 3) uint8 sRGB
    depth     (m, rows, columns) `log_optical_depth` of the mean transmission of the cell's ground,
              of its sky where that is the larger part
    ground    (m, rows, columns) share of the cell that is not sky [0..1]
    """

    pictures: NDArray[np.uint8]
    depth: NDArray[np.float32]
    ground: NDArray[np.float32]


def render_scenes(places: int, seed: int) -> ScenePool:
    """`places` rendered places of all kinds at MOMENTS moments each, PM2.5 from 2 to 300 ug m-3."""
    shape = (STORED_HEIGHT, STORED_WIDTH)
    pool = ScenePool(
        light=np.empty((places * MOMENTS, *shape, 3), np.float16),
        path_km=np.empty((places, *shape), np.float16),
        is_sky=np.empty((places, *shape), np.bool_),
        beta=np.empty(places * MOMENTS, np.float32),
        airlight=np.empty((places * MOMENTS, 3), np.float32),
    )
    for number in range(places):
        rng = np.random.default_rng([seed, number])
        drawn = draw_place(rng, PLACE_KINDS[number % len(PLACE_KINDS)])
        place = replace(
            drawn,
            horizon=drawn.horizon + float(rng.uniform(-0.12, 0.12)),
            focal=drawn.focal * float(rng.uniform(0.8, 1.5)),
        )
        scenery = paint_place(place, STORED_WIDTH, STORED_HEIGHT)
        # The slant way through a haze layer of about 1 km, ended by the Earth's curvature.
        sky_km = rng.uniform(0.6, 1.5) / (np.maximum(scenery.tan_up, 0) + 0.03)
        way_km = np.where(scenery.is_sky, sky_km[:, None], scenery.distance_m / 1000)
        pool.path_km[number] = np.minimum(way_km, LONGEST_PATH_KM)
        pool.is_sky[number] = scenery.is_sky
        horizon = int(np.clip(place.horizon * STORED_HEIGHT, 0, STORED_HEIGHT - 1))
        for scene in range(number * MOMENTS, (number + 1) * MOMENTS):
            pm25 = float(np.exp(rng.uniform(np.log(2), np.log(300))))
            moment = replace(
                draw_moment(rng, place, pm25), sun_elevation_deg=float(rng.uniform(3, 70))
            )
            light = scene_light(place, moment, STORED_WIDTH, STORED_HEIGHT)
            seen = light.at_camera()
            gain = 1 / float(np.quantile(seen[::4, ::4].max(axis=-1), 0.98))
            pool.light[scene] = np.clip(seen * gain, 0, 60_000)
            pool.beta[scene] = 1000 * moment.air.extinction()[1]
            pool.airlight[scene] = gain * light.airlight[horizon].mean(axis=0)
    return pool


def add_haze(light: Floats, depth: Floats, airlight: Floats, angstrom_exponent: float) -> Floats:
    """Koschmieder: J·t + A·(1 − t), t = exp(−depth·(λ/550 nm)^−α), all in linear light.

    light (H, W, 3); depth (H, W) optical depth at 550 nm, ≥ 0; airlight (3,).
    """
    colour = (WAVELENGTH_NM / 550) ** -angstrom_exponent
    t = np.exp(-depth[..., None] * colour.astype(np.float32))
    return np.asarray(airlight + (light - airlight) * t, np.float32)


def free_depth(rng: np.random.Generator) -> Floats:
    """(H, W) optical depth of 1 at an invented horizon, falling to an invented lower end."""
    row = (np.arange(PICTURE_HEIGHT) + 0.5) / PICTURE_HEIGHT
    horizon, end = rng.uniform(0.25, 0.65), rng.uniform(0.8, 1.2)
    rise = np.clip((end - row) / (end - horizon), 0, 1) ** rng.uniform(0.6, 3)
    coarse = rng.standard_normal((5, 7)).astype(np.float32)
    size = (PICTURE_WIDTH, PICTURE_HEIGHT)
    wandering = np.exp(
        rng.uniform(0, 0.6) * cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    )
    return np.asarray(rise[:, None] * wandering, np.float32)


def hazy_pictures(pool: ScenePool, rng: np.random.Generator, scenes: int) -> HazyPictures:
    """PICTURES_OF_A_SCENE pictures of each of `scenes` drawn scenes, every one in other haze."""
    pictures, depths, grounds = [], [], []
    for _ in range(scenes):
        view = _draw_view(pool, rng)
        for _ in range(PICTURES_OF_A_SCENE):
            picture, added = _photograph(view, rng)
            pictures.append(picture)
            depth = np.minimum(view.depth + added, DENSEST)
            share = _cell_means(view.ground)
            t = np.exp(-depth)
            of_ground = _cell_means(t * view.ground) / np.maximum(share, 1e-6)
            of_sky = _cell_means(t * (1 - view.ground)) / np.maximum(1 - share, 1e-6)
            depths.append(log_optical_depth(np.where(share > 0.5, of_ground, of_sky)))
            grounds.append(share)
    return HazyPictures(np.stack(pictures), np.stack(depths).astype(np.float32), np.stack(grounds))


@dataclass(frozen=True)
class _View:
    """A crop of a scene at the network's size; `depth` is the optical depth of its own air."""

    light: Floats
    path_km: Floats
    depth: Floats
    ground: Floats
    airlight: Floats


def _draw_view(pool: ScenePool, rng: np.random.Generator) -> _View:
    """A random window of a random scene, of any shape, at times mirrored."""
    scene = int(rng.integers(len(pool)))
    place = scene // MOMENTS
    scale, shape = rng.uniform(0.62, 1.0), np.exp(rng.uniform(-0.35, 0.35))
    width = min(STORED_WIDTH, int(STORED_WIDTH * scale * shape))
    height = min(STORED_HEIGHT, int(STORED_HEIGHT * scale / shape))
    top = int(rng.integers(STORED_HEIGHT - height + 1))
    left = int(rng.integers(STORED_WIDTH - width + 1))
    step = -1 if rng.random() < 0.5 else 1

    def window(plane: NDArray[np.generic], interpolation: int) -> Floats:
        cut = plane[top : top + height, left : left + width][:, ::step].astype(np.float32)
        size = (PICTURE_WIDTH, PICTURE_HEIGHT)
        return np.asarray(cv2.resize(cut, size, interpolation=interpolation), np.float32)

    light = window(pool.light[scene], cv2.INTER_AREA)
    path_km = window(pool.path_km[place], cv2.INTER_NEAREST)
    ground = 1 - window(pool.is_sky[place], cv2.INTER_NEAREST)
    bright = np.percentile(light[::2, ::2].reshape(-1, 3), 98, axis=0)
    airlight = pool.airlight[scene]
    if rng.random() < 0.7:  # nobody knows the airlight better than between these two
        airlight = airlight + rng.random() * (bright - airlight)
    return _View(light, path_km, pool.beta[scene] * path_km, ground, airlight.astype(np.float32))


def _photograph(view: _View, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Floats]:
    """A picture of `view` in more haze, and the optical depth that was added (H, W)."""
    strength = np.exp(rng.uniform(np.log(0.03), np.log(4)))
    if rng.random() < MEASURED_SHARE:
        ground = view.path_km[view.ground > 0]
        far_km = float(np.quantile(ground, 0.95)) if ground.size else 10.0
        added = min(strength / max(far_km, 0.05), 4.0) * view.path_km
    else:
        added = np.float32(strength) * free_depth(rng)
    if rng.random() < UNTOUCHED_SHARE:
        added = np.zeros_like(added)
    if rng.random() < DEVELOPED_SHARE:
        light = SRGB_TO_LINEAR[_develop(view.light, rng)]
        bright = np.percentile(light[::2, ::2].reshape(-1, 3), rng.uniform(96, 99.5), axis=0)
        hazy = add_haze(light, added, bright.astype(np.float32), rng.uniform(-0.3, 1.0))
        picture = _to_codes(hazy)
    else:
        airlight = view.airlight * np.float32(np.exp(rng.normal(0, 0.06)))
        hazy = add_haze(view.light, added, airlight, rng.uniform(0.0, 1.8))
        picture = _develop(hazy, rng)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(55, 96))]
        picture = np.asarray(
            cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR), np.uint8
        )
    return picture, np.asarray(added, np.float32)


def _develop(light: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """sRGB of linear light by a drawn camera: a wider choice than `camera_response` knows.

    What it must not tell the air from: exposure ±0.45 EV, white balance, saturation, contrast,
    lifted shadows, flare, vignette, noise, blur and sharpening.
    """
    sample = light[::4, ::4] @ LUMINANCE
    metered = np.sqrt(sample.mean() * np.exp(np.log(sample + 1e-4).mean()))
    gain = METER_TARGET * 2 ** rng.normal(0, 0.45) / metered
    warm, tint = rng.normal(0, 0.1), rng.normal(0, 0.04)
    grey = np.tile(LUMINANCE, (3, 1))
    colours = grey + rng.uniform(0.8, 1.5) * (np.eye(3) - grey)
    matrix = gain * colours @ np.diag([1 + warm, 1 - tint, 1 - warm])
    x = cv2.transform(light, matrix.astype(np.float32))
    blur = rng.uniform(-0.3, 0.9)
    if blur > 0.15:
        x = cv2.GaussianBlur(x, (0, 0), blur)
    x *= (1 - rng.uniform(0, 0.15) * _OFF_AXIS)[..., None]
    x += np.float32(max(rng.uniform(-0.02, 0.02), 0)) * x.mean(axis=(0, 1))
    grain = rng.standard_normal((*x.shape[:2], 1), np.float32) * np.float32(rng.uniform(0, 0.006))
    x += grain * np.sqrt(0.3 + 4 * np.maximum(x[..., 1:2], 0))
    x = MIDDLE_GREY * (np.maximum(x, 0) / MIDDLE_GREY) ** np.float32(rng.uniform(0.8, 1.4))
    x *= 1 + np.float32(max(rng.uniform(-1, 1), 0)) * np.exp(-x / np.float32(0.08))
    x = 1.05 * x * (1 + x / 20) / (1 + 0.42 * x)
    sharpening = rng.uniform(-0.5, 0.9)
    if sharpening > 0:
        codes = _encoded(x)
        x = codes + np.float32(sharpening) * (codes - cv2.GaussianBlur(codes, (0, 0), 1.0))
        return np.asarray(np.rint(255 * np.clip(x, 0, 1)), np.uint8)
    return _to_codes(x)


def _cell_means(plane: Floats) -> Floats:
    return np.asarray(plane.reshape(_ROWS, CELL, _COLUMNS, CELL).mean(axis=(1, 3)))


def _encoded(linear: NDArray[np.floating]) -> Floats:
    """sRGB in [0..1] of linear light; what is brighter than white is white."""
    return np.asarray(srgb_of(np.clip(linear, 0, 1)), np.float32)


_FINE = 4096  # steps of the table of codes
_CODES = np.rint(255 * _encoded(np.arange(_FINE) / (_FINE - 1))).astype(np.uint8)


def _to_codes(linear: Floats) -> NDArray[np.uint8]:
    """sRGB codes of linear light; what is brighter than white is white."""
    steps = (np.clip(linear, 0, 1) * (_FINE - 1) + 0.5).astype(np.int32)
    return np.asarray(_CODES[steps])


_RIGHT = np.linspace(-1, 1, PICTURE_WIDTH, dtype=np.float32)[None, :]
_DOWN = np.linspace(-1, 1, PICTURE_HEIGHT, dtype=np.float32)[:, None]
_OFF_AXIS = _RIGHT * _RIGHT + _DOWN * _DOWN
