"""Metadata: everything valid is read, everything else is refused with its field named."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import MetadataError
from features.metadata import ALLOWED_FIELDS, RANGES, PhotoMetadata, parse_metadata

COMPLETE: dict[str, object] = {
    "captured_at": "2025-03-01T08:30:00-05:00",
    "lat": 6.25,
    "lon": -75.57,
    "camera": "torre-siata_86.v2",
    "temperature_c": 19.5,
    "relative_humidity_pct": 80,
    "pressure_hpa": 850,
    "wind_speed_ms": 1.5,
    "wind_direction_deg": 360,
    "rain_mm": 0,
    "boundary_layer_height_m": 300,
}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANY_JSON = SCALARS | st.lists(SCALARS, max_size=2)


def refused(mapping: dict[str, object]) -> MetadataError:
    with pytest.raises(MetadataError) as caught:
        parse_metadata(mapping)
    assert caught.value.status == 422
    return caught.value


def test_every_field_is_read() -> None:
    metadata = parse_metadata(COMPLETE)
    assert set(COMPLETE) == set(ALLOWED_FIELDS)
    assert metadata.captured_at == datetime(2025, 3, 1, 13, 30, tzinfo=UTC)
    assert (metadata.lat, metadata.lon) == (6.25, -75.57)
    assert metadata.camera == "torre-siata_86.v2"
    assert metadata.wind_direction_deg == 360.0


def test_nothing_given_is_nothing_known() -> None:
    assert parse_metadata({}) == PhotoMetadata()


def test_a_csv_row_says_the_same_as_json() -> None:
    row = {name: str(value) for name, value in COMPLETE.items()}
    assert parse_metadata(row) == parse_metadata(COMPLETE)
    assert parse_metadata(json.loads(json.dumps(COMPLETE))) == parse_metadata(COMPLETE)


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_empty_is_unknown(empty: object) -> None:
    assert parse_metadata(dict.fromkeys(ALLOWED_FIELDS, empty)) == PhotoMetadata()


def test_an_unknown_field_is_refused_with_the_allowed_ones() -> None:
    error = refused({"temperature": 20, "rain_mm": 1})
    assert error.code == "unknown_field"
    assert "temperature" in error.detail
    assert all(name in error.how_to_fix for name in ALLOWED_FIELDS)


@pytest.mark.parametrize("name", RANGES)
@given(data=st.data())
def test_numbers_are_read_inside_their_range_and_refused_outside(
    name: str, data: st.DataObject
) -> None:
    low, high, unit = RANGES[name]
    partner: dict[str, object] = {"lat": {"lon": 0}, "lon": {"lat": 0}}.get(name, {})
    inside = data.draw(st.floats(low, high))
    assert getattr(parse_metadata({name: inside, **partner}), name) == inside
    assert getattr(parse_metadata({name: str(inside), **partner}), name) == inside

    outside = data.draw(
        st.floats(max_value=low, exclude_max=True, allow_infinity=False)
        | st.floats(min_value=high, exclude_min=True, allow_infinity=False)
    )
    error = refused({name: outside, **partner})
    assert error.code == "out_of_range"
    assert name in error.detail
    assert f"{high:g} [{unit}]" in error.how_to_fix


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        math.nan,
        math.inf,
        "nan",
        "1_0",
        "12,5",
        "٣",
        "0x10",
        "1e999",
        10**400,
        [1],
        b"1",
    ],
)
def test_what_is_no_number_is_refused(value: object) -> None:
    error = refused({"rain_mm": value})
    assert error.code == "not_a_number"
    assert "rain_mm" in error.detail
    assert len(error.detail) < 200


@pytest.mark.parametrize("alone", ["lat", "lon"])
def test_half_a_position_is_refused(alone: str) -> None:
    assert refused({alone: 10}).code == "incomplete_position"


@given(
    st.datetimes(datetime(1990, 1, 3), datetime(2025, 1, 1)),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_times_with_an_offset_are_read(moment: datetime, zone: timezone) -> None:
    time = moment.replace(tzinfo=zone)
    assert parse_metadata({"captured_at": time.isoformat()}).captured_at == time
    assert parse_metadata({"captured_at": time}).captured_at == time


@pytest.mark.parametrize(
    "value",
    [
        "2025-03-01T08:30:00",  # no offset
        "2025-03-01T08:30:00+05:30:15",
        "2025-03-01",
        "01/03/2025 08:30",
        "1989-12-31T23:59:59+00:00",
        "0001-01-01T00:00:00+14:00",  # before the first moment that UTC can say
        "9999-12-31T23:59:59-14:00",
        1740835800,
        True,
        ["2025-03-01T08:30:00Z"],
    ],
)
def test_other_times_are_refused(value: object) -> None:
    error = refused({"captured_at": value})
    assert error.code == "invalid_time"
    assert "captured_at" in error.detail


def test_a_photo_from_the_future_is_refused() -> None:
    later = datetime.now(UTC) + timedelta(days=3)
    assert refused({"captured_at": later.isoformat()}).code == "invalid_time"


@pytest.mark.parametrize("value", ["a" * 65, "a b", "../a", "ä", "a\n", 5, True, ["a"]])
def test_a_camera_name_is_a_plain_word(value: object) -> None:
    if value == "a\n":  # white space around a form field is not part of the name
        assert parse_metadata({"camera": value}).camera == "a"
        return
    assert refused({"camera": value}).code == "invalid_camera"


@given(st.dictionaries(st.sampled_from(ALLOWED_FIELDS) | st.text(), ANY_JSON, max_size=5))
def test_whatever_is_sent_is_read_or_refused(mapping: dict[str, object]) -> None:
    try:
        metadata = parse_metadata(mapping)
    except MetadataError as error:
        assert error.detail
        assert error.how_to_fix
        assert len(str(error)) < 1000
    else:
        assert isinstance(metadata, PhotoMetadata)
