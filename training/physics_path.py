"""Fit the physics path: weighted least squares on labelled rows and on steps of known meaning.

    min over w, b of  Σ_i v_i (y_i − b − w·x_i)² + Σ_s c_s u_s (r_s − w·(after_s − before_s))²
                      + λ Σ_i v_i |w|²,   c_s = 3 where haze is answered by less than r_s, else 1

The rows say at what level of PM2.5 a picture stands, the steps (`training/demonstrations.py`) what
haze does and what nuisances must not do. Steps have no intercept: they are differences. An answer
to haze that falls short weighs more than one that goes too far: short is how an estimate sinks
while the air grows thicker, and all steps at three times the weight cost the ranks of days more
(docs/LOG.md).

Where level and scale have to come from elsewhere, because no labelled row has seen the place, the
slopes are scaled toward those with which the path answers the haze of the steps by as much as was
added, on average: λ and the same air have taken too much from them. And the path is shifted: at the
usual picture of a place it says the usual PM2.5 of places, moved by a quarter toward its own level.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handlers.physics import PhysicsPath
from training.demonstrations import Demonstrations

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

RIDGE = 0.25  # λ
SHORTFALL = 3.0  # c of a step of haze that is answered by less than was added
_ROUNDS = 50  # which steps fall short is settled in a handful
OWN_LEVEL = 0.25  # share of the path's own level where it is shifted
GIVEN_BACK = 0.5  # power of the factor that would make up for all of the added haze


def fit_physics_path(
    X: FloatArray,
    y: FloatArray,
    v: FloatArray,
    steps: Demonstrations,
    through: tuple[FloatArray, float] | None = None,
) -> PhysicsPath:
    """X (n, k) standardised features, y (n,) ln PM2.5 [ln ug m-3], v (n,) row weights ≥ 0.

    through: a point (k,) and its ln PM2.5, where the path is shifted to; None: the rows' level.
    """
    x_mean, y_mean = np.average(X, axis=0, weights=v), float(np.average(y, weights=v))
    A, D = X - x_mean, steps.after - steps.before
    haze = steps.rise > 0
    left_rows = (A.T * v) @ A + RIDGE * v.sum() * np.eye(X.shape[1])
    right_rows = (A.T * v) @ (y - y_mean)
    short = np.zeros(len(steps), dtype=bool)
    # Convex, and quadratic for given shortfalls: Newton's method.
    for _ in range(_ROUNDS):
        u = np.where(short, SHORTFALL, 1.0) * steps.weights
        left = left_rows + (D.T * u) @ D
        weights = np.linalg.solve(left, right_rows + (D.T * u) @ steps.rise)
        before, short = short, haze & (D @ weights < steps.rise)
        if (short == before).all():
            break
    if through is None:
        return PhysicsPath(weights, y_mean - float(weights @ x_mean))
    point, usual = through
    own = y_mean + float(weights @ (point - x_mean))
    level = (1 - OWN_LEVEL) * usual + OWN_LEVEL * own
    answered = float(steps.weights[haze] @ (D[haze] @ weights))
    if answered > 0:
        demanded = float(steps.weights[haze] @ steps.rise[haze])
        weights = weights * (demanded / answered) ** GIVEN_BACK
    return PhysicsPath(weights, level - float(weights @ point))


def usual_place(
    X: FloatArray, y: FloatArray, sessions: IntArray, places: IntArray
) -> tuple[FloatArray, float]:
    """The median over places of each one's median session: its picture (k,) and its y.

    A session is the medians of its rows. X (n, k), y (n,), sessions and places (n,) as numbers.
    """
    together = np.column_stack([X, y])
    medians = []
    for place in np.unique(places):
        own = [
            np.median(together[(places == place) & (sessions == session)], axis=0)
            for session in np.unique(sessions[places == place])
        ]
        medians.append(np.median(own, axis=0))
    usual = np.median(medians, axis=0)
    return usual[:-1], float(usual[-1])
