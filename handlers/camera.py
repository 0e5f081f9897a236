"""What is known about one fixed camera: what its photos usually look like, and its usual dust.

Two cameras that look at the same air give different features: other distances, walls, lenses. So
photos of a known camera are judged by how they differ from that camera's usual photo, and what
is estimated is how PM2.5 differs from the usual PM2.5 in front of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.errors import ArtifactError

# Between the 5 % and the 95 % quantile of a normal law lie this many standard deviations.
NORMAL_SPAN = 3.29


@dataclass(frozen=True)
class CameraReference:
    """One camera's usual photo and usual dust.

    camera            the name that requests give
    content_hash      of the archive it was made for; empty inside that archive itself
    feature_set       hash of the features behind it
    quantiles         photo feature → its 5, 50 and 95 % quantiles over the camera's photos
    shift             ln of the usual PM2.5 [ln ug m-3]: the median over its sessions
    scale             [1], > 0: ln PM2.5 = shift + scale · (what the models say of the difference)
    n                 sessions behind it
    interval_factors  (below, above): how much wider (> 1) or narrower its interval is on each side
    """

    camera: str
    content_hash: str
    feature_set: str
    quantiles: Mapping[str, tuple[float, float, float]]
    shift: float
    scale: float
    n: int
    interval_factors: tuple[float, float]

    def relative(self, X: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
        """Rows (n, F) of features `names` as differences from the camera's usual photo.

        x → (x − q50) / ((q95 − q05) / 3.29), a robust standard score; features that the reference
        does not hold (sun, weather) stay as they are.
        """
        result = X.copy()
        for column, name in enumerate(names):
            if name in self.quantiles:
                low, middle, high = self.quantiles[name]
                spread = (high - low) / NORMAL_SPAN or 1.0
                result[:, column] = (X[:, column] - middle) / spread
        return result


def save_cameras(references: Mapping[str, CameraReference], path: Path) -> None:
    """Write references as JSON, by camera."""
    content = {name: asdict(references[name]) for name in sorted(references)}
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def load_cameras(path: Path) -> dict[str, CameraReference]:
    """Read what `save_cameras` wrote. Raises ArtifactError when it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: CameraReference(
                **{
                    **entry,
                    "quantiles": {k: tuple(v) for k, v in entry["quantiles"].items()},
                    "interval_factors": tuple(entry["interval_factors"]),
                }
            )
            for name, entry in content.items()
        }
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            "broken_cameras",
            f"{path.name} does not hold camera references: {error}.",
            "Package the archive again from its training run.",
        ) from error
