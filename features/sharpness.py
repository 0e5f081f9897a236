"""Sharpness: whether near things are in focus, held still, and as fine as the file's size says.

Haze softens what is far and lowers every contrast. So nothing here rests on contrast itself:
everything is a ratio, of which haze lowers both sides alike, of the busiest parts of the lower
half, where things are near.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from features.capture import Capture
from features.finding import Check, Finding

REBLUR_RATIO = 0.455  # good photos, in any haze, up to 0.44; Gaussians of 2.5 px from 0.47
SHAKEN_RATIO, SHAKEN_ANISOTROPY = 0.30, 1.65  # of one direction; over that of the other
FINE_DETAIL = 0.12  # webcam photos by day 0.38..0.57, by night from 0.27; reduced to 360 px and
# enlarged again 0.14..0.16, to 225 px 0.10..0.14; rendered scenes of many cameras 0.12..0.65
_REBLUR_TAPS, _TILE = 9, 40  # [px]
_LINE_STEP, _LINES = 4, 20  # every so many rows or columns, and how many of them make a tile
_SHARPEST_SHARE, _BUSY_SHARE = 0.10, 0.25  # of the tiles
_PROFILE_ROW_STEP = 4


def blur(lower: NDArray[np.uint8]) -> Check:
    """How little a second blur changes the busiest tenth of the tiles; the worse direction.

    1 - sum max(0, |dI| - |dB|) / sum |dI| [0..1], B being I after a mean of 9 px along the
    direction (Crete 2007, 10.1117/12.702790). A uniform veil scales both differences alike. From
    row to row a veil also grows, slowly, and with it each row's mean, which is taken off first.
    A camera that moved leaves one direction blurred and the other as it was: over the busiest
    quarter of the tiles, the larger ratio over the smaller.
    """
    across = _reblur_ratios(lower[::_LINE_STEP], axis=1)
    down = _reblur_ratios(_without_row_means(lower[:, ::_LINE_STEP]), axis=0)
    ratio = max(across[0], down[0])
    worse, better = max(across[1], down[1]), min(across[1], down[1])
    shaken = min(worse / SHAKEN_RATIO, worse / max(better, 1e-3) / SHAKEN_ANISOTROPY)
    return Check(
        max(ratio / REBLUR_RATIO, shaken),
        Finding(
            "blurred",
            "warning",
            f"Near things are blurred: blurring them again leaves {max(ratio, worse):.0%} of their "
            "edges.",
            "Hold the camera still, clean the lens, and focus on something far.",
        ),
    )


def upscaled(lower: NDArray[np.uint8], capture: Capture) -> Check:
    """Energy at wavelengths of 2 px over that at 4 px, in the busiest quarter of the tiles.

    Σ (2 I(x) − I(x−1) − I(x+1))² / Σ (2 I(x) − I(x−2) − I(x+2))² along rows: a uniform veil scales
    both alike, and a picture that was enlarged has nothing at 2 px.
    """
    rows = lower[::_PROFILE_ROW_STEP].astype(np.int16)
    twice = rows[:, 2:-2] * np.int16(2)
    fine = _segment_energies(twice - rows[:, 1:-3] - rows[:, 3:-1])
    coarse = _segment_energies(twice - rows[:, :-4] - rows[:, 4:])
    busiest = np.argsort(coarse, kind="stable")[-max(1, round(_BUSY_SHARE * coarse.size)) :]
    ratio = float(fine[busiest].sum()) / max(float(coarse[busiest].sum()), 1.0)
    return Check(
        FINE_DETAIL / max(ratio, 1e-3) if coarse.any() else 0.0,
        Finding(
            "upscaled",
            "warning",
            f"The photo has {capture.width} × {capture.height} pixels, but the detail of a much "
            "smaller one.",
            "Send the original photo, not an enlarged preview.",
        ),
    )


def _segment_energies(profile: NDArray[np.int16]) -> NDArray[np.float64]:
    """Sums of squares over pieces of 40 px of each row; the rest is left out."""
    width = min(profile.shape[1], _TILE)
    whole = profile[:, : profile.shape[1] // width * width].reshape(-1, width).astype(np.float32)
    energies: NDArray[np.float64] = np.einsum("ij,ij->i", whole, whole).astype(np.float64)
    return energies


def _without_row_means(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The plane around code 128."""
    means = cv2.reduce(plane, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)
    shift = (128 - np.rint(means)).astype(np.int16)
    return np.asarray(np.clip(plane + shift, 0, 255), dtype=np.uint8)


def _reblur_ratios(plane: NDArray[np.uint8], axis: int) -> tuple[float, float]:
    """Of the busiest tenth and of the busiest quarter of the tiles."""
    again = cv2.blur(plane, (1, _REBLUR_TAPS) if axis == 0 else (_REBLUR_TAPS, 1))
    edges = _steps(plane, axis)
    lost = cv2.subtract(edges, _steps(again, axis))
    tile = (_TILE, _LINES) if axis == 0 else (_LINES, _TILE)
    energy, loss = _tile_sums(edges, tile), _tile_sums(lost, tile)
    order = np.argsort(energy, kind="stable")
    sharpest, busy = (
        order[-max(1, round(share * energy.size)) :] for share in (_SHARPEST_SHARE, _BUSY_SHARE)
    )
    return _kept(energy[sharpest], loss[sharpest]), _kept(energy[busy], loss[busy])


def _kept(energy: NDArray[np.int64], loss: NDArray[np.int64]) -> float:
    return 1 - float(loss.sum()) / max(float(energy.sum()), 1.0)


def _steps(plane: NDArray[np.uint8], axis: int) -> Any:
    """Differences between neighbours along `axis`."""
    if axis == 0:
        return cv2.absdiff(plane[1:], plane[:-1])
    return cv2.absdiff(plane[:, 1:], plane[:, :-1])


def _tile_sums(plane: Any, tile: tuple[int, int]) -> NDArray[np.int64]:
    """Sums over tiles of that size, or of the whole where it is smaller; the rest is left out."""
    height, width = (min(sides) for sides in zip(plane.shape, tile, strict=True))
    corners = cv2.integral(plane)[::height, ::width]
    across = corners[:, 1:] - corners[:, :-1]
    return np.asarray(across[1:] - across[:-1], dtype=np.int64).ravel()
