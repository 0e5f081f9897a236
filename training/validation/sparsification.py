"""Whether the uncertainty knows which photos are misjudged, and what refusing them would gain.

Sparsification: take away the most uncertain photos first, and follow the mean error of those left,
over that of all. The oracle takes away the largest errors first; at random nothing changes. The
area between curve and oracle is AUSE, 0 at best (Ilg 2018, arXiv 1802.07095).

Risk against coverage: the same read as a rule of refusal. Only photos whose relative interval width
is at most a threshold are answered; what is their error, and does their interval still hold
(El-Yaniv & Wiener 2010, jmlr.org/papers/v11/el-yaniv10a.html; Geifman & El-Yaniv 2017, arXiv
1705.08500). `confidence` falls with that width, so this is what a user gains who passes over
answers of little confidence.

Photos of equal uncertainty count by their mean error: no order of files changes a curve.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.held_out import HeldOutAnswers
from training.validation.accuracy import relative_error
from training.validation.coverage import covered, relative_width

Array = NDArray[np.float64]

REMOVED = tuple(round(0.05 * k, 2) for k in range(20))  # shares taken away: 0, 0.05 … 0.95
ACCEPTED = tuple(round(0.1 * k, 1) for k in range(1, 11))  # shares answered
FEWEST = 20  # photos: one for each step of the curve


def sparsification(answers: HeldOutAnswers) -> dict[str, Any]:
    """The curve of two uncertainties, by name:

    width_90      width of the 90 % interval, against |ŷ − y|
    uncertainty   √(epistemic² + aleatoric²), against |ŷ − y|
    relative      width of the 90 % interval over the estimate, against |ŷ − y| / max(y, 1): width
                  grows with the level as errors do; this one asks beyond that
    """
    error = np.abs(answers.estimate - answers.pm25)
    lower, upper = answers.interval(0.9)
    return {
        "width_90": sparsification_curve(error, upper - lower),
        "uncertainty": sparsification_curve(
            error, np.sqrt(answers.epistemic**2 + answers.aleatoric**2)
        ),
        "relative": sparsification_curve(relative_error(answers), relative_width(answers)),
    }


def sparsification_curve(error: Array, uncertainty: Array) -> dict[str, Any]:
    """The curve of n errors ≥ 0 (n,), taken away by falling `uncertainty` (n,).

    removed                share taken away (20,)
    error, oracle, random  mean error of those left over that of all (20,) [1]
    ause, ause_random      area between `error`, or `random`, and `oracle` over `removed` [1]
    relative_gain          1 − ause / ause_random: 1 for the oracle, 0 at random, below it misled
    All but `removed` None with fewer than 20 photos, or without error; the gain is None where all
    errors are equal, so that no order is better.
    """
    n, whole = len(error), float(error.mean()) if len(error) else 0.0
    curve: dict[str, Any] = {"n": n, "removed": list(REMOVED)}
    if n < FEWEST or whole == 0:
        names = ("error", "oracle", "random", "ause", "ause_random", "relative_gain")
        return curve | dict.fromkeys(names)
    ours, oracle = _left(error, uncertainty) / whole, _left(error, error) / whole
    random = np.ones(len(REMOVED))
    ause, ause_random = _area(ours - oracle), _area(random - oracle)
    return curve | {
        "error": ours.tolist(),
        "oracle": oracle.tolist(),
        "random": random.tolist(),
        "ause": ause,
        "ause_random": ause_random,
        "relative_gain": 1 - ause / ause_random if ause_random > 1e-9 else None,
    }


def risk_coverage(answers: HeldOutAnswers) -> dict[str, Any]:
    """What is left when the photos of the widest relative 90 % interval are refused.

    accepted     share that is answered (10,), at least: photos of equal width go together
    n            answered photos (10,)
    threshold    largest relative width that is answered (10,) [1]
    mae          of those answered (10,) [ug m-3]
    mape         mean |ŷ − y| / max(y, 1) of those answered (10,) [1]
    coverage_90  of those answered (10,) [1]
    aurc         mean of `mape` over `accepted` [1]
    All None but `accepted` with fewer than 20 photos.
    """
    width = relative_width(answers)
    if len(width) < FEWEST:
        names = ("n", "threshold", "mae", "mape", "coverage_90", "aurc")
        return {"accepted": list(ACCEPTED)} | dict.fromkeys(names)
    ascending = np.sort(width)
    last = [int(np.ceil(round(share * len(width), 6))) - 1 for share in ACCEPTED]
    threshold = ascending[last]
    answered = [width <= limit for limit in threshold]
    error, relative = np.abs(answers.estimate - answers.pm25), relative_error(answers)
    inside = covered(answers, 0.9)
    mape = [float(relative[rows].mean()) for rows in answered]
    return {
        "accepted": list(ACCEPTED),
        "n": [int(rows.sum()) for rows in answered],
        "threshold": threshold.tolist(),
        "mae": [float(error[rows].mean()) for rows in answered],
        "mape": mape,
        "coverage_90": [float(inside[rows].mean()) for rows in answered],
        "aurc": float(np.mean(mape)),
    }


def _left(error: Array, uncertainty: Array) -> Array:
    """Mean error of those left at each of REMOVED."""
    _, tie = np.unique(uncertainty, return_inverse=True)
    shared = (np.bincount(tie, error) / np.bincount(tie))[tie]
    summed = np.concatenate([[0.0], np.cumsum(shared[np.argsort(tie, kind="stable")])])
    kept = len(error) - np.round(np.array(REMOVED) * len(error)).astype(np.int64)
    return np.asarray(summed[kept] / kept)


def _area(height: Array) -> float:
    return float(np.trapezoid(height, REMOVED))
