"""How far a photo lies from what the models were fitted on, in a few physical dimensions.

In dimension j a value x lies z_j = |x − centre_j| / spread_j from the usual one, with a spread of
its own below and above. The distance is their root mean square over the dimensions that are known:

    distance = √(mean_j z_j²)
    widening = min(max(distance / reach, 1), 1.5)

Not a distance in learned features, nor over all features: both call every new place strange.
`reach` is how far whole sites lie that were held out, so that one more of their kind is not.
Beyond it the conformal guarantee is void, for it holds for photos like those it was calibrated
with. There the interval widens with the distance, which is caution and no guarantee either.
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
from features.pipeline import as_matrix

__all__ = [
    "DIMENSIONS",
    "SPREADS_TO_95",
    "WIDEST",
    "ApplicabilityDomain",
    "Dimension",
    "UsualRange",
]

# Labelled photos that were altered so that they lie beyond reach (filters, blur) were not estimated
# worse than others (docs/LOG.md): half as wide again is caution where no label can judge.
WIDEST = 1.5
# Standard deviations of a normal law from its median to its 95 % quantile.
SPREADS_TO_95 = 1.645
# One dimension that is as far off as this cannot be made worse; keeps the squares finite.
_FARTHEST = 1e3


@dataclass(frozen=True)
class Dimension:
    """How a dimension is told to a user: in words, on what scale, and what to do about it."""

    words: str
    unit: str
    scale: Callable[[float], float]
    how_to_fix: str


def _as_it_is(value: float) -> float:
    return value


def _factor(value: float) -> float:
    # Beyond it the exponential is no number; a detail has to be told all the same.
    return math.exp(min(value, 700.0))


def _percent(value: float) -> float:
    return 100.0 * value


_EXPOSE = "Take the photo by day, exposed for the scene as a whole."
_LEVEL = "Hold the camera level, with sky, ground and distant things in view."
_AS_TAKEN = "Send an outdoor photo as the camera took it: not enlarged, filtered or of a screen."
_COLOUR = "Take the photo outdoors, with automatic white balance and without a filter."
# What a user can see or change: how bright and how even, how much sky, how much air, how much is to
# be seen from coarse to fine, and what the camera made of the colours. Few of them move together.
DIMENSIONS: Mapping[str, Dimension] = {
    "lightness_mean": Dimension("mean lightness", " L*", _as_it_is, _EXPOSE),
    "lightness_sd": Dimension("spread of lightness", " L*", _as_it_is, _EXPOSE),
    "sky_fraction": Dimension("share of sky", " %", _percent, _LEVEL),
    "deep_log_optical_depth_far": Dimension(
        "optical depth of the air before far things", "", _factor, _LEVEL
    ),
    "spectral_slope": Dimension("spectral slope, coarse to middling", "", _as_it_is, _AS_TAKEN),
    "spectral_slope_fine": Dimension("spectral slope, middling to fine", "", _as_it_is, _AS_TAKEN),
    "picture_chroma_mean": Dimension("mean chroma", " C*", _as_it_is, _COLOUR),
    "grey_world_red_log_gain": Dimension("red over green of the ground", "", _factor, _COLOUR),
    "grey_world_blue_log_gain": Dimension("blue over green of the ground", "", _factor, _COLOUR),
}


@dataclass(frozen=True)
class UsualRange:
    """The usual value of the feature `name`, and its spread (> 0) on either side, in its unit."""

    name: str
    centre: float
    below: float
    above: float

    def told(self, value: float) -> tuple[str, str]:
        """`value` beside the range of nine photos in ten, in words and units; what to do."""
        dimension = DIMENSIONS[self.name]
        ends = self.centre - SPREADS_TO_95 * self.below, self.centre + SPREADS_TO_95 * self.above
        here, low, high = (f"{dimension.scale(x):.2g}" for x in (value, *ends))
        return (
            f"{dimension.words} {here}{dimension.unit}, usually {low} to {high}{dimension.unit}",
            dimension.how_to_fix,
        )


@dataclass(frozen=True)
class ApplicabilityDomain:
    """dimensions: usual ranges, at least one; reach [1], > 0: how far held-out sites lie."""

    dimensions: tuple[UsualRange, ...]
    reach: float

    @property
    def names(self) -> tuple[str, ...]:
        """The features that the dimensions are read from."""
        return tuple(usual.name for usual in self.dimensions)

    def distance(self, X: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
        """Distance (n,) [1] ≥ 0 of rows X (n, F) of the features `names`.

        Unknown values are left out; 0 where nothing is known: that is no evidence of strangeness.
        """
        z = self._standardised(X, names)
        known = np.isfinite(z)
        # Rows side by side in memory: a row's sum is then the same to the bit in a batch and alone.
        squares = np.ascontiguousarray(np.where(known, z, 0.0) ** 2)
        return np.asarray(np.sqrt(squares.sum(axis=1) / np.maximum(known.sum(axis=1), 1)))

    def widening(self, X: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
        """Factor (n,) [1] on sigma [ln ug m-3]: 1 within reach, then in proportion, 1.5 at most."""
        return np.asarray(np.clip(self.distance(X, names) / self.reach, 1.0, WIDEST))

    def score(self, distance: float) -> float:
        """reach / max(reach, distance) [0..1]: 1 within reach, half of it at twice the reach."""
        return self.reach / max(self.reach, distance)

    def furthest(self, features: Mapping[str, float]) -> tuple[str, str] | None:
        """The known dimension in which `features` lie furthest out, as `UsualRange.told` has it.

        None where no dimension is known.
        """
        row = as_matrix([features], self.names)
        z = self._standardised(row, self.names)[0]
        if not np.isfinite(z).any():
            return None
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
