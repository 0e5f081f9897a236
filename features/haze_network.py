"""Transmission of the air as a small network reads it: what lies behind the deep features.

The network was taught by physics alone (`training/haze_teacher.py`): pictures with Koschmieder
haze of known transmission, t = exp(−β·d), added in linear light to rendered scenes. It has seen no
photograph and no PM2.5. It looks at the photo through a window of 54 × 54 of its 160 × 112
pixels and says for each cell of 8 × 8 how much of the light there comes from the ground and how
much from the air before it: too narrow to recognise a place, wide enough for what haze does to
shadows, contrast and colour.

    photo ─ one sharpness, one exposure → picture (112, 160, 3)
    ─ 5 convolutions, ReLU → u = ln(0.1 + optical depth), g = is ground

The network was taught pictures of many exposures, and is shown photos at one: the brightest 30 %
of the pixels turn white, and where there is much sky all of it but a fifth of the picture. A photo
that was exposed too long has lost its sky first: what is read is what both show.

It is shown them at one sharpness besides. What is enlarged from few pixels is soft, and softness
looks like haze: a pixel that is p wide here spreads light with a variance of p²/4 (its square has
p²/12, bilinear interpolation p²/6 on average). A kernel of three adds what is missing to 1/2 px²,
which a photo of 113 px across has by itself.

Kernels are mirror-symmetric, so a mirrored picture gives the mirrored map. Weights, and what one
layer hands to the next, are whole numbers so small that float32 sums their products without
rounding: in any order, with any library, on any processor the map is the same to the last bit
(the logistic function of g aside). So a convolution is free to be one product of matrices, which
for layers as small as these takes two thirds of the time of torch's own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from features.errors import ArtifactError
from features.light import SRGB_TO_LINEAR, Light, srgb_of

WEIGHTS = Path(__file__).parent / "weights" / "deep.safetensors"
PICTURE_WIDTH, PICTURE_HEIGHT = 160, 112  # px; every photo is stretched to this
CELL = 8  # px of that picture
# This share of that picture's pixels turns white in some channel, or that of the sky but for the
# second number, unless light would have to be multiplied by more: night, where gain shows noise.
_WHITE, _SKY_KEPT, _MOST_GAIN = 0.3, 0.2, 8.0
_SPREAD = 0.5  # of the light that is shown [px²]
_SPREAD_OF_A_PIXEL = 1 / 4  # of one that was enlarged, in squares of its width
STRIDES = (2, 2, 2, 1, 1)
LARGEST_PIXEL, LARGEST_CODE = 255, 1023  # of the picture, and of what a layer hands to the next
LARGEST_EXACT = 2**24  # float32 counts to here without a gap
DEPTH_FLOOR = 0.1  # below this optical depth nothing is seen in one photo
LOWEST_TRANSMISSION = 2e-3
LOG_DEPTHS = (float(np.log(DEPTH_FLOOR / 2)), float(np.log(20.0)))  # what u is held between


@dataclass(frozen=True)
class TransmissionMap:
    """What the network sees in one photo; each (14, 20), one value for a cell of 8 × 8 pixels.

    log_optical_depth   ln(0.1 + β·d) of the ground, or of the sky where there is more of it
    ground              how sure it is that the cell is not sky [0..1]
    """

    log_optical_depth: NDArray[np.float32]
    ground: NDArray[np.float32]


def log_optical_depth(transmission: NDArray[np.floating]) -> NDArray[np.floating]:
    """u = ln(0.1 − ln t), what the network is taught; t [0..1] is held above 0.002."""
    depth = -np.log(np.maximum(transmission, LOWEST_TRANSMISSION))
    return np.asarray(np.log(DEPTH_FLOOR + depth))


def weights_digest(path: Path = WEIGHTS) -> str:
    """SHA-256 of the file of weights, hexadecimal; empty when there is none yet."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@dataclass(frozen=True)
