"""Spatial frequencies: how the energy of the picture is spread over scales.

Natural scenes have a radial power spectrum P(f) ∝ f^−α with α near 2 (Field 1987). A veil of
one transmission over the whole photo scales all power by t² and leaves every number of this
file as it was; what moves them is haze that grows with distance, blur and fog. All of it is
read in linear light, where haze is a plain scaling.

Frequencies are in cycles per pixel [px-1] of the working size, ½ at the Nyquist limit. Photos
that were enlarged hold nothing above some limit, so the main slope stays below 1/8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from features.light import Light
from features.schema import Feature, FeatureFamily
from features.sky import PictureGeometry

FIELD = "Field 1987, 10.1364/JOSAA.4.002379"
MALLAT = "Mallat 1989, 10.1109/34.192463"

LOWEST, HIGHEST = 1 / 64, 1 / 2  # [px-1]
RINGS_PER_OCTAVE = 8
SLOPE_RANGE = (1 / 64, 1 / 8)
FINE_SLOPE_RANGE = (1 / 8, 1 / 2)
HIGH_FREQUENCY = 0.2
# The octaves by their wavelengths [px].
OCTAVES = ((2, 4), (4, 8), (8, 16), (16, 32))
HAAR_SIZES = (2, 4, 8)  # [px], one per level
# Where the variance is below this share of the squared mean, a contrast of 1e-5, the photo is of
# one tone and what is left is rounding.
FLAT = 1e-10
# Keeps the logarithm of an empty Haar level finite.
TINY = 1e-15


@dataclass(frozen=True)
class _SpectrumPlan:
    """What the spectrum of one shape of picture needs, worked out once.

    window      (H, W) float32, the outer product of two Hann windows, and its sum
    padded      smooth lengths (rows, columns) of the transform
    ring_edges  (rings + 1,) [px-1]; the first ring is f = 0 alone, the last the corners f > 1/2
    ring_sizes  (rings,) how many coefficients of the full plane fall in each ring
    side_rings  ring of each number of the first and last column of the packed transform
    run_starts  where, in the upper half of the packed plane read row by row, a ring begins anew
    run_rings   the ring of each such run
    """

    window: NDArray[np.float32]
    window_sum: np.float32
    padded: tuple[int, int]
    ring_edges: NDArray[np.float64]
    ring_sizes: NDArray[np.float64]
    side_rings: NDArray[np.intp]
    run_starts: NDArray[np.intp]
    run_rings: NDArray[np.intp]


@lru_cache(maxsize=16)
def _spectrum_plan(height: int, width: int) -> _SpectrumPlan:
    # Hann without its zeros at both ends, so that no pixel is lost.
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    rows, columns = (_smooth_even_length(n) for n in (height, width))

    # OpenCV packs the transform of a real plane: columns 1 to n − 2 hold (real, imaginary) pairs
    # of one horizontal frequency, the first and the last column such pairs from row to row.
    # Every number but four stands for itself and for its twin at −f.
    along = (np.arange(columns) + 1) // 2 / columns
    down = np.minimum(np.arange(rows), rows - np.arange(rows)) / rows
    sides = np.hypot(((np.arange(rows) + 1) // 2 / rows)[:, None], along[[0, -1]])
    along[[0, -1]] = along[[1, -2]]
    interior = np.hypot(down[:, None], along)

    octaves = np.log2(HIGHEST / LOWEST)
    rings = np.geomspace(LOWEST, HIGHEST, round(octaves * RINGS_PER_OCTAVE) + 1)
    edges = np.concatenate([[0.0, 1e-9], np.union1d(rings, [HIGH_FREQUENCY]), [1.0]])

    def ring_of(frequency: NDArray[np.float64]) -> NDArray[np.intp]:
        # The bounds belong to the ring above, whichever way the last bit fell.
        return np.searchsorted(edges, frequency * (1 + 1e-12), side="right") - 1

    sizes = np.bincount(ring_of(sides).ravel(), minlength=edges.size - 1)
    sizes += np.bincount(ring_of(interior[:, 1:-1]).ravel(), minlength=edges.size - 1)
    upper_half = ring_of(interior[: rows // 2 + 1]).ravel()
    starts = np.flatnonzero(np.diff(upper_half, prepend=-1))
    return _SpectrumPlan(
        window=window.astype(np.float32),
        window_sum=np.float32(window.sum()),
        padded=(rows, columns),
        ring_edges=edges,
        ring_sizes=sizes.astype(np.float64),
        side_rings=ring_of(sides).ravel(),
        run_starts=starts,
        run_rings=upper_half[starts],
    )


def _smooth_even_length(n: int) -> int:
    return 2 * int(cv2.getOptimalDFTSize((n + 1) // 2))


def radial_spectrum(
    plane: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Power of a Hann-windowed `plane` (H, W) in rings of the frequency plane.

    Returns ring edges (n + 1,) [px-1], power (n,) and number of coefficients (n,) of each ring.
    The first ring is f = 0 alone; its power is kept out of the others by taking the mean under
    the window off first. Rings from 1/64 to 1/2 are 1/8 octave wide.
    """
    plan = _spectrum_plan(*plane.shape)
    rows, n_rings = plan.padded[0], plan.ring_sizes.size
    mean = np.vdot(plane, plan.window) / plan.window_sum
    packed = plane - mean
    packed *= plan.window
    if packed.shape != plan.padded:
        below, beside = (n - m for n, m in zip(plan.padded, packed.shape, strict=True))
        packed = cv2.copyMakeBorder(packed, 0, below, 0, beside, cv2.BORDER_CONSTANT)
    # Telling OpenCV that the rows added are zero would keep it from its fastest transform.
    packed = cv2.dft(packed, dst=packed)
    packed *= packed

    sides = packed[:, [0, -1]]
    sides[[0, -1]] *= 0.5  # f = 0 and the Nyquist limits have no twin
    packed[:, [0, -1]] = 0.0
    # Rows k and n − k have the same frequencies: their sum halves what is left to do.
    packed[1 : rows // 2] += packed[: rows // 2 : -1]
    runs = np.add.reduceat(packed[: rows // 2 + 1].ravel(), plan.run_starts)
    power: NDArray[np.float64] = np.zeros(n_rings)
    power += np.bincount(plan.run_rings, weights=runs, minlength=n_rings)
    power += np.bincount(plan.side_rings, weights=sides.ravel(), minlength=n_rings)
    power *= 2.0
    power[0] = float(mean * plan.window_sum) ** 2
    return plan.ring_edges, power, plan.ring_sizes


def power_law(
    edges: NDArray[np.float64],
    density: NDArray[np.float64],
    frequencies: tuple[float, float],
) -> tuple[float, float]:
    """Slope and R² of the least-squares line of ln density on ln f, over rings within a range.

    Rings are 1/8 octave wide, so each octave weighs the same.
    """
    low, high = frequencies
    inside = _within(edges, low, high) & (density > 0)
    x = 0.5 * np.log(edges[:-1][inside] * edges[1:][inside])
    y = np.log(density[inside])
    x, y = x - x.mean(), y - y.mean()
    slope = float(x @ y / (x @ x))
    spread = float(y @ y)
    return slope, 1.0 - float(((y - slope * x) ** 2).sum()) / spread if spread > 0 else 1.0


def haar_energies(plane: NDArray[np.float32]) -> NDArray[np.float64]:
    """Energy per pixel of the three detail sub-bands together, at each level of a Haar transform.

    For an orthonormal transform it is the mean square of a level less that of the next, which
    is made of means of 2 x 2 pixels. Sides are cut to multiples of 8: at the bottom, and left
    and right alike, for an odd excess once each way, so that a mirrored photo has the same energy.
    """
    height, width = plane.shape
    coarsest = HAAR_SIZES[-1]
    excess = width % coarsest
    sides = {excess // 2, excess - excess // 2}
    energies = np.zeros(len(HAAR_SIZES))
    for left in sides:
        level = plane[: height - height % coarsest, left : width - excess + left]
        energy = _mean_square(level)
        for k in range(len(HAAR_SIZES)):
            half = (level.shape[1] // 2, level.shape[0] // 2)
            level = cv2.resize(level, half, interpolation=cv2.INTER_AREA)
            coarser = _mean_square(level)
            energies[k] += (energy - coarser) / len(sides)
            energy = coarser
    return energies


def _mean_square(plane: NDArray[np.float32]) -> float:
    return float(cv2.norm(plane, cv2.NORM_L2SQR)) / plane.size


FAMILY = FeatureFamily(
    "frequency",
    2,
    (
        Feature("spectral_slope", "1", "slope of ln P on ln f, 1/64 to 1/8 px-1", 0, FIELD),
        Feature("spectral_slope_fit_r2", "1", "R² of that fit", 0, FIELD, (0, 1)),
        Feature("spectral_slope_fine", "1", "slope of ln P on ln f, 1/8 to 1/2 px-1", 0, FIELD),
        *(
            Feature(
                f"spectral_share_{short}_{long}px",
                "1",
                f"share of the power at wavelengths of {short} to {long} px",
                0,
                FIELD,
                (0, 1),
            )
            for short, long in OCTAVES
        ),
        Feature("high_frequency_ratio", "1", "share of the power above 0.2 px-1", 0, FIELD, (0, 1)),
        *(
            Feature(
                f"haar_energy_{size}px",
                "1",
                f"Haar detail energy of {size} px blocks over squared mean luminance",
                -1,
                MALLAT,
                (0, math.inf),
            )
            for size in HAAR_SIZES
        ),
        Feature(
            "haar_ratio_2px_4px", "1", "ln of 2 px over 4 px detail energy", 0, MALLAT, (-35, 35)
        ),
        Feature(
            "haar_ratio_4px_8px", "1", "ln of 4 px over 8 px detail energy", 0, MALLAT, (-35, 35)
        ),
    ),
)


def frequency_features(light: Light, geometry: PictureGeometry) -> dict[str, float]:
    """The features of FAMILY. They read the whole photo; one of a single tone is all nan."""
    del geometry
    return luminance_frequencies(light.luminance_code)


def luminance_frequencies(
    luminance: NDArray[np.uint16] | NDArray[np.float32],
) -> dict[str, float]:
    """The features of FAMILY of a plane (H, W) of linear light in any unit: all are ratios."""
    # Around its mean, the plane keeps the digits that the small energies are made of.
    mean = cv2.mean(luminance)[0]
    centred = cv2.subtract(luminance, mean, dtype=cv2.CV_32F)
    if _mean_square(centred) <= FLAT * mean**2:
        return dict.fromkeys(FAMILY.names, float("nan"))
    edges, power, sizes = radial_spectrum(centred)
    density = power / np.maximum(sizes, 1.0)
    slope, fit = power_law(edges, density, SLOPE_RANGE)
    fine_slope, _ = power_law(edges, density, FINE_SLOPE_RANGE)

    share = power / power[1:].sum()
    octaves = [share[_within(edges, 1 / long, 1 / short)].sum() for short, long in OCTAVES]
    high = share[_within(edges, HIGH_FREQUENCY, 1.0)].sum()

    energies = np.maximum(haar_energies(centred) / mean**2, TINY)
    ratios = np.log(energies[:-1] / energies[1:])
    values = [slope, fit, fine_slope, *octaves, high, *energies, *ratios]
    return dict(zip(FAMILY.names, map(float, values), strict=True))


def _within(edges: NDArray[np.float64], low: float, high: float) -> NDArray[np.bool_]:
    # The bounds are ring edges themselves, up to rounding.
    inside: NDArray[np.bool_] = (edges[:-1] > low * 0.999) & (edges[1:] < high * 1.001)
    return inside
