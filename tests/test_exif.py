"""What EXIF says of a photo: which way is up, when and where; and what is not believed."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from features.photo import decode_photo
from tests.photo_files import JPEG, ORIENTATIONS, TRUTH, difference, encoded, scene


class TestExif:
    def tagged(self, kind: str = "JPEG", picture: NDArray[np.uint8] | None = None) -> bytes:
        return encoded(scene() if picture is None else picture, kind, exif=self.exif.tobytes())

    @pytest.fixture(autouse=True)
    def _exif(self) -> None:
        self.exif = Image.Exif()
        self.details = self.exif.get_ifd(0x8769)
        self.gps = self.exif.get_ifd(0x8825)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_every_orientation_is_undone(self, orientation: int, kind: str) -> None:
        """As a camera does it: the sensor's picture is turned, and a tag says how."""
        upright = Image.fromarray(scene())
        stored = upright.transpose(ORIENTATIONS[orientation]) if orientation > 1 else upright
        self.exif[0x0112] = orientation
        photo = decode_photo(self.tagged(kind, np.asarray(stored)))
        assert photo.pixels.shape == (480, 640, 3)
        assert (photo.original_width, photo.original_height) == (800, 600)
        assert difference(photo, TRUTH) < 2

    @pytest.mark.parametrize("orientation", [0, 9, 65535])
    def test_an_orientation_that_does_not_exist_is_upright(self, orientation: int) -> None:
        self.exif[0x0112] = orientation
        assert difference(decode_photo(self.tagged()), TRUTH) < 2

    def test_time_with_its_offset(self) -> None:
        self.details.update({0x9003: "2025:03:01 08:30:15", 0x9011: "-05:00"})
        photo = decode_photo(self.tagged())
        assert photo.captured_at == datetime(2025, 3, 1, 13, 30, 15, tzinfo=UTC)
        assert photo.captured_at.utcoffset() == timedelta(hours=-5)

    def test_time_without_an_offset_is_unknown(self) -> None:
        self.details[0x9003] = "2025:03:01 08:30:15"
        assert decode_photo(self.tagged()).captured_at is None

    def test_gps_time_is_universal_time(self) -> None:
        self.details[0x9003] = "2025:03:01 08:30:15"
        self.gps.update({7: (13.0, 30.0, 15.0), 29: "2025:03:01"})
        expected = datetime(2025, 3, 1, 13, 30, 15, tzinfo=UTC)
        assert decode_photo(self.tagged()).captured_at == expected

    @pytest.mark.parametrize("time", ["0000:00:00 00:00:00", "1980:01:01 00:00:00", "", "soon"])
    def test_a_clock_that_was_never_set_is_no_time(self, time: str) -> None:
        self.details.update({0x9003: time, 0x9011: "+00:00"})
        assert decode_photo(self.tagged()).captured_at is None

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_position(self, kind: str) -> None:
        self.gps.update({1: "N", 2: (6.0, 15.0, 0.0), 3: "W", 4: (75.0, 34.0, 12.0)})
        photo = decode_photo(self.tagged(kind))
        assert photo.lat == pytest.approx(6.25)
        assert photo.lon == pytest.approx(-75.57)

    @pytest.mark.parametrize(
        "gps",
        [
            {1: "N", 2: (6.0, 15.0, 0.0)},
            {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
            {1: "N", 2: (96.0, 0.0, 0.0), 3: "E", 4: (10.0, 0.0, 0.0)},
            {1: "N", 2: (6.0,), 3: "E", 4: (10.0, 0.0, 0.0)},
        ],
        ids=["half", "no fix", "beyond the pole", "one part of three"],
    )
    def test_a_position_that_cannot_be_is_unknown(self, gps: dict[int, object]) -> None:
        self.gps.update(gps)
        photo = decode_photo(self.tagged())
        assert (photo.lat, photo.lon) == (None, None)

    @settings(max_examples=40, deadline=None)
    @given(st.binary(max_size=200))
    def test_damaged_exif_does_not_spoil_the_photo(self, noise: bytes) -> None:
        segment = b"Exif\0\0" + noise
        data = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + JPEG[2:]
        assert difference(decode_photo(data), TRUTH) < 2
