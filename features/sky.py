"""The geometry of the picture: where the sky is, where it meets the ground, and how far things are.

From one photo no distance can be measured, but their order can: in an outdoor view what lies
just under the skyline is far, what lies at the lower border is near. Haze acts on distance, so
features are computed per depth band; mixing the bands blurs every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SKY, FAR, MID, NEAR = 0, 1, 2, 3


@dataclass(frozen=True)
class PictureGeometry:
    """Sky and depth order of one photo.

    bands       (H, W) uint8, one of SKY, FAR, MID, NEAR for every pixel
    skyline     (W,) int32, first row that is not sky; 0 where a column has no sky
    confidence  [0..1], how clearly sky and ground part; 0 when no sky was found
    """

    bands: NDArray[np.uint8]
    skyline: NDArray[np.int32]
    confidence: float
