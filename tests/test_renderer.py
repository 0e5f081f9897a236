"""The rendered world keeps the physics it claims, and its labels say what was rendered."""

from __future__ import annotations

import csv
import hashlib
import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import DataSetError
from features.light import SRGB_TO_LINEAR
from features.sun import solar_position
from training.dataset import REQUIRED_COLUMNS, read_dataset
from training.rendering.atmosphere import Air
from training.rendering.camera_response import CameraResponse, develop
from training.rendering.renderer import (
    PLACE_KINDS,
    Moment,
    Place,
    PlaceKind,
    SceneLight,
    draw_moment,
    draw_place,
    draw_session,
    draw_site,
    render,
    render_dataset,
    scene_light,
)
from training.rendering.scenery import paint_place

WIDTH, HEIGHT = 320, 240
PLAIN_CAMERA = CameraResponse(0.0, (1.0, 1.0, 1.0), 1.0, 1.0, 0.0, 0.3, 0.0)
DRY_AIR = Air(
    pm25=20.0,
    relative_humidity_pct=0.0,
    mass_efficiency_m2_g=3.5,
    hygroscopicity=0.2,
    angstrom_exponent=1.4,
    scattering_share=0.9,
    asymmetry=0.65,
    haze_layer_m=1200.0,
    pressure_hpa=1013.25,
)
pm25_values = st.floats(0, 500)


def place_of(kind: PlaceKind, seed: int = 3) -> Place:
    return draw_place(np.random.default_rng(seed), kind)


def moment_at(pm25: float, sun_azimuth_deg: float = 110.0) -> Moment:
    """A clear noon: only the haze differs between two of them."""
    air = replace(DRY_AIR, pm25=pm25)
    return Moment(air, 55.0, sun_azimuth_deg, 0.0, PLAIN_CAMERA, 7)


def light_of(kind: PlaceKind, pm25: float) -> SceneLight:
    return scene_light(place_of(kind), moment_at(pm25), WIDTH, HEIGHT)


def distance_of(kind: PlaceKind) -> np.ndarray:
    return paint_place(place_of(kind), WIDTH, HEIGHT).distance_m


def contrast(pixels: np.ndarray, distance: np.ndarray, nearest: float, farthest: float) -> float:
    """Mean absolute difference of neighbours in a row that are equally far, within 2 %.

    Across an edge in depth haze may also add contrast: a dark tree before a bright distance.
    """
    within = (distance >= nearest) & (distance <= farthest) & np.isfinite(distance)
    steps = np.abs(distance[:, 1:] / np.where(within, distance, 1)[:, :-1] - 1)
    both = within[:, 1:] & within[:, :-1] & (steps < 0.02)
    assert both.sum() > 100
    return float(np.abs(np.diff(pixels, axis=1))[both].mean())


class TestExtinction:
    def test_of_dry_particles_is_efficiency_times_mass(self) -> None:
        assert DRY_AIR.particle_extinction()[1] == pytest.approx(3.5e-6 * 20, rel=0.01)

    def test_of_clean_air_is_rayleighs(self) -> None:
        clean = replace(DRY_AIR, pm25=0.0)
        red, green, blue = clean.extinction().tolist()
        assert green == pytest.approx(12e-6, rel=0.01)
        assert blue / red == pytest.approx((612 / 465) ** 4, rel=1e-3)

    def test_doubles_where_humidity_doubles_it(self) -> None:
        # κ = 0.2 at 80 % gives 1 + 0.2 · 80/20 = 1.8.
        assert replace(DRY_AIR, relative_humidity_pct=80.0).humidity_growth() == pytest.approx(1.8)

    def test_stays_finite_in_fog(self) -> None:
        air = replace(DRY_AIR, relative_humidity_pct=100.0)
        assert np.isfinite(air.extinction()).all()

    @given(pm25_values, pm25_values, st.floats(0, 100), st.floats(0.1, 2))
    def test_rises_with_pm25_in_every_channel(
        self, one: float, other: float, humidity: float, exponent: float
    ) -> None:
        less, more = sorted((one, other))
        air = replace(DRY_AIR, relative_humidity_pct=humidity, angstrom_exponent=exponent)
        low, high = (replace(air, pm25=pm25).extinction() for pm25 in (less, more))
        assert (high >= low).all()
        assert low[2] >= low[1] >= low[0]


