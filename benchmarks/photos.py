"""The photos that are measured: rendered scenes, saved as a phone would save them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.rendering.renderer import draw_moment, draw_place, render

COUNT = 24
JPEG_QUALITY = 90
RENDERED_WIDTH = 1280  # rendering at 12 MP would take minutes
GRAIN = 3.0  # [sRGB codes], standard deviation
_SEED = 25


@dataclass(frozen=True)
class Size:
    """Width and height [px] of the photos, and the factor at which their JPEGs are decoded."""

    name: str
    width: int
    height: int
    decode_factor: int


SIZES = (Size("1080p", 1920, 1080, 2), Size("12mp", 4032, 3024, 4))


def photo_files(folder: Path, size: Size) -> list[Path]:
    """COUNT JPEG files of `size` below `folder`, rendered when they are not there yet."""
    files = [folder / f"{size.name}-{number:02d}.jpg" for number in range(COUNT)]
    for number, file in enumerate(files):
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_photo(number, size))
    return files


def _photo(number: int, size: Size) -> bytes:
    """A place in haze of 5 to 150 ug m-3, enlarged, with a sensor's grain put over it."""
    rng = np.random.Generator(np.random.PCG64([_SEED, number]))
    place = draw_place(rng)
    moment = draw_moment(rng, place, pm25=float(np.geomspace(5, 150, COUNT)[number]))
    height = RENDERED_WIDTH * size.height // size.width
    scene = cv2.cvtColor(render(place, moment, RENDERED_WIDTH, height), cv2.COLOR_RGB2BGR)
    picture = cv2.resize(scene, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, GRAIN, (size.height, size.width, 1)).astype(np.float32)
    noisy = np.clip(picture + grain, 0, 255).astype(np.uint8)
    encoded = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return bytes(encoded.tobytes())
