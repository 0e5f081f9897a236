"""How far a photo lies from what the models were fitted on, in a few physical dimensions.

In dimension j a value x lies z_j = |x − centre_j| / spread_j from the usual one, with a spread of
its own below and above. The distance is their root mean square over the dimensions that are known:

    distance = √(mean_j z_j²)
    widening = min(max(distance / reach, 1), 3)

Not a distance in learned features, nor over all features: both call every new place strange.
`reach` is how far whole sites lie that were held out, so that one more of their kind is not.
Beyond it the interval widens with the distance, which is modelled: what conformal prediction
guarantees, it guarantees for photos like those that it was calibrated with.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.errors import ArtifactError

__all__ = ["DIMENSIONS", "SPREADS_TO_95", "WIDEST", "ApplicabilityDomain", "UsualRange"]

# An interval of ln PM2.5 three times as wide says about as much as no photo at all.
WIDEST = 3.0
# Standard deviations of a normal law from its median to its 95 % quantile.
SPREADS_TO_95 = 1.645
# One dimension that is as far off as this cannot be made worse; keeps the squares finite.
_FARTHEST = 1e3


def _as_it_is(value: float) -> float:
    return value


# What a user can see or change: how bright, how much sky, how much air, how much is to be seen,
# and what the camera made of it. Words for it, unit, and the scale on which it is told.
DIMENSIONS: Mapping[str, tuple[str, str, Callable[[float], float]]] = {
    "lightness_mean": ("mean lightness", " L*", _as_it_is),
    "sky_fraction": ("share of sky", " %", lambda value: 100.0 * value),
    "deep_log_optical_depth_far": ("optical depth of the far things", "", math.exp),
    "far_near_contrast_log_ratio": ("contrast of far over near things", "", math.exp),
    "picture_detail_log": ("detail (step of lightness over 8 px)", " codes", math.exp),
    "spectral_slope": ("slope of the spectrum (coarse to fine)", "", _as_it_is),
    "picture_saturation_mean": ("mean saturation", " %", lambda value: 100.0 * value),
    "grey_world_red_log_gain": ("mean red over green", "", math.exp),
    "grey_world_blue_log_gain": ("mean blue over green", "", math.exp),
}


@dataclass(frozen=True)
class UsualRange:
    """The usual value of the feature `name`, and its spread (> 0) on either side, in its unit."""

    name: str
    centre: float
    below: float
    above: float

    def told(self, value: float) -> str:
        """`value` beside the range of nine photos in ten, in words and units."""
        words, unit, scale = DIMENSIONS[self.name]
        low = self.centre - SPREADS_TO_95 * self.below
        high = self.centre + SPREADS_TO_95 * self.above
        return (
            f"{words} {scale(value):.2g}{unit}; "
            f"nine in ten training photos have {scale(low):.2g} to {scale(high):.2g}{unit}"
        )


@dataclass(frozen=True)
class ApplicabilityDomain:
    """dimensions: usual ranges, at least one; reach [1], > 0: how far held-out sites lie."""

    dimensions: tuple[UsualRange, ...]
    reach: float

    def distance(self, X: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
        """Distance (n,) [1] ≥ 0 of rows X (n, F) of the features `names`.

        Unknown values are left out; 0 where nothing is known: that is no evidence of strangeness.
        """
        z = self._standardised(X, names)
        known = np.isfinite(z)
        squares = np.where(known, z, 0.0) ** 2
        return np.asarray(np.sqrt(squares.sum(axis=1) / np.maximum(known.sum(axis=1), 1)))

    def widening(self, X: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
        """Factor (n,) [1] on sigma [ln ug m-3]: 1 within reach, then in proportion, 3 at most."""
        return np.asarray(np.clip(self.distance(X, names) / self.reach, 1.0, WIDEST))

    def score(self, distance: float) -> float:
        """reach / max(reach, distance) [0..1]: 1 within reach, half of it at twice the reach."""
        return self.reach / max(self.reach, distance)

    def furthest(self, features: Mapping[str, float]) -> str:
        """The known dimension in which `features` lie furthest out, with value and usual range.

        Empty where no dimension is known.
        """
        names = [usual.name for usual in self.dimensions]
        row = np.array([[features.get(name, math.nan) for name in names]])
        z = self._standardised(row, names)[0]
        if not np.isfinite(z).any():
            return ""
        usual = self.dimensions[int(np.nanargmax(z))]
        return usual.told(features[usual.name])

    def save(self, path: Path) -> None:
        """Write as JSON; same domain, same bytes."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ApplicabilityDomain:
        """Read what `save` wrote. Raises ArtifactError when it is missing or damaged."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            domain = cls(
                tuple(
                    UsualRange(
                        str(entry["name"]),
                        float(entry["centre"]),
                        float(entry["below"]),
                        float(entry["above"]),
                    )
                    for entry in content["dimensions"]
                ),
                float(content["reach"]),
            )
            domain._check()
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                "applicability_domain_unreadable",
                f"{path.name} does not hold an applicability domain: {error}.",
                "Train again, or fetch the archive again.",
            ) from error
        return domain

    def _check(self) -> None:
        spreads = [spread for usual in self.dimensions for spread in (usual.below, usual.above)]
        centres = [usual.centre for usual in self.dimensions]
        if not np.isfinite([self.reach, *spreads, *centres]).all():
            raise ValueError("numbers that are not finite")
        if min([self.reach, *spreads]) <= 0.0:
            raise ValueError("a reach or a spread that is not > 0")
        unknown = [usual.name for usual in self.dimensions if usual.name not in DIMENSIONS]
        if unknown:
            raise ValueError(f"unknown dimensions {unknown}")

    def _standardised(self, X: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
        """z (n, k) ≥ 0 of each dimension, nan where unknown."""
        position = {name: i for i, name in enumerate(names)}
        columns = [position.get(usual.name, -1) for usual in self.dimensions]
        absent = np.array(columns) < 0
        values = X[:, columns] if len(names) else np.full((len(X), len(columns)), np.nan)
        values = np.where(absent | ~np.isfinite(values), np.nan, values)
        centre = np.array([usual.centre for usual in self.dimensions])
        below = np.array([usual.below for usual in self.dimensions])
        above = np.array([usual.above for usual in self.dimensions])
        # Cut before the subtraction: no finite number may overflow.
        values = np.maximum(values, centre - _FARTHEST * below)
        off = np.minimum(values, centre + _FARTHEST * above) - centre
        return np.asarray(np.maximum(off / above, -off / below))
