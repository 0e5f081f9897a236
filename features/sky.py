"""The geometry of the picture: where the sky is, where it meets the ground, and how far things are.

From one photo no distance can be measured, but their order can: in an outdoor view what lies
just under the skyline is far, what lies at the lower border is near. Haze acts on distance, so
features are computed per depth band; mixing the bands blurs every one of them.

Sky is what lies above the first strong edge of a column. How strong is decided once per photo:
the threshold whose two regions, above and below, two normal laws of colour and an exponential
law of local gradient describe best. Then each column asks those two laws whether what lies
under its edge is ground; where it is sky (a cloud's border, a wire), the edge is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from features.distribution import median
from features.light import Light

SKY, FAR, MID, NEAR = 0, 1, 2, 3

# The zones are the bands with the sky parted by height: its colour changes with elevation.
UPPER_SKY, MIDDLE_SKY, HORIZON_SKY, FAR_ZONE, MID_ZONE, NEAR_ZONE = range(6)
N_ZONES = 6

# Edge strengths tried [sRGB codes over 8 px], about a third apart.
_THRESHOLDS = np.array([5, 7, 9, 12, 16, 21, 28, 37, 49, 65], dtype=np.uint8)
_EDGE_LEVEL = np.searchsorted(_THRESHOLDS, np.arange(256)).astype(np.uint8)
_LOG_GRADIENT = np.log1p(np.arange(256)).astype(np.float32)

# Variance added to a region's colours [codes²]: without a floor, a cloudless zenith would be
# explained so well that the paler horizon below it would count as ground.
_COLOUR_FLOOR = 60.0
_GRADIENT_FLOOR = 1.0  # the same for the mean of ln(1 + gradient)
_GRADIENT_WEIGHT = 0.5

_MIN_SKY = 0.03  # of the picture: less is not called a sky
_MIN_GROUND = 0.01
_SAMPLED = 4  # every so many rows the two laws are fitted to
_HAZY_STRIP = 0.12  # of the height: how far above the skyline hazy ground is looked for
_BELOW_EDGE = 6  # quarter-size rows under an edge that are asked whether they are ground

_FAR_SHARE, _MID_SHARE = 0.12, 0.40  # of the rows from horizon to lower border
_OCCLUDER = 0.30  # of the height above the horizon: what rises further stands near


@dataclass(frozen=True)
class PictureGeometry:
    """Sky and depth order of one photo.

    bands       (H, W) uint8, one of SKY, FAR, MID, NEAR for every pixel
    skyline     (W,) int32, first row that is not sky; 0 where a column has no sky,
                H where it has nothing else
    confidence  [0..1], how clearly sky and ground part; 0 when no sky was found,
                0.5 when there is nothing but sky
    """

    bands: NDArray[np.uint8]
    skyline: NDArray[np.int32]
    confidence: float

    @cached_property
    def zone_members(self) -> NDArray[np.float64]:
        """(6, h · w) 1 where a cell of `zones` belongs to the zone: a product with it sums."""
        numbers = np.arange(N_ZONES, dtype=np.uint8)[:, None]
        members: NDArray[np.float64] = (self.zones.ravel() == numbers).astype(np.float64)
        return members

    @cached_property
    def zone_cells(self) -> NDArray[np.float64]:
        """(6,) how many cells each zone has."""
        return np.bincount(self.zones.ravel(), minlength=N_ZONES).astype(np.float64)

    @cached_property
    def zones(self) -> NDArray[np.uint8]:
        """(H // 4, W // 4) uint8, the bands at quarter size with the sky in three parts.

        UPPER_SKY is the upper 30 % of a column's sky, HORIZON_SKY the lowest tenth of the
        picture's height above the skyline without the 4 px next to it, MIDDLE_SKY the rest.
        """
        height, width = self.bands.shape
        rows, columns = max(1, height // 4), max(1, width // 4)
        # Each cell asks the two pixels beside its centre in both directions, and takes the
        # nearer band: the picture and its mirror image then give mirrored zones.
        left = ((2 * np.arange(columns) + 1) * width - columns) // (2 * columns)
        right = width - 1 - left[::-1]
        upper, lower = self.bands[1 : 4 * rows : 4], self.bands[2 : 4 * rows : 4]
        pair = np.maximum(upper, lower)
        bands = np.maximum(pair[:, left], pair[:, right])
        skyline = np.minimum(self.skyline[left], self.skyline[right])
        middle = np.ceil(0.3 * skyline)
        horizon = np.maximum(middle, np.ceil(skyline - 0.1 * height - 4))
        edge = np.maximum(horizon, skyline - 4)
        row = np.arange(2, 4 * rows, 4, dtype=np.int16)[:, None]
        from_middle, from_horizon, from_edge = (
            (row >= first.astype(np.int16)).view(np.uint8) for first in (middle, horizon, edge)
        )
        return np.where(bands == SKY, from_middle + from_horizon - from_edge, bands + np.uint8(2))


def picture_geometry(light: Light) -> PictureGeometry:
    """Finds sky, skyline and depth bands of one photo.

    Bands are rows below a straight horizon (the line through the lower quartiles of the
    skyline in the left and right third of the picture, so that a tilted camera does not mix
    them): FAR the first 12 % down to the lower border, with everything between skyline and
    horizon; MID down to 40 %; NEAR the rest, and whole columns of what rises more than 30 %
    of the height above the horizon. Without a sky the upper border takes the horizon's place.

    In rendered plains the skyline stays where it is up to an optical depth of about 1.2 of the
    furthest things. Beyond, it falls to what is still seen, and FAR means nearer things: the
    features of that band then change less than the haze does, or turn round.
    """
    height, width = light.srgb.shape[:2]
    coarse, confidence = _coarse_skyline(light.quarter)
    if confidence == 0.0:
        skyline = np.zeros(width, np.int32)
        horizon = np.zeros(width)
    else:
        skyline = _fine_skyline(light.grey, coarse)
        horizon = _horizon(skyline, height)
    return PictureGeometry(_bands(skyline, horizon, height), skyline, confidence)


def _coarse_skyline(quarter: NDArray[np.uint8]) -> tuple[NDArray[np.int64], float]:
    """Skyline (w,) in rows of the quarter-size picture, and the confidence in it."""
    height, width = quarter.shape[:2]
    gradient, across = _gradients(quarter)
    level = cv2.LUT(np.maximum.accumulate(gradient, axis=0), _EDGE_LEVEL)
    n_levels = len(_THRESHOLDS)
    # A pixel is sky at threshold k when no edge above it in its column exceeds that.
    cells = level + (np.arange(width) * (n_levels + 1)).astype(np.int32)
    by_column = np.bincount(cells.ravel(), minlength=width * (n_levels + 1)).reshape(width, -1)
    edges = np.cumsum(by_column, axis=1)[:, :n_levels].T
    if np.count_nonzero(edges[0] >= height - 1) >= 0.99 * width:
        return np.full(width, height), 0.5 * _looks_like_sky(quarter.reshape(-1, 3).mean(axis=0))

    terms = _polynomial(quarter, gradient)
    sample = terms.reshape(len(terms), height, width)[:, ::_SAMPLED].reshape(len(terms), -1)
    sums = _sums_by_level(sample, level[::_SAMPLED])
    upper = np.cumsum(sums, axis=0)[:n_levels]
    laws = _Laws.of(np.stack([upper, sums.sum(axis=0) - upper]))
    in_sky, in_ground = laws.n
    size = sample.shape[1]
    possible = (in_sky >= _MIN_SKY * size) & (in_ground >= _MIN_GROUND * size)
    if not possible.any():
        all_sky = in_ground[-1] < _MIN_GROUND * size
        colour = quarter.reshape(-1, 3).mean(axis=0)
        return np.full(width, height), 0.5 * _looks_like_sky(colour) if all_sky else 0.0
    cost = (laws.n * laws.spread()).sum(axis=0)
    best = int(np.argmin(np.where(possible, cost, np.inf)))

    in_sky, in_ground = laws.surprise(best)
    factors = (in_sky - in_ground).astype(np.float32)
    evidence: NDArray[np.float32] = np.clip(factors @ terms, -10, 10).reshape(height, width)
    skyline = _pass_false_edges(edges[best:], evidence)
    skyline = _take_in_haze(edges[:best], skyline, across)
    skyline = _median5(skyline)
    skyline[skyline < _MIN_SKY * height] = 0
    if skyline.mean() < _MIN_SKY * height:
        return np.zeros(width, np.int64), 0.0
    return skyline, _confidence(quarter, sample, skyline)


def _gradients(quarter: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(h, w) the colour step over two cells: the larger of down and across, and across alone."""
    smooth = cv2.GaussianBlur(quarter, (5, 5), 0)
    padded = cv2.copyMakeBorder(smooth, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    down, across = (
        cv2.max(cv2.max(step[0], step[1]), step[2])
        for step in (
            cv2.split(cv2.absdiff(padded[2:, 1:-1], padded[:-2, 1:-1])),
            cv2.split(cv2.absdiff(padded[1:-1, 2:], padded[1:-1, :-2])),
        )
    )
    return cv2.max(down, across), across


def _polynomial(quarter: NDArray[np.uint8], gradient: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(11, h · w) the terms in which both laws are linear: 1, colours, products, ln gradient."""
    terms = np.empty((11, gradient.size), np.float32)
    terms[0] = 1
    for row, plane in zip(terms[1:4], cv2.split(quarter), strict=True):
        np.subtract(plane.ravel(), np.float32(128), out=row)
    np.multiply(terms[1:4], terms[1:4], out=terms[4:7])
    np.multiply(terms[1], terms[2:4], out=terms[7:9])
    np.multiply(terms[2], terms[3], out=terms[9])
    terms[10] = cv2.LUT(gradient, _LOG_GRADIENT).ravel()
    return terms


def _sums_by_level(terms: NDArray[np.float32], level: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(levels + 1, 11) the terms summed over the pixels of each level."""
    levels = np.arange(len(_THRESHOLDS) + 1, dtype=np.uint8)
    members = (level.ravel() == levels[:, None]).astype(np.float32)
    sums: NDArray[np.float64] = (members @ terms.T).astype(np.float64)
    return sums


@dataclass(frozen=True)
class _Laws:
    """How colour and gradient are distributed in two regions, for each of K ways to part them."""

    n: NDArray[np.float64]  # (2, K) pixels
    mean: NDArray[np.float64]  # (2, K, 3) colour
    covariance: NDArray[np.float64]  # (2, K, 3, 3)
    gradient: NDArray[np.float64]  # (2, K) mean of ln(1 + gradient)

    @classmethod
    def of(cls, sums: NDArray[np.float64]) -> _Laws:
        """From the terms of `_polynomial` summed over each region, (2, K, 11)."""
        n = sums[..., 0]
        moments = sums / np.maximum(n, 1.0)[..., None]
        mean = moments[..., 1:4]
        second = moments[..., [4, 7, 8, 7, 5, 9, 8, 9, 6]].reshape(*n.shape, 3, 3)
        covariance = second - mean[..., :, None] * mean[..., None, :] + _COLOUR_FLOOR * np.eye(3)
        return cls(n, mean, covariance, np.maximum(moments[..., 10], _GRADIENT_FLOOR))

    def spread(self) -> NDArray[np.float64]:
        """(2, K) the entropy of both laws, up to a constant: small where a region is uniform."""
        colour: NDArray[np.float64] = 0.5 * np.linalg.slogdet(self.covariance)[1]
        return colour + _GRADIENT_WEIGHT * np.log(self.gradient)

    def surprise(self, k: int) -> NDArray[np.float32]:
        """(2, 11) −ln likelihood in each region of way k, as factors of `_polynomial`'s terms."""
        mean, covariance, gradient = self.mean[:, k], self.covariance[:, k], self.gradient[:, k]
        precision = np.linalg.inv(covariance)
        linear = (precision @ mean[:, :, None])[:, :, 0]
        factors = np.empty((2, 11), np.float32)
        factors[:, 0] = (
            0.5 * (linear * mean).sum(axis=1)
            + 0.5 * np.linalg.slogdet(covariance)[1]
            + np.log(gradient)
        )
        factors[:, 1:4] = -linear
        factors[:, 4:7] = 0.5 * precision[:, [0, 1, 2], [0, 1, 2]]
        factors[:, 7:10] = precision[:, [0, 0, 1], [1, 2, 2]]
        factors[:, 10] = 1 / gradient
        return factors


def _pass_false_edges(edges: NDArray[np.int64], evidence: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each column the first of its edges (K, w) under which the evidence says ground.

    A column without such an edge is cut where sky above and ground below are likeliest.
    """
    height, width = evidence.shape
    total = np.zeros((height + 1, width), np.float32)
    np.cumsum(evidence, axis=0, out=total[1:])
    columns = np.arange(width)
    first = np.minimum(edges + 1, height)
    last = np.minimum(first + _BELOW_EDGE, height)
    ground = total[last, columns] > total[first, columns]
    chosen = edges[ground.argmax(axis=0), columns]
    skyline: NDArray[np.int64] = np.where(ground.any(axis=0), chosen, total.argmin(axis=0))
    return skyline


def _take_in_haze(
    edges: NDArray[np.int64], skyline: NDArray[np.int64], across: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """The skyline raised to fainter `edges` (K, w) where what lies between is hazy ground.

    In haze the distance is coloured like the sky, and the best threshold cuts below it. It is
    told from a sky that pales towards the horizon by its detail from side to side, and from
    clouds by lying close above the skyline nearly everywhere.
    """
    height, width = across.shape
    total = np.zeros((height + 1, width), np.float32)
    np.cumsum(across, axis=0, out=total[1:])
    columns = np.arange(width)
    close = (edges <= skyline) & (skyline - edges <= _HAZY_STRIP * height)
    for edge, is_close in zip(edges, close, strict=True):
        if np.count_nonzero(is_close) < 0.75 * width:
            continue
        last = np.maximum(skyline - 3, edge)  # the cells next to an edge show its blur
        rows = (last - edge)[is_close].sum()
        if rows < np.count_nonzero(is_close):
            continue
        above = total[edge, columns][is_close].sum() / max(edge[is_close].sum(), 1)
        strip = total[last, columns] - total[edge, columns]
        least = 2 * above + 1
        if strip[is_close].sum() > least * rows:
            return np.where(is_close & (strip > least * (last - edge)), edge, skyline)
    return skyline


def _median5(skyline: NDArray[np.int64]) -> NDArray[np.int64]:
    """The median of five neighbouring columns: poles and wires go, roofs stay."""
    row = skyline.astype(np.uint16)[None]
    median: NDArray[np.int64] = cv2.medianBlur(row, 5)[0].astype(np.int64)
    return median


def _confidence(
    quarter: NDArray[np.uint8], sample: NDArray[np.float32], skyline: NDArray[np.int64]
) -> float:
    """Smooth, coloured like a sky, and set off from what lies below: the product of the three."""
    height = len(quarter)
    row = np.arange(0, height, _SAMPLED)[:, None]
    is_sky = (row < skyline).astype(np.float32).ravel()
    in_sky, in_ground = (sample @ np.stack([is_sky, 1 - is_sky], axis=1)).T.astype(np.float64)
    colour = 128 + in_sky[1:4] / in_sky[0]
    # Broken clouds are as rough as foliage or paving, but the sky between them is blue.
    blueness = np.clip((colour[2] / max(colour[0], 1.0) - 1.05) / 0.2, 0, 1)
    roughest = 2.4 + 0.4 * blueness
    smoothness = float(np.clip((roughest - in_sky[10] / in_sky[0]) / 0.3, 0, 1))
    likeness = smoothness * _looks_like_sky(colour)

    edged = np.flatnonzero((skyline > 3) & (skyline < height - 3))
    if len(edged) == 0:
        return 0.5 * likeness
    ground = 128 + in_ground[1:4] / max(in_ground[0], 1.0)
    if colour.max() < 0.5 * ground.max() and colour[2] < 1.15 * colour[0]:
        return 0.0  # much darker than the ground and not blue: shade, not sky
    edge = skyline[edged]
    above = quarter[edge - 3, edged].astype(np.int16)
    below = quarter[edge + 2, edged].astype(np.int16)
    step = median(np.abs(above - below).max(axis=1))
    confidence = likeness * (1.0 - float(np.exp(-step / 10.0)))
    return confidence if confidence >= 0.05 else 0.0


def _looks_like_sky(colour: NDArray[np.float64]) -> float:
    """[0..1] for a mean colour [sRGB codes]: blue, white, grey, orange; not green or magenta."""
    red, green, blue = (float(c) for c in colour)
    green_excess = green - max(red, blue)
    green_lack = min(red, blue) - green
    warmth = blue / max(red, 1.0)
    ramps = ((20 - green_excess) / 15, (30 - green_lack) / 20, (warmth - 0.3) / 0.2)
    return float(np.prod(np.clip(ramps, 0.0, 1.0)))


def _fine_skyline(grey: NDArray[np.uint8], coarse: NDArray[np.int64]) -> NDArray[np.int32]:
    """(W,) the skyline to the pixel: the first strong step of lightness near the coarse one."""
    height, width = grey.shape
    cell = (2 * np.arange(width) + 1) * len(coarse) // (2 * width)
    nearest = np.minimum(coarse[cell], coarse[len(coarse) - 1 - cell[::-1]])
    start = 4 * nearest
    window = np.clip(start + np.arange(-6, 18)[:, None], 0, height - 1)
    light = grey.ravel().take(window * width + np.arange(width)).astype(np.int16)
    pairs = light[:-1] + light[1:]
    step = np.abs(pairs[2:] - pairs[:-2])  # two rows against the two above them
    strongest = step.max(axis=0)
    fine = window[(2 * step >= strongest).argmax(axis=0) + 2, np.arange(width)]
    skyline = np.where(strongest >= 6, fine, start)
    skyline[start == 0] = 0
    skyline[nearest >= height // 4] = height
    fitting: NDArray[np.int32] = np.minimum(skyline, height).astype(np.int32)
    return fitting


def _horizon(skyline: NDArray[np.int32], height: int) -> NDArray[np.float64]:
    """(W,) rows of the straight line along the low parts of the skyline."""
    width = len(skyline)
    third = max(1, width // 3)
    whole = _low_part(skyline)
    left, right = (
        _low_part(part) if np.mean(part > 0) > 0.5 else whole
        for part in (skyline[:third], skyline[-third:])
    )
    slope = np.clip((right - left) / (width - third), -0.25, 0.25)
    line = 0.5 * (left + right) + slope * (np.arange(width) - 0.5 * (width - 1))
    horizon: NDArray[np.float64] = np.clip(line, 0, height)
    return horizon


def _low_part(skyline: NDArray[np.int32]) -> float:
    """The row that three quarters of the columns with a sky do not reach below."""
    rows = np.sort(skyline[skyline > 0])
    return float(rows[(3 * len(rows)) // 4])


def _bands(
    skyline: NDArray[np.int32], horizon: NDArray[np.float64], height: int
) -> NDArray[np.uint8]:
    depth = height - horizon
    mid = np.maximum(skyline, horizon + np.maximum(_FAR_SHARE * depth, 4))
    near = np.maximum(mid, horizon + np.maximum(_MID_SHARE * depth, 8))
    occluder = skyline < horizon - _OCCLUDER * height
    mid, near = (np.where(occluder, skyline, row) for row in (mid, near))
    starts = [np.ceil(first).astype(np.int16) for first in (skyline, mid, near)]
    bands = np.full((height, len(skyline)), NEAR, np.uint8)
    top, bottom = int(starts[0].min()), min(int(starts[2].max()), height)
    bands[:top] = SKY
    row = np.arange(top, bottom, dtype=np.int16)[:, None]
    far, mid, near = ((row >= first).view(np.uint8) for first in starts)
    bands[top:bottom] = far + mid + near
    return bands
