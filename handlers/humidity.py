"""Humid air: the same dry dust takes more light away, so that the same picture means less of it.

    ln PM2.5 = (what the models say of the light that is lost) − γ (ln f(RH) − ln f₀)

f(RH) is the growth of extinction with humidity (`features/meteorology.py`), f₀ its usual value
where the models were trained, γ in [0, 1] the share of the growth that shows: 1 if all dust took
up water. Applied outside the models, so that rising humidity can never raise an estimate. Where
humidity is unknown it is taken to be usual.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.errors import ArtifactError

GROWTH = "humidity_growth"


@dataclass(frozen=True)
class HumidityCorrection:
    """exponent: γ [1], in [0, 1]; usual: ln f₀ [1]."""

    exponent: float
    usual: float

    def growth(self, X: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
        """γ (ln f − ln f₀) of rows X (n, F) of the features `names` (n,); 0 where f is unknown."""
        if self.exponent == 0 or GROWTH not in names:
            return np.zeros(len(X))
        f = X[:, list(names).index(GROWTH)]
        known = np.isfinite(f)
        ln_f = np.log(np.maximum(np.where(known, f, 1.0), 1.0))
        return np.where(known, self.exponent * (ln_f - self.usual), 0.0)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> HumidityCorrection:
        """Read what `save` wrote. Raises ArtifactError when it is missing or damaged."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            correction = cls(float(content["exponent"]), float(content["usual"]))
            if not 0 <= correction.exponent <= 1 or not np.isfinite(correction.usual):
                raise ValueError("numbers that no air has")
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                "humidity_unreadable",
                f"{path.name} does not hold a humidity correction: {error}.",
                "Train again, or fetch the archive again.",
            ) from error
        return correction
