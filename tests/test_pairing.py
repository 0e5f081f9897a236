"""A label lies within what was measured, nearer sensors weigh more, and an hour has two edges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import PM25Error
from training.great_circle import haversine
from training.ground_truth.measurement import HOUR, Sensor, SensorHour
from training.pairing import (
    NEAREST_KM,
    REASONS,
    Label,
    Method,
    PairingRule,
    Unpaired,
    age_of,
    idw_weights,
    pair,
)
from training.pairing_table import PAIRING_COLUMNS, label_cells, pairing_row

LAT, LON = 6.25, -75.57
END = datetime(2026, 9, 28, 22, tzinfo=UTC)
DURING = END - HOUR / 2
KM = 1 / 111.2  # [deg] of latitude
IDW = PairingRule("idw")
distances = st.lists(st.floats(0, 50), min_size=1, max_size=12)


def sensor(name: str, km_north: float = 0.0, quality: str = "A") -> Sensor:
    return Sensor("siata", name, f"Station {name}", LAT + km_north * KM, LON, quality)


def hour(name: str, pm25: float | None, ends_at: datetime = END, *flags: str) -> SensorHour:
    return SensorHour(name, ends_at, pm25, str(pm25), flags=flags)


def label(found: Label | Unpaired) -> Label:
    assert isinstance(found, Label), found
    return found


def reason(found: Label | Unpaired) -> str:
    assert isinstance(found, Unpaired)
    assert found.reason in REASONS
    return found.reason


# ---- weights


@given(distances)
def test_weights_share_one_and_fall_with_distance(km: list[float]) -> None:
    weights = idw_weights(km)
    assert sum(weights) == pytest.approx(1.0)
    assert all(weight > 0 for weight in weights)
    for a, w in zip(km, weights, strict=True):
        for b, v in zip(km, weights, strict=True):
            assert a > b or w >= v * (1 - 1e-9)


@given(distances, st.randoms(use_true_random=False))
def test_the_order_of_sensors_does_not_matter(km: list[float], random: Random) -> None:
    order = list(range(len(km)))
    random.shuffle(order)
    weights, shuffled = idw_weights(km), idw_weights([km[i] for i in order])
    assert shuffled == pytest.approx([weights[i] for i in order])


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=8), st.floats(1, 5))
def test_only_relative_distances_count(km: list[float], scale: float) -> None:
    assert idw_weights([d * scale for d in km]) == pytest.approx(idw_weights(km))


def test_weights_go_with_the_inverse_square() -> None:
    assert idw_weights([1.0, 2.0]) == pytest.approx([0.8, 0.2])
    assert idw_weights([0.0, NEAREST_KM / 2, NEAREST_KM]) == pytest.approx([1 / 3] * 3)


measured = st.lists(st.tuples(st.floats(-2.9, 2.9), st.floats(0, 500)), min_size=1, max_size=8)


@given(measured, st.sampled_from(["nearest", "idw"]))
def test_a_label_lies_within_what_was_measured(
    told: list[tuple[float, float]], method: Method
) -> None:
    sensors = [sensor(str(n), km) for n, (km, _) in enumerate(told)]
    hours = {str(n): [hour(str(n), pm25)] for n, (_, pm25) in enumerate(told)}
    found = label(pair(DURING, LAT, LON, sensors, hours, PairingRule(method)))
    values = [pm25 for _, pm25 in told]
    assert min(values) <= found.pm25 <= max(values)
    assert sum(part.weight for part in found.parts) == pytest.approx(1.0)
    for part in found.parts:
        km = float(haversine(LAT, LON, part.sensor.lat, part.sensor.lon))
        assert part.distance_km == pytest.approx(km)
    if method == "nearest":
        (part,) = found.parts
        assert part.distance_km == pytest.approx(min(abs(km) for km, _ in told), abs=0.01)


@given(measured)
def test_mirrored_places_give_the_same_label(told: list[tuple[float, float]]) -> None:
    def paired(sign: float) -> float:
        sensors = [sensor(str(n), sign * km) for n, (km, _) in enumerate(told)]
        hours = {str(n): [hour(str(n), pm25)] for n, (_, pm25) in enumerate(told)}
        return label(pair(DURING, LAT, LON, sensors, hours, IDW)).pm25

    assert paired(1) == pytest.approx(paired(-1), abs=1e-6)


# ---- time


def test_an_hour_holds_its_beginning_and_not_its_end() -> None:
    sensors, hours = [sensor("1")], {"1": [hour("1", 10.0), hour("1", 20.0, END + HOUR)]}
    tick = timedelta(microseconds=1)
    for moment, pm25 in [(END - HOUR, 10), (END - tick, 10), (END, 20), (END + HOUR - tick, 20)]:
        assert label(pair(moment, LAT, LON, sensors, hours, IDW)).pm25 == pm25
    for moment in (END - HOUR - tick, END + HOUR):
        assert reason(pair(moment, LAT, LON, sensors, hours, IDW)) == "no_hour"


@given(st.integers(-300, 300), st.integers(0, 120))
def test_a_photo_outside_the_hour_counts_up_to_the_age_that_is_allowed(
    minutes: int, allowed: int
) -> None:
    moment = END - HOUR + timedelta(minutes=minutes)
    rule = PairingRule(max_age=timedelta(minutes=allowed))
    found = pair(moment, LAT, LON, [sensor("1")], {"1": [hour("1", 10.0)]}, rule)
    outside = max(-minutes, minutes - 60, 0)
    inside = 0 <= minutes < 60
    assert isinstance(found, Label) == (inside or 0 < allowed >= outside)
    if isinstance(found, Label):
        assert found.age == timedelta(minutes=outside) == age_of(moment, found.parts[0].hour)


def test_the_hour_that_holds_the_photo_goes_before_those_beside_it() -> None:
    rule = PairingRule(max_age=2 * HOUR)
    hours = [hour("1", 5.0, END - HOUR), hour("1", 10.0), hour("1", 20.0, END + HOUR)]
    for given_in in (hours, hours[::-1]):
        assert label(pair(DURING, LAT, LON, [sensor("1")], {"1": given_in}, rule)).pm25 == 10.0
    gap = [hours[0], hour("1", None), hours[2]]
    late = END - HOUR / 4
    assert label(pair(late, LAT, LON, [sensor("1")], {"1": gap}, rule)).pm25 == 20.0


@given(st.integers(-14 * 60, 14 * 60))
def test_an_offset_changes_the_clock_and_not_the_moment(offset: int) -> None:
    from datetime import timezone

    moment = DURING.astimezone(timezone(timedelta(minutes=offset)))
    assert label(pair(moment, LAT, LON, [sensor("1")], {"1": [hour("1", 7.0)]}, IDW)).pm25 == 7.0


# ---- reasons


def test_every_photo_without_a_label_says_why() -> None:
    near, far = sensor("1", 1.0), sensor("2", 3.1)
    hours = {"1": [hour("1", None, END, "sentinel")], "2": [hour("2", 9.0)]}
    assert reason(pair(None, LAT, LON, [near], hours, IDW)) == "time_unknown"
    assert reason(pair(DURING, None, None, [near], hours, IDW)) == "place_unknown"
    found = pair(DURING, LAT, LON, [far], hours, IDW)
    assert reason(found) == "no_sensor"
    assert isinstance(found, Unpaired) and "Station 2, 3.1 km" in found.detail
    assert reason(pair(DURING, LAT, LON, [], hours, IDW)) == "no_sensor"
    found = pair(DURING, LAT, LON, [near, far], hours, IDW)
    assert reason(found) == "unusable"
    assert isinstance(found, Unpaired) and "1: sentinel" in found.detail
    assert reason(pair(DURING, LAT, LON, [near], {}, IDW)) == "no_hour"


def test_the_next_sensor_stands_in_for_one_without_a_value() -> None:
    sensors = [sensor("1", 0.5), sensor("2", 1.0), sensor("3", 2.0)]
    hours = {"1": [hour("1", None, END, "null")], "2": [hour("2", 9.0)], "3": [hour("3", 99.0)]}
    found = label(pair(DURING, LAT, LON, sensors, hours, PairingRule()))
    assert (found.pm25, found.parts[0].sensor.id) == (9.0, "2")


def test_a_label_is_no_better_than_the_worst_it_rests_on() -> None:
    hours = {"1": [hour("1", 8.0)], "2": [hour("2", 9.0)]}
    mixed = [sensor("1", 0.5), sensor("2", 1.0, quality="C")]
    assert label(pair(DURING, LAT, LON, mixed, hours, IDW)).quality == "C"
    assert label(pair(DURING, LAT, LON, mixed, hours, PairingRule())).quality == "A"


@pytest.mark.parametrize(
    "wrong",
    [{"method": "kriging"}, {"radius_km": 0.0}, {"radius_km": 101.0}, {"max_age": -HOUR}],
)
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PM25Error, match="Allowed"):
        PairingRule(**wrong)


# ---- what is kept


def test_a_label_keeps_what_it_rests_on() -> None:
    sensors = [sensor("1", 1.0), sensor("2", -2.0)]
    hours = {
        "1": [SensorHour("1", END, 10.0, "raw 11", "epa_2021_cf1", ("clipped",))],
        "2": [SensorHour("2", END, 20.0, "raw 21", "epa_2021_cf1")],
    }
    found = label(pair(DURING, LAT, LON, sensors, hours, IDW))
    row = pairing_row("images/1.jpg", DURING, found)
    assert set(row) <= set(PAIRING_COLUMNS)
    assert float(row["pm25"]) == pytest.approx(12.0, abs=0.02)
    assert row["sensor_ids"] == "1 2"
    assert [float(w) for w in row["weights"].split()] == pytest.approx([0.8, 0.2], abs=0.001)
    assert [float(d) for d in row["distances_km"].split()] == pytest.approx([1, 2], abs=0.01)
    assert row["window_starts_at"] == "2026-09-28T21:00:00+00:00"
    assert row["window_ends_at"] == "2026-09-28T22:00:00+00:00"
    assert (row["age_minutes"], row["averaging_minutes"]) == ("0.0", "60")
    assert (row["correction"], row["flags"], row["source"]) == ("epa_2021_cf1", "clipped", "siata")
    assert label_cells(found)["pm25_as_published"] == "raw 11 | raw 21"


def test_a_photo_without_a_label_keeps_its_reason() -> None:
    row = pairing_row("images/1.jpg", None, pair(None, LAT, LON, [], {}, IDW))
    assert (row["reason"], row.get("pm25", "")) == ("time_unknown", "")
