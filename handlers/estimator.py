"""From feature rows to estimates with intervals.

There are three situations, and a set of models for each, with the same parts:

    new_place         the camera is unknown: judged by the photo as it is; intervals come from
                      sites that were held out as a whole. Of a camera that was calibrated after
                      training, level, slope and interval are its own
    fixed_view        the camera has a reference: judged by how the photo differs from that
                      camera's usual one by day; intervals come from days that were held out
    fixed_view_night  the same with the sun below 5°: lamps, not airlight, make the picture

Training scores this very object on its held-out folds, the server answers with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.pipeline import as_matrix
from handlers.applicability_domain import SPREADS_TO_95, ApplicabilityDomain
from handlers.camera import CameraReference, load_cameras, save_cameras
from handlers.conformal import QUANTILE_LEVELS, interval_columns
from handlers.expert import Expert
from handlers.trace import Trace

LEVEL = 0.9
DAYLIGHT = 5.0  # least elevation of the sun [deg]; unknown counts as day
SUN = "sun_elevation_deg"


@dataclass(frozen=True)
class Estimates:
    """Estimates for n rows, all in [ug m-3] and never negative.

    pm25       (n,) the stack's estimate, the median of the predictive distribution
    quantiles  (n, 21) at QUANTILE_LEVELS, ascending: 2.5, 5, 10 … 95, 97.5 %
    epistemic  (n,) standard deviation for want of knowledge: posterior draws and learners
    aleatoric  (n,) standard deviation of PM2.5 that the photo does not determine
    """

    pm25: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    epistemic: NDArray[np.float64]
    aleatoric: NDArray[np.float64]

    def interval(self, level: float = LEVEL) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bounds (n,) of the central interval, lower ≤ pm25 ≤ upper.

        Raises ValueError for a level whose bounds are not among the quantiles.
        """
        low, high = interval_columns(level)
        return self.quantiles[:, low], self.quantiles[:, high]

    def widened(self, spread: float) -> Estimates:
        """The same estimates with one more spread of ln PM2.5 [ln ug m-3], ≥ 0.

        The half-width h of ln PM2.5 at 90 % becomes √(h² + (1.645 spread)²), every quantile moves
        away from the estimate in proportion, and `aleatoric` takes the spread in.
        """
        if spread == 0.0:
            return self
        lower, upper = self.interval()
        half = np.maximum(0.5 * np.log(upper / lower), 1e-6)
        factor = np.hypot(half, SPREADS_TO_95 * spread) / half
        distances = np.log(self.quantiles / self.pm25[:, np.newaxis])
        return replace(
            self,
            quantiles=self.pm25[:, np.newaxis] * np.exp(factor[:, np.newaxis] * distances),
            aleatoric=np.hypot(self.aleatoric, spread * self.pm25),
        )

    @property
    def confidence(self) -> NDArray[np.float64]:
        """√(lower / upper) (n,) of the 90 % interval [1]: 0.5 means from half to twice as much.

        1 for an interval without width, falling toward 0 as its relative width grows.
        """
        lower, upper = self.interval()
        return np.asarray(np.sqrt(lower / upper))


