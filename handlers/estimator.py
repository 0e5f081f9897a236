"""From feature rows to estimates with intervals.

There are three situations, and a set of models for each, with the same parts:

    new_place         the camera is unknown: judged by the photo as it is; intervals come from
                      sites that were held out as a whole
    fixed_view        the camera has a reference: judged by how the photo differs from that
                      camera's usual one by day; intervals come from days that were held out
    fixed_view_night  the same with the sun below 5°: lamps, not airlight, make the picture

Training scores this very object on its held-out folds, the server answers with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.pipeline import as_matrix
from handlers.camera import CameraReference, load_cameras, save_cameras
from handlers.expert import Expert, Judgement

LEVEL = 0.9
DAYLIGHT = 5.0  # least elevation of the sun [deg]; unknown counts as day
SUN = "sun_elevation_deg"


@dataclass(frozen=True)
class Estimates:
    """Estimates for n rows, all in [ug m-3] and never negative.

    pm25          (n,) the stack's estimate, the median of the predictive distribution
    lower, upper  (n,) 90 % interval; lower ≤ pm25 ≤ upper
    quantiles     (n, 19) at 5, 10, … 95 %
    epistemic     (n,) standard deviation for want of knowledge: posterior draws and learners
    aleatoric     (n,) standard deviation of PM2.5 that the photo does not determine
    """

    pm25: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    epistemic: NDArray[np.float64]
    aleatoric: NDArray[np.float64]


@dataclass(frozen=True)
class PM25Estimator:
    """The fitted models of one archive.

    Without known cameras there is no `fixed_view`; without photos of theirs by night there is no
    `fixed_view_night`, and `fixed_view` judges those as well.
    """

    names: tuple[str, ...]
    new_place: Expert
    fixed_view: Expert | None
    fixed_view_night: Expert | None
    cameras: Mapping[str, CameraReference]

    def knows(self, camera: str | None) -> bool:
        """Whether `camera` is judged against a reference of its own."""
        return self.fixed_view is not None and camera in self.cameras

    def row(self, features: Mapping[str, float]) -> NDArray[np.float64]:
        """Named features as one row (1, F); a missing name is nan."""
        return as_matrix([features], self.names)

    def estimate(self, X: NDArray[np.float64], cameras: Sequence[str | None]) -> Estimates:
        """Estimates of rows X (n, F), nan for unknown, seen by `cameras` (n,), None for unknown."""
        result = _empty(len(X))
        seen_by = np.array([camera if self.knows(camera) else "" for camera in cameras])
        for name in np.unique(seen_by):
            rows = seen_by == name
            if name and self.fixed_view is not None:
                reference = self.cameras[str(name)]
                relative = reference.relative(X, self.names)
                night = rows & is_night(X, self.names)
                if self.fixed_view_night is not None and night.any():
                    judged = self.fixed_view_night.judge(relative[night])
                    _fill(result, night, self.fixed_view_night, judged, reference)
                    rows = rows & ~night
                if rows.any():
                    judged = self.fixed_view.judge(relative[rows])
                    _fill(result, rows, self.fixed_view, judged, reference)
            else:
                _fill(result, rows, self.new_place, self.new_place.judge(X[rows]), None)
        return result

    def save(self, folder: Path) -> None:
        """Write all sets of models and the cameras into `folder`."""
        self.new_place.save(folder / "new_place")
        if self.fixed_view is not None:
            self.fixed_view.save(folder / "fixed_view")
        if self.fixed_view_night is not None:
            self.fixed_view_night.save(folder / "fixed_view_night")
        save_cameras(self.cameras, folder / "cameras.json")

    @classmethod
    def load(cls, folder: Path) -> PM25Estimator:
        """Read what `save` wrote. Raises ArtifactError when a part is missing or damaged."""
        new_place = Expert.load(folder / "new_place")
        fixed_view, by_night = folder / "fixed_view", folder / "fixed_view_night"
        return cls(
            names=new_place.pipeline.names,
            new_place=new_place,
            fixed_view=Expert.load(fixed_view) if fixed_view.is_dir() else None,
            fixed_view_night=Expert.load(by_night) if by_night.is_dir() else None,
            cameras=load_cameras(folder / "cameras.json"),
        )


def is_night(X: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.bool_]:
    """Which rows X (n, F) of the features `names` were seen with the sun below 5° (n,)."""
    if SUN not in names:
        return np.zeros(len(X), dtype=bool)
    return np.asarray(X[:, list(names).index(SUN)] < DAYLIGHT)


def _empty(n: int) -> Estimates:
    pm25, lower, upper, epistemic, aleatoric = np.empty((5, n))
    return Estimates(pm25, lower, upper, np.empty((n, 19)), epistemic, aleatoric)


def _fill(
    result: Estimates,
    rows: NDArray[np.bool_],
    expert: Expert,
    judged: Judgement,
    reference: CameraReference | None,
) -> None:
    """Write the estimates of `rows`, from their judgement, in [ug m-3]."""
    shift, scale = (reference.shift, reference.scale) if reference else (0.0, 1.0)
    below, above = reference.interval_factors if reference else (1.0, 1.0)
    mu, sigma = shift + scale * judged.mu, scale * judged.sigma
    pm25 = np.exp(mu)
    # A factor widens ln PM2.5 on its side: the distance to the estimate, whatever its level.
    lower, upper = expert.conformal.interval(mu, sigma, level=LEVEL)
    result.lower[rows] = pm25 * (lower / pm25) ** below
    result.upper[rows] = pm25 * (upper / pm25) ** above
    relative = expert.conformal.quantiles(mu, sigma) / pm25[:, np.newaxis]
    result.quantiles[rows] = pm25[:, np.newaxis] * np.where(
        relative < 1, relative**below, relative**above
    )
    result.pm25[rows] = pm25
    # A small spread of ln PM2.5 is a relative spread of PM2.5.
    result.epistemic[rows] = pm25 * scale * judged.epistemic
    result.aleatoric[rows] = pm25 * scale * judged.aleatoric
