"""Time and place come from the request, or else from the file, each as a whole and never mixed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.metadata import PhotoMetadata
from features.photo import Photo, photo_from_pixels
from handlers.circumstances import circumstances_of

PLAIN = photo_from_pixels(np.zeros((480, 640, 3), dtype=np.uint8))
NOON = datetime(2025, 3, 1, 12, tzinfo=timezone(timedelta(hours=-5)))
times = st.none() | st.datetimes(datetime(1991, 1, 1), datetime(2025, 1, 1), timezones=st.just(UTC))
places = st.none() | st.tuples(st.floats(-90, 90), st.floats(-180, 180))


def of_file(time: datetime | None, place: tuple[float, float] | None) -> Photo:
    lat, lon = place or (None, None)
    return replace(PLAIN, captured_at=time, lat=lat, lon=lon)


def of_request(time: datetime | None, place: tuple[float, float] | None) -> PhotoMetadata:
    lat, lon = place or (None, None)
    return PhotoMetadata(captured_at=time, lat=lat, lon=lon, temperature_c=20.0)


@given(times, places, times, places)
def test_each_is_the_request_s_or_else_the_file_s(
    told_time: datetime | None,
    told_place: tuple[float, float] | None,
    exif_time: datetime | None,
    exif_place: tuple[float, float] | None,
) -> None:
    found = circumstances_of(of_request(told_time, told_place), of_file(exif_time, exif_place))
    known = found.metadata
    assert known.captured_at == (told_time if told_time is not None else exif_time)
    place = told_place if told_place is not None else exif_place
    assert (known.lat, known.lon) == (place or (None, None))
    assert known.temperature_c == 20.0
    told = found.as_json()
    for name, request, exif in (
        ("captured_at", told_time, exif_time),
        ("place", told_place, exif_place),
    ):
        entry = told[name]
        if request is None and exif is None:
            assert entry is None
        else:
            assert isinstance(entry, dict)
            assert entry["source"] == ("exif" if request is None else "request")


def test_the_time_is_told_with_its_offset_and_the_place_without_its_street() -> None:
    told = circumstances_of(of_request(None, (6.251847, -75.563591)), of_file(NOON, None)).as_json()
    assert told == {
        "captured_at": {"value": "2025-03-01T12:00:00-05:00", "source": "exif"},
        "place": {"lat": 6.3, "lon": -75.6, "source": "request"},
    }


@pytest.mark.parametrize("days", [2, 4000])
def test_a_file_from_the_future_has_no_time(days: int) -> None:
    """A camera's clock that was set wrong; a request that said so would be refused."""
    ahead = of_file(datetime.now(UTC) + timedelta(days=days), (6.25, -75.57))
    found = circumstances_of(PhotoMetadata(), ahead)
    assert found.metadata.captured_at is None
    assert found.as_json()["captured_at"] is None
    assert found.place_source == "exif"
