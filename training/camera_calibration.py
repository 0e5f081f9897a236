"""Calibrating a camera that no training saw, from a few labelled photos of it.

The models for new places say mu = ln PM2.5 of a photo as if its camera could stand anywhere. One
camera stands in one place, whose level and whose answer to haze are its own:

    y = mu + b + k (mu − m) + e      b ~ N(0, tau²)  k ~ N(0, tau_k²)  e ~ N(0, s²)

y is ln PM2.5 as measured, m the mean of mu over the camera's photos, b the effect of its site, k by
how much its slope differs from 1. Photos of one visit share their label: a session weighs 1 however
many photos it has, so forty photos of one visit are worth little more than one. Centred on m, level
and slope are independent, and their posterior is (Gelman et al. 2013, Bayesian Data Analysis, 3rd
ed., section 5.4 and chapter 14; n sessions, sums over photos with weights w that add up to n)

    b = v_b Σ w (y − mu) / s²            1 / v_b = 1 / tau² + n / s²
    k = v_k Σ w (mu − m)(y − mu) / s²    1 / v_k = 1 / tau_k² + Σ w (mu − m)² / s²

so that k goes to −1, and the estimate to the camera's usual PM2.5, where its own days show no
relation. A slope below 0 would let haze clear the air: k ≥ −1. The noise is learned as well, from a
scaled inverse χ² prior of ν sessions around what the archive saw at its sites,

    s² = (ν s0² + Σ w (y − mu − b − k (mu − m))²) / (ν + n − p)

with p the number of parameters that the photos, not the priors, determine. The interval is that of
Student's t with ν + n − p degrees of freedom and the variance s² + v_b + v_k Σ w (mu − m)² / n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from handlers.camera import LN_PM25, CameraReference, SitePrior
from training.calibration import session_weights

Array = NDArray[np.float64]

# How far slopes of real places lie from the 1 of the models for new places. A fixed webcam's days
# ask for 2.6, hand-held photos, whose views scatter, for 0.5. From 0.75 to 2.5 the MAE of a new
# camera after 20 photos moves by 5 % at most (docs/LOG.md).
SLOPE_SD = 1.0
PRIOR_SESSIONS = 8.0  # ν: from 2 to 8 neither MAE nor coverage moves by more than 2 %
LEVEL = 0.9  # of the interval whose width is calibrated
LEAST_SD = 0.01  # [ln ug m-3]: no monitor measures PM2.5 to a hundredth
_ROUNDS = 50


@dataclass(frozen=True, eq=False)
class CalibrationPhotos:
    """n labelled photos of one camera, answered as those of an unknown one; arrays (n,).

    ln_pm25       as measured [ln ug m-3]
    mu            as estimated [ln ug m-3]
    below, above  how far the 90 % interval reaches on each side, > 0 [ln ug m-3]
    sessions      the number of each photo's session
    """

    ln_pm25: Array
    mu: Array
    below: Array
    above: Array
    sessions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.mu)


def calibrate(
    camera: str,
    photos: CalibrationPhotos,
    prior: SitePrior,
    *,
    content_hash: str,
    feature_set: str,
) -> CameraReference:
    """The reference of `camera`; without photos the one that changes nothing."""
    if not len(photos):
        return CameraReference(camera, content_hash, feature_set, {}, 0.0, 1.0, 0, (1.0, 1.0))
    w = session_weights(photos.sessions)
    n = float(w.sum())
    below, above = float(w @ photos.below) / n, float(w @ photos.above) / n
    reach = (below + above) / 2.0
    fitted = _posterior(photos, w, tau=prior.level_sd * reach, s0=prior.session_sd * reach)
    low, middle, high = (float(q) for q in np.quantile(photos.mu, (0.05, 0.5, 0.95)))
    half = float(student.ppf((1.0 + LEVEL) / 2.0, fitted.freedom)) * fitted.sd
    return CameraReference(
        camera=camera,
        content_hash=content_hash,
        feature_set=feature_set,
        quantiles={LN_PM25: (low, middle, high)},
        shift=fitted.centre + fitted.level + fitted.scale * (middle - fitted.centre),
        scale=fitted.scale,
        n=round(n),
        interval_factors=(half / below, half / above),
    )


class _Posterior(NamedTuple):
    """centre m, level b, scale 1 + k; sd of a new photo's error with `freedom` degrees of it."""

    centre: float
    level: float
    scale: float
    sd: float
    freedom: float


def _posterior(photos: CalibrationPhotos, w: Array, tau: float, s0: float) -> _Posterior:
    n = float(w.sum())
    centre = float(w @ photos.mu) / n
    rise, error = photos.mu - centre, photos.ln_pm25 - photos.mu
    spread = float(w @ rise**2)
    s0 = max(s0, LEAST_SD)
    variance = s0**2
    for _ in range(_ROUNDS):  # level and slope given the noise, the noise given both
        level_gain = tau**2 / (variance + n * tau**2)  # v_b / s²
        slope_gain = SLOPE_SD**2 / (variance + spread * SLOPE_SD**2)
        level = level_gain * float(w @ error)
        slope = max(slope_gain * float(w @ (rise * error)), -1.0)
        left = error - level - slope * rise
        determined = n * level_gain + spread * slope_gain
        freedom = PRIOR_SESSIONS + n - determined
        variance = (PRIOR_SESSIONS * s0**2 + float(w @ left**2)) / freedom
    sd = float(np.sqrt(variance * (1.0 + level_gain + slope_gain * spread / n)))
    return _Posterior(centre, level, 1.0 + slope, sd, freedom)
