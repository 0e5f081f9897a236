"""A perceptual hash: near-copies of a photo have nearly the same one, other photos have not.

Two parts, both of a picture's lightness L* shrunk by area:

    structure  dHash [128 bits]: 8 × 8 signs of the step to the right, and 8 × 8 of the step down
    lightness  16 × 16 means in codes of L* × 2.55 [0..255]

Structure alone is not enough where a camera hangs still: its photos of other days differ in less
than a re-encoded copy does (docs/LOG.md). Haze, clouds and the sun leave the signs alone and change
the lightness; a copy changes neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

METHOD = "dhash 8x8 twice, lightness 16x16, v1"  # changes with every change of the values
# Copies of the 1,860 real photos at JPEG quality 60, and at half size, stay within both for 99 %.
# Photos of different sessions that are no copies are at least 1.36 codes apart where the camera
# hangs still, and 2.16 where it is held by hand.
LARGEST_HAMMING = 12  # of 128 bits
LARGEST_LIGHTNESS_CHANGE = 1.0  # mean |difference| [codes of 255]
_SIDE, _GRID = 8, 16
_BITS = 2 * _SIDE * _SIDE // 8  # [bytes]


def picture_hash(grey: NDArray[np.uint8]) -> bytes:
    """The hash of a picture whose lightness is `grey` (H, W), L* × 2.55: 16 + 256 bytes."""
    across = _shrunk(grey, _SIDE + 1, _SIDE)
    down = _shrunk(grey, _SIDE, _SIDE + 1)
    signs = np.concatenate(
        [(across[:, 1:] > across[:, :-1]).ravel(), (down[1:] > down[:-1]).ravel()]
    )
    return np.packbits(signs).tobytes() + _shrunk(grey, _GRID, _GRID).tobytes()


def near_copies(hashes: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Every pair i < j of near-copies among n hashes.

    Two pictures cannot be closer in lightness than their means are, so that each is compared only
    with those of nearly its own mean: 100,000 take seconds to minutes, not hours.
    """
    if not hashes:
        return
    table = np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(len(hashes), -1)
    lightness = table[:, _BITS:].astype(np.int16)
    bits = np.ascontiguousarray(table[:, :_BITS]).view(np.uint64)
    means = lightness.mean(axis=1)
    order = np.argsort(means, kind="stable")
    ends = np.searchsorted(means[order], means[order] + LARGEST_LIGHTNESS_CHANGE, side="right")
    for place, (one, end) in enumerate(zip(order, ends, strict=True)):
        others = order[place + 1 : end]
        apart = np.bitwise_count(bits[others] ^ bits[one]).sum(axis=1)
        others = others[apart <= LARGEST_HAMMING]
        change = np.abs(lightness[others] - lightness[one]).mean(axis=1)
        for other in others[change <= LARGEST_LIGHTNESS_CHANGE]:
            yield int(min(one, other)), int(max(one, other))


def _shrunk(grey: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    shrunk = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, dtype=np.uint8)
