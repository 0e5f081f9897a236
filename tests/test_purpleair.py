"""PurpleAir: columns by name, ten-minute means to corrected hours, three days a request."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.asked_sources import *  # noqa: F403
from tests.asked_sources import LAST, LAT, LON, refused_as_changed, sensor, source
from tests.replaying_server import NOW, Asked, FakeClock, ReplayingServer, Reply
from training.ground_truth.measurement import HOUR
from training.ground_truth.sources import open_source


def test_purpleair_columns_are_found_by_name(server: ReplayingServer, clock: FakeClock) -> None:
    seen = int(NOW.timestamp())
    columns = {"sensor_index": 7, "name": "Laureles", "latitude": LAT, "longitude": LON}
    columns["last_seen"] = seen
    for seed in range(3):
        order = list(columns)
        random.Random(seed).shuffle(order)
        row = [columns[name] for name in order]
        silent = [{"last_seen": 100}.get(name, columns[name]) for name in order]
        nowhere = [None if name == "latitude" else columns[name] for name in order]
        server.routes["/sensors"] = [Reply({"fields": order, "data": [row, silent, nowhere]})]
        (found,) = source("purpleair", server, clock).sensors(LAT, LON, 2.0, NOW - HOUR)
        assert (found.id, found.name, found.quality) == ("7", "Laureles", "C")
    asked = server.asked[0]
    assert asked.query["location_type"] == "0"
    north, south = float(asked.query["nwlat"]), float(asked.query["selat"])
    assert (north - south) * 111.2 == pytest.approx(4.0)


def ten_minutes(ends_at: datetime, a: float, b: float, humidity: float = 50) -> list[list[Any]]:
    first = int((ends_at - HOUR).timestamp())
    return [[humidity, first + 600 * n, b, a] for n in range(6)]


FIELDS = ["humidity", "time_stamp", "pm2.5_cf_1_b", "pm2.5_cf_1_a"]


def test_purpleair_hours_are_corrected_ten_minute_means(
    server: ReplayingServer, clock: FakeClock
) -> None:
    rows = ten_minutes(LAST, 30.0, 40.0) + ten_minutes(LAST - HOUR, 3.0, 50.0)
    rows += ten_minutes(LAST - 2 * HOUR, 30.0, 40.0)[:4]
    random.Random(0).shuffle(rows)
    rows.append(rows[0])  # a row that stands there twice
    server.routes["/sensors/12/history"] = [Reply({"fields": FIELDS, "data": rows})]
    hours = source("purpleair", server, clock).hours(sensor(), LAST - 3 * HOUR, LAST)
    assert [hour.ends_at for hour in hours] == [LAST - 2 * HOUR, LAST - HOUR, LAST]
    assert hours[-1].pm25 == pytest.approx(0.524 * 35 - 0.0862 * 50 + 5.75)
    assert [hour.flags for hour in hours] == [("incomplete",), ("channels_disagree",), ()]
    (asked,) = server.asked
    assert asked.query["average"] == "10"
    assert set(asked.query["fields"].split(",")) == set(FIELDS) - {"time_stamp"}
    assert "x-api-key" in {name.lower() for name in asked.headers}


def test_purpleair_asks_for_the_field_of_its_correction(
    server: ReplayingServer, clock: FakeClock
) -> None:
    server.routes["/sensors/12/history"] = [Reply({"fields": FIELDS, "data": []})]
    airnow = open_source(
        "purpleair",
        address=server.url,
        correction="epa_airnow_atm",
        clock=clock,
    )
    assert "pm2.5_atm_a" in refused_as_changed(airnow.hours, sensor(), LAST - HOUR, LAST)
    assert "pm2.5_atm_a" in server.asked[0].query["fields"]


def test_purpleair_is_asked_for_three_days_at_a_time(
    server: ReplayingServer, clock: FakeClock
) -> None:
    def history_of(asked: Asked) -> Reply:
        start, end = int(asked.query["start_timestamp"]), int(asked.query["end_timestamp"])
        assert 0 < end - start <= 3 * 86400
        rows = [[50, stamp, 8.0, 8.0] for stamp in range(start, end, 600)]
        return Reply({"fields": FIELDS, "data": rows})

    server.routes["/sensors/12/history"] = history_of
    start = LAST - timedelta(days=7)
    hours = source("purpleair", server, clock).hours(sensor(), start, LAST)
    assert [hour.ends_at for hour in hours] == [start + n * HOUR for n in range(1, 7 * 24 + 1)]
    assert all(hour.flags == () for hour in hours)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {"fields": FIELDS},
        {"fields": FIELDS[1:], "data": []},
        {"fields": FIELDS, "data": [[1, 2]]},
        {"fields": FIELDS, "data": [[50, 1667336400, "high", 3.0]]},
    ],
)
def test_purpleair_with_other_columns_is_refused(
    server: ReplayingServer, clock: FakeClock, payload: Any
) -> None:
    server.routes["/sensors/12/history"] = [Reply(payload)]
    refused_as_changed(source("purpleair", server, clock).hours, sensor(), LAST - HOUR, LAST)
