"""Decoding: every kind of file that a phone or a camera writes, and every kind of damage."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
import zlib
from datetime import UTC, datetime, timedelta
from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from features.errors import PhotoError
from features.photo import (
    MAX_BYTES,
    MAX_CHUNKS,
    WORKING_SIDE,
    Photo,
    decode_photo,
    photo_from_pixels,
)


def scene(width: int = 800, height: int = 600, seed: int = 0) -> NDArray[np.uint8]:
    """Sky above, textured ground below, a red roof on the left: no symmetry that hides a flip."""
    rng = np.random.default_rng(seed)
    picture = np.empty((height, width, 3), dtype=np.float32)
    picture[: height // 2] = (150, 190, 230)
    picture[height // 2 :] = (90, 110, 60)
    picture[height // 3 : height * 2 // 3, width // 8 : width // 4] = (200, 60, 40)
    coarse = rng.normal(0, 12, (height // 8 + 1, width // 8 + 1)).astype(np.float32)
    picture += cv2.resize(coarse, (width, height))[..., None]
    return picture.clip(0, 255).astype(np.uint8)


def encoded(pixels: NDArray[np.uint8], kind: str = "JPEG", **options: object) -> bytes:
    buffer = BytesIO()
    if kind == "JPEG":
        options = {"quality": 95, **options}
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def refused(data: bytes, code: str, status: int) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        decode_photo(data)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.how_to_fix
    return caught.value


def difference(one: Photo, other: Photo) -> float:
    return float(np.abs(one.pixels.astype(float) - other.pixels.astype(float)).mean())


def claimed_png(width: int, height: int) -> bytes:
    """A PNG whose header promises width × height pixels, and whose data hold next to none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


TRUTH = photo_from_pixels(scene())
JPEG, PNG, WEBP = encoded(scene()), encoded(scene(), "PNG"), encoded(scene(), "WEBP")
FILES = {"jpeg": JPEG, "progressive": encoded(scene(), progressive=True), "png": PNG, "webp": WEBP}