class TestHaze:
    @pytest.mark.parametrize("kind", ["valley_city", "hills"])
    @pytest.mark.parametrize("pm25", [0.0, 5.0, 15.0, 35.0, 75.0])
    def test_takes_the_contrast_of_a_far_slope_by_koschmieders_law(
        self, kind: PlaceKind, pm25: float
    ) -> None:
        distance = distance_of(kind)
        beta = 1e-6 * (12 + 3.5 * pm25)  # at 550 nm, written out again [m-1]
        light = light_of(kind, pm25)
        target = 5000.0 if kind == "valley_city" else 1000.0
        shell = 0.95 * target, 1.05 * target
        seen = contrast(light.at_camera()[..., 1], distance, *shell)
        inherent = contrast(light.inherent[..., 1], distance, *shell)
        assert seen / inherent == pytest.approx(np.exp(-beta * target), rel=0.06)

    @pytest.mark.parametrize("kind", PLACE_KINDS)
    def test_takes_more_from_far_than_from_near_and_gives_nothing_back(
        self, kind: PlaceKind
    ) -> None:
        distance = distance_of(kind)
        ground = distance[np.isfinite(distance)]
        near = 0.0, float(np.quantile(ground, 0.3))
        far = float(np.quantile(ground, 0.8)), float("inf")
        kept = []
        for pm25 in (2.0, 15.0, 50.0, 150.0, 400.0):
            light = light_of(kind, pm25)
            seen, inherent = light.at_camera()[..., 1], light.inherent[..., 1]
            kept.append(
                [
                    contrast(seen, distance, *m) / contrast(inherent, distance, *m)
                    for m in (near, far)
                ]
            )
        near_kept, far_kept = np.array(kept).T
        assert (np.diff(near_kept) < 0).all()
        assert (np.diff(far_kept) < 0).all()
        assert (far_kept < near_kept).all()

    def test_is_still_seen_after_exposure_and_tone_curve(self) -> None:
        distance = distance_of("valley_city")
        ratios = []
        for pm25 in (5.0, 25.0, 75.0, 200.0):
            pixels = render(place_of("valley_city"), moment_at(pm25), WIDTH, HEIGHT)
            linear = cv2.LUT(pixels, SRGB_TO_LINEAR)[..., 1]
            far, near = (contrast(linear, distance, *range_m) for range_m in ((3e3, 1e5), (1, 600)))
            ratios.append(far / near)
        assert (np.diff(ratios) < 0).all()
        assert ratios[-1] < 0.4 * ratios[0]

    def test_ends_in_the_colour_of_the_sky_at_the_horizon(self) -> None:
        light = light_of("hills", 400.0).at_camera()
        is_sky = np.isinf(distance_of("hills"))
        skyline = is_sky.argmin(axis=0)
        columns = np.arange(WIDTH)
        above, below = light[skyline - 2, columns], light[skyline + 1, columns]
        assert np.median(np.abs(below / above - 1)) < 0.05

    def test_whitens_a_blue_sky(self) -> None:
        def blueness(pm25: float) -> tuple[float, float]:
            sky = light_of("hills", pm25).at_camera()
            ratio = sky[..., 2] / sky[..., 0]
            horizon = int(np.isinf(distance_of("hills")).all(axis=1).argmin())
            return float(ratio[0].mean()), float(ratio[horizon - 1].mean())

        clear_top, clear_horizon = blueness(5.0)
        hazy_top, hazy_horizon = blueness(150.0)
        assert clear_top > clear_horizon > 1
        assert hazy_top < clear_top
        assert hazy_horizon < clear_horizon

    def test_glows_towards_the_sun(self) -> None:
        airlight = [
            scene_light(place_of("hills"), moment_at(50.0, azimuth), WIDTH, HEIGHT).airlight.mean()
            for azimuth in (0.0, 90.0, 180.0)
        ]
        assert airlight[0] > airlight[1]
        assert airlight[0] > 1.5 * airlight[2]


