"""Pictures to lay over a photo: how much haze lies before what it shows, and what counts as sky.

PNG with transparency, upright, of the photo's proportions at the working size (640 px on the long
side): scaled to the photo, every pixel lies on what it speaks of. They show the very maps that the
features are read from, in cells of 4 × 4 px.

    transmission  t = e^(−τ) of the ground: clear things show through, hazy things are covered, from
                  yellow (some light is lost) to dark red (hardly any gets through)
    sky           blue where the sky was found; nothing where there is none
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.haze import transmission_map
from features.light import Light
from features.sky import SKY, picture_geometry

# Steps of the transmission's colours: more cannot be told apart, and would take more bytes.
LEVELS = 24
_MOST_OPAQUE = 200  # of 255: what lies below stays to be seen
_CLEAR, _HAZY = (255, 215, 0), (110, 0, 30)  # RGB
_SKY = (0, 120, 255, 130)  # RGB and opacity
_NOTHING = (0, 0, 0, 0)
_COMPRESSION = 3  # the smallest of the quick ones: level 6 saves a third, in twice the time

_LOST = np.linspace(0.0, 1.0, LEVELS)[:, None]  # share of the light, 1 − t
_HAZE_PALETTE = np.rint(
    np.hstack([(1.0 - _LOST) * _CLEAR + _LOST * _HAZY, _MOST_OPAQUE * _LOST])
).astype(np.uint8)
_HAZE_PALETTE[0] = _NOTHING
_SKY_PALETTE = np.array([_NOTHING, _SKY], np.uint8)


@dataclass(frozen=True)
class Overlays:
    """PNG files of width × height [px], with transparency."""

    width: int
    height: int
    transmission: bytes
    sky: bytes


def overlays_of(light: Light) -> Overlays:
    """Those of the photo whose light it is."""
    geometry = picture_geometry(light)
    height, width = geometry.bands.shape
    sky = geometry.bands == SKY
    transmission = np.nan_to_num(transmission_map(light, geometry), nan=1.0)
    lost = np.rint((1.0 - transmission) * (LEVELS - 1)).astype(np.uint8)
    # Cells stand on their 4 × 4 px, the last ones reach to the border, and the sky's edge is drawn
    # to the pixel.
    cells = lost[_cell_of(height, len(lost))][:, _cell_of(width, lost.shape[1])]
    cells[sky] = 0
    return Overlays(
        width, height, _png(cells, _HAZE_PALETTE), _png(sky.view(np.uint8), _SKY_PALETTE)
    )


def _cell_of(pixels: int, cells: int) -> NDArray[np.intp]:
    """(pixels,) the cell of each pixel of a side; the last one's reaches to the border."""
    return np.minimum(np.arange(pixels) // 4, cells - 1)


def _png(codes: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """PNG (ISO 15948) of codes (H, W) into a palette (n, 4) of RGB and opacity.

    OpenCV writes four bytes a pixel, which take several times as long to compress.
    """
    height, width = codes.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each begins with its filter: none
    rows[:, 1:] = codes
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits, by a palette
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", palette[:, :3].tobytes()),
            _chunk(b"tRNS", palette[:, 3].tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), _COMPRESSION)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
