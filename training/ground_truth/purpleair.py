"""PurpleAir, API v1: low-cost laser sensors, two channels each, corrected before they are labels.

Replies are columnar: `fields` names the columns of `data`, whose order is not promised and whose
rows come unsorted. Histories are asked for in ten-minute means, so that an hour's completeness can
be judged; one request spans three days at most. A row is stamped with the beginning of its ten
minutes: `start_timestamp` is inclusive and `end_timestamp` is not, which is how such stamps behave;
the documentation read for this does not say so in words.

Every field of every row costs points; three fields are asked for. The key: PURPLEAIR_API_KEY.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from training.ground_truth.channels import MEANS_PER_HOUR, ChannelMeans, corrected_hour
from training.ground_truth.client import SourceClient, key_from_environment, payload_changed
from training.ground_truth.clock import Clock
from training.ground_truth.corrections import CORRECTIONS, DEFAULT_CORRECTION, Correction
from training.ground_truth.measurement import (
    Sensor,
    SensorHour,
    hour_end,
    hours_between,
    in_reach,
)

BASE_URL = "https://api.purpleair.com/v1"
KEY_VARIABLE = "PURPLEAIR_API_KEY"
SPAN = timedelta(days=3)  # of one request at ten minutes; the limit was once as low as this
_KM_PER_DEGREE = 111.2
_AVERAGE = 60 // MEANS_PER_HOUR  # [min]


class PurpleAir:
    """Sensors outdoors, corrected with `correction`. Raises GroundTruthError."""

    name = "purpleair"
    history: timedelta | None = None

    def __init__(
        self,
        *,
        base_url: str = BASE_URL,
        correction: str = DEFAULT_CORRECTION,
        clock: Clock | None = None,
    ) -> None:
        self.correction: Correction = CORRECTIONS[correction]
        key = key_from_environment(KEY_VARIABLE, "PurpleAir", "at develop.purpleair.com")
        self._client = SourceClient("PurpleAir", base_url, key=("X-API-Key", key), clock=clock)

    def sensors(self, lat: float, lon: float, radius_km: float, since: datetime) -> list[Sensor]:
        """Outdoor sensors within `radius_km` [km] that were seen after `since`, nearest first."""
        north = radius_km / _KM_PER_DEGREE
        east = north / max(math.cos(math.radians(lat)), 0.01)
        payload = self._client.get_json(
            "/sensors",
            {
                "fields": "name,latitude,longitude,last_seen",
                "location_type": 0,
                "max_age": 0,
                "nwlat": lat + north,
                "nwlng": lon - east,
                "selat": lat - north,
                "selng": lon + east,
            },
        )
        rows = _columns(payload, "sensor_index", "name", "latitude", "longitude", "last_seen")
        found = [
            Sensor(self.name, str(index), str(name), float(at_lat), float(at_lon), "C")
            for index, name, at_lat, at_lon, seen in rows
            if None not in (at_lat, at_lon, seen) and seen >= since.timestamp()
        ]
        return [sensor for _, sensor in in_reach(found, lat, lon, radius_km)]

    def hours(self, sensor: Sensor, start: datetime, end: datetime) -> list[SensorHour]:
        """Corrected hours with start < ends_at ≤ end; a silent hour is absent."""
        field = self.correction.field
        wanted = (f"pm2.5_{field}_a", f"pm2.5_{field}_b", "humidity")
        means: defaultdict[datetime, dict[int, ChannelMeans]] = defaultdict(dict)
        first = hour_end(start) - timedelta(hours=1)
        while first < end:
            last = min(first + SPAN, end)
            payload = self._client.get_json(
                f"/sensors/{sensor.id}/history",
                {
                    "fields": ",".join(wanted),
                    "average": _AVERAGE,
                    "start_timestamp": int(first.timestamp()),
                    "end_timestamp": int(last.timestamp()),
                },
            )
            for stamp, a, b, humidity in _columns(payload, "time_stamp", *wanted):
                ends_at = hour_end(datetime.fromtimestamp(int(stamp), UTC))
                means[ends_at][int(stamp)] = ChannelMeans(field, a, b, humidity)
            first = last
        hours = (
            corrected_hour(sensor.id, ends_at, list(by_stamp.values()), self.correction)
            for ends_at, by_stamp in means.items()
        )
        return hours_between(hours, start, end)

    def close(self) -> None:
        """Give back its connections."""
        self._client.close()


def _columns(payload: Any, *names: str) -> list[tuple[Any, ...]]:
    """The rows of a columnar reply, each as the values of `names`: by name, never by place."""
    fields = payload.get("fields") if isinstance(payload, dict) else None
    data = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(fields, list) or not isinstance(data, list):
        raise payload_changed("PurpleAir", "no `fields` and `data`")
    missing = [name for name in names if name not in fields]
    if missing:
        raise payload_changed("PurpleAir", f"no column {', '.join(missing)}")
    places: Sequence[int] = [fields.index(name) for name in names]
    rows = []
    for row in data:
        if not isinstance(row, list) or len(row) != len(fields):
            raise payload_changed("PurpleAir", f"a row {str(row)[:60]} for {len(fields)} fields")
        cells = tuple(row[place] for place in places)
        numbers = [cell for name, cell in zip(names, cells, strict=True) if name != "name"]
        if not all(cell is None or isinstance(cell, int | float) for cell in numbers):
            raise payload_changed("PurpleAir", f"text where numbers stood: {str(row)[:60]}")
        rows.append(cells)
    return rows
