"""Kinds of bad photos, each made from a good one: what a validator must name.

Nothing here reads `features/`, so that no error there can hide itself. A kind turns the pixels of a
good photo into a file, with a random generator for what varies. Sizes are shares of the picture, so
that photos of every size are spoiled alike. The light of an exposure or a cast is linear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import bad_scenes
from benchmarks.bad_scenes import Picture
from tests.added_haze import as_jpeg, exposed, to_linear, to_picture

Spoil = Callable[[Picture, np.random.Generator], Picture]
QUALITY = 92  # of the JPEG that a spoiled picture is saved as
_EXIF_IFD = 0x8769


@dataclass(frozen=True)
class Kind:
    """One way to be bad.

    codes         what names it, in an answer or in a refusal; any of them will do
    file          of a good picture and a generator, the file that is sent
    refuse        whether no estimate at all should be given
    needs_detail  it takes away what a small picture never had
    """

    name: str
    codes: tuple[str, ...]
    file: Callable[[Picture, np.random.Generator], bytes]
    refuse: bool = False
    needs_detail: bool = False


def blurred(picture: Picture, rng: np.random.Generator) -> Picture:
    """Out of focus: a Gaussian of 0.4 to 1 % of the long side."""
    sigma = rng.uniform(0.004, 0.010) * max(picture.shape)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), dtype=np.uint8)


def shaken(picture: Picture, rng: np.random.Generator) -> Picture:
    """Moved by 2 to 5 % of the long side, in any direction."""
    length = int(rng.uniform(0.02, 0.05) * max(picture.shape)) | 1
    angle = rng.uniform(0, np.pi)
    kernel = np.zeros((length, length), np.float32)
    reach = 0.5 * (length - 1) * np.array([np.cos(angle), np.sin(angle)])
    centre = 0.5 * (length - 1)
    ends = np.rint([centre - reach, centre + reach]).astype(int)
    cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 1.0, 1)
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), dtype=np.uint8)


def dark(picture: Picture, rng: np.random.Generator) -> Picture:
    """Exposed 4 to 6 EV too short."""
    return exposed(picture, rng.uniform(-6, -4))


def night(picture: Picture, rng: np.random.Generator) -> Picture:
    """A black sky over a dim scene with lamps."""
    linear = to_linear(exposed(picture, -4.5)) * np.array([1.0, 0.8, 0.6], np.float32)
    height, width = picture.shape[:2]
    linear[: height // 2] *= np.linspace(0.1, 1.0, height // 2, dtype=np.float32)[:, None, None]
    for _ in range(rng.integers(10, 40)):
        x, y = rng.integers(width), rng.integers(height // 3, height)
        cv2.circle(linear, (int(x), int(y)), max(width // 200, 1), (1.0, 0.8, 0.5), -1)
    return to_picture(np.asarray(cv2.GaussianBlur(linear, (0, 0), 1.0), dtype=np.float32))


def overexposed(picture: Picture, rng: np.random.Generator) -> Picture:
    """Exposed so long that 10 to 40 % of the lower half are white."""
    luminance = cv2.cvtColor(picture[len(picture) // 2 :], cv2.COLOR_RGB2GRAY)
    code = max(float(np.quantile(luminance, 1 - rng.uniform(0.1, 0.4))), 1.0)
    return exposed(picture, 2.4 * np.log2(256 / code))


def against_the_light(picture: Picture, rng: np.random.Generator) -> Picture:
    """The lower half 6 to 9 EV darker, as under a bright sky that the camera exposed for."""
    spoiled = picture.copy()
    ground = picture.shape[0] // 2
    spoiled[ground:] = exposed(picture[ground:], rng.uniform(-9, -6))
    return spoiled


def colour_cast(picture: Picture, rng: np.random.Generator) -> Picture:
    """Lamplight, a blue night mode or a green filter, over everything."""
    gains = [(1.6, 0.7, 0.2), (0.15, 0.6, 1.8), (0.35, 1.4, 0.35)][int(rng.integers(3))]
    return to_picture(np.minimum(to_linear(picture) * np.array(gains, np.float32), np.float32(1)))


def _laid_over(picture: Picture, cover: NDArray[np.float64], alpha: NDArray[np.float64]) -> Picture:
    a = alpha[:, :, np.newaxis]
    return np.asarray(np.rint(picture * (1 - a) + cover * a).clip(0, 255), dtype=np.uint8)


def finger(picture: Picture, rng: np.random.Generator) -> Picture:
    """A finger in front of one corner or edge, far out of focus, over 12 to 35 % of the picture."""
    height, width = picture.shape[:2]
    share = rng.uniform(0.12, 0.35)
    skin = np.array([rng.uniform(90, 215), 0, 0])
    skin[1], skin[2] = rng.uniform(0.5, 0.72) * skin[0], rng.uniform(0.38, 0.6) * skin[0]
    x, y = [(0, 0), (1, 0), (0, 1), (1, 1), (0, 0.5), (1, 0.5)][int(rng.integers(6))]
    corner = 4 if y != 0.5 else 2
    radius = np.sqrt(corner * share * width * height / np.pi)
    axes = radius * rng.uniform(0.85, 1.2) * np.array([1, 0]) + np.array([0, radius])
    alpha = np.zeros((height, width))
    centre = round(x * (width - 1)), round(y * (height - 1))
    cv2.ellipse(alpha, centre, np.rint(axes).astype(int).tolist(), 0, 0, 360, 1.0, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.025 * width)
    cover = np.broadcast_to(skin, picture.shape) * (0.75 + 0.25 * alpha[:, :, np.newaxis])
    return _laid_over(picture, cover + rng.normal(0, 2, picture.shape), alpha)


def drops(picture: Picture, rng: np.random.Generator) -> Picture:
    """6 to 14 drops on the lens, each 3 to 8 % of the width: the scene upside down, unsharp."""
    height, width = picture.shape[:2]
    turned = cv2.GaussianBlur(picture[::-1, ::-1], (0, 0), 0.02 * width).astype(np.float64)
    alpha = np.zeros((height, width))
    for _ in range(rng.integers(6, 15)):
        centre = int(rng.integers(width)), int(rng.integers(height))
        radius = rng.uniform(0.03, 0.08, 2) * width * np.array([1, rng.uniform(1, 1.4)])
        cv2.ellipse(alpha, centre, np.rint(radius).astype(int).tolist(), 0, 0, 360, 1.0, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.006 * width)
    return _laid_over(picture, turned * rng.uniform(0.9, 1.1), 0.95 * alpha)


def dirt(picture: Picture, rng: np.random.Generator) -> Picture:
    """Smudges on the lens: 3 to 6 unsharp patches, darker or milky, of 8 to 16 % of the width."""
    height, width = picture.shape[:2]
    alpha = np.zeros((height, width))
    for _ in range(rng.integers(3, 7)):
        centre = int(rng.integers(width)), int(rng.integers(height // 4, height))
        radius = rng.uniform(0.08, 0.16, 2) * width
        angle = rng.uniform(0, 180)
        cv2.ellipse(alpha, centre, np.rint(radius).astype(int).tolist(), angle, 0, 360, 1.0, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.02 * width)
    smeared = cv2.GaussianBlur(picture, (0, 0), 0.03 * width).astype(np.float64)
    milk = rng.uniform(40, 170)
    return _laid_over(picture, 0.6 * smeared + 0.4 * milk, rng.uniform(0.85, 1.0) * alpha)


def letterbox(picture: Picture, rng: np.random.Generator) -> Picture:
    """Black bars above and below, each 6 to 16 % of the height."""
    bar = round(rng.uniform(0.06, 0.16) * picture.shape[0])
    return np.asarray(
        cv2.copyMakeBorder(picture, bar, bar, 0, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0)),
        dtype=np.uint8,
    )


def framed(picture: Picture, rng: np.random.Generator) -> Picture:
    """A white frame around it, 3 to 8 % of the width, wider below."""
    edge = round(rng.uniform(0.03, 0.08) * picture.shape[1])
    below = 2 * edge
    return np.asarray(
        cv2.copyMakeBorder(
            picture, edge, below, edge, edge, cv2.BORDER_CONSTANT, value=(248, 248, 246)
        ),
        dtype=np.uint8,
    )


def upscaled(picture: Picture, rng: np.random.Generator) -> Picture:
    """Reduced to 120 to 200 px on the long side, and enlarged to 1440."""
    small = rng.uniform(120, 200) / max(picture.shape)
    large = 1440 / max(picture.shape)
    size = (round(picture.shape[1] * large), round(picture.shape[0] * large))
    thumbnail = cv2.resize(picture, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(thumbnail, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def tiny(picture: Picture, rng: np.random.Generator) -> Picture:
    """A thumbnail of 160 to 400 px."""
    small = rng.uniform(160, 400) / max(picture.shape)
    return np.asarray(
        cv2.resize(picture, None, fx=small, fy=small, interpolation=cv2.INTER_AREA), dtype=np.uint8
    )


def no_sky(picture: Picture, rng: np.random.Generator) -> Picture:
    """The lowest 35 % of the picture, at full width or less: near ground alone."""
    height, width = picture.shape[:2]
    rows = round(0.35 * height)
    columns = min(width, 2 * rows)
    start = int(rng.integers(width - columns + 1))
    return np.ascontiguousarray(picture[-rows:, start : start + columns])


def only_sky(picture: Picture, rng: np.random.Generator) -> Picture:
    """The uppermost fifth of the picture, enlarged to its size, with a sensor's grain."""
    height, width = picture.shape[:2]
    rows = round(0.2 * height)
    columns = min(width, 2 * rows)
    start = int(rng.integers(width - columns + 1))
    crop = picture[:rows, start : start + columns]
    enlarged = cv2.resize(crop, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float64)
    return bad_scenes.with_grain(enlarged, rng)


