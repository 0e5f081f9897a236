"""The light of a place at a moment: sunlit surfaces, sky and clouds, and the haze before them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.rendering.atmosphere import Air, Sunlight, airlight_and_sky, draw_air, sunlight
from training.rendering.camera_response import CameraResponse, draw_camera
from training.rendering.canvas import TILE_SIDE, Floats, noise_tile, sample_noise, weighted
from training.rendering.scenery import Place, Scenery, paint_place

SKY_GRID = 8  # sky colours vary slowly: one sample in 8 × 8 pixels, then bilinear
LAMPLIGHT = np.array([0.035, 0.025, 0.013], np.float32)  # radiance of a lit window at dusk


@dataclass(frozen=True)
class Moment:
    """Everything that changes while the place stays.

    air                 PM2.5, humidity and particles
    sun_elevation_deg   [deg], may be below 0
    sun_azimuth_deg     from the optical axis, to the right [deg]
    cloud_cover         [0..1]
    camera              how the picture is taken
    seed                draws the clouds and the sensor's noise
    """

    air: Air
    sun_elevation_deg: float
    sun_azimuth_deg: float
    cloud_cover: float
    camera: CameraResponse
    seed: int


@dataclass(frozen=True)
class SceneLight:
    """The light of a scene before the camera, each (H, W, 3) linear.

    inherent      J, what would be seen without air; the sky's own radiance in the sky
    transmission  t = exp(−β·d); 1 in the sky, whose haze is in `inherent` already
    airlight      A
    """

    inherent: Floats
    transmission: Floats
    airlight: Floats

    def at_camera(self) -> Floats:
        """I = J·t + A·(1 − t)."""
        light = self.inherent - self.airlight
        light *= self.transmission
        light += self.airlight
        return np.asarray(light)


def draw_moment(rng: np.random.Generator, place: Place, pm25: float | None = None) -> Moment:
    """A daytime moment at `place`; PM2.5 [ug m-3] lognormal around 22 unless given."""
    label = float(np.clip(rng.lognormal(np.log(22), 0.8), 2, 500)) if pm25 is None else pm25
    return Moment(
        air=draw_air(rng, label),
        sun_elevation_deg=float(rng.uniform(8, 75)),
        sun_azimuth_deg=float(rng.uniform(-180, 180)),
        cloud_cover=float(rng.beta(0.7, 0.9)),
        camera=draw_camera(rng),
        seed=int(rng.integers(2**31)),
    )


def scene_light(place: Place, moment: Moment, width: int, height: int) -> SceneLight:
    """The light of `place` at `moment` on a picture of width × height [px]."""
    scenery = paint_place(place, width, height)
    sun = sunlight(moment.air, moment.sun_elevation_deg, moment.sun_azimuth_deg, moment.cloud_cover)
    extinction = moment.air.extinction().tolist()
    through_air = [np.exp(scenery.distance_m * np.float32(-beta)) for beta in extinction]
    transmission = cv2.merge(through_air)
    transmission[scenery.is_sky] = 1
    inherent = _lit_surfaces(scenery, sun, moment)
    airlight, _, _ = _air_in_view(moment.air, sun, scenery, height)
    sky_rows = int(np.flatnonzero(scenery.is_sky.any(axis=1)).max(initial=-1)) + 1
    if sky_rows:
        _, sky, through_haze = _air_in_view(moment.air, sun, scenery, sky_rows)
        _add_clouds(sky, through_haze, scenery, sun, moment)
        cv2.copyTo(sky, scenery.is_sky[:sky_rows].view(np.uint8), inherent[:sky_rows])
    return SceneLight(inherent, transmission, airlight)


def _air_in_view(
    air: Air, sun: Sunlight, scenery: Scenery, rows: int
) -> tuple[Floats, Floats, Floats]:
    """Airlight, cloudless sky and the haze layer's transmission in the upper `rows` of the view."""
    width = len(scenery.tan_right)
    right = np.linspace(scenery.tan_right[0], scenery.tan_right[-1], max(width // SKY_GRID, 2))
    up = np.linspace(scenery.tan_up[0], scenery.tan_up[rows - 1], max(rows // SKY_GRID, 2))
    airlight, sky, through_haze = airlight_and_sky(air, sun, right, up)
    return (
        cv2.resize(airlight, (width, rows)),
        cv2.resize(sky, (width, rows)),
        cv2.resize(through_haze, (width, rows)),
    )


def _lit_surfaces(scenery: Scenery, sun: Sunlight, moment: Moment) -> Floats:
    """J of everything that is not sky: sunlit and skylit reflectance, and lit windows at dusk."""
    right, up, back = cv2.split(scenery.normal)
    facing = np.maximum(
        right * sun.direction[0] + up * sun.direction[1] + back * sun.direction[2], 0
    )
    if 0.1 < moment.cloud_cover < 0.8:
        facing *= _cloud_shadows(scenery, moment)
    ground = 0.15 * (sun.direct * max(float(sun.direction[1]), 0.0) + sun.diffuse)
    # Facing the sun counts the beam, facing up counts the sky, what is left is ground.
    # The third plane counts nothing: OpenCV is fast from three planes to three.
    weights = np.zeros((3, 4), np.float32)
    weights[:, 0] = sun.direct
    weights[:, 1] = 0.5 * (sun.diffuse - ground)
    weights[:, 3] = 0.5 * (sun.diffuse + ground)
    light = cv2.transform(cv2.merge([facing, up, up]), weights)
    light *= scenery.albedo
    dusk = float(np.clip((4 - moment.sun_elevation_deg) / 8, 0, 1))
    if dusk > 0:
        # Panes differ in depth of glass; the deepest quarter of them are lit rooms.
        light[scenery.glass > 0.85] += dusk * LAMPLIGHT
    return np.asarray(light)


def _cloud_shadows(scenery: Scenery, moment: Moment) -> Floats:
    """Share of the sun's beam that reaches each surface between the clouds (H, W)."""
    small = (scenery.distance_m.shape[1] // 4, scenery.distance_m.shape[0] // 4)
    distance = cv2.resize(np.minimum(scenery.distance_m, np.float32(1e5)), small)
    right = cv2.resize(scenery.tan_right[None, :], (small[0], 1)) * distance
    shadow = sample_noise(
        noise_tile(1.7, 11),
        right / 25 + np.float32(moment.seed % TILE_SIDE),
        distance / 25 + np.float32(moment.seed % 311),
    )
    lit = 1 - 0.75 * np.clip(1.5 * (shadow - 2.2 * (0.5 - moment.cloud_cover)), 0, 1)
    return np.asarray(cv2.resize(lit, scenery.distance_m.shape[::-1]))


def _add_clouds(
    sky: Floats, through_haze: Floats, scenery: Scenery, sun: Sunlight, moment: Moment
) -> None:
    """Put clouds on a level ceiling behind the haze layer, into `sky` (rows, W, 3) in place."""
    rows, width = sky.shape[:2]
    rng = np.random.default_rng([moment.seed, 1])
    small = (max(width // 2, 2), max(rows // 2, 2))
    up = cv2.resize(scenery.tan_up[:rows, None], (1, small[1]))
    right = cv2.resize(scenery.tan_right[None, :], (small[0], 1))
    ceiling = np.float32(rng.uniform(45, 90)) / (np.maximum(up, 0) + np.float32(0.05))
    u = right * ceiling * np.float32(0.8) + np.float32(rng.uniform(0, TILE_SIDE))
    v = np.repeat(ceiling + np.float32(rng.uniform(0, TILE_SIDE)), small[0], axis=1)
    billows = sample_noise(noise_tile(1.55, 21), u, v)
    wisps = sample_noise(noise_tile(1.2, 12), u * 3, v * 3)
    thickness = billows + 0.25 * wisps - np.float32(4.4 * (0.5 - moment.cloud_cover))
    cover = np.clip(thickness / np.float32(rng.uniform(0.5, 1.4)), 0, 1)
    cover = 0.95 * cover * cover * (3 - 2 * cover)
    # The thicker a cloud, the darker its base.
    relief = 1 - 0.45 * np.clip(0.35 * thickness, 0, 1) + 0.07 * wisps
    white = 0.42 * sun.aloft + 0.8 * sun.diffuse
    relief = cv2.resize(relief, (width, rows))
    veil = cv2.merge([relief * radiance for radiance in white])
    veil -= sky
    veil *= through_haze
    sky += weighted(veil, cv2.resize(cover, (width, rows)))
