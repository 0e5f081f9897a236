"""OpenAQ, API v3: the hours of whatever networks it passes on, reference stations and others.

A *location* has *sensors*, one a parameter; PM2.5 is parameter 2. Pages are read until one comes
short: `found` may be the text ">100". An hour is stamped by the end of its period. Many sensors
fell silent years ago, so that the time of the last value is always read. Hours that are flagged, or
complete to less than 75 %, have no value. OpenAQ allows 60 requests a minute and 2,000 an hour.

The key: OPENAQ_API_KEY.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from training.ground_truth.client import SourceClient, key_from_environment, payload_changed
from training.ground_truth.clock import Clock
from training.ground_truth.measurement import (
    HOUR,
    GroundTruthError,
    Sensor,
    SensorHour,
    hours_between,
    in_reach,
)
from training.ground_truth.rate_limit import RateLimit
from training.ground_truth.reference_value import reference_value

BASE_URL = "https://api.openaq.org/v3"
KEY_VARIABLE = "OPENAQ_API_KEY"
PM25 = 2  # OpenAQ's number of the parameter
LARGEST_RADIUS_KM = 25.0
LEAST_COVERAGE_PCT = 75.0
PAGE = 1000
MOST_LOCATION_PAGES = 10
_UNITS = ("µg/m³", "μg/m³", "ug/m3")  # with the micro sign, with the Greek letter, in ASCII


class OpenAQ:
    """The sensors that OpenAQ knows. Raises GroundTruthError."""

    name = "openaq"
    history: timedelta | None = None

    def __init__(self, *, base_url: str = BASE_URL, clock: Clock | None = None) -> None:
        key = key_from_environment(KEY_VARIABLE, "OpenAQ", "at explore.openaq.org")
        limits = (RateLimit(60, 60.0), RateLimit(2000, 3600.0))
        self._client = SourceClient(
            "OpenAQ", base_url, key=("X-API-Key", key), limits=limits, clock=clock
        )

    def sensors(self, lat: float, lon: float, radius_km: float, since: datetime) -> list[Sensor]:
        """Sensors of PM2.5 within `radius_km` [km], heard of after `since`, nearest first.

        `quality` is A at a location that OpenAQ calls a monitor, otherwise C.
        """
        if radius_km > LARGEST_RADIUS_KM:
            raise GroundTruthError(
                "radius_too_large",
                f"A radius of {radius_km:g} km was asked for.",
                f"OpenAQ looks {LARGEST_RADIUS_KM:g} km around a place at most.",
            )
        around: dict[str, str | int] = {
            "coordinates": f"{lat:.4f},{lon:.4f}",
            "radius": round(radius_km * 1000),
            "parameters_id": PM25,
        }
        found: list[Sensor] = []
        for location in self._pages("/locations", around, MOST_LOCATION_PAGES):
            try:
                last, where = location.get("datetimeLast"), location.get("coordinates")
                if not last or not where or _time(last["utc"]) < since:
                    continue
                quality = "A" if location.get("isMonitor") else "C"
                at = float(where["latitude"]), float(where["longitude"])
                found += [
                    Sensor(self.name, str(s["id"]), str(location.get("name") or ""), *at, quality)
                    for s in location["sensors"]
                    if s["parameter"]["id"] == PM25
                ]
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise payload_changed("OpenAQ", f"a location without {error}") from None
        return [sensor for _, sensor in in_reach(found, lat, lon, radius_km)]

    def hours(self, sensor: Sensor, start: datetime, end: datetime) -> list[SensorHour]:
        """Hours with start < ends_at ≤ end.

        Flags: flagged_by_source, incomplete, and those of `reference_value`.
        """
        # An hour that ends at half past, as in India, may begin before the first one asked for.
        times = {"datetime_from": _text(start - HOUR), "datetime_to": _text(end)}
        most_pages = int((end - start) / HOUR) // PAGE + 2
        found = self._pages(f"/sensors/{sensor.id}/hours", times, most_pages)
        return hours_between([_hour(sensor, row) for row in found], start, end)

    def close(self) -> None:
        """Give back its connections."""
        self._client.close()

    def _pages(
        self, path: str, params: Mapping[str, str | int], most_pages: int
    ) -> Iterator[dict[str, Any]]:
        """The results of all pages. More pages than there can be, or one twice, is an error."""
        before: Any = None
        for page in range(1, most_pages + 1):
            payload = self._client.get_json(path, {**params, "limit": PAGE, "page": page})
            results = payload.get("results") if isinstance(payload, dict) else None
            if not isinstance(results, list):
                raise payload_changed("OpenAQ", "no `results`")
            if results and results == before:
                raise payload_changed("OpenAQ", f"page {page} repeats page {page - 1}")
            yield from results
            if len(results) < PAGE:
                return
            before = results
        raise payload_changed("OpenAQ", f"more than {most_pages} full pages of {path}")


def _hour(sensor: Sensor, row: Any) -> SensorHour:
    try:
        parameter, period = row["parameter"], row["period"]
        if parameter["units"] not in _UNITS or period["interval"] != "01:00:00":
            raise payload_changed("OpenAQ", f"{parameter['units']} over {period['interval']}")
        ends_at, value = _time(period["datetimeTo"]["utc"]), row["value"]
        pm25, flags = reference_value(value)
        if (row.get("flagInfo") or {}).get("hasFlags"):
            pm25, flags = None, (*flags, "flagged_by_source")
        coverage = (row.get("coverage") or {}).get("percentCoverage")
        if coverage is not None and float(coverage) < LEAST_COVERAGE_PCT:
            pm25, flags = None, (*flags, "incomplete")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise payload_changed("OpenAQ", f"an hour without {error}") from None
    return SensorHour(sensor.id, ends_at, pm25, str(value), flags=flags)


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
