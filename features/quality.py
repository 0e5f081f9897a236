"""Is this photo fit to be judged? A verdict with reasons, never an exception.

Haze itself must not be refused: whoever throws away soft, flat or bright photos throws away the
polluted ones. So no check rests on global contrast; each says in its own file what haze does to it:

    integrity.py    size, compression, a file that broke off
    exposure.py     a picture of nothing, night, clipping, a coloured light
    sharpness.py    blur, a camera that moved, an enlarged preview
    obstruction.py  drops, dirt or a finger on the lens
    framing.py      bars of a screenshot, no sky, nothing but sky, a page of text

Three findings refuse a photo: too few pixels, a picture of nothing, and one whose end is missing.
All others are warnings, and each widens the interval by what it was measured to cost
(`handlers/flaw_spread.py`). Thresholds without a reference were set on 305 webcam photos by day and
night, 1,555 hand-held ones and rendered scenes; how many bad and good photos they find is measured
in docs/scientific_background/quality.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from features import exposure, framing, integrity, obstruction, sharpness
from features.capture import capture_of
from features.finding import Check, Finding
from features.photo import WORKING_SIDE, Photo
from features.pieces import pieces_of
from features.scene import Scene


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


class ImageQualityValidator:
    """Judges photos. `min_side`: the smallest short side of an original that is accepted [px]."""

    def __init__(self, min_side: int = 512) -> None:
        self.min_side = min_side

    def validate(self, photo: Photo, scene: Scene) -> ImageValidationResult:
        """The verdict on `photo`, which shows `scene`. Never raises."""
        checks = tuple(self._checks(photo, scene))
        issues = sorted(
            (check.finding for check in checks if check.shortfall >= 1),
            key=lambda finding: finding.severity,
        )
        is_valid = all(finding.severity != "error" for finding in issues)
        score = float(np.prod([1 / (1 + min(check.shortfall, 1e3) ** 8) for check in checks]))
        return ImageValidationResult(is_valid, score if is_valid else 0.0, tuple(issues))

    def _checks(self, photo: Photo, scene: Scene) -> Iterator[Check]:
        light, geometry = scene.light, scene.geometry
        grey, capture = light.grey, capture_of(photo)
        lower = grey[grey.shape[0] // 2 :]
        ground = exposure.ground_mask(geometry)
        pieces = pieces_of(light, geometry)
        yield integrity.size(capture, self.min_side)
        yield from integrity.compression(capture)
        dark = False
        for check in exposure.content_and_daylight(grey):
            dark |= check.finding.code == "too_dark"
            yield check
        yield integrity.truncation(light.srgb)
        yield from exposure.dim_scene(capture)
        yield from exposure.clipping(grey, ground)
        yield exposure.white_balance(light, ground)
        yield framing.borders(grey)
        yield framing.sky(scene, dark=dark)
        yield framing.ground(geometry, pieces)
        yield framing.page(light, pieces)
        # Enlarged photos are always soft.
        enlarged = max(capture.width, capture.height) < WORKING_SIDE
        blurred = False
        if not enlarged:
            blur = sharpness.blur(lower)
            blurred = blur.shortfall >= 1
            yield blur
            yield sharpness.upscaled(lower, capture)
        # In a picture that is blurred all over, soft borders say nothing more.
        yield obstruction.obstruction(light, pieces, all_soft=enlarged or blurred)
