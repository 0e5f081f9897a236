"""A picture made to be computed by hand, and what can be computed from it.

Sky of radiance A = 0.60 over a chequerboard of soot (J = 0.02) and brick (J = 0.30, 0.10, 0.05)
that stands 3 km away under the horizon and 0.1 km away in the foreground, in dry air with
PM2.5 = 40 ug m-3: β = 10 + 3.5 · 40 = 150 Mm-1. Radiances are linear light, 1 being white.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from features.extractor import ScientificFeatureExtractor
from features.light import Light
from features.scene import scene_of

HEIGHT, WIDTH = 640, 480
HORIZON, FOREGROUND = 320, 440  # first rows of the ground and of its near part
BLOCK = 8  # [px], smaller than the dark channel's patch: each patch holds soot

AIRLIGHT = 0.60
SOOT = np.array([0.02, 0.02, 0.02])
BRICK = np.array([0.30, 0.10, 0.05])
RAYLEIGH, MASS_EFFICIENCY, PM25 = 10.0, 3.5, 40.0  # [Mm-1], [m2 g-1], [ug m-3]
FAR_KM, NEAR_KM = 3.0, 0.1

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True)
class HandComputed:
    """One feature of the picture: the line of arithmetic, its result, what the code reads."""

    feature: str
    arithmetic: str
    by_hand: float
    by_code: float


def transmission(distance_km: float) -> float:
    """t = exp(−β d) [1] of the picture's air."""
    return exp(-(RAYLEIGH + MASS_EFFICIENCY * PM25) * 1e-3 * distance_km)


def seen(radiance: NDArray[np.float64], distance_km: float) -> NDArray[np.float64]:
    """J t + A (1 − t), linear RGB (…, 3)."""
    t = transmission(distance_km)
    hazy: NDArray[np.float64] = radiance * t + AIRLIGHT * (1 - t)
    return hazy


def to_srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB [0..1] of linear light [0..1], IEC 61966-2-1."""
    bright = 1.055 * np.power(linear, 1 / 2.4) - 0.055
    srgb: NDArray[np.float64] = np.where(linear <= 0.0031308, 12.92 * linear, bright)
    return srgb


def paper_picture() -> NDArray[np.uint8]:
    """The picture (640, 480, 3) as sRGB codes."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH] // BLOCK
    bricks = ((rows + columns) % 2 == 1)[..., None]
    picture = np.full((HEIGHT, WIDTH, 3), AIRLIGHT)
    for part, distance in (
        (slice(HORIZON, FOREGROUND), FAR_KM),
        (slice(FOREGROUND, None), NEAR_KM),
    ):
        picture[part] = np.where(bricks[part], seen(BRICK, distance), seen(SOOT, distance))
    codes = np.rint(255 * to_srgb(picture)).astype(np.uint8)
    codes[HORIZON - 1] += 1  # like any sky it brightens towards the horizon, by one code
    return codes


def hand_computed() -> list[HandComputed]:
    """What a pencil and the families of features/ make of the picture."""
    read = ScientificFeatureExtractor().extract(scene_of(Light(paper_picture())))
    t_far, t_near = transmission(FAR_KM), transmission(NEAR_KM)
    soot, brick = seen(SOOT, FAR_KM), seen(BRICK, FAR_KM)
    step = float(LUMINANCE @ (BRICK - SOOT))
    dark, ground = float(soot.min()), float(LUMINANCE @ (soot + brick) / 2)
    red, blue = (float(code) for code in to_srgb(brick[[0, 2]]))
    lines = {
        "far_rms_contrast": (
            f"t · |Y brick − Y soot| / 2 = {t_far:.3f} · {step:.4f} / 2",
            t_far * step / 2,
        ),
        "near_rms_contrast": (f"{t_near:.3f} · {step:.4f} / 2", t_near * step / 2),
        "far_near_contrast_log_ratio": (
            f"ln({t_far:.3f} / {t_near:.3f}) = −β · ({FAR_KM:g} − {NEAR_KM:g} km)",
            log(t_far / t_near),
        ),
        "skyline_weber_contrast": (
            f"(A − mean ground) / A = (0.60 − {ground:.3f}) / 0.60",
            1 - ground / AIRLIGHT,
        ),
        "skyline_step": (f"t / t near = {t_far:.3f} / {t_near:.3f}", t_far / t_near),
        "far_dark_channel_mean": (
            f"soot = 0.02 · {t_far:.3f} + 0.60 · {1 - t_far:.3f}",
            dark,
        ),
        "far_transmission_mean": (f"1 − {dark:.3f} / 0.60", 1 - dark / AIRLIGHT),
        "far_optical_depth": (f"−ln {1 - dark / AIRLIGHT:.3f}", -log(1 - dark / AIRLIGHT)),
        "far_saturation_mean": (
            f"(0 + 1 − {blue:.3f} / {red:.3f}) / 2, in sRGB",
            (1 - blue / red) / 2,
        ),
    }
    return [
        HandComputed(name, arithmetic, value, read[name])
        for name, (arithmetic, value) in lines.items()
    ]


def by_hand() -> Iterator[Sequence[str]]:
    """A table of `hand_computed`."""
    yield "feature", "by hand", "result", "the code reads"
    for line in hand_computed():
        arithmetic = line.arithmetic.replace("|", "\\|")
        yield f"`{line.feature}`", arithmetic, f"{line.by_hand:.3f}", f"{line.by_code:.3f}"
