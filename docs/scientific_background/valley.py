"""A rendered valley city whose PM2.5 alone changes: figures, and what the features make of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from features.extractor import ScientificFeatureExtractor
from features.light import Light
from features.scene import scene_of
from training.rendering.renderer import Moment, Place, draw_moment, draw_place, render

RIDGE_KM = 7.5  # median distance of what the far band shows in clear air
FEATURES = (
    "sky_fraction",
    "far_dark_channel_mean",
    "far_optical_depth",
    "far_near_contrast_log_ratio",
    "belt_veil_mean",
    "sky_saturation_mean",
    "entropy",
    "glcm_homogeneity_d4",
)


def valley() -> tuple[Place, Moment]:
    """A rendered valley city by day; only its PM2.5 is changed in the figures."""
    rng = np.random.default_rng(7)
    place = draw_place(rng, "valley_city")
    moment = replace(draw_moment(rng, place, 10.0), sun_elevation_deg=45.0, cloud_cover=0.1)
    air = replace(
        moment.air,
        relative_humidity_pct=50.0,
        mass_efficiency_m2_g=3.5,
        hygroscopicity=0.16,
        angstrom_exponent=1.4,
    )
    return place, replace(moment, air=air)


def valley_at(pm25: float, width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    """The valley (height, width, 3) RGB at `pm25` [ug m-3]."""
    place, moment = valley()
    return render(place, replace(moment, air=replace(moment.air, pm25=pm25)), width, height)


def valley_features() -> Iterator[Sequence[str]]:
    """A table: features of the valley from clear air to a thick haze."""
    yield "PM2.5", f"t at {RIDGE_KM:g} km", *(f"`{name}`" for name in FEATURES)
    _, moment = valley()
    for pm25 in (5, 10, 20, 40, 80, 150, 300):
        beta = float(replace(moment.air, pm25=float(pm25)).extinction()[1])
        values = ScientificFeatureExtractor().extract(scene_of(Light(valley_at(pm25))))
        cells = (f"{values[name]:.2f}" for name in FEATURES)
        yield f"{pm25}", f"{np.exp(-beta * 1e3 * RIDGE_KM):.2f}", *cells
