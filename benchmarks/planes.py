"""All that families share, computed at once, so that none pays for being the first to ask."""

from __future__ import annotations

from features.light import Light
from features.photo import Photo
from features.sky import PictureGeometry, picture_geometry

_PLANES = ("channels", "quarter", "saturation", "luminance_code", "lightness_code", "grey")
_ZONES = ("zones", "zone_members", "zone_cells")


def light_with_planes(photo: Photo) -> Light:
    """The light of `photo` with all its planes."""
    light = Light(photo.pixels, photo.enlargement)
    for plane in _PLANES:
        getattr(light, plane)
    return light


def geometry_with_zones(light: Light) -> PictureGeometry:
    """The geometry of `light` with its zones."""
    geometry = picture_geometry(light)
    for zone in _ZONES:
        getattr(geometry, zone)
    return geometry
