"""What each feature moved an estimate by, from that of a usual photo to that of the photo at hand.

    ln estimate = ln baseline + Σ_j φ_j          estimate = baseline · Π_j e^{φ_j}

The stack is a sum over its members, so φ_j is the stack's sum of what feature j moved each of them
by: exact Shapley values for the trees, for the physics path, which is a line, and for humidity;
Aumann–Shapley values for the two networks, whose 2^k combinations nobody can ask for. All are
against the same reference row, so nothing is left over.

The usual photo has no value of its own: what the pipeline fills in for unknown values, the medians
of the training photos (of a known camera: of the differences from its usual photo), stands for
every one. A feature that is unknown therefore moves nothing.

In [ug m-3] the parts are φ_j · L, where L = (estimate − baseline) / (ln estimate − ln baseline) is
the logarithmic mean of both: the Aumann–Shapley values of the exponential, which sum up exactly
(index decomposition, Ang 2004, doi:10.1016/j.enpol.2003.10.010).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.conformal import QUANTILE_LEVELS
from handlers.ensemble import MEMBERS
from handlers.estimator import PM25Estimator, is_night

# Members whose values are Shapley's; the others are networks.
SHAPLEY = np.array([*(member not in ("mlp", "bayesian") for member in MEMBERS), True])


@dataclass(frozen=True)
class Contributions:
    """How one estimate came about.

    situation  the set of models: new_place, fixed_view or fixed_view_night
    names      the F features
    ln         (F,) what each added to ln PM2.5 [ln ug m-3]
    usual      (F,) its value in the usual photo, in its unit
    baseline   estimate for the usual photo [ug m-3]
    estimate   estimate for the photo [ug m-3], as it is served
    shapley_share  how much of all movement, Σ|·|, are Shapley values [0..1]; the rest are
                   Aumann–Shapley values. nan where nothing moved
    """

    situation: str
    names: tuple[str, ...]
    ln: NDArray[np.float64]
    usual: NDArray[np.float64]
    baseline: float
    estimate: float
    shapley_share: float

    @property
    def factors(self) -> NDArray[np.float64]:
        """(F,) what each multiplied the estimate by [1]."""
        return np.exp(self.ln)

    @property
    def pm25(self) -> NDArray[np.float64]:
        """(F,) what each moved the estimate by [ug m-3]."""
        return self.ln * logarithmic_mean(self.baseline, self.estimate)

    @property
    def unexplained(self) -> float:
        """What no feature accounts for [ug m-3]: rounding."""
        return self.estimate - self.baseline - float(self.pm25.sum())


def contributions(
    estimator: PM25Estimator, X: NDArray[np.float64], camera: str | None
) -> Contributions:
    """Those of one row X (1, F), nan for unknown, seen by `camera`, None for unknown."""
    names = estimator.names
    by_night = is_night(X, names)
    known = camera if estimator.knows(camera) else None
    situation = estimator.situation(known, by_night=bool(by_night[0]))
    expert, reference = situation.expert, situation.reference
    seen, usual = situation.seen(X, names), np.full_like(X, np.nan)
    added = expert.contributions(seen, usual)
    mu = np.concatenate([expert.judge(rows).mu for rows in (usual, seen)])
    middle = expert.pipeline.fill
    if reference is not None:
        night = np.repeat(by_night, 2)
        apart = np.zeros((2, len(QUANTILE_LEVELS)))
        rate = np.diff(reference.applied(np.array([0.0, 1.0]), apart, night)[0])[0]
        added, (mu, _) = rate * added, reference.applied(mu, apart, night)
        if situation.name != "new_place":
            middle = reference.absolute(middle[np.newaxis], names)[0]
    moved = np.abs(added[SHAPLEY].sum(axis=0)).sum(), np.abs(added[~SHAPLEY].sum(axis=0)).sum()
    baseline, estimate = np.exp(mu).tolist()
    return Contributions(
        situation=situation.name,
        names=names,
        ln=added.sum(axis=0),
        usual=middle,
        baseline=baseline,
        estimate=estimate,
        shapley_share=float(moved[0] / sum(moved)) if sum(moved) > 0 else float("nan"),
    )


def logarithmic_mean(a: float, b: float) -> float:
    """(b − a) / (ln b − ln a), between a > 0 and b > 0; a where they are the same."""
    apart = np.log(b / a)
    return float((b - a) / apart) if abs(apart) > 1e-9 else float(np.sqrt(a * b))
