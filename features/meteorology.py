"""Sun and weather at the time of the photo: what changes a haze of the same PM2.5.

The sun lights the haze, humid air swells its particles, wind and a deep mixed layer thin it out,
rain washes it away. The expected signs hold for a given photo: the wetter the air, the less dry
mass the same haze takes.

Left out on purpose: latitude, longitude, year and day (they name the site and the season), the
sun's azimuth (without the camera's heading it is a clock), and air pressure. A request gives it at
the surface, where its altitude part (12 % a kilometre) names the site and is larger than all its
weather; to take that out it needs an altitude or a past, and a request has neither. As a
difference from a known camera's usual pressure it lost (docs/LOG.md).

The height of the mixed layer is asked for because forecast models give it for the present hour at
any place (GFS and IFS do). The reanalysis ERA5 comes five days late: as a training value it stands
in for such a forecast, and no user has it for the photo just taken. Its logarithm turns the
different scales of two models into an offset.
"""

from __future__ import annotations

from math import cos, log, log1p, nan, pow, radians, sin

from features.metadata import PhotoMetadata
from features.schema import Feature, FeatureFamily
from features.sun import solar_position

KAPPA_EXTINCTION = 0.16  # urban, rich in organics: within 0.10..0.25; f(85 %) = 1.9
MAX_HUMIDITY = 95.0  # [%] above it the particles are fog droplets, and f says nothing
MAX_AIR_MASS = 10.0  # reached at an elevation of 5.2 deg
_MAGNUS_B, _MAGNUS_C = 17.62, 243.12  # [1], [degC], over water, -45..60 degC

_WMO_8 = "WMO-No. 8 (Sonntag 1990)"
_HUMIDITY = "Wang 2019, 10.1029/2018JD029269"
_GROWTH = "Brock 2016, 10.5194/acp-16-4987-2016"
_DILUTION = "box model: concentration = emission / (wind speed x mixed layer height)"
_NOAA = "NOAA solar calculator (Meeus 1998)"

_SUN = (
    Feature(
        "sun_elevation_deg", "deg", "height of the sun without refraction", 0, _NOAA, (-90.01, 90)
    ),
    Feature(
        "cos_solar_zenith", "1", "cosine of the angle from the zenith to the sun", 0, _NOAA, (-1, 1)
    ),
    Feature(
        "air_mass",
        "1",
        "air between us and the sun, the zenith being 1; at most 10, and 10 at night",
        0,
        "Kasten & Young 1989, Applied Optics 28:4735",
        (0.999, MAX_AIR_MASS),
    ),
    Feature(
        "daylight", "1", "1 with the sun up, 0 below -6 deg, linear in between", 0, _NOAA, (0, 1)
    ),
)
_WEATHER = (
    Feature("relative_humidity_pct", "%", "relative humidity at 2 m", -1, _HUMIDITY, (0, 100)),
    Feature(
        "humidity_growth",
        "1",
        "extinction over that of dry particles, f(RH)",
        -1,
        _GROWTH,
        (1, 4.04),
    ),
    Feature("temperature_c", "degC", "air temperature at 2 m", 0, _DILUTION, (-60, 60)),
    Feature(
        "dew_point_c",
        "degC",
        "temperature at which the air would be saturated",
        0,
        _WMO_8,
        (-90.2, 60.01),
    ),
    Feature("dew_point_depression_k", "K", "temperature minus dew point", 1, _WMO_8, (-0.01, 75)),
    Feature("wind_speed_ms", "m s-1", "wind speed at 10 m", -1, _DILUTION, (0, 100)),
    Feature("wind_u_ms", "m s-1", "wind towards the east", 0, _DILUTION, (-100, 100)),
    Feature("wind_v_ms", "m s-1", "wind towards the north", 0, _DILUTION, (-100, 100)),
    Feature("rain_mm", "mm", "rain of the last hour", -1, "wet removal of particles", (0, 500)),
    Feature(
        "ln_boundary_layer_height", "1", "ln(mixed layer height / 1 m)", -1, _DILUTION, (2.3, 8.7)
    ),
    Feature(
        "ln_ventilation",
        "1",
        "ln(1 + wind x mixed layer height / 1 m2 s-1)",
        -1,
        _DILUTION,
        (0, 13.31),
    ),
)
FAMILY = FeatureFamily("meteorology", 1, _SUN + _WEATHER)
SUN_FEATURES = tuple(feature.name for feature in _SUN)
WEATHER_FEATURES = tuple(feature.name for feature in _WEATHER)


