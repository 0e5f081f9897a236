"""A multilayer perceptron as plain arrays: ln PM2.5 from standardised features.

    h_0 = x,   h_i = tanh(h_{i-1} W_i + b_i),   ln PM2.5 = h_{L-1} W_L + b_L

tanh is bounded, so a photo far outside the training data cannot drive the answer to infinity.
It is fitted in `training/learners.py`; the pass here needs numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from features.errors import ArtifactError
from handlers.aumann_shapley import mean_slope

__all__ = ["Perceptron"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Perceptron:
    """Weights of a fitted perceptron.

    weights: one (n_in, n_out) matrix a layer, the last with n_out = 1 and in ln [ug m-3].
    biases: one (n_out,) vector a layer.
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]

    def predict(self, X: FloatArray) -> FloatArray:
        """ln PM2.5 [ln ug m-3] of each row of X (n, k); shape (n,)."""
        hidden = X
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = np.tanh(hidden @ weight + bias)
        return np.asarray((hidden @ self.weights[-1] + self.biases[-1])[:, 0])

    def contributions(self, x: FloatArray, usual: FloatArray) -> FloatArray:
        """What each feature of row x (k,) adds to the answer to `usual` (k,) [ln ug m-3]: Aumann–
        Shapley values of a network of one hidden layer, such as ours (handlers/aumann_shapley.py).
        """
        rows = np.stack([usual, x])
        slopes = []
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            before, after = entering = rows @ weight + bias
            slopes.append(mean_slope(before, after))
            rows = np.tanh(entering)
        steepness = self.weights[-1][:, 0]
        for weight, slope in zip(self.weights[-2::-1], slopes[::-1], strict=True):
            steepness = weight @ (slope * steepness)
        return np.asarray(steepness * (x - usual))

    def save(self, path: Path) -> None:
        """Write safetensors `weight_0, bias_0, weight_1, …`; same weights, same bytes."""
        tensors: dict[str, FloatArray] = {}
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            tensors[f"weight_{layer}"] = np.ascontiguousarray(weight)
            tensors[f"bias_{layer}"] = np.ascontiguousarray(bias)
        save_file(tensors, path)

    @classmethod
    def load(cls, path: Path) -> Perceptron:
        """Read what `save` wrote. Raises ArtifactError when the file is missing or damaged."""
        try:
            tensors = load_file(path)
            layers = range(len(tensors) // 2)
            weights = tuple(tensors[f"weight_{layer}"] for layer in layers)
            biases = tuple(tensors[f"bias_{layer}"] for layer in layers)
        except (OSError, KeyError, SafetensorError) as error:
            raise ArtifactError(
                "perceptron_unreadable",
                f"{path.name} is not a saved perceptron: {error}.",
                "Train again, or fetch the archive again.",
            ) from error
        return cls(weights=weights, biases=biases)