def panorama(picture: Picture, rng: np.random.Generator) -> Picture:
    """A strip four times as wide as high."""
    height = picture.shape[1] // 4
    start = int(rng.integers(max(picture.shape[0] - height, 1)))
    return np.ascontiguousarray(picture[start : start + height])


def grey_bottom(picture: Picture, rng: np.random.Generator) -> Picture:
    """A download that broke off, saved again: the lower 25 to 60 % are the decoder's grey."""
    spoiled = picture.copy()
    spoiled[round(rng.uniform(0.4, 0.75) * len(picture)) :] = 128
    return spoiled


def _saved(spoil: Spoil) -> Callable[[Picture, np.random.Generator], bytes]:
    return lambda picture, rng: as_jpeg(spoil(picture, rng), QUALITY)


def _drawn(
    scene: Callable[[np.random.Generator], Picture],
) -> Callable[[Picture, np.random.Generator], bytes]:
    return lambda _, rng: as_jpeg(scene(rng), QUALITY)


def _compressed(picture: Picture, rng: np.random.Generator) -> bytes:
    return as_jpeg(picture, int(rng.integers(8, 30)))


def _broken_off(picture: Picture, rng: np.random.Generator) -> bytes:
    data = as_jpeg(picture, QUALITY)
    return data[: round(rng.uniform(0.3, 0.9) * len(data))]