class TestWhatIsRead:
    @pytest.mark.parametrize(
        ("width", "height", "expected"),
        [
            (800, 600, (480, 640)),
            (600, 800, (640, 480)),
            (640, 480, (480, 640)),
            (224, 224, (640, 640)),
            (1920, 1080, (360, 640)),
            (3000, 4000, (640, 480)),
            (1, 1, (640, 640)),
            (3, 1, (213, 640)),
            (641, 639, (638, 640)),
        ],
    )
    def test_the_long_side_is_the_working_side(
        self, width: int, height: int, expected: tuple[int, int]
    ) -> None:
        picture = cv2.resize(scene(), (width, height), interpolation=cv2.INTER_AREA)
        for kind in ("JPEG", "PNG") if width < 2000 else ("JPEG",):
            photo = decode_photo(encoded(picture, kind))
            assert photo.pixels.shape == (*expected, 3)
            assert photo.pixels.dtype == np.uint8
            assert photo.pixels.flags.c_contiguous
            assert (photo.original_width, photo.original_height) == (width, height)

    @pytest.mark.parametrize(
        ("data", "media_type"),
        [(JPEG, "image/jpeg"), (PNG, "image/png"), (WEBP, "image/webp")],
    )
    def test_the_three_formats_show_the_same_scene(self, data: bytes, media_type: str) -> None:
        photo = decode_photo(data)
        assert photo.media_type == media_type
        assert difference(photo, TRUTH) < 2
        assert photo.sha256 == hashlib.sha256(data).hexdigest()

    @pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0"}])
    def test_every_kind_of_webp(self, options: dict[str, object]) -> None:
        assert difference(decode_photo(encoded(scene(), "WEBP", **options)), TRUTH) < 2

    def test_red_is_red(self) -> None:
        for data in (JPEG, PNG, WEBP):
            red, green, blue = decode_photo(data).pixels[240, 120].astype(int)
            assert red > 150 > green
            assert red > 150 > blue

    def test_progressive_jpeg(self) -> None:
        assert difference(decode_photo(encoded(scene(), progressive=True)), TRUTH) < 1

    def test_cmyk_jpeg(self) -> None:
        buffer = BytesIO()
        Image.fromarray(scene()).convert("CMYK").save(buffer, "JPEG", quality=95)
        assert difference(decode_photo(buffer.getvalue()), TRUTH) < 4

    @pytest.mark.parametrize("kind", ["JPEG", "PNG"])
    def test_grey(self, kind: str) -> None:
        grey = cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY)
        photo = decode_photo(encoded(grey, kind))
        assert np.ptp(photo.pixels.astype(int), axis=2).max() == 0
        assert abs(photo.pixels.mean() - grey.mean()) < 1

    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    def test_alpha_is_dropped_and_the_colour_under_it_stays(self, kind: str) -> None:
        alpha = np.full((600, 800, 1), 128, dtype=np.uint8)
        data = encoded(np.concatenate([scene(), alpha], axis=2), kind)
        assert difference(decode_photo(data), TRUTH) < 2

    def test_grey_with_alpha(self) -> None:
        buffer = BytesIO()
        Image.fromarray(scene()).convert("LA").save(buffer, "PNG")
        assert decode_photo(buffer.getvalue()).pixels.shape == (480, 640, 3)

    @pytest.mark.parametrize("transparency", [None, 3])
    def test_palette_png(self, transparency: int | None) -> None:
        buffer = BytesIO()
        options = {} if transparency is None else {"transparency": transparency}
        Image.fromarray(scene()).quantize(256).save(buffer, "PNG", **options)
        assert difference(decode_photo(buffer.getvalue()), TRUTH) < 6

    @pytest.mark.parametrize("channels", [1, 3])
    def test_sixteen_bits(self, channels: int) -> None:
        deep = scene().astype(np.uint16) * 257
        deep = deep if channels == 3 else deep[..., 1]
        ok, data = cv2.imencode(".png", deep[..., ::-1] if channels == 3 else deep)
        assert ok
        photo = decode_photo(data.tobytes())
        truth = TRUTH.pixels if channels == 3 else np.repeat(TRUTH.pixels[..., 1:2], 3, axis=2)
        assert np.abs(photo.pixels.astype(float) - truth).mean() < 1

    def test_one_bit(self) -> None:
        buffer = BytesIO()
        Image.fromarray(scene()).convert("1").save(buffer, "PNG")
        assert decode_photo(buffer.getvalue()).pixels.shape == (480, 640, 3)

    def test_pixels_at_the_working_size_stay_as_they_are(self) -> None:
        again = photo_from_pixels(TRUTH.pixels)
        assert np.array_equal(again.pixels, TRUTH.pixels)
        assert again.original_width == WORKING_SIDE

    def test_size_does_not_change_sharpness(self) -> None:
        """With bilinear steps alone, one scene is 2.4 times as sharp at 1278 px as at 720 px."""
        rng = np.random.default_rng(1)
        size = (1344, 1008)
        fine = np.zeros(size[::-1], dtype=np.float32)
        for octave in range(8):  # as natural scenes are: the same contrast in every octave
            cells = rng.normal(0, 1, (size[1] >> octave, size[0] >> octave)).astype(np.float32)
            fine += cv2.resize(cells, size, interpolation=cv2.INTER_CUBIC)
        grey = (128 + 30 * fine / fine.std()).clip(0, 255).astype(np.uint8)

        def sharpness(side: int) -> float:
            small = cv2.resize(grey, (side, side * 3 // 4), interpolation=cv2.INTER_AREA)
            pixels = decode_photo(encoded(small)).pixels[..., 0]
            return float(cv2.Laplacian(pixels, cv2.CV_64F).var())

        at = [sharpness(side) for side in (640, 720, 800, 960, 1120, 1278, 1280)]
        assert max(at) / min(at) < 1.25


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
        inverse = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }
        upright = Image.fromarray(scene())
        stored = upright.transpose(inverse[orientation]) if orientation > 1 else upright
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
