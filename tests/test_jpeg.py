"""The header of a JPEG, held against Pillow's reader and against files that are none."""

from __future__ import annotations

import time
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from features.errors import PhotoError
from features.jpeg import count_scans, read_jpeg_header, segments
from features.photo import MAX_SCANS, decode_photo
from tests.landscape import DATASETS


def saved(width: int, height: int, mode: str = "RGB", **how: object) -> bytes:
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3))
    file = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(file, "JPEG", **how)
    return file.getvalue()


def exif_bytes(thumbnail: bytes = b"") -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "maker", 6
    return exif.tobytes() + thumbnail


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 60),
    height=st.integers(1, 60),
    mode=st.sampled_from(["RGB", "L", "CMYK"]),
    progressive=st.booleans(),
    thumbnail=st.booleans(),
)
def test_size_and_exif_are_those_that_pillow_reads(
    width: int, height: int, mode: str, progressive: bool, thumbnail: bool
) -> None:
    exif = exif_bytes(saved(7, 9) if thumbnail else b"")
    data = saved(width, height, mode, progressive=progressive, exif=exif)
    header = read_jpeg_header(data)
    assert header is not None
    with Image.open(BytesIO(data)) as image:
        assert (header.width, header.height) == image.size == (width, height)
        assert header.exif == image.info["exif"] == exif
    assert data[header.scan - 4 : header.scan - 2] == b"\xff\xda"
    assert header.several_scans == progressive
    assert count_scans(data, header, 100) == data[header.scan - 4 :].count(b"\xff\xda")
    assert count_scans(data, header, 1) == (2 if progressive else 1)


def test_real_photos_have_the_header_that_pillow_reads() -> None:
    files = sorted(DATASETS.rglob("*.jpg"))[::40]
    if not files:
        pytest.skip("the data sets are not here")
    for file in files:
        data = file.read_bytes()
        header = read_jpeg_header(data)
        assert header is not None
        with Image.open(BytesIO(data)) as image:
            assert (header.width, header.height) == image.size
            assert header.exif == image.info.get("exif", b"")


def test_padding_and_markers_without_a_length_are_passed_over() -> None:
    data = saved(20, 10)
    padded = data[:2] + b"\xff\xff\xff\x01\xff\xd0" + data[2:]
    assert read_jpeg_header(padded) is not None
    assert [m for m, *_ in segments(padded)] == [m for m, *_ in segments(data)]


@pytest.mark.parametrize("kept", range(0, 620, 20))
def test_a_file_cut_before_its_scan_has_no_header(kept: int) -> None:
    data = saved(20, 10)
    header = read_jpeg_header(data)
    assert header is not None
    cut = data[: min(kept, header.scan - 4)]
    assert read_jpeg_header(cut) is None


@given(st.binary(max_size=200), st.integers(0, 400), st.binary(max_size=8))
@settings(max_examples=200)
def test_no_bytes_raise(noise: bytes, at: int, patch: bytes) -> None:
    data = saved(20, 10)
    read_jpeg_header(b"\xff\xd8" + noise)
    read_jpeg_header(data[:at] + patch + data[at + len(patch) :])


# ---- scans without end


def flat(side: int) -> tuple[bytes, bytes]:
    """A progressive JPEG of nothing, and one more scan for it: some 100 bytes."""
    file = BytesIO()
    Image.fromarray(np.full((side, side, 3), 128, np.uint8)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    return data, data[data.rindex(b"\xff\xda") : -2]


def refused(data: bytes) -> str:
    with pytest.raises(PhotoError) as caught:
        decode_photo(data)
    assert caught.value.status == 422
    return caught.value.code


@pytest.mark.parametrize("hidden", [b"", b"\xff\xfe\0\x06\xff\xd9\xff\xd9"], ids=["bare", "hidden"])
def test_a_jpeg_is_not_decoded_again_and_again(hidden: bytes) -> None:
    """16 MB of scans would keep the decoder busy for two hours. In a comment nothing ends."""
    data, scan = flat(8000)
    assert len(scan) < 200
    begun = time.perf_counter()
    assert refused(data[:-2] + hidden + scan * (16_000_000 // len(scan)) + data[-2:]) == (
        "too_many_scans"
    )
    assert time.perf_counter() - begun < 5  # whatever the machine: it is a fraction of a second


@pytest.mark.parametrize(
    ("filling", "answered"),
    [(b"\0", True), (b"\xff", True), (b"\xff\xd0", True), (b"\xff\xfe\0\2", False)],
    ids=["zeros", "fill bytes", "bare markers", "empty comments"],
)
@pytest.mark.parametrize("before_the_picture", [True, False])
def test_what_lies_between_the_segments_is_passed_over_at_once(
    filling: bytes, answered: bool, before_the_picture: bool
) -> None:
    """16 MB of it, byte by byte, would keep a worker busy for longer than a server waits."""
    data, _ = flat(640)
    at = data.index(b"\xff\xdb") if before_the_picture else len(data) - 2
    filled = data[:at] + filling * (16_000_000 // len(filling)) + data[at:]
    begun = time.perf_counter()
    if answered:
        assert decode_photo(filled).pixels.shape == (640, 640, 3)
    else:
        assert refused(filled) == ("corrupt_photo" if before_the_picture else "too_many_scans")
    assert time.perf_counter() - begun < 5  # whatever the machine: it is a fraction of a second


def test_as_many_scans_as_any_encoder_makes_are_decoded() -> None:
    data, scan = flat(640)
    many = data[:-2] + scan * (MAX_SCANS - data.count(b"\xff\xda")) + data[-2:]
    decode_photo(many)
    assert refused(many[:-2] + scan + many[-2:]) == "too_many_scans"
    decode_photo(data + (b"\xff\xda" + bytes(50)) * 999)  # what follows the end is no scan