class MeteorologicalFeatureExtractor:
    """Reads the features of sun and weather from a photo's metadata."""

    def extract(self, metadata: PhotoMetadata) -> dict[str, float]:
        """One value for each of FAMILY.names, in that order; nan where the metadata say nothing."""
        values = _sun_features(metadata) | _weather_features(metadata)
        return {name: values.get(name, nan) for name in FAMILY.names}


def dew_point(temperature_c: float, relative_humidity_pct: float) -> float:
    """Dew point over water [degC], Magnus' formula; humidity below 1 % counts as 1 %."""
    saturation = _MAGNUS_B * temperature_c / (_MAGNUS_C + temperature_c)
    vapour = log(min(max(relative_humidity_pct, 1.0), 100.0) / 100) + saturation
    return _MAGNUS_C * vapour / (_MAGNUS_B - vapour)


def humidity_growth(relative_humidity_pct: float) -> float:
    """f(RH) = 1 + kappa RH / (100 - RH) [1, 1..4.04]: extinction over that of dry particles."""
    humidity = min(relative_humidity_pct, MAX_HUMIDITY)
    return 1 + KAPPA_EXTINCTION * humidity / (100 - humidity)


def air_mass(elevation: float) -> float:
    """Relative optical air mass [1, 1..MAX_AIR_MASS] towards `elevation` [deg], Kasten & Young."""
    if elevation <= 0:
        return MAX_AIR_MASS
    curvature = 0.50572 * pow(elevation + 6.07995, -1.6364)
    return min(1 / (sin(radians(elevation)) + curvature), MAX_AIR_MASS)


def _sun_features(metadata: PhotoMetadata) -> dict[str, float]:
    if metadata.captured_at is None or metadata.lat is None or metadata.lon is None:
        return {}
    elevation = solar_position(metadata.captured_at, metadata.lat, metadata.lon).elevation
    return {
        "sun_elevation_deg": elevation,
        "cos_solar_zenith": sin(radians(elevation)),
        "air_mass": air_mass(elevation),
        "daylight": min(max(1 + elevation / 6, 0.0), 1.0),
    }


def _weather_features(metadata: PhotoMetadata) -> dict[str, float]:
    values: dict[str, float] = {}
    temperature, humidity = metadata.temperature_c, metadata.relative_humidity_pct
    wind, rain, height = metadata.wind_speed_ms, metadata.rain_mm, metadata.boundary_layer_height_m
    if humidity is not None:
        values["relative_humidity_pct"] = humidity
        values["humidity_growth"] = humidity_growth(humidity)
    if temperature is not None:
        values["temperature_c"] = temperature
    if temperature is not None and humidity is not None:
        values["dew_point_c"] = dew_point(temperature, humidity)
        values["dew_point_depression_k"] = temperature - values["dew_point_c"]
    if wind is not None:
        values["wind_speed_ms"] = wind
        direction = 0.0 if wind == 0 else metadata.wind_direction_deg  # a calm has no direction
        if direction is not None:
            values["wind_u_ms"] = -wind * sin(radians(direction))
            values["wind_v_ms"] = -wind * cos(radians(direction))
    if rain is not None:
        values["rain_mm"] = rain
    if height is not None:
        values["ln_boundary_layer_height"] = log(max(height, 10.0))  # no layer is thinner
    if wind is not None and height is not None:
        values["ln_ventilation"] = log1p(wind * height)
    return values
