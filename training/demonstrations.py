"""What is shown to the models beside labelled photos: steps of which it is known what they mean.

    haze        a photo and the same photo with more haze: ln PM2.5 rises by
                ln((PM + s τ') / (PM + s τ)), τ and τ' the optical depths that were added
    nuisance    a photo and the same photo darker, brighter, compressed, softer: nothing rises
    same air    a photo of a visit and the mean of that visit: nothing rises, whatever is in view

An optical depth of 1 between here and the horizon is s = 1 / (k f d) of dust: s = 50 ug m-3 for a
horizon d = 5 km away and an extinction of k f = 4 m2 g-1 (bulk urban dust takes 3 to 5, Hand &
Malm 2007, doi:10.1029/2007JD008484). One photo does not tell its d, so that s is a usual value,
and the stack has the last word on the scale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.pipeline import FeaturePipeline
from training.alterations import ALTERATIONS
from training.table import TrainingTable

PM25_OF_OPTICAL_DEPTH = 50.0  # s [ug m-3]
# Total weight of all steps of haze, of all nuisances, and of the same air, in that of the rows.
HAZE = 1.0
NUISANCE = 2.0
SAME_AIR = 8.0
_NUMBER = {change.name: k for k, change in enumerate(ALTERATIONS)}


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """m steps between two pictures, as standardised features.

    origin   (m,) row of the photo behind them
    before   (m, k), after (m, k)
    rise     (m,) of ln PM2.5 from before to after [ln ug m-3]
    total    (m,) of ln PM2.5 from the photo itself to after [ln ug m-3]
    weights  (m,)
    kind     (m,) number of the alteration after which this is; −1 for the same air
    """

    origin: NDArray[np.int64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    rise: NDArray[np.float64]
    total: NDArray[np.float64]
    weights: NDArray[np.float64]
    kind: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.origin)

    def renumbered(self, number: NDArray[np.int64]) -> Self:
        """The same steps, where row i of the photos has become row number[i]."""
        return replace(self, origin=number[self.origin])

    def of(self, chosen: NDArray[np.bool_]) -> Self:
        """Those of the `chosen` steps (m,)."""
        return type(self)(
            self.origin[chosen],
            self.before[chosen],
            self.after[chosen],
            self.rise[chosen],
            self.total[chosen],
            self.weights[chosen],
            self.kind[chosen],
        )


def demonstrations(
    table: TrainingTable,
    pipeline: FeaturePipeline,
    weights: NDArray[np.float64],
    *,
    same_air: bool,
) -> Demonstrations:
    """All steps that the rows of `table`, weights (n,), give.

    same_air: photos of one visit show different views of one air, as those of a hand-held camera.
    """
    rows = table.with_copies
    own = pipeline.transform(table.X[rows])
    copies = table.copied_rows(rows)
    pm25 = np.exp(table.ln_pm25[rows])
    share = weights[rows] / weights[rows].sum() * weights.sum() if len(rows) else weights[rows]
    n_haze = sum(change.is_haze for change in ALTERATIONS)
    parts = []
    z = [pipeline.transform(copies[:, k]) for k in range(len(ALTERATIONS))]
    for k, change in enumerate(ALTERATIONS):
        if change.before is None:
            before, depth_before = own, 0.0
        else:
            before = z[_NUMBER[change.before]]
            depth_before = ALTERATIONS[_NUMBER[change.before]].optical_depth
        dust = pm25 + PM25_OF_OPTICAL_DEPTH * change.optical_depth
        rise = np.log(dust / (pm25 + PM25_OF_OPTICAL_DEPTH * depth_before))
        if change.is_haze and len(rows):
            # Errors relative to the step: a small one is to be read as surely as a large one.
            step = HAZE / n_haze * share * (0.5 / rise.mean()) ** 2
        else:
            step = NUISANCE / (len(ALTERATIONS) - n_haze) * share
        parts.append(
            Demonstrations(
                rows, before, z[k], rise, np.log(dust / pm25), step, np.full(len(rows), k)
            )
        )
    if same_air:
        parts.append(_same_air(table, pipeline, weights))
    return Demonstrations(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("origin", "before", "after", "rise", "total", "weights", "kind")
        )
    )


def _same_air(
    table: TrainingTable, pipeline: FeaturePipeline, weights: NDArray[np.float64]
) -> Demonstrations:
    """Each photo of a visit without a fixed camera against the mean of its visit."""
    handheld = np.flatnonzero([camera is None for camera in table.cameras])
    Z, sessions = pipeline.transform(table.X[handheld]), table.sessions[handheld]
    _, visit, count = np.unique(sessions, return_inverse=True, return_counts=True)
    means = np.zeros((len(count), Z.shape[1]))
    np.add.at(means, visit, Z)
    means /= count[:, np.newaxis]
    several = count[visit] > 1
    kept, origin = Z[several], handheld[several]
    zero = np.zeros(len(origin))
    share = weights[origin]
    total = share.sum() or 1.0
    return Demonstrations(
        origin,
        means[visit[several]],
        kept,
        zero,
        zero,
        SAME_AIR * weights.sum() * share / total,
        np.full(len(origin), -1),
    )
