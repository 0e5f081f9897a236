"""Sun and weather features: limits, signs, oracles, and what must not be in them."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.metadata import RANGES, PhotoMetadata
from features.meteorology import (
    FAMILY,
    SUN_FEATURES,
    WEATHER_FEATURES,
    MeteorologicalFeatureExtractor,
    air_mass,
    dew_point,
    humidity_growth,
)

NOON = PhotoMetadata(
    captured_at=datetime.fromisoformat("2025-03-01T12:00:00-05:00"),
    lat=6.25,
    lon=-75.57,
    temperature_c=24.0,
    relative_humidity_pct=60.0,
    pressure_hpa=850.0,
    wind_speed_ms=2.0,
    wind_direction_deg=90.0,
    rain_mm=0.0,
    boundary_layer_height_m=900.0,
)
extract = MeteorologicalFeatureExtractor().extract


def numbers(name: str) -> st.SearchStrategy[float]:
    low, high, _ = RANGES[name]
    return st.floats(low, high)


METADATA = st.builds(
    PhotoMetadata,
    captured_at=st.none() | st.datetimes(datetime(1990, 1, 2), timezones=st.just(UTC)),
    **{name: st.none() | numbers(name) for name in RANGES},
)


@given(METADATA)
def test_every_feature_is_there_within_its_range_or_unknown(metadata: PhotoMetadata) -> None:
    values = extract(metadata)
    assert tuple(values) == FAMILY.names
    for feature in FAMILY.features:
        low, high = feature.range
        value = values[feature.name]
        assert math.isnan(value) or low <= value <= high, feature.name


def test_full_metadata_leave_nothing_unknown() -> None:
    assert all(math.isfinite(value) for value in extract(NOON).values())


def test_no_metadata_say_nothing() -> None:
    assert all(math.isnan(value) for value in extract(PhotoMetadata()).values())


def test_sun_and_weather_part_the_family() -> None:
    assert FAMILY.names == SUN_FEATURES + WEATHER_FEATURES
    without_weather = PhotoMetadata(captured_at=NOON.captured_at, lat=NOON.lat, lon=NOON.lon)
    values = extract(without_weather)
    assert all(math.isfinite(values[name]) for name in SUN_FEATURES)
    assert all(math.isnan(values[name]) for name in WEATHER_FEATURES)


def test_the_site_and_the_date_are_not_in_the_features() -> None:
    """A place and a year with the same sun give the same numbers; pressure gives none."""
    assert not {"lat", "lon", "pressure_hpa", "year", "day_of_year"} & set(FAMILY.names)
    weather_only = replace(NOON, captured_at=None)
    assert str(extract(replace(weather_only, lat=45.0, lon=9.0))) == str(extract(weather_only))
    assert str(extract(replace(NOON, pressure_hpa=1010.0))) == str(extract(NOON))
    assert {field.name for field in fields(PhotoMetadata)} >= {"lat", "lon", "pressure_hpa"}


def test_dew_point_of_the_psychrometric_tables() -> None:
    assert dew_point(20.0, 100.0) == pytest.approx(20.0, abs=1e-9)
    assert dew_point(20.0, 50.0) == pytest.approx(9.3, abs=0.1)
    assert dew_point(30.0, 80.0) == pytest.approx(26.2, abs=0.1)


@given(st.floats(-60, 60), st.floats(1, 100), st.floats(1, 100))
def test_moister_air_has_a_higher_dew_point(temperature: float, one: float, other: float) -> None:
    dry, moist = sorted((one, other))
    assert dew_point(temperature, dry) <= dew_point(temperature, moist) <= temperature + 1e-9


def test_humidity_swells_particles_and_stops_in_fog() -> None:
    assert humidity_growth(0.0) == 1.0
    assert humidity_growth(85.0) == pytest.approx(1.9, abs=0.01)
    assert humidity_growth(100.0) == humidity_growth(95.0) == pytest.approx(4.04)


@given(st.floats(0, 100), st.floats(0, 100))
def test_humidity_growth_never_falls(one: float, other: float) -> None:
    assert humidity_growth(min(one, other)) <= humidity_growth(max(one, other))


def test_air_mass_is_that_of_kasten_and_young() -> None:
    pvlib = pytest.importorskip("pvlib")
    for elevation in (6, 10, 30, 60, 90):
        truth = pvlib.atmosphere.get_relative_airmass(90 - elevation, "kastenyoung1989")
        assert air_mass(elevation) == pytest.approx(truth, rel=1e-12)


@given(st.floats(-90, 90), st.floats(-90, 90))
def test_air_mass_falls_as_the_sun_rises(one: float, other: float) -> None:
    assert 10 >= air_mass(min(one, other)) >= air_mass(max(one, other)) > 0.99


def test_wind_from_the_east_blows_towards_the_west() -> None:
    values = extract(NOON)
    assert values["wind_u_ms"] == pytest.approx(-2.0)
    assert values["wind_v_ms"] == pytest.approx(0.0, abs=1e-12)


def test_a_calm_needs_no_direction_but_a_wind_does() -> None:
    calm = extract(replace(NOON, wind_speed_ms=0.0, wind_direction_deg=None))
    wind = extract(replace(NOON, wind_direction_deg=None))
    assert calm["wind_u_ms"] == calm["wind_v_ms"] == 0
    assert math.isnan(wind["wind_u_ms"])
    assert math.isnan(wind["wind_v_ms"])


def test_daylight_fades_through_civil_twilight() -> None:
    def at(time: str) -> float:
        return extract(replace(NOON, captured_at=datetime.fromisoformat(time)))["daylight"]

    assert at("2025-03-01T12:00:00-05:00") == 1
    assert 0 < at("2025-03-01T18:30:00-05:00") < 1
    assert at("2025-03-01T22:00:00-05:00") == 0
