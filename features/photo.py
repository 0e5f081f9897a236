"""From the bytes of a photo file to pixels at the working size, every guard before the decoder.

What is checked, in this order: bytes are there, they are JPEG, PNG or WebP, there are not too many
of them, the header does not promise more pixels than a camera takes, the file is complete, and it
does not go over its picture without end. Only then is anything decoded, and a JPEG at the smallest
DCT scale that still holds the working size.

Colour: sRGB codes as they stand in the file. Colour profiles are not applied, an alpha channel is
dropped (the colour under it stays), 16-bit samples keep their upper 8 bits.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from features.errors import PhotoError
from features.jpeg import JpegHeader, count_scans, read_jpeg_header
from features.light import Light
from features.png import count_chunks

WORKING_SIDE = 640  # long side of the picture that all features read [px]
MAX_BYTES = 32 * 1024**2
MAX_PIXELS = 64_000_000
MAX_ASPECT_RATIO = 3.0
# A camera's progressive JPEG has 10 or so. One scan of nothing takes 100 bytes, and the decoder
# 0.06 s at 64 megapixels: a file of 32 MiB could keep it busy for hours.
MAX_SCANS = 64
# Pillow takes 12 µs for each; in the usual ones of 8 kB, 32 MiB have 4,000.
MAX_CHUNKS = 40_000
_BILINEAR_BLUR = 1 / 6  # variance of bilinear interpolation, mean over its phases [px²]

_READERS: dict[str, type[ImageFile]] = {
    "image/png": PngImageFile,
    "image/webp": WebPImageFile,
}
# OpenCV names the reductions of BGR and of grey; with the flag of RGB the latter are those of RGB.
_REDUCED_DECODE = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
}
_EXIF_ORIENTATION, _EXIF_IFD, _GPS_IFD = 0x0112, 0x8769, 0x8825
_DATE_TIME_ORIGINAL, _OFFSET_TIME_ORIGINAL = 0x9003, 0x9011
_GPS_LAT_REF, _GPS_LAT, _GPS_LON_REF, _GPS_LON, _GPS_TIME, _GPS_DATE = 1, 2, 3, 4, 7, 29
_EXPOSURE = (0x829A, 0x829D, 0x8827)  # time, f-number, sensitivity
_TRANSPOSED = (5, 6, 7, 8)
_FLIPPED = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # 1 mirrors left and right, 0 top and bottom
_FIRST_DIGITAL_YEAR = 1990  # an earlier date is a camera clock that was never set


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo at the working size, and what its file says about it.

    pixels           (H, W, 3) uint8, sRGB in RGB order, upright, max(H, W) = WORKING_SIDE
    original_width   width of the upright photo in the file [px]
    original_height  height of the upright photo in the file [px]
    media_type       image/jpeg, image/png, image/webp; image/x-rgb for bare pixels
    source           the file's bytes, or those of the bare pixels
    captured_at      EXIF time, only when its offset from UTC is known (or from GPS time)
    lat, lon         EXIF position [deg north], [deg east], both or neither
    exposure_time_s  EXIF exposure time [s]; with f_number and iso for the verdict alone
    f_number         EXIF focal length over aperture [1]
    iso              EXIF sensitivity [1]
    """

    pixels: NDArray[np.uint8]
    original_width: int
    original_height: int
    media_type: str
    source: bytes = field(repr=False)
    captured_at: datetime | None = None
    lat: float | None = None
    lon: float | None = None
    exposure_time_s: float | None = None
    f_number: float | None = None
    iso: float | None = None

    def light(self) -> Light:
        """What its features are read from; its planes are computed anew for every call."""
        return Light(self.pixels, self.enlargement)

    @property
    def enlargement(self) -> float:
        """How many working pixels a pixel of the file is wide, from 1: smaller ones are softer."""
        return max(1.0, WORKING_SIDE / max(self.original_width, self.original_height))

    @cached_property
    def sha256(self) -> str:
        """Of `source`, hexadecimal. Computed when asked for: 1 ms for a 12-megapixel JPEG."""
        return hashlib.sha256(self.source).hexdigest()


