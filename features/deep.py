"""What the network sees of the air before the depth bands, and before the distance.

The network (`haze_network.py`) gives u = ln(0.1 + optical depth) and g, how sure it is of ground,
for each cell of the picture.

    feature of a band     = Σ u·g / Σ g over its cells; of the belt, the mean of u
    of the distance       = max(p, min(v, belt) − 0.6)
        v = Σ u·w / Σ w, w = g³ exp(−row / 4);  p the same with w times the share under the skyline

The optical depth is that of the line of sight, β·d: it ranks photos of one view by their haze, and
grows with the distance of what stands in the view as well. Belt and mean ask the skyline for the
share of sky alone, which sets the exposure, and rise with nearly any added haze; the bands follow
the skyline, which heavy haze moves. The distance holds both: p ranks the days of a place, and where
a skyline found anew cuts the far things off, v and the belt hold it up.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from features.haze_network import (
    CELL,
    DEPTH_FLOOR,
    LOG_DEPTHS,
    PICTURE_HEIGHT,
    TransmissionMap,
    weights_digest,
)
from features.scene import Scene
from features.schema import Feature, FeatureFamily
from features.sky import FAR_ZONE, PictureGeometry

_BELT = slice(6, 10)  # rows of cells
_MIN_GROUND = 1.0  # cells of 8 × 8: a band with less has no mean
# Of the distance. What the network is sure of counts (g³), and of it the upper rows, which are the
# farther ones: the weight falls to 1/e in four rows of cells.
_SURE, _ROWS_OF_DISTANCE = 3, 4.0
_ROWS = np.arange(PICTURE_HEIGHT // CELL)[:, None]
_ROW_WEIGHTS = np.exp(-_ROWS / _ROWS_OF_DISTANCE)
_MIN_DISTANCE = 0.08  # weight below which there is no ground to speak of: one cell in the tenth row
_HELD = 0.6  # how far below what asks no skyline the distance may fall [ln optical depth]

_TANG = "Tang et al. 2014, doi:10.1109/CVPR.2014.383"
_CAI = "Cai et al. 2016, doi:10.1109/TIP.2016.2598681"

_BANDS = (
    ("far", "in the far band"),
    ("mid", "in the middle band"),
    ("near", "in the near band"),
    ("ground", "on everything but the sky"),
    ("belt", "in the rows from 40 to 70 % of the height, sky and ground alike"),
    ("mean", "of the whole picture, as far as the network takes it for ground"),
    ("distance", "in the distance, which a skyline that haze moves cannot lower for long"),
)


FAMILY = FeatureFamily(
    name="deep",
    version=4,
    features=(
        *(
            Feature(
                f"deep_log_optical_depth_{band}",
                "1",
                f"mean of ln(0.1 + optical depth) {place}, by the network",
                1,
                _TANG,
                LOG_DEPTHS,
            )
            for band, place in _BANDS
        ),
        Feature(
            "deep_transmission_far",
            "1",
            "mean transmission in the far band, by the network",
            -1,
            _CAI,
            (0, 1),
        ),
    ),
    digest=weights_digest(),
)


class DeepFeatureExtractor:
    """Reads the deep features of one photo from what the network sees in it."""

    family = FAMILY

    @property
    def names(self) -> tuple[str, ...]:
        return FAMILY.names

    def extract(self, scene: Scene) -> dict[str, float]:
        """The deep features of one photo by name; `nan` for a band that the photo lacks."""
        geometry, seen = scene.geometry, scene.air
        transmission = np.exp(DEPTH_FLOOR - np.exp(seen.log_optical_depth))
        np.minimum(transmission, 1.0, out=transmission)
        planes = cv2.merge(
            [seen.ground, seen.log_optical_depth * seen.ground, transmission * seen.ground]
        )
        rows, columns = geometry.zones.shape
        cells = cv2.resize(planes, (columns, rows)).reshape(-1, 3)
        # Zones are counted in quarter-size pixels, a mean in cells of the network.
        zones = geometry.zone_members[FAR_ZONE:] @ cells.astype(np.float64)
        zones *= seen.ground.size / len(cells)
        everything = planes.sum(axis=(0, 1), dtype=np.float64)
        sums = np.vstack([zones, zones.sum(axis=0), everything])
        ground, depths, transmissions = sums.T
        known = np.where(ground >= _MIN_GROUND, ground, np.nan)
        *bands, mean = (depths / known).tolist()
        belt = float(seen.log_optical_depth[_BELT].mean(dtype=np.float64))
        distance = _distance(seen, geometry, belt)
        values = [*bands, belt, mean, distance, float(transmissions[0] / known[0])]
        return dict(zip(FAMILY.names, values, strict=True))


def _distance(seen: TransmissionMap, geometry: PictureGeometry, belt: float) -> float:
    """u of the distance, see the module; nan where the network sees no ground.

    Where it sees none under the skyline there is no p.
    """
    rows, columns = seen.ground.shape
    weight = seen.ground.astype(np.float64) ** _SURE * _ROW_WEIGHTS
    anywhere = _weighted_mean(seen.log_optical_depth, weight)
    if np.isnan(anywhere):
        return anywhere
    below = weight * geometry.under_skyline(rows, columns)
    under_skyline = _weighted_mean(seen.log_optical_depth, below)
    held = max(min(anywhere, belt) - _HELD, LOG_DEPTHS[0])
    return held if np.isnan(under_skyline) else max(under_skyline, held)


def _weighted_mean(values: NDArray[np.float32], weight: NDArray[np.float64]) -> float:
    total = float(weight.sum())
    return float((values * weight).sum()) / total if total >= _MIN_DISTANCE else float("nan")