class TestPlace:
    @pytest.mark.parametrize("kind", PLACE_KINDS)
    def test_has_sky_and_depth(self, kind: PlaceKind) -> None:
        for seed in range(4):
            distance = paint_place(place_of(kind, seed), WIDTH, HEIGHT).distance_m
            ground = distance[np.isfinite(distance)]
            assert 0.1 < np.isinf(distance).mean() < 0.75
            assert ground.min() > 1
            assert ground.max() / ground.min() > 20

    @pytest.mark.parametrize("kind", PLACE_KINDS)
    def test_is_made_of_possible_surfaces(self, kind: PlaceKind) -> None:
        scenery = paint_place(place_of(kind), WIDTH, HEIGHT)
        assert np.isfinite(scenery.albedo).all()
        assert scenery.albedo.min() >= 0
        assert scenery.albedo.max() < 1
        assert np.abs(scenery.normal).max() <= 1
        assert scenery.glass.min() >= 0
        assert scenery.glass.max() <= 1

    def test_is_the_same_place_at_another_size(self) -> None:
        small = paint_place(place_of("hills"), 320, 240).distance_m
        large = paint_place(place_of("hills"), 640, 480).distance_m[::2, ::2]
        same = np.isinf(small) == np.isinf(large)
        assert same.mean() > 0.97


class TestRender:
    @pytest.mark.parametrize("kind", PLACE_KINDS)
    def test_gives_the_same_bytes_again(self, kind: PlaceKind) -> None:
        def picture() -> np.ndarray:
            rng = np.random.default_rng(5)
            place = draw_place(rng, kind)
            return render(place, draw_moment(rng, place), WIDTH, HEIGHT)

        first = picture()
        paint_place.cache_clear()
        assert first.shape == (HEIGHT, WIDTH, 3)
        assert first.dtype == np.uint8
        assert (picture() == first).all()

    @pytest.mark.parametrize("size", [(640, 400), (480, 640), (333, 257)])
    def test_gives_the_size_asked_for(self, size: tuple[int, int]) -> None:
        width, height = size
        assert render(place_of("street"), moment_at(20.0), width, height).shape == (
            height,
            width,
            3,
        )

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10**6), st.floats(-3, 85), st.floats(-180, 180), st.floats(0, 1))
    def test_stands_any_hour_and_weather(
        self, seed: int, elevation: float, azimuth: float, cloud: float
    ) -> None:
        rng = np.random.default_rng(seed)
        place = draw_place(rng)
        moment = replace(
            draw_moment(rng, place),
            sun_elevation_deg=elevation,
            sun_azimuth_deg=azimuth,
            cloud_cover=cloud,
        )
        light = scene_light(place, moment, 160, 120)
        assert np.isfinite(light.at_camera()).all()
        assert light.at_camera().min() >= 0
        assert render(place, moment, 160, 120).std() > 1

    def test_keeps_the_pm25_it_is_given(self) -> None:
        assert draw_moment(np.random.default_rng(1), place_of("hills"), pm25=37.5).air.pm25 == 37.5


class TestCamera:
    def test_meter_makes_a_brighter_scene_the_same_picture(self) -> None:
        light = light_of("hills", 20.0).at_camera()
        difference = develop(light, PLAIN_CAMERA, 1).astype(int) - develop(
            4 * light, PLAIN_CAMERA, 1
        )
        assert np.abs(difference).max() <= 1

    def test_tone_curve_never_turns_back(self) -> None:
        ramp = np.geomspace(0.001, 5, 512, dtype=np.float32)
        picture = develop(np.repeat(np.tile(ramp, (64, 1))[..., None], 3, axis=2), PLAIN_CAMERA, 1)
        assert (np.diff(picture[32].astype(int), axis=0) >= 0).all()

    def test_more_exposure_is_brighter(self) -> None:
        light = light_of("hills", 20.0).at_camera()
        means = [
            develop(light, replace(PLAIN_CAMERA, exposure_ev=ev), 1).mean() for ev in (-1, 0, 1)
        ]
        assert means[0] < means[1] < means[2]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "four_sites"
    render_dataset(folder, n_sites=4, sessions_per_site=1, photos_per_session=2, seed=11)
    return folder