def decode_photo(data: bytes) -> Photo:
    """The photo in `data`, upright and at the working size.

    Raises PhotoError: empty_body (400), unsupported_media_type (415), too_large (413),
    too_many_pixels, aspect_ratio, corrupt_photo, too_many_scans (422). Nothing else, whatever the
    bytes are.
    """
    media_type = _media_type_of(data)
    if len(data) > MAX_BYTES:
        raise PhotoError(
            "too_large",
            f"The photo has {len(data):,} bytes; at most {MAX_BYTES:,} are read.",
            "Save it as JPEG at a smaller size; 2000 pixels on the long side are plenty.",
            status=413,
        )
    if media_type == "image/webp":  # Pillow's reader sets memory aside as soon as it is opened
        _check_pixel_count(*_webp_size(data))
    if media_type == "image/png" and count_chunks(data, MAX_CHUNKS) > MAX_CHUNKS:
        raise _corrupt(f"The PNG has more than {MAX_CHUNKS:,} chunks.")
    jpeg = _jpeg_header(data) if media_type == "image/jpeg" else None
    width, height, raw_exif = (
        (jpeg.width, jpeg.height, jpeg.exif) if jpeg else _pillow_header(data, media_type)
    )
    if width < 1 or height < 1:
        raise _corrupt(f"The header announces {width} × {height} pixels.")
    _check_pixel_count(width, height)
    _check_aspect_ratio(width, height)
    if not (_jpeg_is_complete(data, jpeg) if jpeg else _is_complete(data, media_type)):
        raise _corrupt("The file ends before the picture does.")
    if jpeg:
        _check_scans(data, jpeg)

    exif = _exif(raw_exif)
    orientation = exif.get(_EXIF_ORIENTATION, 1)
    pixels = _upright(_decode(data, media_type, width, height), orientation)
    if orientation in _TRANSPOSED:
        width, height = height, width
    lat, lon = _position(exif)
    exposure_time_s, f_number, iso = (_positive(exif, tag) for tag in _EXPOSURE)
    return Photo(
        pixels=pixels,
        original_width=width,
        original_height=height,
        media_type=media_type,
        source=data,
        captured_at=_capture_time(exif),
        lat=lat,
        lon=lon,
        exposure_time_s=exposure_time_s,
        f_number=f_number,
        iso=iso,
    )


def photo_from_pixels(pixels: NDArray[np.uint8]) -> Photo:
    """The photo that `pixels`, (H, W, 3) uint8 sRGB in RGB order, shows: for rendered scenes.

    Scaled to the working size as a decoded file is; pixels that have it already are taken as they
    are, so that `photo_from_pixels(photo.pixels)` shows what `photo` does. Raises PhotoError
    aspect_ratio.
    """
    height, width = pixels.shape[:2]
    _check_aspect_ratio(width, height)
    there = max(width, height) == WORKING_SIDE
    return Photo(
        pixels=pixels if there else _at_working_size(pixels, width, height),
        original_width=width,
        original_height=height,
        media_type="image/x-rgb",
        source=pixels.tobytes(),
    )


def _media_type_of(data: bytes) -> str:
    """By the magic bytes: a client's Content-Type and file name say little."""
    if not data:
        raise PhotoError(
            "empty_body",
            "The request carries no photo: 0 bytes.",
            "Send the bytes of a JPEG, PNG or WebP file.",
            status=400,
        )
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        raise PhotoError(
            "unsupported_media_type",
            "The photo is HEIC, HEIF or AVIF; JPEG, PNG and WebP are read.",
            "Convert it to JPEG. On an iPhone: Settings, Camera, Formats, Most Compatible; "
            "or share the photo by mail, which converts it.",
            status=415,
        )
    raise PhotoError(
        "unsupported_media_type",
        f"The data begin with {data[:8]!r}, which is no JPEG, PNG or WebP.",
        "Send the bytes of a JPEG, PNG or WebP file, not its name, address or base64 text.",
        status=415,
    )


