"""Where the sky meets the ground, column by column.

Sky is what lies above the first strong edge of a column. How strong is decided once per photo:
the threshold whose two regions, above and below, two normal laws of colour and an exponential
law of local gradient describe best. Then each column asks those two laws whether what lies
under its edge is ground; where it is sky (a cloud's border, a wire), the edge is passed over.

Haze shrinks all edges of the distance. So faint ones are enlarged by the gain of `detail.py`, by as
much as what lies under the horizon falls short of clear air, and the laws are told of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from features.detail import CODE, Detail
from features.distribution import median

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
_NEIGHBOURS = 31  # columns of quarter size
_DIP = 0.03  # of the width
_PALING = 0.3  # of an edge's gradient: a sky that pales has as much five rows above it
_ABOVE_EDGE = 5
_BELOW_EDGE = 6  # quarter-size rows under an edge that are asked whether they are ground


def coarse_skyline(quarter: NDArray[np.uint8], detail: Detail) -> tuple[NDArray[np.int64], float]:
    """Skyline (w,) in rows of the quarter-size picture, and the confidence in it."""
    height, width = quarter.shape[:2]
    gradient, across = _gradients(quarter, detail)
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
    colour_floor = _COLOUR_FLOOR / detail.gain**2
    laws = _Laws.of(np.stack([upper, sums.sum(axis=0) - upper]), colour_floor)
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
    across_above = _sums_above(across)
    skyline = _pass_false_edges(edges[best:], evidence)
    skyline = _fill_dips(edges[best:], skyline)
    skyline = _pass_paling_sky(edges[best + 1 :], skyline, gradient, across_above)
    skyline = _take_in_ridge(edges[:best], skyline, gradient, quarter)
    skyline = _take_in_haze(edges[:best], skyline, across_above)
    skyline = _median5(skyline)
    skyline[skyline < _MIN_SKY * height] = 0
    if skyline.mean() < _MIN_SKY * height:
        return np.zeros(width, np.int64), 0.0
    return skyline, _confidence(quarter, sample, skyline)


def _gradients(
    quarter: NDArray[np.uint8], detail: Detail
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(h, w) the step over two cells [sRGB codes]: the larger of down and across, and across alone.

    The largest of three colours, and where the horizon is faint of lightness times the gain.
    """
    smooth = cv2.GaussianBlur(quarter, (5, 5), 0)
    padded = cv2.copyMakeBorder(smooth, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    down, across = (
        cv2.max(cv2.max(step[0], step[1]), step[2])
        for step in (
            cv2.split(cv2.absdiff(padded[2:, 1:-1], padded[:-2, 1:-1])),
            cv2.split(cv2.absdiff(padded[1:-1, 2:], padded[1:-1, :-2])),
        )
    )
    if detail.gain > 1.0:
        down = cv2.max(down, cv2.convertScaleAbs(detail.down, alpha=detail.gain / CODE))
        across = cv2.max(across, cv2.convertScaleAbs(detail.across, alpha=detail.gain / CODE))
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
    def of(cls, sums: NDArray[np.float64], colour_floor: float) -> _Laws:
        """From the terms of `_polynomial` summed over each region, (2, K, 11)."""
        n = sums[..., 0]
        moments = sums / np.maximum(n, 1.0)[..., None]
        mean = moments[..., 1:4]
        second = moments[..., [4, 7, 8, 7, 5, 9, 8, 9, 6]].reshape(*n.shape, 3, 3)
        covariance = second - mean[..., :, None] * mean[..., None, :] + colour_floor * np.eye(3)
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


def _sums_above(plane: NDArray[np.generic]) -> NDArray[np.float32]:
    """(h + 1, w) the sum of what lies above each row of a column of `plane` (h, w)."""
    total = np.zeros((len(plane) + 1, plane.shape[1]), np.float32)
    np.cumsum(plane, axis=0, out=total[1:])
    return total


def _pass_false_edges(edges: NDArray[np.int64], evidence: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each column the first of its edges (K, w) under which the evidence says ground.

    A column without such an edge is cut where sky above and ground below are likeliest.
    """
    height, width = evidence.shape
    total = _sums_above(evidence)
    columns = np.arange(width)
    first = np.minimum(edges + 1, height)
    last = np.minimum(first + _BELOW_EDGE, height)
    ground = total[last, columns] > total[first, columns]
    chosen = edges[ground.argmax(axis=0), columns]
    skyline: NDArray[np.int64] = np.where(ground.any(axis=0), chosen, total.argmin(axis=0))
    return skyline


def _fill_dips(edges: NDArray[np.int64], skyline: NDArray[np.int64]) -> NDArray[np.int64]:
    """The skyline without columns that fall through a faint tower, coloured like the sky.

    Where a column lies far below its neighbours and yet has one of its `edges` (K, w) at their
    height, that edge is the skyline. A gap between houses has none there.
    """
    row = np.minimum(skyline, 255).astype(np.uint8)[None]
    around = cv2.medianBlur(row, _NEIGHBOURS)[0].astype(np.int64)
    nearest = np.abs(edges - around).argmin(axis=0)
    edge = edges[nearest, np.arange(len(skyline))]
    height = _DIP * len(skyline)
    falls = (skyline > around + 1.5 * height) & (np.abs(edge - around) <= height)
    return np.where(falls, edge, skyline)


def _pass_paling_sky(
    edges: NDArray[np.int64],
    skyline: NDArray[np.int64],
    gradient: NDArray[np.uint8],
    across_above: NDArray[np.float32],
) -> NDArray[np.int64]:
    """The skyline lowered to stronger `edges` (K, w) where a clear sky pales towards the horizon.

    A deep blue sky pales so fast there that the best threshold takes it for an edge. It is told
    from a hazy crest by paling as fast further up, and by having no detail from side to side.
    """
    height, width = gradient.shape
    inside = np.flatnonzero((skyline > _ABOVE_EDGE) & (skyline < height))
    if len(inside) < 0.5 * width:
        return skyline
    at_edge = gradient[skyline[inside], inside].mean()
    if gradient[skyline[inside] - _ABOVE_EDGE, inside].mean() < _PALING * at_edge:
        return skyline
    total, columns = across_above, np.arange(width)
    for edge in edges:
        close = (edge >= skyline) & (edge - skyline <= _HAZY_STRIP * height)
        if np.count_nonzero(close) < 0.75 * width:
            break
        last = np.maximum(edge - 3, skyline)  # the cells next to an edge show its blur
        rows = (last - skyline)[close].sum()
        strip = (total[last, columns] - total[skyline, columns])[close].sum()
        above = total[skyline, columns][close].sum() / max(skyline[close].sum(), 1)
        if strip > (2 * above + 1) * rows:
            break
        skyline = np.where(close, edge, skyline)
        if rows >= np.count_nonzero(close):
            break
    return skyline


def _take_in_ridge(
    edges: NDArray[np.int64],
    skyline: NDArray[np.int64],
    gradient: NDArray[np.uint8],
    quarter: NDArray[np.uint8],
) -> NDArray[np.int64]:
    """The skyline raised to the faintest of `edges` (K, w) that draws one smooth line.

    Mountains in haze are as smooth as the sky, and nearly of its colour; but their crest is a line
    across the picture, and sharp. Clouds have broken borders, and a sky that pales has no line.
    """
    height, width = gradient.shape
    blue = quarter[:, :, 2].astype(np.int16)
    for edge in edges[::-1]:
        raised = (edge < skyline - 3) & (edge > _ABOVE_EDGE)
        if np.count_nonzero(raised) < 0.75 * width:
            continue
        if np.mean(np.abs(np.diff(edge)[raised[1:] & raised[:-1]]) > 2) > 0.05:
            continue
        columns = np.flatnonzero(raised)
        row = edge[columns]
        above, below, deep = (
            blue[np.minimum(row + offset, height - 1), columns] for offset in (-4, 4, 10)
        )
        if np.mean((below < above) & (deep < above)) < 0.9:
            continue
        if gradient[row - _ABOVE_EDGE, columns].mean() < _PALING * gradient[row, columns].mean():
            return np.where(raised, edge, skyline)
    return skyline


def _take_in_haze(
    edges: NDArray[np.int64], skyline: NDArray[np.int64], across_above: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The skyline raised to fainter `edges` (K, w) where what lies between is hazy ground.

    In haze the distance is coloured like the sky, and the best threshold cuts below it. It is
    told from a sky that pales towards the horizon by its detail from side to side, and from
    clouds by lying close above the skyline nearly everywhere.
    """
    total = across_above
    height, width = len(total) - 1, total.shape[1]
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


def fine_skyline(grey: NDArray[np.uint8], coarse: NDArray[np.int64]) -> NDArray[np.int32]:
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
