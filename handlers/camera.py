"""What is known about one fixed camera: what its photos usually look like, and its usual dust.

Two cameras that look at the same air give different features: other distances, walls, lenses. So
photos of a known camera are judged by how they differ from that camera's usual photo, and what
is estimated is how PM2.5 differs from the usual PM2.5 in front of it.

Of a camera known at training, the usual photo is one of many features. Of one that was calibrated
later, from a few labelled photos, it is a single number: what the models for new places say of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.errors import ArtifactError
from handlers.conformal import CENTRAL_LEVELS, QUANTILE_LEVELS, ConformalTable

# Between the 5 % and the 95 % quantile of a normal law lie this many standard deviations.
NORMAL_SPAN = 3.29
# Among a reference's quantiles: those of ln PM2.5 as the models for new places estimate it.
LN_PM25 = "ln_pm25"
# What no camera needs, and with what PM2.5 stays a number: e¹² ug m-3 is no air, and the largest
# scale of 4,000 drawn calibrations was 4.2.
LARGEST_SHIFT, LARGEST_SCALE, LARGEST_FACTOR, LARGEST_NUMBER = 12.0, 10.0, 100.0, 1e300
_NOT_HELD = (0.0, 0.0, 0.0)
_NORMAL_QUANTILES = np.array([NormalDist().inv_cdf(level) for level in QUANTILE_LEVELS])


@dataclass(frozen=True)
class CameraReference:
    """One camera's usual photo and usual dust.

    camera            the name that requests give
    content_hash      of the archive it was made for; empty inside that archive itself
    feature_set       hash of the features behind it
    quantiles         photo feature → its 5, 50 and 95 % quantiles over the camera's photos; of a
                      camera calibrated after training `ln_pm25` alone [ln ug m-3], or nothing
    shift             ln of the usual PM2.5 [ln ug m-3]
    scale             [1], ≥ 0: ln PM2.5 = shift + scale · (what the models say of the difference)
    n                 sessions behind it
    interval_factors  (below, above), > 0: how much wider (> 1) or narrower ln PM2.5 is left open on
                      each side than the models leave it
    """

    camera: str
    content_hash: str
    feature_set: str
    quantiles: Mapping[str, tuple[float, float, float]]
    shift: float
    scale: float
    n: int
    interval_factors: tuple[float, float]

    @property
    def is_calibrated(self) -> bool:
        """Whether it was made after training: its photos are judged as those of a new place.

        One of training holds the quantiles of photo features, or none where none were read; one
        made later those of ln PM2.5, or none where it rests on no session at all.
        """
        return self.quantiles.keys() == {LN_PM25} or (self.n == 0 and not self.quantiles)

    def relative(self, X: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
        """Rows (n, F) of features `names` as differences from the camera's usual photo.

        x → (x − q50) / ((q95 − q05) / 3.29), a robust standard score; features that the reference
        does not hold (sun, weather) stay as they are.
        """
        middle, spread = self._usual(names)
        return np.asarray((X - middle) / spread)

    def absolute(self, relative: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
        """Rows (n, F) of features `names` in their own units, from what `relative` made of them."""
        middle, spread = self._usual(names)
        return np.asarray(middle + spread * relative)

    def _usual(self, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(F,) middle and spread of the features `names`; 0 and 1 for those it does not hold."""
        low, middle, high = np.array([self.quantiles.get(name, _NOT_HELD) for name in names]).T
        spread = (high - low) / NORMAL_SPAN
        spread[spread == 0.0] = 1.0
        return middle, spread

    def applied(
        self, mu: NDArray[np.float64], distances: NDArray[np.float64], night: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """ln PM2.5 (n,) and the distances (n, 21) of its quantiles from it, for this camera.

        mu (n,), distances (n, 21) [ln ug m-3]: what the models say, at QUANTILE_LEVELS; night (n,).
        A camera is calibrated by day. By night its photo says nothing that was calibrated: the
        estimate is its usual PM2.5, and the interval, never narrowed, is wider by as much as the
        photos of its days tell, s = scale · (q95 − q05) / 3.29:  √(distance² + (z s)²).
        """
        low, middle, high = self.quantiles.get(LN_PM25, (0.0, 0.0, 0.0))
        below, above = self.interval_factors
        told = self.scale * (mu - middle)
        apart = np.where(distances < 0.0, below * distances, above * distances)
        if LN_PM25 in self.quantiles:
            untold = self.scale * (high - low) / NORMAL_SPAN * _NORMAL_QUANTILES
            at_least = np.maximum(np.abs(apart), np.abs(distances))
            wider = np.copysign(np.hypot(at_least, untold), _NORMAL_QUANTILES)
            told = np.where(night, 0.0, told)
            apart = np.where(night[:, np.newaxis], wider, apart)
        return self.shift + told, apart


class SitePrior(NamedTuple):
    """What calibrating a camera starts from: how sites differ that an archive had not seen, as
    shares of the reach of its interval. The reach is the distance in ln PM2.5 from the estimate of
    an unknown camera to the bound of its 90 % interval.

    level_sd    standard deviation of a site's level around the estimate, over the reach [1]
    session_sd  standard deviation of a photo around its site's level, over the reach [1]
    """

    level_sd: float
    session_sd: float

    @classmethod
    def of(cls, table: ConformalTable) -> SitePrior | None:
        """That of the table for new places; None where no effect of sites was modelled."""
        if table.site_effect is None:
            return None
        column = CENTRAL_LEVELS.index(0.9)
        reach = float(np.mean([group.score_quantiles[column] for group in table.groups]))
        return cls(table.site_effect.sd / reach, table.site_effect.within_sd / reach)


def reference_from(entry: Any) -> CameraReference:
    """The reference in a JSON object. Raises KeyError, TypeError or ValueError when it is none."""
    further = entry.keys() - {field.name for field in fields(CameraReference)}
    if further:
        raise ValueError(f"it holds {sorted(further)} besides")
    below, above = (_number(factor) for factor in entry["interval_factors"])
    reference = CameraReference(
        camera=_text(entry["camera"]),
        content_hash=_text(entry["content_hash"]),
        feature_set=_text(entry["feature_set"]),
        quantiles={name: _ascending(values) for name, values in entry["quantiles"].items()},
        shift=_number(entry["shift"]),
        scale=_number(entry["scale"]),
        n=entry["n"],
        interval_factors=(below, above),
    )
    if isinstance(reference.n, bool) or not isinstance(reference.n, int) or reference.n < 0:
        raise ValueError("n must be a whole number ≥ 0")
    if any(abs(level) > LARGEST_SHIFT for level in reference.quantiles.get(LN_PM25, ())):
        raise ValueError(f"the usual ln PM2.5 must be within ±{LARGEST_SHIFT}")
    if abs(reference.shift) > LARGEST_SHIFT or not 0.0 <= reference.scale <= LARGEST_SCALE:
        raise ValueError(f"shift must be within ±{LARGEST_SHIFT}, scale from 0 to {LARGEST_SCALE}")
    if not all(1.0 / LARGEST_FACTOR <= factor <= LARGEST_FACTOR for factor in (below, above)):
        raise ValueError(f"interval factors must be from 1/{LARGEST_FACTOR} to {LARGEST_FACTOR}")
    return reference


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a name in it is no text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number in it is none")
    if not abs(value) <= LARGEST_NUMBER:  # whole numbers of JSON have no largest
        raise ValueError("a number in it is not finite")
    return float(value)


def _ascending(values: Any) -> tuple[float, float, float]:
    low, middle, high = (_number(value) for value in values)
    if not low <= middle <= high:
        raise ValueError("quantiles in it do not ascend")
    return low, middle, high


def save_cameras(references: Mapping[str, CameraReference], path: Path) -> None:
    """Write references as JSON, by camera."""
    content = {name: asdict(references[name]) for name in sorted(references)}
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def load_cameras(path: Path) -> dict[str, CameraReference]:
    """Read what `save_cameras` wrote. Raises ArtifactError when it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: reference_from(entry) for name, entry in content.items()}
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            "broken_cameras",
            f"{path.name} does not hold camera references: {error}.",
            "Package the archive again from its training run.",
        ) from error