def _broken_off_with_an_end(picture: Picture, rng: np.random.Generator) -> bytes:
    """Cut, and closed by an end marker, as some programs do to what is left of a download."""
    data = as_jpeg(picture, QUALITY)
    return data[: round(rng.uniform(0.4, 0.75) * len(data))] + b"\xff\xd9"


def _in_dim_light(picture: Picture, rng: np.random.Generator) -> bytes:
    """A room, with the exposure data that a telephone writes: EV 4 to 6 at ISO 100."""
    details = Image.Exif()
    own = details.get_ifd(_EXIF_IFD)
    own[0x829A], own[0x829D], own[0x8827] = 1 / 30, 1.8, int(rng.uniform(150, 600))
    payload = b"Exif\0\0" + details.tobytes().removeprefix(b"Exif\0\0")
    data = as_jpeg(bad_scenes.room(rng), QUALITY)
    return data[:2] + b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload + data[2:]


_DARK = ("too_dark", "night")
_SOFT = ("obstructed", "blurred")
_NOWHERE = ("not_outdoors", "no_ground", "no_sky")
_FRAMED = ("borders",)

KINDS = (
    Kind("blur", ("blurred",), _saved(blurred), needs_detail=True),
    Kind("motion blur", ("blurred",), _saved(shaken), needs_detail=True),
    Kind("enlarged thumbnail", ("upscaled", "blurred"), _saved(upscaled), needs_detail=True),
    Kind("strong compression", ("strong_compression",), _compressed),
    Kind("dark", _DARK, _saved(dark)),
    Kind("night", _DARK, _saved(night)),
    Kind("overexposed", ("overexposed",), _saved(overexposed)),
    Kind("against the light", ("underexposed",), _saved(against_the_light)),
    Kind("colour cast", ("white_balance",), _saved(colour_cast)),
    Kind("finger", ("obstructed",), _saved(finger)),
    Kind("rain drops", _SOFT, _saved(drops), needs_detail=True),
    Kind("smudges", _SOFT, _saved(dirt), needs_detail=True),
    Kind("screenshot", _FRAMED, _saved(bad_scenes.telephone_screen)),
    Kind("letterbox", _FRAMED, _saved(letterbox)),
    Kind("framed", _FRAMED, _saved(framed)),
    Kind("no sky", ("no_sky",), _saved(no_sky)),
    Kind("only sky", ("no_ground",), _saved(only_sky)),
    Kind("page of text", ("not_outdoors",), _drawn(bad_scenes.document)),
    Kind("blank wall", _NOWHERE, _drawn(bad_scenes.blank_wall)),
    Kind("room, with exposure data", ("dim_scene",), _in_dim_light),
    Kind("room, without", (*_NOWHERE, "dim_scene"), _drawn(bad_scenes.room)),
    Kind("covered lens", ("featureless",), _drawn(bad_scenes.covered_lens), True),
    Kind("tiny", ("too_small",), _saved(tiny), True),
    Kind("panorama", ("aspect_ratio",), _saved(panorama), True),
    Kind("broken off", ("corrupt_photo",), _broken_off, True),
    Kind("broken off, closed", ("truncated",), _broken_off_with_an_end, True),
    Kind("broken off, saved again", ("truncated",), _saved(grey_bottom), True),
)