def labels(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fingerprint(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


class TestRenderDataset:
    def test_has_exactly_the_columns_of_the_contract(self, dataset: Path) -> None:
        header = (dataset / "labels.csv").read_text(encoding="utf-8").splitlines()[0]
        assert header == ",".join(REQUIRED_COLUMNS)

    def test_passes_the_strict_reader(self, dataset: Path) -> None:
        read = read_dataset(dataset)
        assert len(read.rows) == 8
        assert read.duplicates == ()
        assert len({row.site for row in read.rows}) == 4
        assert len({row.session for row in read.rows}) == 4
        assert all(row.pm25 is not None and row.pm25_quality == "A" for row in read.rows)

    def test_card_names_licence_and_size(self, dataset: Path) -> None:
        card = tomllib.loads((dataset / "dataset.toml").read_text(encoding="utf-8"))
        assert card["licence"].startswith("CC0-1.0")
        pictures = (cv2.imread(str(dataset / row["file"])) for row in labels(dataset))
        sizes = [picture.shape[:2] for picture in pictures if picture is not None]
        assert len(sizes) == 8
        assert min(min(size) for size in sizes) >= card["min_side"] >= 512

    def test_sun_is_up_or_setting_in_every_photo(self, dataset: Path) -> None:
        for row in labels(dataset):
            time = datetime.fromisoformat(row["captured_at"])
            sun = solar_position(time, float(row["lat"]), float(row["lon"]))
            assert sun.apparent_elevation > -3

    def test_some_views_are_fixed_and_some_have_weather_in_all_combinations(
        self, dataset: Path
    ) -> None:
        seen = {
            (row["camera"] != "", row["relative_humidity_pct"] != "") for row in labels(dataset)
        }
        assert len(seen) == 4

    def test_same_seed_same_bytes_and_another_site_changes_nothing(
        self, dataset: Path, tmp_path: Path
    ) -> None:
        again = tmp_path / "again"
        render_dataset(again, n_sites=2, sessions_per_site=1, photos_per_session=2, seed=11)
        assert labels(again) == labels(dataset)[:4]
        known = fingerprint(dataset)
        repeated = {name: sha for name, sha in fingerprint(again).items() if "images" in name}
        assert len(repeated) == 4
        assert all(known[name] == sha for name, sha in repeated.items())

    def test_labels_are_what_was_rendered(self) -> None:
        rng = np.random.default_rng(2)
        for number in range(4):
            site = draw_site(rng, number)
            for photo in draw_session(rng, site, 0, 3):
                assert float(photo.row["pm25"]) == photo.moment.air.pm25
                humidity = photo.row["relative_humidity_pct"]
                if site.has_weather:
                    assert float(humidity) == photo.moment.air.relative_humidity_pct

    def test_sessions_differ_more_than_the_photos_of_one(self) -> None:
        rng = np.random.default_rng(4)
        site = draw_site(rng, 0)
        sessions = [
            [np.log(photo.moment.air.pm25) for photo in draw_session(rng, site, number, 4)]
            for number in range(25)
        ]
        assert np.std([np.mean(s) for s in sessions]) > 2 * np.mean([np.std(s) for s in sessions])

    def test_refuses_a_folder_that_exists(self, dataset: Path) -> None:
        with pytest.raises(DataSetError, match="exists already") as refused:
            render_dataset(dataset, 1, 1, 1, seed=1)
        assert refused.value.code == "folder_exists"

    @pytest.mark.parametrize(
        "attempt",
        [
            lambda folder: render_dataset(folder, 0, 1, 1, seed=1),
            lambda folder: render_dataset(folder, 1, 1, 1, seed=-1),
        ],
    )
    def test_leaves_nothing_behind_when_it_fails(
        self, attempt: Callable[[Path], None], tmp_path: Path
    ) -> None:
        with pytest.raises((DataSetError, ValueError)):
            attempt(tmp_path / "never")
        assert list(tmp_path.iterdir()) == []