@dataclass(frozen=True)
class Situation:
    """How a photo is judged: by which set of models, and against which reference.

    name       new_place, fixed_view or fixed_view_night
    reference  the camera's, of training or made later; None for an unknown camera
    """

    name: str
    expert: Expert
    reference: CameraReference | None

    def seen(self, X: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
        """Rows X (n, F) of features `names` as the models take them."""
        if self.reference is None or self.name == "new_place":
            return X
        return self.reference.relative(X, names)


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
    domain: ApplicabilityDomain

    def knows(self, camera: str | None) -> bool:
        """Whether `camera` is judged against a reference of its own."""
        reference = self.cameras.get(camera or "")
        return reference is not None and (self.fixed_view is not None or reference.is_calibrated)

    def is_fixed_view(self, camera: str | None) -> bool:
        """Whether photos of `camera` are judged by their difference from its usual one."""
        reference = self.cameras.get(camera or "")
        known = reference is not None and not reference.is_calibrated
        return known and self.fixed_view is not None

    def night_is_usual(self, X: NDArray[np.float64], camera: str | None) -> bool:
        """Whether row X (1, F) of `camera` is judged by models that were fitted on nights."""
        apart = self.fixed_view_night is not None and self.is_fixed_view(camera)
        return apart and bool(is_night(X, self.names)[0])

    def with_camera(self, reference: CameraReference) -> PM25Estimator:
        """These models, and one camera more that they know."""
        return replace(self, cameras={**self.cameras, reference.camera: reference})

    def situation(self, camera: str | None, *, by_night: bool) -> Situation:
        """The models for a photo of `camera`, None for unknown, by day or by night."""
        reference = self.cameras.get(camera or "")
        if self.fixed_view is None or reference is None or reference.is_calibrated:
            return Situation("new_place", self.new_place, reference)
        if by_night and self.fixed_view_night is not None:
            return Situation("fixed_view_night", self.fixed_view_night, reference)
        return Situation("fixed_view", self.fixed_view, reference)

    def row(self, features: Mapping[str, float]) -> NDArray[np.float64]:
        """Named features as one row (1, F); a missing name is nan."""
        return as_matrix([features], self.names)

    def estimate(
        self,
        X: NDArray[np.float64],
        cameras: Sequence[str | None],
        trace: Trace | None = None,
    ) -> Estimates:
        """Estimates of rows X (n, F), nan for unknown, seen by `cameras` (n,), None for unknown.

        `trace` gets the times of what it has stages for.
        """
        result = _empty(len(X))
        widening = self.domain.widening(X, self.names)
        night = is_night(X, self.names)
        seen_by = np.array([camera if self.knows(camera) else "" for camera in cameras])
        for name in np.unique(seen_by):
            for by_night in (False, True):
                rows = (seen_by == name) & (night == by_night)
                if rows.any():
                    situation = self.situation(str(name), by_night=by_night)
                    _fill(result, rows, situation, X, self.names, night, widening, trace)
        return result

    def save(self, folder: Path) -> None:
        """Write all sets of models and the cameras into `folder`."""
        self.new_place.save(folder / "new_place")
        if self.fixed_view is not None:
            self.fixed_view.save(folder / "fixed_view")
        if self.fixed_view_night is not None:
            self.fixed_view_night.save(folder / "fixed_view_night")
        save_cameras(self.cameras, folder / "cameras.json")
        self.domain.save(folder / "domain.json")

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
            domain=ApplicabilityDomain.load(folder / "domain.json"),
        )


def is_night(X: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.bool_]:
    """Which rows X (n, F) of the features `names` were seen with the sun below 5° (n,)."""
    if SUN not in names:
        return np.zeros(len(X), dtype=bool)
    return np.asarray(X[:, list(names).index(SUN)] < DAYLIGHT)


def _empty(n: int) -> Estimates:
    pm25, epistemic, aleatoric = np.empty((3, n))
    return Estimates(pm25, np.empty((n, len(QUANTILE_LEVELS))), epistemic, aleatoric)


def _fill(
    result: Estimates,
    rows: NDArray[np.bool_],
    situation: Situation,
    X: NDArray[np.float64],
    names: Sequence[str],
    night: NDArray[np.bool_],
    widening: NDArray[np.float64],
    trace: Trace | None,
) -> None:
    """Write the estimates [ug m-3] of `rows` (n,), which are in `situation`; X (n, F), night and
    widening (n,) are those of all rows.
    """
    expert, reference = situation.expert, situation.reference
    judged = expert.judge(situation.seen(X[rows], names), trace)
    mu = judged.mu
    quantiles = expert.quantiles(X[rows], mu, judged.sigma * widening[rows])
    distances, factor = np.log(quantiles) - mu[:, np.newaxis], 1.0
    if reference is not None:
        mu, distances = reference.applied(mu, distances, night[rows])
        factor = float(np.sqrt(np.prod(reference.interval_factors)))
    pm25 = np.exp(mu)
    result.pm25[rows] = pm25
    result.quantiles[rows] = pm25[:, np.newaxis] * np.exp(distances)
    # A small spread of ln PM2.5 is a relative spread of PM2.5.
    result.epistemic[rows] = pm25 * factor * judged.epistemic
    result.aleatoric[rows] = pm25 * factor * judged.aleatoric
