"""OpenAQ: pages that end, hours by the end of their period, silence and flags noticed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.asked_sources import *  # noqa: F403
from tests.asked_sources import LAST, LAT, LON, refused_as_changed, sensor, source, values
from tests.replaying_server import NOW, Asked, FakeClock, ReplayingServer, Reply, openaq_hour
from training.ground_truth.measurement import HOUR, GroundTruthError
from training.ground_truth.openaq import OpenAQ


def location(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"Station {number}",
        "isMonitor": True,
        "coordinates": {"latitude": LAT, "longitude": LON},
        "datetimeLast": {"utc": "2026-09-28T21:00:00Z", "local": "2026-09-28T16:00:00-05:00"},
        "sensors": [
            {"id": 10 * number, "parameter": {"id": 2, "name": "pm25"}},
            {"id": 10 * number + 1, "parameter": {"id": 1, "name": "pm10"}},
        ],
    } | changes


def test_openaq_sensors_of_pm25_that_still_speak(server: ReplayingServer, clock: FakeClock) -> None:
    locations = [
        location(1),
        location(2, isMonitor=False),
        location(3, datetimeLast={"utc": "2019-01-01T00:00:00Z"}),
        location(4, datetimeLast=None),
        location(5, coordinates=None),
    ]
    server.routes["/locations"] = [Reply({"meta": {"found": ">100"}, "results": locations})]
    found = source("openaq", server, clock).sensors(LAT, LON, 12.0, NOW - timedelta(days=2))
    assert [(s.id, s.quality) for s in found] == [("10", "A"), ("20", "C")]
    assert server.asked[0].query["radius"] == "12000"
    assert server.asked[0].query["parameters_id"] == "2"
    with pytest.raises(GroundTruthError, match="25 km"):
        source("openaq", server, clock).sensors(LAT, LON, 26.0, NOW)


def test_openaq_pages_until_one_comes_short(server: ReplayingServer, clock: FakeClock) -> None:
    def page(asked: Asked) -> Reply:
        first = 1000 * (int(asked.query["page"]) - 1)
        rows = [
            openaq_hour(LAST - n * HOUR, float(n % 300))
            for n in range(first, min(first + 1000, 2300))
        ]
        return Reply({"meta": {"found": ">1000", "limit": 1000}, "results": rows})

    server.routes["/sensors/12/hours"] = page
    hours = source("openaq", server, clock).hours(sensor(), LAST - 2300 * HOUR, LAST)
    assert len(hours) == 2300
    assert [asked.query["page"] for asked in server.asked] == ["1", "2", "3"]


def test_openaq_pages_do_not_go_on_for_ever(server: ReplayingServer, clock: FakeClock) -> None:
    same = [openaq_hour(LAST - n * HOUR, 5.0) for n in range(1000)]
    server.routes["/sensors/12/hours"] = [Reply({"results": same})]
    openaq = source("openaq", server, clock)
    assert "repeats" in refused_as_changed(openaq.hours, sensor(), LAST - 3000 * HOUR, LAST)

    def endless(asked: Asked) -> Reply:
        page = int(asked.query["page"])
        rows = [openaq_hour(LAST - n * HOUR, float(page)) for n in range(1000)]
        return Reply({"results": rows})

    server.asked.clear()
    server.routes["/sensors/12/hours"] = endless
    assert "full pages" in refused_as_changed(openaq.hours, sensor(), LAST - 500 * HOUR, LAST)
    assert len(server.asked) == 2


def test_openaq_hours_that_cannot_be_used(server: ReplayingServer, clock: FakeClock) -> None:
    rows = [
        openaq_hour(LAST, 12.3),
        openaq_hour(LAST - HOUR, 12.3, flagInfo={"hasFlags": True}),
        openaq_hour(LAST - 2 * HOUR, 12.3, coverage={"percentCoverage": 74.9}),
        openaq_hour(LAST - 3 * HOUR, -999.0),
        openaq_hour(LAST - 4 * HOUR, None),
        openaq_hour(LAST - 5 * HOUR, 9.0, coverage=None, flagInfo=None),
    ]
    server.routes["/sensors/12/hours"] = [Reply({"results": rows})]
    hours = source("openaq", server, clock).hours(sensor(), LAST - 9 * HOUR, LAST)
    assert values(hours) == [9.0, None, None, None, None, 12.3]
    assert [" ".join(hour.flags) for hour in hours] == [
        *("", "null", "sentinel", "incomplete", "flagged_by_source", ""),
    ]


def test_openaq_with_nothing_to_say(server: ReplayingServer, clock: FakeClock) -> None:
    server.routes["/sensors/12/hours"] = [Reply({"meta": {"found": 0}, "results": []})]
    assert source("openaq", server, clock).hours(sensor(), LAST - HOUR, LAST) == []


PPB = {"id": 2, "name": "pm25", "units": "ppm"}
DAY = openaq_hour(LAST, 1.0)["period"] | {"interval": "24:00:00"}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"results": [{"value": 1}]},
        {"results": [openaq_hour(LAST, 1.0, parameter=PPB)]},
        {"results": [openaq_hour(LAST, 1.0, period=DAY)]},
    ],
)
def test_openaq_with_other_fields_or_units_is_refused(
    server: ReplayingServer, clock: FakeClock, payload: Any
) -> None:
    server.routes["/sensors/12/hours"] = [Reply(payload)]
    refused_as_changed(source("openaq", server, clock).hours, sensor(), LAST - HOUR, LAST)


def test_openaq_is_asked_sixty_times_a_minute_at_most(
    server: ReplayingServer, clock: FakeClock
) -> None:
    server.routes["/sensors/12/hours"] = [Reply({"results": []})]
    openaq: OpenAQ = source("openaq", server, clock)
    for _ in range(61):
        openaq.hours(sensor(), LAST - HOUR, LAST)
    assert sum(clock.slept) == pytest.approx(60.0)
