"""The physics path: a line from what haze does to a picture to ln PM2.5, without an upper end.

    ln PM2.5 = intercept + Σ_j w_j z_j

Trees answer with what they have seen; beyond it they fall back to their last leaf. This member
goes on: a white-out beyond the training range is estimated beyond the training range. Its weights
come from Koschmieder haze added to photos as much as from labels (`training/physics_path.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.errors import ArtifactError

__all__ = ["PhysicsPath"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PhysicsPath:
    """weights (k,) [ln ug m-3] per standard deviation of a feature; intercept [ln ug m-3]."""

    weights: FloatArray
    intercept: float

    def predict(self, X: FloatArray) -> FloatArray:
        """ln PM2.5 (n,) [ln ug m-3] of standardised rows X (n, k)."""
        # A sum over the short axis, not BLAS: the same to the bit in a batch and alone.
        return np.asarray(self.intercept + (X * self.weights).sum(axis=1))

    def contributions(self, x: FloatArray, usual: FloatArray) -> FloatArray:
        """What each feature of row x (k,) adds to the answer to `usual` (k,) [ln ug m-3]: of a line
        these are its Shapley values.
        """
        return self.weights * (x - usual)

    def save(self, path: Path) -> None:
        """Write as JSON; same path, same bytes."""
        content = {"weights": self.weights.tolist(), "intercept": self.intercept}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> PhysicsPath:
        """Read what `save` wrote. Raises ArtifactError when it is missing or damaged."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            weights = np.array(content["weights"], dtype=np.float64)
            intercept = float(content["intercept"])
            if weights.ndim != 1 or not np.isfinite([*weights, intercept]).all():
                raise ValueError("weights that are no finite numbers")
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                "physics_path_unreadable",
                f"{path.name} does not hold a physics path: {error}.",
                "Train again, or fetch the archive again.",
            ) from error
        return cls(weights, intercept)
