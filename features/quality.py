"""Is this photo fit to be judged? A verdict with reasons, never an exception.

Haze itself must not be refused: whoever throws away soft, flat or bright photos throws away the
polluted ones. So nothing here rests on global contrast. Sharpness is a ratio (haze lowers both its
sides alike) of the busiest parts of the lower half, where things are near; exposure and colour are
read in the lower half too, where there is little sky. What the file says of its making (`capture`)
is read here and nowhere else. Only two findings refuse a photo: too few pixels, and a picture of
nothing. Thresholds without a reference were set on 305 webcam photos by
day and night and 1,555 hand-held ones; the numbers stand beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from features.capture import Capture, capture_of
from features.light import Light
from features.photo import WORKING_SIDE, Photo

FEATURELESS_SPREAD = 0.5  # SD of L* [0..100]; the flattest of the hand-held photos has 1.5
DARK_HIGHLIGHTS = 20.0  # 90th percentile of L*: nearly black
NIGHT_HIGHLIGHTS = 58.0  # the same: night photos 50..55 (5th to 95th percentile), day from 63 up
CLIPPED_SHARE = 0.05  # of the lower half at sRGB codes <= 5 or >= 250
REBLUR_RATIO = 0.45  # sharp webcam photos 0.17..0.27; blurred by a Gaussian of 2 px 0.46..0.63
FINE_DETAIL = 0.12  # webcam photos by day 0.38..0.57, by night from 0.27; reduced to 360 px and
# enlarged again 0.14..0.16, to 225 px 0.10..0.14; rendered scenes of many cameras 0.12..0.65
JPEG_QUALITY = 50  # estimates must hold from 95 down to 60
DIM_SCENE_EV = 7.0  # EV at ISO 100: full sun has 15, an overcast day 11 to 13, a lit room 4 to 7
WHITE_BALANCE = (0.6, 1.6)  # mean red or blue over mean green, sRGB codes
_LIGHTNESS = np.arange(256) / 2.55  # L* of each code of `Light.grey`
_DARK_CODE, _BRIGHT_CODE = 3, 250  # of L* x 2.55: sRGB codes 5 and 250 of a grey
_REBLUR_TAPS, _TILE, _BUSY_SHARE = 9, 40, 0.25
_PROFILE_ROW_STEP = 4
_BORDER, _BORDER_RANGE = 6, 4  # outermost lines [px], and how much the grey of a border may vary


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a photo: a code for programs, two sentences for people."""

    code: str
    severity: Literal["error", "warning"]
    detail: str
    how_to_fix: str


@dataclass(frozen=True)
class ImageValidationResult:
    """The verdict on one photo.

    is_valid       no finding is an error
    quality_score  [0..1], product of 1 / (1 + s^8) over all checks, s = value / threshold: each
                   check alone gives 1 far from its threshold and 0.5 at it; 0 if not valid
    issues         the findings, errors first
    """

    is_valid: bool
    quality_score: float
    issues: tuple[Finding, ...]


@dataclass(frozen=True)
class _Check:
    """`shortfall`: 0 is perfect, from 1 on the finding is reported [1, >= 0]."""

    shortfall: float
    finding: Finding


