"""SIATA, the reference network of Medellín and the Aburrá valley: its live geoportal.

An undocumented interface (seen in September 2026): stations as GeoJSON, and the last 72 hours of
one station as a list of values of which only the end is dated. So what is not fetched within three
days is lost. Times are local, UTC−5, without an offset. An hour is taken to be named by its end
(`Hora_fin`), as this network's files for OpenAQ did; the page itself does not say.

No licence is stated: ask SIATA before passing its data on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from training.ground_truth.client import SourceClient, payload_changed
from training.ground_truth.clock import Clock
from training.ground_truth.measurement import (
    HOUR,
    Sensor,
    SensorHour,
    hours_between,
    in_reach,
)
from training.ground_truth.reference_value import reference_value

BASE_URL = "https://geoportal.siata.gov.co/fastgeoapi"
LOCAL_TIME = timezone(timedelta(hours=-5))  # Colombia has no summer time
HISTORY = timedelta(hours=72)
CACHE_SECONDS = 600.0
# The geoportal is made for browsers, and refuses what does not look like one.
_HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; two-point-five-vision)"}


class Siata:
    """The stations of the geoportal. Raises GroundTruthError."""

    name = "siata"
    history: timedelta | None = HISTORY

    def __init__(self, *, base_url: str = BASE_URL, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._client = SourceClient(
            "SIATA",
            base_url,
            headers=_HEADERS,
            cache_seconds=CACHE_SECONDS,
            clock=self.clock,
            read_timeout=15.0,
        )

    def sensors(self, lat: float, lon: float, radius_km: float, since: datetime) -> list[Sensor]:
        """The stations within `radius_km` [km], nearest first; all of them report today."""
        payload = self._client.get_json("/geodata/geodataJson/1/pm25_minio")
        features = payload.get("features") if isinstance(payload, dict) else None
        if not isinstance(features, list):
            raise payload_changed("SIATA", "no `features`")
        found = [station for feature in features if (station := _station(feature)) is not None]
        if features and not found:
            raise payload_changed("SIATA", "no station with `codigo` and `coordinates`")
        return [sensor for _, sensor in in_reach(found, lat, lon, radius_km)]

    def hours(self, sensor: Sensor, start: datetime, end: datetime) -> list[SensorHour]:
        """Hours of the last 72 with start < ends_at ≤ end; a null is an hour without a value."""
        payload = self._client.get_json(f"/geodata/geographJson/1/pm25/{sensor.id}")
        info = payload.get("info") if isinstance(payload, dict) else None
        if not isinstance(info, dict) or not isinstance(info.get("PM25_72H"), list):
            raise payload_changed("SIATA", "no `info` with `PM25_72H`")
        values, last = info["PM25_72H"], local_time(info.get("Hora_fin"))
        if last > self.clock.now() + HOUR:
            raise payload_changed("SIATA", f"Hora_fin {info['Hora_fin']} has not come yet")
        ends = [last - HOUR * back for back in range(len(values) - 1, -1, -1)]
        _check_axis(info.get("Horas"), ends)
        hours = []
        for ends_at, value in zip(ends, values, strict=True):
            pm25, flags = reference_value(value)
            hours.append(SensorHour(sensor.id, ends_at, pm25, str(value), flags=flags))
        return hours_between(hours, start, end)

    def close(self) -> None:
        """Give back its connections."""
        self._client.close()


def local_time(text: Any) -> datetime:
    """A time of SIATA's, local and without an offset, as UTC. Raises payload_changed."""
    try:
        time = datetime.fromisoformat(str(text).strip())
    except ValueError:
        raise payload_changed("SIATA", f"{text!r:.40} where a time stood") from None
    return (time if time.tzinfo else time.replace(tzinfo=LOCAL_TIME)).astimezone(UTC)


def _station(feature: Any) -> Sensor | None:
    """Layers differ in what they hold and how they spell it; without a code there is no station."""
    try:
        properties, (lon, lat) = feature["properties"], feature["geometry"]["coordinates"][:2]
        name = " ".join(str(properties.get("nombreEstacion") or "").split())
        return Sensor("siata", str(int(properties["codigo"])), name, float(lat), float(lon), "A")
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _check_axis(hours: Any, ends: list[datetime]) -> None:
    """`Horas`, where it is given, must be the hours of the day that lead up to `Hora_fin`.

    A list that skips an hour would shift every value before it by one.
    """
    if hours is None:
        return
    expected = [ends_at.astimezone(LOCAL_TIME).hour for ends_at in ends]
    try:
        given = [int(str(hour).partition(":")[0]) for hour in hours]
    except (TypeError, ValueError):
        raise payload_changed("SIATA", "`Horas` are no hours of the day") from None
    if given != expected:
        raise payload_changed("SIATA", "`Horas` do not lead up to `Hora_fin` hour by hour")
