"""SIATA's frozen files are history: read in two layouts, refused as the air of today."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.asked_sources import *  # noqa: F403
from tests.asked_sources import LAT, LON, LONG_AGO, refused_as_changed, sensor, values
from tests.replaying_server import NOW, FakeClock
from training.ground_truth.measurement import GroundTruthError
from training.ground_truth.siata_legacy import SiataLegacy
from training.ground_truth.sources import open_source


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


def test_a_station_of_other_pollutants_alone_has_no_hour(tmp_path: Path) -> None:
    (other,) = history()
    stations = [*history(("2019-01-01 00:00:00", "1.0", 15.0)), other | {"codigoSerial": 4}]
    siata = legacy(tmp_path, stations)
    assert [found.id for found in siata.sensors(LAT, LON, 1.0, LONG_AGO)] == ["3"]


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
    payload = history(("2019-01-01 00:00:00", "1.0", 15.0))
    frozen = legacy(tmp_path, payload, as_history=False)
    for siata in (frozen, open_source("siata_legacy", address=str(tmp_path / "siata.json"))):
        with pytest.raises(GroundTruthError) as caught:
            siata.sensors(LAT, LON, 3.0, LONG_AGO)
        assert caught.value.code == "source_frozen"
        assert "2019-01-01" in caught.value.detail


@pytest.mark.parametrize("payload", [[], {}, [{"nombre": "x"}], {"measurements": [{}]}])
def test_a_file_of_another_layout_is_refused(tmp_path: Path, payload: Any) -> None:
    refused_as_changed(legacy(tmp_path, payload).sensors, LAT, LON, 3.0, LONG_AGO)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(GroundTruthError, match="cannot be read"):
        SiataLegacy(str(tmp_path / "absent.json")).sensors(LAT, LON, 3.0, LONG_AGO)