class _Layer:
    """A convolution of whole numbers, as a product of matrices; all are float32.

    weight  (k · k · n_in, n_out)
    bias    (columns · n_out,) what is added to each row of sums
    scale   (columns · n_out,) what turns such a row into codes for the next layer
    kernel  k
    stride  in cells of the layer before
    shape   rows, columns and n_out of what it gives
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    scale: NDArray[np.float32]
    kernel: int
    stride: int
    shape: tuple[int, int, int]

    @classmethod
    def read(
        cls, tensors: dict[str, NDArray[np.generic]], number: int, size: tuple[int, int]
    ) -> _Layer:
        """Layer `number` of a file, for `size` rows and columns of what it is given.

        Raises ValueError when its sums could leave exactness, or its windows the border of zeros,
        which all layers but the last are given.
        """
        weight, bias, scale = (tensors[f"{number}.{part}"] for part in ("weight", "bias", "scale"))
        highest = LARGEST_PIXEL if number == 0 else LARGEST_CODE
        largest = np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3)) * highest
        if (largest + np.abs(bias.astype(np.int64)) >= LARGEST_EXACT).any():
            raise ValueError(f"layer {number} can exceed {LARGEST_EXACT}")
        n_out, _, kernel, across = weight.shape
        last = number == len(STRIDES)
        if kernel != across or (kernel == 1) != last or kernel > min(size):
            raise ValueError(f"layer {number} has kernels of {kernel} × {across}")
        stride = (*STRIDES, 1)[number]
        rows, columns = ((side + 2 * (not last) - kernel) // stride + 1 for side in size)
        return cls(
            np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(-1, n_out), np.float32),
            np.tile(bias.astype(np.float32), columns),
            np.tile(scale.astype(np.float32), columns),
            kernel,
            stride,
            (rows, columns, n_out),
        )

    def scaled(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(rows, columns · n_out) scaled sums of x, (…, …, n_in) with its border of zeros."""
        rows, columns, _ = self.shape
        down, across, code = x.strides
        windows = as_strided(
            x,
            (rows, columns, self.kernel, self.kernel * x.shape[2]),
            (self.stride * down, self.stride * across, down, code),
            writeable=False,
        )
        sums = windows.reshape(rows * columns, -1) @ self.weight
        sums = sums.reshape(rows, -1)
        sums += self.bias
        sums *= self.scale
        return sums

    def codes(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the next layer is given of x: whole numbers, with their border of zeros."""
        sums = self.scaled(x)
        rows, columns, n_out = self.shape
        codes = np.zeros((rows + 2, columns + 2, n_out), np.float32)
        np.rint(sums, out=sums)
        np.clip(sums.reshape(self.shape), 0, LARGEST_CODE, out=codes[1:-1, 1:-1])
        return codes


class HazeNetwork:
    """The network of a file of weights. Deterministic; safe to share.

    Raises ArtifactError deep_weights_unreadable when the file holds no such network.
    """

    def __init__(self, weights: Path = WEIGHTS) -> None:
        try:
            tensors = load(weights.read_bytes())
            size = PICTURE_HEIGHT, PICTURE_WIDTH
            self._layers: list[_Layer] = []
            for number in range(len(STRIDES) + 1):
                self._layers.append(_Layer.read(tensors, number, size))
                size = self._layers[-1].shape[:2]
            self.map(np.zeros((PICTURE_HEIGHT, PICTURE_WIDTH, 3), np.uint8))
        except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise ArtifactError(
                "deep_weights_unreadable",
                f"{weights.name} does not hold the deep network: {error}.",
                "Fetch the file again, or write it with `make train-deep`.",
            ) from error

    def see(self, light: Light, sky: float) -> TransmissionMap:
        """What the network sees in a photo, of which `sky` lies above the skyline [0..1]."""
        return self.map(network_picture(light, sky))

    def map(self, picture: NDArray[np.uint8]) -> TransmissionMap:
        """What the network sees in a picture (112, 160, 3) uint8, sRGB in RGB order."""
        x = np.zeros((PICTURE_HEIGHT + 2, PICTURE_WIDTH + 2, 3), np.float32)
        x[1:-1, 1:-1] = picture
        for layer in self._layers[:-1]:
            x = layer.codes(x)
        head = self._layers[-1]
        depth, logit = np.moveaxis(head.scaled(x[1:-1, 1:-1]).reshape(head.shape), 2, 0).copy()
        np.clip(depth, *LOG_DEPTHS, out=depth)
        ground = 0.5 + 0.5 * np.tanh(0.5 * logit)  # the logistic function; cannot overflow
        return TransmissionMap(depth, ground)


def network_picture(light: Light, sky: float) -> NDArray[np.uint8]:
    """The photo (112, 160, 3) uint8 as the network wants it: stretched, in one sharpness and light.

    sky  share of the picture that lies above the skyline [0..1]
    """
    height, width = light.srgb.shape[:2]
    picture = cv2.resize(light.quarter, (PICTURE_WIDTH, PICTURE_HEIGHT))
    across, down = (
        _kernel(light.enlargement * shown / side)
        for shown, side in ((PICTURE_WIDTH, width), (PICTURE_HEIGHT, height))
    )
    cv2.sepFilter2D(picture, -1, across, down, dst=picture)
    red, green, blue = cv2.split(picture)
    brightest = cv2.max(cv2.max(red, green), blue)
    below = np.cumsum(cv2.calcHist([brightest], [0], None, [256], [0, 256]))
    share = max(_WHITE, sky - _SKY_KEPT)
    white = int(np.searchsorted(below, (1 - share) * brightest.size))
    return np.asarray(cv2.LUT(picture, _CODES_BY_WHITE[white]), dtype=np.uint8)


def _kernel(pixel: float) -> NDArray[np.float64]:
    """(3,) what spreads light to _SPREAD where a pixel of the file is `pixel` wide [px]."""
    missing = max(_SPREAD - _SPREAD_OF_A_PIXEL * pixel**2, 0.0)
    return np.array([missing / 2, 1 - missing, missing / 2])


def _codes_by_white() -> NDArray[np.uint8]:
    """(256, 256): for each code that is to be white, the codes that all codes turn into."""
    white = np.maximum(SRGB_TO_LINEAR, 1 / _MOST_GAIN)[:, None]
    codes = np.rint(255 * srgb_of(np.minimum(SRGB_TO_LINEAR / white, 1)))
    return np.asarray(codes, dtype=np.uint8)


_CODES_BY_WHITE = _codes_by_white()
