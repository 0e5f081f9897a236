"""From named features to what the learners see: impute → standardise → select.

The object is fitted once, in training, and travels in the archive as JSON: training and
serving run the very same numbers through the very same code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.errors import ArtifactError

# A standardised value further out than this says 'unlike anything in training' and no more:
# without a bound, one wild feature of a strange photo would carry a linear model anywhere.
Z_LIMIT = 5.0


@dataclass(frozen=True)
class FeaturePipeline:
    """Imputation, standardisation and selection, fitted.

    names      the F input features, in order
    fill       (F,) what stands in for an unknown value: the training median
    mean, sd   (F,) of the imputed training rows; sd is 1 where a feature is constant
    selected   (k,) indices into names of the features that the learners see
    """

    names: tuple[str, ...]
    fill: NDArray[np.float64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    selected: NDArray[np.int64]

    @property
    def selected_names(self) -> tuple[str, ...]:
        return tuple(self.names[i] for i in self.selected)

    def transform(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows (n, F) with nan for unknown → standardised, selected rows (n, k), within ±5."""
        if X.ndim != 2 or X.shape[1] != len(self.names):
            raise ValueError(
                f"Got rows of shape {X.shape}; this pipeline takes (n, {len(self.names)})."
            )
        chosen = X[:, self.selected]
        imputed = np.where(np.isfinite(chosen), chosen, self.fill[self.selected])
        z = (imputed - self.mean[self.selected]) / self.sd[self.selected]
        return np.clip(z, -Z_LIMIT, Z_LIMIT)

    def save(self, path: Path) -> None:
        path.write_text(
            json.dumps(
                {
                    "names": list(self.names),
                    "fill": self.fill.tolist(),
                    "mean": self.mean.tolist(),
                    "sd": self.sd.tolist(),
                    "selected": self.selected.tolist(),
                },
                indent=1,
            ),
            encoding="utf-8",
        )

    @classmethod
    def load(cls, path: Path) -> FeaturePipeline:
        """Read what `save` wrote. Raises ArtifactError when it is missing or damaged."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            names = tuple(content["names"])
            fill, mean, sd = (np.array(content[key], np.float64) for key in ("fill", "mean", "sd"))
            selected = np.array(content["selected"], dtype=np.int64)
            if not fill.shape == mean.shape == sd.shape == (len(names),):
                raise ValueError(f"columns that do not fit its {len(names)} names")
            if not (np.all(np.isfinite([fill, mean, sd])) and np.all(sd > 0)):
                raise ValueError("values that cannot standardise anything")
            if not np.all((selected >= 0) & (selected < len(names))):
                raise ValueError("a selected feature that it does not have")
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                "broken_pipeline",
                f"{path.name} is not a feature pipeline: {error}.",
                "Package the archive again from its training run.",
            ) from error
        return cls(names, fill, mean, sd, selected)


def as_matrix(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> NDArray[np.float64]:
    """Named rows as a matrix (n, F) in the order of `names`; a missing name is nan."""
    unknown = repeat(math.nan)
    return np.array([list(map(row.get, names, unknown)) for row in rows], dtype=np.float64).reshape(
        len(rows), len(names)
    )
