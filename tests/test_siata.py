"""SIATA's geoportal: local time of which only the end is dated, with gaps and sentinels."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.asked_sources import *  # noqa: F403
from tests.asked_sources import LAST, LAT, LON, LONG_AGO, refused_as_changed, sensor, source, values
from tests.replaying_server import (
    NOW,
    FakeClock,
    ReplayingServer,
    Reply,
    siata_hours,
    siata_station,
)
from training.ground_truth.measurement import HOUR
from training.ground_truth.reference_value import SENTINELS

STATIONS = "/geodata/geodataJson/1/pm25_minio"


def test_siata_stations_lie_where_geojson_says(server: ReplayingServer, clock: FakeClock) -> None:
    far = siata_station(99, 7.0, -75.0)
    broken: list[Any] = [{"properties": {"nombreEstacion": "no code"}}, None, {"geometry": None}]
    near = siata_station(12, 6.2525, -75.5695, " Estación   Tráfico Centro ")
    broken.append(near | {"properties": ["no", "names"]})
    server.routes[STATIONS] = [Reply({"features": [far, *broken, near]})]
    (found,) = source("siata", server, clock).sensors(LAT, LON, 3.0, NOW)
    assert (found.id, found.name, found.quality) == ("12", "Estación Tráfico Centro", "A")
    assert (found.lat, found.lon) == (6.2525, -75.5695)


def test_siata_hours_are_rebuilt_backwards_from_local_time(
    server: ReplayingServer, clock: FakeClock
) -> None:
    path = "/geodata/geographJson/1/pm25/12"
    server.routes[path] = [Reply(siata_hours(12, "2026-09-28 17:00:00", [10, None, 12.5]))]
    siata = source("siata", server, clock)
    hours = siata.hours(sensor(), LAST - 10 * HOUR, LAST)
    assert [hour.ends_at for hour in hours] == [LAST - 2 * HOUR, LAST - HOUR, LAST]
    assert values(hours) == [10.0, None, 12.5]
    assert hours[1].flags == ("null",)
    assert values(siata.hours(sensor(), LAST - 2 * HOUR, LAST - HOUR)) == [None]
    assert server.count(path) == 1, "the geoportal is asked every ten minutes at most"
    assert "Mozilla" in server.asked[0].headers["User-Agent"]


def test_siata_crosses_midnight(server: ReplayingServer, clock: FakeClock) -> None:
    server.routes["/geodata/geographJson/1/pm25/12"] = [
        Reply(siata_hours(12, "2026-09-28 01:00:00", [1, 2, 3, 4]))
    ]
    hours = source("siata", server, clock).hours(sensor(), LONG_AGO, NOW)
    assert hours[0].ends_at == datetime(2026, 9, 28, 3, tzinfo=UTC)
    assert hours[-1].ends_at == datetime(2026, 9, 28, 6, tzinfo=UTC)


@pytest.mark.parametrize("value", [*SENTINELS, -9999, "-9999", -0.1, 500.1, "n/d", [], True])
def test_what_is_no_measurement_has_no_value(
    server: ReplayingServer, clock: FakeClock, value: Any
) -> None:
    server.routes["/geodata/geographJson/1/pm25/12"] = [
        Reply(siata_hours(12, "2026-09-28 17:00:00", [value]))
    ]
    (hour,) = source("siata", server, clock).hours(sensor(), LONG_AGO, NOW)
    assert hour.pm25 is None
    assert hour.flags


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {"info": {}},
        {"info": {"PM25_72H": [1], "Hora_fin": "yesterday"}},
        siata_hours(12, "2026-09-29 17:00:00", [1]),
        {"info": siata_hours(12, "2026-09-28 17:00:00", [1, 2])["info"] | {"Horas": [14, 17]}},
        {"info": siata_hours(12, "2026-09-28 17:00:00", [1, 2])["info"] | {"Horas": [17]}},
    ],
)
def test_siata_with_another_layout_is_refused(
    server: ReplayingServer, clock: FakeClock, payload: Any
) -> None:
    server.routes["/geodata/geographJson/1/pm25/12"] = [Reply(payload)]
    refused_as_changed(source("siata", server, clock).hours, sensor(), LONG_AGO, NOW)


def test_siata_without_any_station_is_refused(server: ReplayingServer, clock: FakeClock) -> None:
    server.routes[STATIONS] = [Reply({"features": [{"properties": {}}]})]
    refused_as_changed(source("siata", server, clock).sensors, LAT, LON, 3.0, NOW)
