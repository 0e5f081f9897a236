"""Decoding: every kind of file that a phone or a camera writes."""

from __future__ import annotations

import hashlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from features.photo import (
    WORKING_SIDE,
    decode_photo,
    photo_from_pixels,
)
from tests.photo_files import (
    JPEG,
    PNG,
    TRUTH,
    WEBP,
    difference,
    encoded,
    scene,
)


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

    @pytest.mark.parametrize(("width", "height", "times"), [(160, 90, 4.0), (96, 128, 5.0)])
    def test_it_knows_by_how_much_it_was_enlarged(
        self, width: int, height: int, times: float
    ) -> None:
        small = decode_photo(encoded(cv2.resize(scene(), (width, height))))
        assert small.enlargement == times
        assert decode_photo(encoded(cv2.resize(scene(), (1920, 1080)))).enlargement == 1.0

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