def _corrupt(what: str) -> PhotoError:
    return PhotoError(
        "corrupt_photo", what, "Send the file again, or save it anew in a picture editor."
    )


def _check_pixel_count(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PhotoError(
            "too_many_pixels",
            f"The header announces {width} × {height} pixels; at most {MAX_PIXELS:,} are decoded.",
            "Scale the photo down; 2000 pixels on the long side are plenty.",
        )


def _check_aspect_ratio(width: int, height: int) -> None:
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise PhotoError(
            "aspect_ratio",
            f"The photo has {width} × {height} pixels; its sides may differ by a factor of "
            f"{MAX_ASPECT_RATIO:g} at most.",
            "Send a single frame with sky and ground, not a panorama or a strip.",
        )


def _check_scans(data: bytes, header: JpegHeader) -> None:
    if header.several_scans and count_scans(data, header, MAX_SCANS) > MAX_SCANS:
        raise PhotoError(
            "too_many_scans",
            f"The JPEG goes over its picture more than {MAX_SCANS} times.",
            "Save it anew in a picture editor, as a baseline or a progressive JPEG.",
        )


def _jpeg_header(data: bytes) -> JpegHeader:
    """Pillow's reader takes 0.1 ms longer: it reads every table."""
    header = read_jpeg_header(data)
    if header is None:
        raise _corrupt("The header cannot be read (no picture begins).")
    return header


def _pillow_header(data: bytes, media_type: str) -> tuple[int, int, bytes]:
    """Width and height as stored [px], and EXIF, without decoding a pixel.

    Pillow's readers are called directly: `Image.open` would try every format it knows, and warn
    about large pictures before we can refuse them.
    """
    try:
        with _READERS[media_type](BytesIO(data)) as image:
            return *image.size, image.info.get("exif", b"")
    except Exception as error:  # a hostile header makes Pillow raise what it does not document
        raise _corrupt(f"The header cannot be read ({error}).") from None


def _exif(raw: bytes) -> Image.Exif:
    """Damaged EXIF, which does not spoil the picture, as none."""
    exif = Image.Exif()
    try:
        exif.load(raw)
    except Exception:
        return Image.Exif()
    return exif


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height [px] from the first of a WebP's chunks, of three kinds (RFC 9649)."""
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    sides = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
    return sides[0] & 0x3FFF, sides[1] & 0x3FFF


def _is_complete(data: bytes, media_type: str) -> bool:
    """Whether a file that is no JPEG has its end."""
    if media_type == "image/webp":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    try:
        with PngImageFile(BytesIO(data)) as image:
            image.verify()  # the CRC of every chunk up to IEND; decodes nothing
    except Exception:
        return False
    return True


def _jpeg_is_complete(data: bytes, header: JpegHeader) -> bool:
    """Whether an end-of-image marker follows the first start of scan: decoders pad what is missing
    with grey, and grey is haze.

    What follows the end (padding, a second picture, the film of a 'motion photo') does not matter.
    """
    return data.rfind(b"\xff\xd9", header.scan) > 0


def _decode(data: bytes, media_type: str, width: int, height: int) -> NDArray[np.uint8]:
    """RGB pixels at the working size, not yet upright."""
    factor = 1
    if media_type == "image/jpeg":  # the DCT scales for free; other formats decode in full
        factor = next(f for f in (8, 4, 2, 1) if f == 1 or max(width, height) >= f * WORKING_SIDE)
    flags = _REDUCED_DECODE[factor] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        decoded: Any = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        decoded = None
    if decoded is None or decoded.ndim != 3 or decoded.shape[2] != 3:
        raise _corrupt("The picture data cannot be decoded.")
    return _at_working_size(decoded, width, height)


def _at_working_size(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """`pixels`, a picture of `width` × `height` [px] at some scale, at the working size.

    Exact halvings by area while they fit, as the DCT does for a JPEG, then one bilinear step by a
    ratio r in [1, 2). That step alone would leave a picture of 720 px half as sharp (variance of
    the Laplacian) as one of 1270 px, and sharpness is what haze takes away. So a 3-tap kernel of
    variance (r² − 1)/6 goes before it, bilinear's own mean variance being 1/6 px² of its input:
    a working pixel is blurred by 1/6 px², whatever the size was (at r = 1 by the kernel alone).
    Smaller pictures are enlarged and stay softer.
    """
    scale = WORKING_SIDE / max(width, height)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    while max(pixels.shape[:2]) >= 2 * WORKING_SIDE:
        halved = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        even = pixels[: 2 * halved[1], : 2 * halved[0]]
        pixels = np.asarray(cv2.resize(even, halved, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    ratio = max(pixels.shape[:2]) / WORKING_SIDE
    if ratio >= 1:
        variance = _BILINEAR_BLUR * (ratio**2 - (ratio > 1))
        taps = np.array([variance / 2, 1 - variance, variance / 2])
        pixels = np.asarray(cv2.sepFilter2D(pixels, -1, taps, taps), dtype=np.uint8)
    return np.asarray(cv2.resize(pixels, target, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _upright(pixels: NDArray[np.uint8], orientation: object) -> NDArray[np.uint8]:
    """Undo the EXIF orientation (1 to 8; anything else counts as upright)."""
    if orientation in _TRANSPOSED:
        pixels = np.asarray(cv2.transpose(pixels), dtype=np.uint8)
    if orientation in _FLIPPED:
        pixels = np.asarray(cv2.flip(pixels, _FLIPPED[orientation]), dtype=np.uint8)
    return pixels


def _capture_time(exif: Image.Exif) -> datetime | None:
    """When the photo was taken, as an aware time; None where EXIF does not say it for certain."""
    try:
        details = exif.get_ifd(_EXIF_IFD)
        if _DATE_TIME_ORIGINAL in details and _OFFSET_TIME_ORIGINAL in details:
            stamp = f"{details[_DATE_TIME_ORIGINAL]} {details[_OFFSET_TIME_ORIGINAL]}"
            time = datetime.strptime(stamp.strip("\0 "), "%Y:%m:%d %H:%M:%S %z")
        else:
            gps = exif.get_ifd(_GPS_IFD)
            hour, minute, second = (int(part) for part in gps[_GPS_TIME])
            day = datetime.strptime(str(gps[_GPS_DATE]).strip("\0 "), "%Y:%m:%d")
            time = day.replace(hour=hour, minute=minute, second=second, tzinfo=UTC)
        return time if time.year >= _FIRST_DIGITAL_YEAR else None
    except Exception:  # any EXIF value may be of any type; a time that cannot be read is unknown
        return None


def _positive(exif: Image.Exif, tag: int) -> float | None:
    """A number > 0 of the EXIF details; of several, the first. None where there is none."""
    try:
        value: Any = exif.get_ifd(_EXIF_IFD)[tag]
        number = float(value[0] if isinstance(value, tuple) else value)
    except Exception:  # as for the time
        return None
    return number if math.isfinite(number) and number > 0 else None


def _position(exif: Image.Exif) -> tuple[float, float] | tuple[None, None]:
    """Latitude [deg north] and longitude [deg east]; cameras without a fix write 0, 0."""
    try:
        gps = exif.get_ifd(_GPS_IFD)
        lat = _degrees(gps[_GPS_LAT], str(gps[_GPS_LAT_REF]), negative="S")
        lon = _degrees(gps[_GPS_LON], str(gps[_GPS_LON_REF]), negative="W")
    except Exception:  # as for the time
        return None, None
    known = math.isfinite(lat + lon) and abs(lat) <= 90 and abs(lon) <= 180
    return (lat, lon) if known and (lat, lon) != (0.0, 0.0) else (None, None)


def _degrees(parts: Any, reference: str, *, negative: str) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    size = degrees + minutes / 60 + seconds / 3600
    return -size if reference.upper().startswith(negative) else size
