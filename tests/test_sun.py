"""The sun's position against NREL's algorithm, and against what everyone knows of the sun."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.sun import solar_position

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))
LATITUDES = st.floats(-89.0, 89.0)
LONGITUDES = st.floats(-180.0, 180.0)


def test_agrees_with_the_nrel_algorithm() -> None:
    pandas = pytest.importorskip("pandas")
    pvlib = pytest.importorskip("pvlib")
    rng = np.random.default_rng(3)
    start = datetime(1990, 1, 1, tzinfo=UTC)
    for _ in range(8):
        lat, lon = rng.uniform(-89, 89), rng.uniform(-180, 180)
        times = [start + timedelta(days=float(d)) for d in rng.uniform(0, 70 * 365.25, 100)]
        truth = pvlib.solarposition.get_solarposition(
            pandas.DatetimeIndex(times), lat, lon, altitude=0, pressure=101000, temperature=10
        )
        ours = [solar_position(time, lat, lon) for time in times]
        elevation = np.array([position.elevation for position in ours])
        azimuth = np.array([position.azimuth for position in ours])
        apparent = np.array([position.apparent_elevation for position in ours])
        turn = (azimuth - truth["azimuth"].to_numpy() + 180) % 360 - 180

        assert np.abs(elevation - truth["elevation"].to_numpy()).max() < 0.01
        across = turn * np.cos(np.radians(elevation))
        assert np.abs(across).max() < 0.015
        apart = np.hypot(elevation - truth["elevation"].to_numpy(), across)  # on the sky
        assert apart.max() < 0.02
        up = elevation > -0.5  # below it pvlib sets refraction to zero
        assert np.abs(apparent - truth["apparent_elevation"].to_numpy())[up].max() < 0.012


@given(MOMENTS, LATITUDES, LONGITUDES)
def test_stays_in_its_ranges(moment: datetime, lat: float, lon: float) -> None:
    sun = solar_position(moment, lat, lon)
    assert -90.01 <= sun.elevation <= 90
    assert 0 <= sun.azimuth < 360
    assert -0.001 <= sun.apparent_elevation - sun.elevation <= 0.6


@given(MOMENTS, LATITUDES, LONGITUDES, st.integers(-14 * 60, 14 * 60))
def test_the_same_moment_in_another_zone_has_the_same_sun(
    moment: datetime, lat: float, lon: float, offset: int
) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(minutes=offset)))
    assert solar_position(elsewhere, lat, lon) == solar_position(moment, lat, lon)


@given(MOMENTS, LATITUDES, LONGITUDES)
def test_on_the_other_side_of_the_globe_the_sun_is_below_by_as_much(
    moment: datetime, lat: float, lon: float
) -> None:
    here = solar_position(moment, lat, lon).elevation
    there = solar_position(moment, -lat, lon + 180).elevation
    assert here + there == pytest.approx(0, abs=0.005)  # twice the parallax


@pytest.mark.parametrize(
    ("time", "lat", "lon", "elevation"),
    [
        ("2025-03-20T17:06:00+00:00", 6.2442, -75.5812, 83.8),  # Medellín, equinox: 90 - latitude
        ("2025-06-21T12:02:00+00:00", 51.4779, 0.0, 61.96),  # Greenwich, solstice
        ("2025-12-21T11:58:00+00:00", 51.4779, 0.0, 15.09),
    ],
)
def test_noons_of_the_almanac(time: str, lat: float, lon: float, elevation: float) -> None:
    sun = solar_position(datetime.fromisoformat(time), lat, lon)
    assert sun.elevation == pytest.approx(elevation, abs=0.1)


def test_the_sun_rises_in_the_east_and_sets_in_the_west() -> None:
    morning = solar_position(datetime.fromisoformat("2025-03-20T06:30:00-05:00"), 6.24, -75.58)
    evening = solar_position(datetime.fromisoformat("2025-03-20T17:45:00-05:00"), 6.24, -75.58)
    assert morning.azimuth == pytest.approx(90, abs=2)
    assert evening.azimuth == pytest.approx(270, abs=2)


def test_a_time_without_an_offset_has_no_sun() -> None:
    with pytest.raises(ValueError, match="offset"):
        solar_position(datetime(2025, 1, 1, 12), 0, 0)
