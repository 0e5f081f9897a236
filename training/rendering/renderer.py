"""Pictures of rendered places, and whole data sets of them, with haze of known PM2.5.

    Place (scenery.py) ─ paint_place → reflectance, distance, surfaces
    Moment             ─ scene_light → inherent radiance J, transmission t, airlight A
    CameraResponse     ─ develop     → sRGB of J·t + A·(1 − t)

PM2.5 is the label. What an estimator cannot know (mass efficiency, hygroscopicity, Ångström
exponent, distances, reflectances, sun, cloud, tone curve, noise) is drawn for each scene.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from features.errors import DataSetError
from features.sun import solar_position
from training.dataset import REQUIRED_COLUMNS
from training.rendering.camera_response import CameraResponse, develop, draw_camera
from training.rendering.scene_light import Moment, SceneLight, draw_moment, scene_light
from training.rendering.scenery import PLACE_KINDS, Place, PlaceKind, draw_place

__all__ = [
    "PLACE_KINDS",
    "CameraResponse",
    "Moment",
    "Place",
    "PlaceKind",
    "SceneLight",
    "draw_camera",
    "draw_moment",
    "draw_place",
    "render",
    "render_dataset",
    "scene_light",
]


def render(place: Place, moment: Moment, width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    """The picture (height, width, 3) uint8 RGB of `place` at `moment`; same input, same bytes."""
    light = scene_light(place, moment, width, height)
    return develop(light.at_camera(), moment.camera, moment.seed)


@dataclass(frozen=True)
class City:
    """Where a rendered site pretends to stand: only its sun and its clock come from it."""

    name: str
    country: str
    lat: float
    lon: float
    utc_offset_h: float


CITIES = (
    City("medellin", "CO", 6.25, -75.57, -5),
    City("santiago", "CL", -33.45, -70.65, -4),
    City("kathmandu", "NP", 27.71, 85.32, 5.75),
    City("milan", "IT", 45.46, 9.19, 1),
    City("nairobi", "KE", -1.29, 36.82, 3),
    City("quito", "EC", -0.18, -78.47, -5),
    City("delhi", "IN", 28.61, 77.21, 5.5),
    City("krakow", "PL", 50.06, 19.94, 1),
    City("mexico_city", "MX", 19.43, -99.13, -6),
    City("chengdu", "CN", 30.66, 104.06, 8),
    City("denver", "US", 39.74, -104.99, -7),
    City("accra", "GH", 5.56, -0.20, 0),
)
SIZES = ((768, 576), (960, 720), (1024, 576), (800, 600), (576, 768))  # width, height [px]
FIRST_DAY = datetime(2025, 1, 6)
LOWEST_DAY_SUN, LOWEST_DUSK_SUN, HIGHEST_DUSK_SUN = 8.0, -2.0, 5.0  # [deg]
DUSK_SHARE = 0.08  # of photos


@dataclass(frozen=True)
class Site:
    """One rendered site: its place and its habits.

    heading_deg   where the camera looks, clockwise from north
    fixed_view    whether every photo is taken by the same camera in the same position
    has_weather   whether its labels come with weather
    median_pm25   [ug m-3]
    """

    name: str
    city: City
    place: Place
    camera: CameraResponse
    size: tuple[int, int]
    heading_deg: float
    fixed_view: bool
    has_weather: bool
    median_pm25: float
    temperature_c: float
    pressure_hpa: float


def draw_site(rng: np.random.Generator, number: int) -> Site:
    """The `number`-th site. Fixed views and weather come in all four combinations."""
    city = CITIES[number % len(CITIES)]
    return Site(
        name=f"rendered_{city.name}_{number:02d}",
        city=replace(
            city,
            lat=round(city.lat + rng.uniform(-0.05, 0.05), 4),
            lon=round(city.lon + rng.uniform(-0.05, 0.05), 4),
        ),
        place=draw_place(rng, PLACE_KINDS[number % len(PLACE_KINDS)]),
        camera=draw_camera(rng),
        size=SIZES[int(rng.integers(len(SIZES)))],
        heading_deg=float(rng.uniform(0, 360)),
        fixed_view=number % 2 == 0,
        has_weather=number % 4 < 2,
        median_pm25=float(np.exp(np.clip(rng.normal(np.log(24), 0.55), np.log(6), np.log(90)))),
        temperature_c=float(rng.uniform(8, 27)),
        pressure_hpa=float(rng.uniform(840, 1015)),
    )


@dataclass(frozen=True)
class Photograph:
    """One row of `labels.csv` and what to render for it."""

    row: dict[str, str]
    place: Place
    moment: Moment
    size: tuple[int, int]
    jpeg_quality: int


def draw_session(
    rng: np.random.Generator, site: Site, number: int, photos: int
) -> Iterator[Photograph]:
    """The photos of one camera-day, or of one visit, in the order of their time."""
    swing = float(rng.normal())  # of the day's PM2.5 around the site's median
    day = FIRST_DAY + timedelta(days=3 * number + int(rng.integers(0, 3)))
    session = f"{site.name}_{day:%Y%m%d}"
    mixing_m = 900 * np.exp(-0.35 * swing + 0.25 * rng.normal())
    wind_ms = 2.2 * np.exp(-0.30 * swing + 0.4 * rng.normal())
    humidity, temperature = rng.normal(62, 14), site.temperature_c + rng.normal(0, 3)
    scene = draw_moment(rng, site.place, pm25=0.0)
    place, camera, size, quality = site.place, site.camera, site.size, 92
    if not site.fixed_view:
        camera, quality = draw_camera(rng), int(rng.integers(82, 96))
    times = _draw_times(rng, site, day, photos)
    for count, (time, elevation, azimuth) in enumerate(times):
        pm25 = site.median_pm25 * np.exp(0.5 * swing + 0.12 * rng.normal())
        pm25 = round(float(np.clip(pm25, 1.5, 500)), 1)
        # The afternoon is drier and warmer, and its haze layer is higher.
        warmth = float(np.sin(np.pi * np.clip((time.hour + time.minute / 60 - 7) / 15, 0, 1)))
        weather = {
            "temperature_c": round(float(temperature + 6 * warmth), 1),
            "relative_humidity_pct": round(float(np.clip(humidity + 12 - 22 * warmth, 15, 96)), 1),
            "pressure_hpa": round(site.pressure_hpa + float(rng.normal(0, 1)), 1),
            "wind_speed_ms": round(float(wind_ms * (0.7 + 0.6 * warmth)), 2),
            "wind_direction_deg": round(float(rng.uniform(0, 360)), 1) % 360,
            "rain_mm": 0.0,
            "boundary_layer_height_m": round(float(mixing_m * (0.4 + 0.9 * warmth)), 1),
        }
        if not site.fixed_view:
            place = replace(
                site.place,
                focal=site.place.focal * float(rng.uniform(0.9, 1.2)),
                horizon=site.place.horizon + float(rng.uniform(-0.06, 0.06)),
            )
        air = replace(
            scene.air,
            pm25=pm25,
            relative_humidity_pct=weather["relative_humidity_pct"],
            pressure_hpa=weather["pressure_hpa"],
            haze_layer_m=max(weather["boundary_layer_height_m"], 200.0),
        )
        moment = Moment(
            air=air,
            sun_elevation_deg=elevation,
            sun_azimuth_deg=(azimuth - site.heading_deg + 180) % 360 - 180,
            cloud_cover=float(np.clip(scene.cloud_cover + rng.normal(0, 0.08), 0, 1)),
            camera=replace(camera, exposure_ev=camera.exposure_ev + float(rng.normal(0, 0.1))),
            seed=int(rng.integers(2**31)),
        )
        row = {
            "file": f"images/{session}_{count:02d}.jpg",
            "site": site.name,
            "camera": f"{site.name}_view" if site.fixed_view else "",
            "country": site.city.country,
            "lat": f"{site.city.lat:.4f}",
            "lon": f"{site.city.lon:.4f}",
            "captured_at": time.isoformat(timespec="minutes"),
            "session": session,
            "pm25": f"{pm25}",
            "pm25_quality": "A",
            "pm25_as_published": f"{pm25}",
        }
        row |= {name: f"{value}" if site.has_weather else "" for name, value in weather.items()}
        yield Photograph(row, place, moment, size, quality)


def _draw_times(
    rng: np.random.Generator, site: Site, day: datetime, photos: int
) -> list[tuple[datetime, float, float]]:
    """Times of a session with the sun's elevation and azimuth [deg]: by day, now and then at dusk.

    A camera-day is spread over the day, a visit takes minutes.
    """
    zone = timezone(timedelta(hours=site.city.utc_offset_h))
    midnight = day.replace(tzinfo=zone)
    suns = [
        (time, *_sun(time, site.city))
        for time in (midnight + timedelta(minutes=m) for m in range(4 * 60, 21 * 60, 2))
    ]
    by_day = [s for s in suns if s[1] >= LOWEST_DAY_SUN]
    at_dusk = [s for s in suns if LOWEST_DUSK_SUN <= s[1] <= HIGHEST_DUSK_SUN]
    if site.fixed_view:
        pools = [at_dusk if rng.uniform() < DUSK_SHARE else by_day for _ in range(photos)]
        picks = [pool[int(rng.integers(len(pool)))] for pool in pools]
        return sorted(picks)
    pool = at_dusk if rng.uniform() < DUSK_SHARE else by_day
    start = int(rng.integers(max(len(pool) - photos, 1)))
    return [pool[min(start + k, len(pool) - 1)] for k in range(photos)]


def _sun(time: datetime, city: City) -> tuple[float, float]:
    sun = solar_position(time, city.lat, city.lon)
    return sun.apparent_elevation, sun.azimuth


def render_dataset(
    folder: Path, n_sites: int, sessions_per_site: int, photos_per_session: int, seed: int
) -> None:
    """Write a data set of rendered photos into `folder`, which must not exist yet.

    The same arguments give the same bytes, and a further site leaves the others as they are. The
    folder appears complete or not at all. Raises DataSetError if it exists or a number is not ≥ 1.
    """
    if min(n_sites, sessions_per_site, photos_per_session) < 1:
        raise DataSetError(
            "nothing_to_render",
            f"{n_sites} sites × {sessions_per_site} sessions × {photos_per_session} photos.",
            "Ask for at least one of each.",
        )
    if folder.exists():
        raise DataSetError(
            "folder_exists",
            f"{folder} exists already.",
            "Name a folder that does not exist, or remove this one.",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        unfinished.chmod(0o755)
        _write_dataset(unfinished, n_sites, sessions_per_site, photos_per_session, seed)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished)
        raise


def _write_dataset(
    folder: Path, n_sites: int, sessions_per_site: int, photos_per_session: int, seed: int
) -> None:
    (folder / "images").mkdir()
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        labels = csv.DictWriter(file, REQUIRED_COLUMNS, lineterminator="\n")
        labels.writeheader()
        for site_number in range(n_sites):
            rng = np.random.default_rng([seed, site_number])
            site = draw_site(rng, site_number)
            for session_number in range(sessions_per_site):
                for photo in draw_session(rng, site, session_number, photos_per_session):
                    pixels = render(photo.place, photo.moment, *photo.size)
                    _write_jpeg(folder / photo.row["file"], pixels, photo.jpeg_quality)
                    labels.writerow(photo.row)
    (folder / "dataset.toml").write_text(
        f'name = "Rendered scenes, seed {seed}"\n'
        'licence = "CC0-1.0: drawn by this project, no photograph behind it"\n'
        'source = "training/rendering: procedural places, Koschmieder haze of known extinction"\n'
        f"min_side = {min(min(size) for size in SIZES)}\n",
        encoding="utf-8",
    )


def _write_jpeg(path: Path, pixels: NDArray[np.uint8], quality: int) -> None:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    path.write_bytes(data.tobytes())
