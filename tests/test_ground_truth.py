"""What PurpleAir, SIATA and OpenAQ send becomes hours in UTC; what cannot be used says why."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.replaying_server import (
    MEDELLIN,
    NOW,
    Asked,
    FakeClock,
    ReplayingServer,
    Reply,
    openaq_hour,
    siata_hours,
    siata_station,
)
from training.ground_truth.measurement import (
    HOUR,
    GroundTruthError,
    Sensor,
    SensorHour,
    hour_end,
    hours_between,
)
from training.ground_truth.openaq import OpenAQ
from training.ground_truth.purpleair import PurpleAir
from training.ground_truth.reference_value import SENTINELS
from training.ground_truth.siata import Siata
from training.ground_truth.siata_legacy import SiataLegacy
from training.ground_truth.sources import SOURCES, open_source

LAT, LON = MEDELLIN
LAST = datetime(2026, 9, 28, 22, 0, tzinfo=UTC)  # the last closed hour at NOW
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def sensor(sensor_id: str = "12") -> Sensor:
    return Sensor("any", sensor_id, "Centro", LAT, LON, "A")


def values(hours: list[SensorHour]) -> list[float | None]:
    return [hour.pm25 for hour in hours]


@pytest.fixture
def server() -> Iterator[ReplayingServer]:
    with ReplayingServer() as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PURPLEAIR_API_KEY", "a-key")
    monkeypatch.setenv("OPENAQ_API_KEY", "a-key")


def source(name: str, server: ReplayingServer, clock: FakeClock) -> Any:
    return open_source(name, address=server.url, clock=clock)


def refused_as_changed(ask: Any, *arguments: Any) -> str:
    with pytest.raises(GroundTruthError) as caught:
        ask(*arguments)
    assert caught.value.code == "payload_changed"
    return caught.value.detail


# ---- SIATA, the live geoportal

STATIONS = "/geodata/geodataJson/1/pm25_minio"


def test_siata_stations_lie_where_geojson_says(server: ReplayingServer, clock: FakeClock) -> None:
    far = siata_station(99, 7.0, -75.0)
    broken: list[Any] = [{"properties": {"nombreEstacion": "no code"}}, None, {"geometry": None}]
    near = siata_station(12, 6.2525, -75.5695, " Estación   Tráfico Centro ")
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


# ---- SIATA, the frozen files


def legacy(tmp_path: Path, payload: Any, *, as_history: bool = True) -> SiataLegacy:
    file = tmp_path / "siata.json"
    file.write_text(json.dumps(payload), encoding="utf-8")
    return SiataLegacy(str(file), as_history=as_history, clock=FakeClock(NOW))


def history(*rows: tuple[str, str, float]) -> Any:
    data = [
        {"variableConsulta": "pm25", "fecha": when, "calidad": quality, "valor": value}
        for when, quality, value in rows
    ]
    data.append({"variableConsulta": "pm10", "fecha": "2019-01-01 00:00:00", "valor": 77.0})
    return [
        {
            "codigoSerial": 3,
            "nombreCorto": "CEN",
            "nombre": "Centro",
            "latitud": LAT,
            "longitud": LON,
            "datos": data,
        }
    ]


def test_siata_history_is_local_time_and_knows_bad_quality(tmp_path: Path) -> None:
    siata = legacy(
        tmp_path,
        history(
            ("2019-01-01 00:00:00", "1.0", 15.0),
            ("2019-01-01 01:00:00", "2.6", 16.0),
            ("2019-01-01 02:00:00", "", 17.0),
            ("2019-01-01 03:00:00", "1.0", -9999.0),
        ),
    )
    (found,) = siata.sensors(LAT, LON, 1.0, LONG_AGO)
    hours = siata.hours(found, LONG_AGO, NOW)
    assert hours[0].ends_at == datetime(2019, 1, 1, 5, tzinfo=UTC)
    assert values(hours) == [15.0, None, 17.0, None]
    assert [hour.flags for hour in hours] == [(), ("bad_quality",), (), ("sentinel",)]
    assert siata.sensors(LAT, LON, 1.0, datetime(2020, 1, 1, tzinfo=UTC)) == []


def test_an_hour_that_stands_twice_counts_once_or_not_at_all(tmp_path: Path) -> None:
    siata = legacy(
        tmp_path,
        history(
            ("2019-01-01 00:00:00", "1.0", 15.0),
            ("2019-01-01 00:00:00", "1.0", 15.0),
            ("2019-01-01 01:00:00", "1.0", 15.0),
            ("2019-01-01 01:00:00", "1.0", 16.0),
        ),
    )
    hours = siata.hours(sensor("3"), LONG_AGO, NOW)
    assert values(hours) == [15.0, None]
    assert hours[1].flags == ("hour_conflict",)
    assert hours[1].as_published == "15.0 | 16.0"


def measurement(location: str, value: float) -> dict[str, Any]:
    return {
        "city": "Medellin",
        "sourceType": "government",
        "sourceName": "SIATA",
        "country": "Colombia",
        "value": value,
        "mobile": False,
        "location": location,
        "date": {
            "utc": "2024-09-04T13:00:00.000Z",
            "local": "2024-09-04T08:00:00.000-05:00",
        },
        "averagingPeriod": {"units": "hours", "value": 1.0},
        "coordinates": {"latitude": LAT, "longitude": LON},
        "parameter": "pm25",
        "unit": "ug/m3",
    }


def test_the_last_of_the_frozen_files(tmp_path: Path) -> None:
    rows = [
        measurement("GIR-SOSN - _OFF-Girardota - S.O.S Aburrá Norte", 5.0),
        measurement("MED-CENT - Centro", 21.0),
        measurement("MED-BELE - Belén", -9999),
        measurement("MED-PM10", 1.0) | {"parameter": "pm10"},
    ]
    siata = legacy(tmp_path, {"measurements": rows})
    found = {s.name: s for s in siata.sensors(LAT, LON, 1.0, LONG_AGO)}
    assert set(found) == {"MED-CENT - Centro", "MED-BELE - Belén"}
    (hour,) = siata.hours(found["MED-CENT - Centro"], LONG_AGO, NOW)
    assert (hour.pm25, hour.ends_at) == (21.0, datetime(2024, 9, 4, 13, tzinfo=UTC))
    assert values(siata.hours(found["MED-BELE - Belén"], LONG_AGO, NOW)) == [None]


def test_frozen_files_are_not_the_air_of_today(tmp_path: Path) -> None:
    with pytest.raises(GroundTruthError) as caught:
        legacy(tmp_path, history(("2019-01-01 00:00:00", "1.0", 15.0)), as_history=False).sensors(
            LAT, LON, 3.0, LONG_AGO
        )
    assert caught.value.code == "source_frozen"
    assert "2019-01-01" in caught.value.detail


@pytest.mark.parametrize("payload", [[], {}, [{"nombre": "x"}], {"measurements": [{}]}])
def test_a_file_of_another_layout_is_refused(tmp_path: Path, payload: Any) -> None:
    refused_as_changed(legacy(tmp_path, payload).sensors, LAT, LON, 3.0, LONG_AGO)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(GroundTruthError, match="cannot be read"):
        SiataLegacy(str(tmp_path / "absent.json")).sensors(LAT, LON, 3.0, LONG_AGO)


# ---- PurpleAir


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


# ---- OpenAQ


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


# ---- all of them


def test_a_source_has_a_name_or_is_unknown(tmp_path: Path) -> None:
    assert [open_source(name).name for name in SOURCES] == list(SOURCES)
    assert isinstance(open_source("siata"), Siata)
    assert isinstance(open_source("purpleair"), PurpleAir)
    for name, correction in (("sitaa", ""), ("purpleair", "epa"), ("siata", "epa_2021_cf1")):
        with pytest.raises(GroundTruthError, match="Allowed"):
            open_source(name, correction=correction)


@pytest.mark.parametrize("variable", ["PURPLEAIR_API_KEY", "OPENAQ_API_KEY"])
def test_without_a_key_nothing_is_asked(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable)
    with pytest.raises(GroundTruthError, match=variable):
        open_source(variable.partition("_")[0].lower())


@given(
    at=st.datetimes(datetime(1995, 1, 1), datetime(2050, 1, 1)),
    offset=st.integers(-14 * 60, 14 * 60),
)
def test_a_moment_lies_in_exactly_one_hour(at: datetime, offset: int) -> None:
    from datetime import timezone

    moment = at.replace(tzinfo=timezone(timedelta(minutes=offset)))
    end = hour_end(moment)
    assert end - HOUR <= moment < end
    assert (end.minute, end.second, end.utcoffset()) == (0, 0, timedelta(0))


@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from([None, 1.0, 2.0])), max_size=20))
def test_of_one_hour_there_is_one_and_never_an_invented_value(
    told: list[tuple[int, float | None]],
) -> None:
    hours = [SensorHour("1", LAST - n * HOUR, pm25, str(pm25)) for n, pm25 in told]
    found = hours_between(hours, LAST - 6 * HOUR, LAST)
    ends = [hour.ends_at for hour in found]
    assert ends == sorted(set(ends))
    for hour in found:
        same = {pm25 for n, pm25 in told if LAST - n * HOUR == hour.ends_at}
        assert same == {hour.pm25} if len(same) == 1 else hour.pm25 is None
        assert LAST - 6 * HOUR < hour.ends_at <= LAST
