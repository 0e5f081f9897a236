"""What may come with a photo: time, place, camera and weather, all of it optional.

One parser for a request's JSON, its form fields and a row of `labels.csv`: what is measured in an
evaluation is read exactly as what is served. Unknown stays None; it is never guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

from features.errors import MetadataError

# Field: lowest and highest value, and the unit. Beyond these no place on Earth has been seen.
RANGES: dict[str, tuple[float, float, str]] = {
    "lat": (-90.0, 90.0, "deg north"),
    "lon": (-180.0, 180.0, "deg east"),
    "temperature_c": (-60.0, 60.0, "degC"),
    "relative_humidity_pct": (0.0, 100.0, "%"),
    "pressure_hpa": (500.0, 1100.0, "hPa"),
    "wind_speed_ms": (0.0, 100.0, "m/s"),
    "wind_direction_deg": (0.0, 360.0, "deg"),
    "rain_mm": (0.0, 500.0, "mm"),
    "boundary_layer_height_m": (0.0, 6000.0, "m"),
}
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_CAMERA_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class PhotoMetadata:
    """The circumstances of one photo. None where unknown.

    captured_at              when the photo was taken, with its offset from UTC
    lat, lon                 position [deg north], [deg east], both or neither
    camera                   name of a fixed view
    temperature_c            air temperature at 2 m [degC]
    relative_humidity_pct    relative humidity at 2 m [%]
    pressure_hpa             air pressure at the surface [hPa]
    wind_speed_ms            wind speed at 10 m [m/s]
    wind_direction_deg       where the wind comes from, clockwise from north [deg]
    rain_mm                  rain of the last hour [mm]
    boundary_layer_height_m  height of the mixed layer above ground [m]
    """

    captured_at: datetime | None = None
    lat: float | None = None
    lon: float | None = None
    camera: str | None = None
    temperature_c: float | None = None
    relative_humidity_pct: float | None = None
    pressure_hpa: float | None = None
    wind_speed_ms: float | None = None
    wind_direction_deg: float | None = None
    rain_mm: float | None = None
    boundary_layer_height_m: float | None = None


ALLOWED_FIELDS = tuple(field.name for field in fields(PhotoMetadata))


def parse_metadata(mapping: Mapping[str, object]) -> PhotoMetadata:
    """Check `mapping` field by field; None and empty text mean unknown.

    Numbers may be JSON numbers or numeric text (form fields, CSV). Raises MetadataError with the
    code unknown_field, not_a_number, out_of_range, invalid_time, invalid_camera or
    incomplete_position; it names the field, the value and what is allowed.
    """
    unknown = [str(key) for key in mapping if key not in ALLOWED_FIELDS]
    if unknown:
        raise MetadataError(
            "unknown_field",
            f"Unknown metadata: {', '.join(sorted(unknown))[:200]}.",
            f"Allowed are {', '.join(ALLOWED_FIELDS)}.",
        )
    given = {key: value for key, value in mapping.items() if not _is_empty(value)}
    numbers = {name: _number(name, given[name]) for name in RANGES if name in given}
    if ("lat" in numbers) != ("lon" in numbers):
        alone, missing = ("lat", "lon") if "lat" in numbers else ("lon", "lat")
        raise MetadataError(
            "incomplete_position",
            f"{alone} was given without {missing}.",
            "Send both lat and lon, or neither.",
        )
    captured_at = _time(given["captured_at"]) if "captured_at" in given else None
    camera = _camera(given["camera"]) if "camera" in given else None
    return PhotoMetadata(captured_at=captured_at, camera=camera, **numbers)


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _number(name: str, value: object) -> float:
    low, high, unit = RANGES[name]
    allowed = f"Allowed is a number from {low:g} to {high:g} [{unit}]."
    number = math.nan
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        number = float(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        with suppress(OverflowError):  # JSON knows integers of any length
            number = float(value)
    if not math.isfinite(number):
        raise MetadataError("not_a_number", f"{name} is {_shown(value)}, no number.", allowed)
    if not low <= number <= high:
        raise MetadataError("out_of_range", f"{name} is {number:g} {unit}.", allowed)
    return number


def _time(value: object) -> datetime:
    allowed = "Allowed is ISO 8601 with an offset, such as 2025-03-01T08:30:00-05:00."
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(_text(value))
    except (TypeError, ValueError):
        raise MetadataError(
            "invalid_time", f"captured_at is {_shown(value)}, no time.", allowed
        ) from None
    offset = time.utcoffset()
    if offset is None:
        raise MetadataError(
            "invalid_time", f"captured_at is {_shown(value)}, without an offset from UTC.", allowed
        )
    if offset % timedelta(minutes=1):  # Python reads such offsets, RFC 3339 does not
        raise MetadataError(
            "invalid_time", f"captured_at is {_shown(value)}, its offset has seconds.", allowed
        )
    latest = datetime.now(UTC) + timedelta(days=1)  # clocks of phones run ahead, but not by more
    if not EARLIEST <= time <= latest:
        raise MetadataError(
            "invalid_time",
            f"captured_at is {_shown(value)}.",
            f"Allowed is a time after {EARLIEST:%Y} that has already come.",
        )
    return time


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value.strip()


def _camera(value: object) -> str:
    if not isinstance(value, str) or not _CAMERA_NAME.fullmatch(value.strip()):
        raise MetadataError(
            "invalid_camera",
            f"camera is {_shown(value)}.",
            "Allowed are 1 to 64 letters, digits, '_', '.' and '-'.",
        )
    return value.strip()


def _shown(value: object) -> str:
    """A value as it stands in a message: short, whatever a client sent."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
