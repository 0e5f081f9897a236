"""All that families share, computed at once, so that none pays for being the first to ask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.light import Light, light_of
from features.sky import PictureGeometry, picture_geometry

_PLANES = ("channels", "quarter", "saturation", "luminance_code", "lightness_code", "grey")
_ZONES = ("zones", "zone_members", "zone_cells")


def light_with_planes(pixels: NDArray[np.uint8], enlargement: float = 1.0) -> Light:
    """The light of `pixels` (H, W, 3) with all its planes."""
    light = light_of(pixels, enlargement)
    for plane in _PLANES:
        getattr(light, plane)
    return light


def geometry_with_zones(light: Light) -> PictureGeometry:
    """The geometry of `light` with its zones."""
    geometry = picture_geometry(light)
    for zone in _ZONES:
        getattr(geometry, zone)
    return geometry
