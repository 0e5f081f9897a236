"""How far places on Earth lie apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

EARTH_RADIUS = 6371.0088  # [km] mean radius of WGS 84


def haversine(
    lat: ArrayLike, lon: ArrayLike, other_lat: ArrayLike, other_lon: ArrayLike
) -> NDArray[np.float64]:
    """Great-circle distance [km] on a sphere, of points in [deg] that broadcast together.

    d = 2 R asin √(sin²(Δφ/2) + cos φ₁ cos φ₂ sin²(Δλ/2)); within 0.6 % of the ellipsoid's.
    """
    a, b = np.radians(lat), np.radians(other_lat)
    half_lat, half_lon = (a - b) / 2, np.radians(np.subtract(lon, other_lon)) / 2
    square = np.sin(half_lat) ** 2 + np.cos(a) * np.cos(b) * np.sin(half_lon) ** 2
    return np.asarray(2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.minimum(square, 1.0))))