class ImageQualityValidator:
    """Judges photos. `min_side`: the smallest short side of an original that is accepted [px]."""

    def __init__(self, min_side: int = 512) -> None:
        self.min_side = min_side

    def validate(self, photo: Photo, light: Light) -> ImageValidationResult:
        """The verdict on `photo`, whose planes are `light`. Never raises."""
        grey = light.grey
        capture = capture_of(photo)
        checks = [
            self._size(capture),
            *_compression(capture),
            *_dim_scene(capture),
            *_content_and_light(grey),
            *_clipping(grey[grey.shape[0] // 2 :]),
            _white_balance(light.srgb[grey.shape[0] // 2 :]),
            _borders(grey),
        ]
        if max(capture.width, capture.height) >= WORKING_SIDE:  # enlarged photos are always soft
            checks.append(_blur(grey[grey.shape[0] // 2 :]))
            checks.append(_upscaled(grey[grey.shape[0] // 2 :], capture))
        issues = sorted(
            (check.finding for check in checks if check.shortfall >= 1),
            key=lambda finding: finding.severity,
        )
        is_valid = all(finding.severity != "error" for finding in issues)
        score = float(np.prod([1 / (1 + min(check.shortfall, 1e3) ** 8) for check in checks]))
        return ImageValidationResult(is_valid, score if is_valid else 0.0, tuple(issues))

    def _size(self, capture: Capture) -> _Check:
        side = min(capture.width, capture.height)
        # A side of exactly min_side is accepted; integers keep the comparison exact.
        shortfall = self.min_side / (side + 1)
        return _Check(
            shortfall,
            Finding(
                "too_small",
                "error",
                f"The short side has {side} pixels; at least {self.min_side} are needed.",
                "Send the original photo, not a thumbnail or a preview.",
            ),
        )


def _compression(capture: Capture) -> Iterator[_Check]:
    if capture.jpeg_quality is None:
        return
    yield _Check(
        (100 - capture.jpeg_quality) / (100 - JPEG_QUALITY),
        Finding(
            "strong_compression",
            "warning",
            f"The JPEG quality is about {capture.jpeg_quality}: compression smooths what is far, "
            "as haze does.",
            "Send the camera's own file; messengers that shrink photos often have a way to send a "
            "file as it is.",
        ),
    )


def _dim_scene(capture: Capture) -> Iterator[_Check]:
    """Indoors, or at night: what pixels cannot tell once a camera has exposed for it."""
    if capture.exposure_value is None:
        return
    yield _Check(
        max(1.0 + (DIM_SCENE_EV - capture.exposure_value) / DIM_SCENE_EV, 0.0),
        Finding(
            "dim_scene",
            "warning",
            f"The exposure data say the scene was dim (EV {capture.exposure_value:.0f}): a room, "
            "or night.",
            "Take the photo outdoors, between sunrise and sunset.",
        ),
    )


def _content_and_light(grey: NDArray[np.uint8]) -> Iterator[_Check]:
    """A picture of nothing, and one without daylight: from L* in every second row."""
    counts = cv2.calcHist([grey[::2]], [0], None, [256], [0, 256]).ravel().astype(np.float64)
    share = counts / counts.sum()
    spread = float(np.sqrt(share @ (_LIGHTNESS - share @ _LIGHTNESS) ** 2))
    highlights = float(_LIGHTNESS[np.searchsorted(np.cumsum(share), 0.9)])
    yield _Check(
        FEATURELESS_SPREAD / max(spread, 1e-6),
        Finding(
            "featureless",
            "error",
            f"The picture is uniform: its lightness spreads by {spread:.2f} of 100.",
            "Take the cover off the lens, and show sky, horizon and ground.",
        ),
    )
    if highlights < DARK_HIGHLIGHTS:
        finding = Finding(
            "too_dark",
            "warning",
            f"Nine tenths of the picture are darker than L* {highlights:.0f}.",
            "Take the photo by day, or expose it longer.",
        )
    else:
        finding = Finding(
            "night",
            "warning",
            f"There is no bright sky: nine tenths of the picture are darker than "
            f"L* {highlights:.0f}.",
            "Take the photo between sunrise and sunset; at night, haze cannot be told from dark.",
        )
    yield _Check(NIGHT_HIGHLIGHTS / max(highlights, 1e-6), finding)


def _clipping(lower: NDArray[np.uint8]) -> Iterator[_Check]:
    """Shares of the lower half that the sensor could not tell from white or from black."""
    white = cv2.countNonZero(cv2.compare(lower, _BRIGHT_CODE, cv2.CMP_GE)) / lower.size
    black = cv2.countNonZero(cv2.compare(lower, _DARK_CODE, cv2.CMP_LE)) / lower.size
    yield _Check(
        white / CLIPPED_SHARE,
        Finding(
            "overexposed",
            "warning",
            f"{white:.0%} of the lower half is white.",
            "Keep the sun out of the picture, or lower the exposure.",
        ),
    )
    yield _Check(
        black / CLIPPED_SHARE,
        Finding(
            "underexposed",
            "warning",
            f"{black:.0%} of the lower half is black.",
            "Tap on the ground to expose for it, and do not shoot against the light.",
        ),
    )


def _white_balance(lower: NDArray[np.uint8]) -> _Check:
    """Grey-world gains: mean red and mean blue over mean green."""
    red, green, blue = (max(mean, 1.0) for mean in cv2.mean(lower)[:3])
    low, high = WHITE_BALANCE
    gains = (red / green, blue / green)
    shortfall = max(max(np.log(gain) / np.log(high), np.log(gain) / np.log(low)) for gain in gains)
    return _Check(
        max(float(shortfall), 0.0),
        Finding(
            "white_balance",
            "warning",
            f"The colours lean: red is {gains[0]:.2f} and blue {gains[1]:.2f} times green.",
            "Switch filters and night modes off, and set the white balance to automatic.",
        ),
    )


def _borders(grey: NDArray[np.uint8]) -> _Check:
    """Uniform bars on two opposite sides: a screenshot or a framed picture.

    One side alone says nothing: a white sky is uniform as well.
    """
    pairs = (
        (grey[:_BORDER], grey[-_BORDER:]),
        (grey[:, :_BORDER], grey[:, -_BORDER:]),
    )
    framed = any(all(np.ptp(bar) <= _BORDER_RANGE for bar in pair) for pair in pairs)
    return _Check(
        float(framed),
        Finding(
            "borders",
            "warning",
            "Two opposite sides of the picture are uniform bars.",
            "Send the photo itself, not a screenshot or a framed copy.",
        ),
    )


def _blur(lower: NDArray[np.uint8]) -> _Check:
    """How little a second blur changes the busiest quarter of the tiles; the worse direction.

    1 - sum max(0, |dI| - |dB|) / sum |dI| [0..1], B being I after a mean of 9 px along the
    direction (Crete 2007, 10.1117/12.702790). A uniform veil scales both differences alike.
    """
    every_second_column = np.ascontiguousarray(lower[:, ::2])
    ratio = max(_reblur_ratio(lower[::2], axis=1), _reblur_ratio(every_second_column, axis=0))
    return _Check(
        ratio / REBLUR_RATIO,
        Finding(
            "blurred",
            "warning",
            f"Near things are blurred: blurring them again leaves {ratio:.0%} of their edges.",
            "Hold the camera still, clean the lens, and focus on something far.",
        ),
    )


def _upscaled(lower: NDArray[np.uint8], capture: Capture) -> _Check:
    """Energy at wavelengths of 2 px over that at 4 px, in the busiest quarter of the tiles.

    Σ (2 I(x) − I(x−1) − I(x+1))² / Σ (2 I(x) − I(x−2) − I(x+2))² along rows: a uniform veil scales
    both alike, and a picture that was enlarged has nothing at 2 px.
    """
    rows = lower[::_PROFILE_ROW_STEP].astype(np.int16)
    twice = rows[:, 2:-2] * np.int16(2)
    fine = _segment_energies(twice - rows[:, 1:-3] - rows[:, 3:-1])
    coarse = _segment_energies(twice - rows[:, :-4] - rows[:, 4:])
    busiest = np.argsort(coarse, kind="stable")[-max(1, round(_BUSY_SHARE * coarse.size)) :]
    ratio = float(fine[busiest].sum()) / max(float(coarse[busiest].sum()), 1.0)
    return _Check(
        FINE_DETAIL / max(ratio, 1e-3) if coarse.any() else 0.0,
        Finding(
            "upscaled",
            "warning",
            f"The photo has {capture.width} × {capture.height} pixels, but the detail of a much "
            "smaller one.",
            "Send the original photo, not an enlarged preview.",
        ),
    )


def _segment_energies(profile: NDArray[np.int16]) -> NDArray[np.float64]:
    """Sums of squares over pieces of 40 px of each row; the rest is left out."""
    width = min(profile.shape[1], _TILE)
    whole = profile[:, : profile.shape[1] // width * width].reshape(-1, width).astype(np.float32)
    energies: NDArray[np.float64] = np.einsum("ij,ij->i", whole, whole).astype(np.float64)
    return energies


def _reblur_ratio(plane: NDArray[np.uint8], axis: int) -> float:
    again = cv2.blur(plane, (1, _REBLUR_TAPS) if axis == 0 else (_REBLUR_TAPS, 1))
    edges = _steps(plane, axis)
    lost = cv2.subtract(edges, _steps(again, axis))
    energy, loss = _tile_sums(edges), _tile_sums(lost)
    busiest = np.argsort(energy, kind="stable")[-max(1, round(_BUSY_SHARE * energy.size)) :]
    return 1 - float(loss[busiest].sum()) / max(float(energy[busiest].sum()), 1.0)


def _steps(plane: NDArray[np.uint8], axis: int) -> Any:
    """Differences between neighbours along `axis`."""
    if axis == 0:
        return cv2.absdiff(plane[1:], plane[:-1])
    return cv2.absdiff(plane[:, 1:], plane[:, :-1])


def _tile_sums(plane: Any) -> NDArray[np.int64]:
    """Sums over tiles of 40 x 40 px, or of the whole where it is smaller; the rest is left out."""
    height, width = (min(side, _TILE) for side in plane.shape)
    corners = cv2.integral(plane)[::height, ::width]
    across = corners[:, 1:] - corners[:, :-1]
    return np.asarray(across[1:] - across[:-1], dtype=np.int64).ravel()
