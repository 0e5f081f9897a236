"""Capture: how a photo was taken and saved, as its file tells it. For the verdict, never the model.

Resolution, compression and exposure say which camera, app and data set a photo comes from, and
with that where it was taken: an estimate that read them would know the place and not the air. So
nothing here is a feature. `ImageQualityValidator` reads it, to warn about what hides haze.

A JPEG's quality is found again from its luminance quantisation table: the encoders of the
Independent JPEG Group's line scale the example table of ITU-T T.81, Annex K, by a factor that the
quality sets. Other encoders have tables of their own, and get the quality whose table is nearest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import log2

import numpy as np
from numpy.typing import NDArray

from features.jpeg import segments
from features.photo import Photo

# ITU-T T.81 (1992), table K.1, row by row.
_ANNEX_K_LUMINANCE = np.array(
    [
        *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
    ]
)
# A file lists a table along diagonals, odd ones from the top right, even ones from the bottom left.
_ZIGZAG = sorted(range(64), key=lambda k: (k // 8 + k % 8, k // 8 if (k // 8 + k % 8) % 2 else -k))
QUALITIES = np.arange(1, 101)
_FACTORS = np.where(QUALITIES < 50, 5000 // QUALITIES, 200 - 2 * QUALITIES)
_TABLES = np.clip((_FACTORS[:, None] * _ANNEX_K_LUMINANCE[_ZIGZAG] + 50) // 100, 1, 255)
_LOG_TABLES = np.log(_TABLES)

_QUANTISATION_TABLES = 0xDB


@dataclass(frozen=True)
class Capture:
    """What a photo's file says of its making. None where it says nothing.

    width, height    of the upright original [px]
    jpeg_quality     nearest quality of the Independent JPEG Group [1, 1..100]; of a JPEG alone
    exposure_time_s  [s]
    f_number         focal length over aperture [1]
    iso              sensitivity [1]
    """

    width: int
    height: int
    jpeg_quality: int | None
    exposure_time_s: float | None
    f_number: float | None
    iso: float | None

    @property
    def exposure_value(self) -> float | None:
        """EV₁₀₀ = log₂(N² / t · 100 / ISO) [EV]: what the camera took the scene's light for.

        Full sun gives 15 (f/16, 1/100 s, ISO 100), an overcast day 11 to 13, a lit room 4 to 7.
        """
        if self.exposure_time_s is None or self.f_number is None or self.iso is None:
            return None
        return log2(self.f_number**2 / self.exposure_time_s * 100 / self.iso)


def capture_of(photo: Photo) -> Capture:
    """What the file of `photo` says of its making. Never raises."""
    is_jpeg = photo.media_type == "image/jpeg"
    table = next(_luminance_tables(photo.source), None) if is_jpeg else None
    return Capture(
        width=photo.original_width,
        height=photo.original_height,
        jpeg_quality=None if table is None else jpeg_quality(table),
        exposure_time_s=photo.exposure_time_s,
        f_number=photo.f_number,
        iso=photo.iso,
    )


def jpeg_quality(table: NDArray[np.int64]) -> int:
    """Quality 1..100 whose luminance table is nearest to `table` (64,), as listed in a file.

    Nearest by the mean of |ln| ratios; the higher of two.
    """
    return _nearest_quality(tuple(table.tolist()))


@lru_cache(maxsize=256)  # an app or a camera saves all its photos with a table or two
def _nearest_quality(table: tuple[int, ...]) -> int:
    distance = np.abs(_LOG_TABLES - np.log(np.maximum(table, 1))).sum(axis=1)
    return int(QUALITIES[::-1][np.argmin(distance[::-1])])


def _luminance_tables(data: bytes) -> Iterator[NDArray[np.int64]]:
    """The tables with the number 0 in front of the first scan of a JPEG, each (64,)."""
    for marker, start, end in segments(data):
        if marker == _QUANTISATION_TABLES:
            yield from _tables_of_segment(data[start:end])


def _tables_of_segment(segment: bytes) -> Iterator[NDArray[np.int64]]:
    while segment:
        precision, number = segment[0] >> 4, segment[0] & 0x0F
        size = 64 * (2 if precision else 1)
        values = segment[1 : 1 + size]
        if len(values) < size:
            return
        if number == 0:
            yield np.frombuffer(values, dtype=">u2" if precision else ">u1").astype(np.int64)
        segment = segment[1 + size :]
