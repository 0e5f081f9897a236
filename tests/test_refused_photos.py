"""Files that are no photo, no whole one, or a trap: refused, each with its code."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from features.errors import PhotoError
from features.photo import (
    MAX_BYTES,
    MAX_CHUNKS,
    WORKING_SIDE,
    decode_photo,
    photo_from_pixels,
)
from tests.photo_files import (
    FILES,
    JPEG,
    PNG,
    TRUTH,
    WEBP,
    claimed_png,
    difference,
    encoded,
    refused,
    scene,
)


class TestWhatIsRefused:
    def test_nothing(self) -> None:
        refused(b"", "empty_body", 400)

    @pytest.mark.parametrize("data", [b"x", b"hello world!", b"GIF89a" + bytes(50), b"\xff\xd8"])
    def test_no_photo(self, data: bytes) -> None:
        refused(data, "unsupported_media_type", 415)

    def test_heic_is_told_how_to_convert(self) -> None:
        error = refused(b"\0\0\0\x18ftypheic" + bytes(40), "unsupported_media_type", 415)
        assert "iPhone" in error.how_to_fix

    def test_too_many_bytes(self) -> None:
        refused(JPEG + bytes(MAX_BYTES), "too_large", 413)

    def test_a_panorama(self) -> None:
        refused(encoded(scene(1300, 400)), "aspect_ratio", 422)
        with pytest.raises(PhotoError):
            photo_from_pixels(scene(400, 1300))

    @pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (8001, 8000)])
    def test_more_pixels_than_a_camera_takes(self, width: int, height: int) -> None:
        refused(claimed_png(width, height), "too_many_pixels", 422)

    def test_a_jpeg_bomb(self) -> None:
        start = JPEG.index(b"\xff\xc0") + 5
        data = JPEG[:start] + struct.pack(">HH", 60_000, 60_000) + JPEG[start + 4 :]
        refused(data, "too_many_pixels", 422)

    def test_webp_bombs_of_all_three_kinds(self) -> None:
        def riff(kind: bytes, body: bytes) -> bytes:
            chunk = b"WEBP" + kind + struct.pack("<I", len(body)) + body
            return b"RIFF" + struct.pack("<I", len(chunk)) + chunk

        side = 16383
        extended = riff(b"VP8X", bytes(4) + 2 * (side - 1).to_bytes(3, "little"))
        lossless = riff(b"VP8L", b"\x2f" + struct.pack("<I", (side - 1) | (side - 1) << 14))
        lossy = riff(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", side, side))
        for bomb in (extended, lossless, lossy):
            assert f"{side} × {side}" in refused(bomb, "too_many_pixels", 422).detail

    def test_a_png_of_chunks_without_end(self) -> None:
        """Pillow would look at each of them, for half a minute."""
        empty = struct.pack(">I", 0) + b"abCd" + struct.pack(">I", zlib.crc32(b"abCd"))
        start = PNG.index(b"IDAT") - 4
        decode_photo(PNG[:start] + 1000 * empty + PNG[start:])
        decode_photo(PNG + MAX_CHUNKS * empty)  # what follows the end is none of its chunks
        refused(PNG[:start] + MAX_CHUNKS * empty + PNG[start:], "corrupt_photo", 422)

    def test_a_bomb_costs_no_memory(self) -> None:
        """Address space of a fresh process may grow by 200 MB; decoded, it would be 10.8 GB."""
        code = (
            "import sys, resource\n"
            "from features.errors import PhotoError\n"
            "from features.photo import decode_photo\n"
            "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
            "resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000,) * 2)\n"
            "try:\n    decode_photo(sys.stdin.buffer.read())\n"
            "except PhotoError as error:\n    print(error.code)\n"
        )
        answer = subprocess.run(
            [sys.executable, "-c", code],
            input=claimed_png(60_000, 60_000),
            capture_output=True,
            check=True,
        )
        assert answer.stdout.strip() == b"too_many_pixels"

    @settings(max_examples=40, deadline=None)
    @given(st.sampled_from(sorted(FILES)), st.floats(0, 1), st.sampled_from([b"", b"\0", b"\xff"]))
    def test_truncated_anywhere(self, name: str, kept: float, padding: bytes) -> None:
        """Up to the last 12 bytes, the whole of a PNG's end. A padded WebP looks complete."""
        whole = FILES[name]
        data = whole[: 12 + round(kept * (len(whole) - 25))]
        refused(data + 512 * padding * (name != "webp"), "corrupt_photo", 422)

    def test_a_whole_thumbnail_does_not_hide_a_missing_photo(self) -> None:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x927C] = encoded(scene(64, 48))
        data = encoded(scene(), exif=exif.tobytes())
        assert data.count(b"\xff\xd9") > 1
        decode_photo(data)
        refused(data[: len(data) * 3 // 4], "corrupt_photo", 422)

    @pytest.mark.parametrize("tail", [bytes(1000), b"SEFT trailer", JPEG, b"\0\0\0\x18ftypmp42"])
    def test_what_follows_the_end_does_not_matter(self, tail: bytes) -> None:
        assert difference(decode_photo(JPEG + tail), TRUTH) < 2

    @settings(max_examples=60, deadline=None)
    @given(
        st.sampled_from([b"", JPEG[:4], JPEG[:620], PNG[:8], PNG[:60], WEBP[:12], WEBP[:40]]),
        st.binary(max_size=400),
    )
    def test_random_bytes_are_refused_and_nothing_else(self, start: bytes, noise: bytes) -> None:
        with pytest.raises(PhotoError):
            decode_photo(start + noise)

    @settings(max_examples=60, deadline=None)
    @given(
        st.sampled_from(sorted(FILES)),
        st.dictionaries(st.integers(0, 1999), st.integers(0, 255), min_size=1, max_size=8),
    )
    def test_flipped_bytes_give_a_photo_or_a_refusal(
        self, name: str, changes: dict[int, int]
    ) -> None:
        damaged = bytearray(FILES[name])
        for place, value in changes.items():
            damaged[place] = value
        try:
            photo = decode_photo(bytes(damaged))
        except PhotoError:
            return
        assert max(photo.pixels.shape) == WORKING_SIDE
