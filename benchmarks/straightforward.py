"""The straightforward way from a photo to a number, FROZEN as the yardstick of `make bench`.

This is the first sketch of the project, written the way one writes it with the usual libraries:
decode the photo in full, take statistics of the lightness channel, a co-occurrence matrix with 256
grey levels at full resolution, a local binary pattern of 24 points at radius 3, a Fourier
spectrum, and run a small net with dropout a hundred times in a Python loop. Nothing in it is
slowed down on purpose, and the net is built once, outside the measured call.

Do not improve this file: it is what improvements are measured against. The weights are drawn from
a fixed seed and were never trained, so the returned number means nothing; only its cost does.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from torch import nn

GREY_LEVELS = 256
GLCM_ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
GLCM_PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "ASM")
LBP_POINTS, LBP_RADIUS = 24, 3
SPECTRUM_RINGS = 16
PASSES = 100


def lightness_statistics(lightness: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Moments, quantiles and entropy of L* as a code [0..255], shape (12,)."""
    values = lightness.astype(np.float64)
    mean, deviation = values.mean(), values.std() + 1e-12
    scaled = (values - mean) / deviation
    share = np.bincount(lightness.ravel(), minlength=GREY_LEVELS) / lightness.size
    entropy = -np.sum(share[share > 0] * np.log2(share[share > 0]))
    quantiles = np.quantile(values, (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99))
    moments = (mean, deviation, (scaled**3).mean(), (scaled**4).mean(), entropy)
    return np.concatenate((moments, quantiles))


def texture(lightness: NDArray[np.uint8]) -> NDArray[np.float64]:
    """GLCM properties (Haralick 1973) in four directions and the uniform LBP histogram (50,)."""
    matrix = graycomatrix(
        lightness,
        distances=[1],
        angles=GLCM_ANGLES,
        levels=GREY_LEVELS,
        symmetric=True,
        normed=True,
    )
    properties = [graycoprops(matrix, name).ravel() for name in GLCM_PROPERTIES]
    patterns = local_binary_pattern(lightness, LBP_POINTS, LBP_RADIUS, method="uniform")
    histogram, _ = np.histogram(
        patterns, bins=LBP_POINTS + 2, range=(0, LBP_POINTS + 2), density=True
    )
    return np.concatenate((*properties, histogram))


def spectrum(lightness: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean log power in rings of equal width around zero frequency, shape (16,)."""
    power = np.abs(np.fft.fftshift(np.fft.fft2(lightness.astype(np.float64)))) ** 2
    height, width = power.shape
    rows, columns = np.indices(power.shape)
    radius = np.hypot((rows - height // 2) / height, (columns - width // 2) / width)
    ring = np.minimum((radius * 2 * SPECTRUM_RINGS).astype(int), SPECTRUM_RINGS - 1).ravel()
    totals = np.bincount(ring, weights=np.log1p(power).ravel(), minlength=SPECTRUM_RINGS)
    return totals / np.maximum(np.bincount(ring, minlength=SPECTRUM_RINGS), 1)


@cache
def dropout_net(n_features: int) -> nn.Module:
    """A small net with dropout, in training mode so that each pass draws its own mask."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.LayerNorm(n_features),
        nn.Linear(n_features, 64),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(32, 1),
    ).train()


def straightforward_estimate(data: bytes) -> float:
    """A number from the bytes of a JPEG or PNG photo, the straightforward way.

    The median of 100 dropout passes (Gal & Ghahramani 2016, arXiv 1506.02142) over 78 features.
    FROZEN, see the module's docstring: the value is meaningless, its cost is the yardstick.
    Raises ValueError when the bytes are no picture that OpenCV can read.
    """
    picture = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("These bytes are no picture that OpenCV can read.")
    lightness: NDArray[np.uint8] = cv2.cvtColor(picture, cv2.COLOR_BGR2LAB)[:, :, 0]
    features = np.concatenate(
        (lightness_statistics(lightness), texture(lightness), spectrum(lightness))
    )
    inputs = torch.from_numpy(features.astype(np.float32))[None]
    net = dropout_net(features.size)
    with torch.no_grad():
        estimates = [net(inputs).item() for _ in range(PASSES)]
    return float(np.median(estimates))
