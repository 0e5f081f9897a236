"""Where the sun stands: it lights the haze, and its height says whether there is light at all.

The low-accuracy series of J. Meeus, Astronomical Algorithms, 2nd ed. (1998), chapters 12, 16 and
25, and the refraction of NOAA's solar calculator, which is built on the same series. From 1990 to
2060 the elevation is within 0.01 deg of the NREL algorithm (pvlib) at every latitude.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import asin, atan2, cos, degrees, radians, sin, tan

_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)
_SECONDS_PER_CENTURY = 36525 * 86400
_PARALLAX = 0.00244  # seen from the Earth's surface instead of its centre [deg]


@dataclass(frozen=True)
class SolarPosition:
    """The centre of the sun's disc as seen from one place at one moment.

    elevation           above the horizon, without refraction [deg, -90..90]
    apparent_elevation  as seen through the standard atmosphere, 1010 hPa and 10 degC [deg]
    azimuth             clockwise from north [deg, 0..360)
    """

    elevation: float
    apparent_elevation: float
    azimuth: float


def solar_position(time: datetime, lat: float, lon: float) -> SolarPosition:
    """The sun at `time` (aware) over `lat` [deg north], `lon` [deg east]. ValueError if naive."""
    if time.utcoffset() is None:
        raise ValueError("The sun's position needs a time with an offset from UTC.")
    moment = time.astimezone(UTC)
    century = (moment - _J2000).total_seconds() / _SECONDS_PER_CENTURY
    right_ascension, declination, sidereal = _equatorial(century)
    hour_angle = radians(sidereal + lon) - right_ascension
    phi = radians(lat)
    sine = sin(phi) * sin(declination) + cos(phi) * cos(declination) * cos(hour_angle)
    elevation = degrees(asin(max(-1.0, min(1.0, sine))))
    elevation -= _PARALLAX * cos(radians(elevation))
    azimuth = degrees(
        atan2(sin(hour_angle), cos(hour_angle) * sin(phi) - tan(declination) * cos(phi))
    )
    return SolarPosition(elevation, elevation + _refraction(elevation), (azimuth + 180) % 360)


def _equatorial(t: float) -> tuple[float, float, float]:
    """Apparent right ascension and declination [rad], sidereal time at Greenwich [deg].

    `t` in Julian centuries from J2000. Universal time stands for terrestrial time: the sun moves
    by 0.0008 deg in the minute between them.
    """
    mean_longitude = 280.46646 + t * (36000.76983 + t * 0.0003032)
    anomaly = radians(357.52911 + t * (35999.05029 - t * 0.0001537))
    centre = (
        sin(anomaly) * (1.914602 - t * (0.004817 + t * 0.000014))
        + sin(2 * anomaly) * (0.019993 - t * 0.000101)
        + sin(3 * anomaly) * 0.000289
    )
    node = radians(125.04 - 1934.136 * t)  # of the moon's orbit
    nutation = -0.00478 * sin(node)
    aberration = -0.00569
    longitude = radians(mean_longitude + centre + aberration + nutation)
    obliquity = radians(23.4392911 - t * 0.0130042 + 0.00256 * cos(node))
    sidereal = 280.46061837 + 360.98564736629 * 36525 * t + nutation * cos(obliquity)
    return (
        atan2(cos(obliquity) * sin(longitude), cos(longitude)),
        asin(sin(obliquity) * sin(longitude)),
        sidereal,
    )


def _refraction(elevation: float) -> float:
    """How much the air lifts the sun [deg]: NOAA's fit in four pieces, `elevation` [deg]."""
    if elevation > 85:
        return 0.0
    slope = tan(radians(elevation))
    if elevation > 5:
        seconds = 58.1 / slope - 0.07 / slope**3 + 0.000086 / slope**5
    elif elevation > -0.575:
        e = elevation
        seconds = 1735 + e * (-518.2 + e * (103.4 + e * (-12.79 + e * 0.711)))
    else:
        seconds = -20.772 / slope
    return seconds / 3600
