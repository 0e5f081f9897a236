"""SIATA's older files, frozen since 2024: history to learn from, and nothing of today.

Two layouts under siata.gov.co/EntregaData1. `Datos_SIATA_Aire_pm25.json` is a list of stations with
their `datos` (it ends on 31 July 2024); `Datos_SIATA_Aire_AQ_pm25_Last.json` holds `measurements`
as OpenAQ once took them (it ends on 4 September 2024, mostly −9999). Both can be read from a file
that was downloaded once. Whoever wants the air of today is refused: the newest hour must be at most
three hours old unless `as_history` says that the past is meant.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from training.ground_truth.client import SourceClient, payload_changed
from training.ground_truth.clock import Clock
from training.ground_truth.measurement import (
    GroundTruthError,
    Sensor,
    SensorHour,
    hours_between,
    in_reach,
)
from training.ground_truth.reference_value import reference_value
from training.ground_truth.siata import local_time

HISTORY_URL = "https://siata.gov.co/EntregaData1/Datos_SIATA_Aire_pm25.json"
OLDEST = timedelta(hours=3)  # of the newest hour, where the air of today is asked for
BAD_QUALITY = 2.6  # `calidad` from here on is bad
_SWITCHED_OFF = "_OFF"


class SiataLegacy:
    """One of the frozen files, at a path or an address, read when it is first asked.

    Raises GroundTruthError: source_frozen, payload_changed, no_file and what a request can raise.
    """

    name = "siata_legacy"
    history: timedelta | None = None

    def __init__(
        self,
        where: str = HISTORY_URL,
        *,
        as_history: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self._where, self._as_history = where, as_history
        self._read: tuple[list[Sensor], dict[str, list[SensorHour]]] | None = None

    def sensors(self, lat: float, lon: float, radius_km: float, since: datetime) -> list[Sensor]:
        """Stations within `radius_km` [km] with an hour after `since`, nearest first."""
        sensors, hours = self._stations()
        active = [s for s in sensors if any(h.ends_at > since for h in hours.get(s.id, ()))]
        return [sensor for _, sensor in in_reach(active, lat, lon, radius_km)]

    def hours(self, sensor: Sensor, start: datetime, end: datetime) -> list[SensorHour]:
        """The hours of the file with start < ends_at ≤ end."""
        return hours_between(self._stations()[1].get(sensor.id, []), start, end)

    def close(self) -> None:
        """Forget the file."""
        self._read = None

    def _stations(self) -> tuple[list[Sensor], dict[str, list[SensorHour]]]:
        if self._read is None:
            payload = self._payload()
            read = _history(payload) if isinstance(payload, list) else _last(payload)
            newest = max((h.ends_at for hours in read[1].values() for h in hours), default=None)
            if newest is None:
                raise payload_changed("SIATA's file", "no hour of any station")
            if not self._as_history and newest < self.clock.now() - OLDEST:
                raise GroundTruthError(
                    "source_frozen",
                    f"The newest hour of {self._where} is {newest:%Y-%m-%d %H:%M} UTC.",
                    "These files are history: take the source `siata` for the air of today, or "
                    "pair photos of that time.",
                )
            self._read = read
        return self._read

    def _payload(self) -> Any:
        if self._where.startswith(("http://", "https://")):
            base, _, file = self._where.rpartition("/")
            with SourceClient("SIATA", base, clock=self.clock, transfer_timeout=600.0) as client:
                return client.get_json(f"/{file}")
        try:
            return json.loads(Path(self._where).read_text("utf-8"), parse_constant=lambda _: None)
        except (OSError, ValueError) as error:
            raise GroundTruthError(
                "no_file",
                f"{self._where} cannot be read: {error}.",
                f"Name a file downloaded from {HISTORY_URL}, or that address.",
            ) from None


def _history(stations: list[Any]) -> tuple[list[Sensor], dict[str, list[SensorHour]]]:
    sensors: list[Sensor] = []
    hours: defaultdict[str, list[SensorHour]] = defaultdict(list)
    try:
        for station in stations:
            name = str(station.get("nombre") or station.get("nombreCorto") or "").strip()
            sensor_id = str(station["codigoSerial"])
            lat, lon = float(station["latitud"]), float(station["longitud"])
            sensors.append(Sensor("siata_legacy", sensor_id, name, lat, lon, "A"))
            for row in station["datos"]:
                if row["variableConsulta"] != "pm25":
                    continue
                pm25, flags = reference_value(row["valor"])
                if pm25 is not None and _is_bad(row.get("calidad")):
                    pm25, flags = None, ("bad_quality",)
                ends_at, published = local_time(row["fecha"]), str(row["valor"])
                hours[sensor_id].append(SensorHour(sensor_id, ends_at, pm25, published, "", flags))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise payload_changed("SIATA's file", f"a station without {error}") from None
    return sensors, dict(hours)


def _last(payload: Any) -> tuple[list[Sensor], dict[str, list[SensorHour]]]:
    """The file has no codes: a station is named by its location."""
    sensors: dict[str, Sensor] = {}
    hours: defaultdict[str, list[SensorHour]] = defaultdict(list)
    try:
        for row in payload["measurements"]:
            location = " ".join(str(row["location"]).split())
            if row["parameter"] != "pm25" or _SWITCHED_OFF in location:
                continue
            period = row["averagingPeriod"]
            if row["unit"] not in ("ug/m3", "µg/m³") or (period["units"], period["value"]) != (
                "hours",
                1.0,
            ):
                raise payload_changed("SIATA's file", f"{row['unit']} over {period}")
            where = row["coordinates"]
            lat, lon = float(where["latitude"]), float(where["longitude"])
            sensors[location] = Sensor("siata_legacy", location, location, lat, lon, "A")
            pm25, flags = reference_value(row["value"])
            ends_at = local_time(row["date"]["utc"])
            published = str(row["value"])
            hours[location].append(SensorHour(location, ends_at, pm25, published, "", flags))
    except (KeyError, TypeError, ValueError) as error:
        raise payload_changed("SIATA's file", f"a measurement without {error}") from None
    return list(sensors.values()), dict(hours)


def _is_bad(quality: Any) -> bool:
    """Whether `calidad`, a number in text, says so; none at all says nothing."""
    try:
        return float(quality) >= BAD_QUALITY
    except (TypeError, ValueError):
        return False
