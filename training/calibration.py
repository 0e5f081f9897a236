"""Fit the conformal table from out-of-fold scores.

**New days of a known camera.** Every session weighs 1, shared among its photos, and the session to
come weighs 1 as well, at +∞: with n sessions of one photo each the quantile at c is the
⌈(n + 1) c⌉-th smallest |y − mu| / sigma, the textbook split-conformal rank. With many photos a
session it is hierarchical conformal prediction (Lee, Barber & Willett 2023, arXiv 2306.06342),
which holds for a new session as long as sessions are exchangeable.

What a request brings is known when it is answered, so photos with weather and photos without have
tables of their own: a training photo that knows its weather is judged both ways, and counts in
both. Of the development webcam's new days, one table for all covered 0.952 of those with weather,
which know more, and 0.909 of those without (90 % asked). Two cover 0.933, in intervals 8 %
narrower, and 0.921.

**New places.** The score r = (y − mu) / sigma of a photo is the effect of its place and the rest,
r = b + w. With b_s the mean over the n_s sessions of place s of their mean scores, v the variance
of a session's mean around its place's, pooled over places, and ω_s the weight of a place,

    tau² = max(0, Σ_s ω_s (b_s² − v / n_s) / Σ_s ω_s)

and a new place's |r| is distributed like |tau · T + w|: T Student's t with (Σω)² / Σω² degrees of
freedom, K for K places of equal weight; w the scores around their place's mean, by session, scaled
by √(n_s / (n_s − 1)). The effects are taken about zero, not about their mean, since the interval
is centred on mu: what all places have in common is an error like any other. Known cameras have
groups by predicted level, new places do not: a level there stands for the few places that are read
so, and says little of the next one. In simulations with 5 to 20 places, 20 to 70 % of the variance
between places, a new place is covered at 50, 80, 90 and 95 % within 2 points, on average over
worlds; one world may be off by 15. `docs/LOG.md` has the variants that lost,
`tests/test_interval_guarantee.py` the simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from features.errors import DataSetError
from handlers.conformal import CENTRAL_LEVELS, ConformalTable, ScoreGroup, SiteEffect

__all__ = ["fit_conformal", "fit_conformal_by_weather", "session_weights"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# A group of its own needs sessions enough for a 95 % quantile that is measured, and then some.
LEAST_SESSIONS_OF_A_GROUP = 40
LEAST_SESSIONS_BY_WEATHER = 10  # one more than 90 % needs to be guaranteed
_BISECTIONS = 60  # halve the search for a quantile to below the last digit


def session_weights(sessions: IntArray, w: FloatArray | None = None) -> FloatArray:
    """Row weights (n,) that sum to 1 in every session, in proportion to `w` within it.

    Raises DataSetError when a weight is negative or a session has no weight at all.
    """
    relative = np.ones(len(sessions)) if w is None else w
    _, index = np.unique(sessions, return_inverse=True)
    totals = np.bincount(index, weights=relative)
    if np.any(relative < 0.0) or np.any(totals <= 0.0):
        raise DataSetError(
            "session_without_weight",
            f"{int((totals <= 0.0).sum())} sessions have a total weight of 0, or a row's is < 0.",
            "Give every row a weight ≥ 0 and every session at least one row with a weight > 0.",
        )
    return np.asarray(relative / totals[index])


def fit_conformal(
    y: FloatArray,
    mu: FloatArray,
    sigma: FloatArray,
    sessions: IntArray,
    w: FloatArray | None = None,
    sites: IntArray | None = None,
    trust: FloatArray | None = None,
) -> ConformalTable:
    """The table of score quantiles.

    y, mu (n,): ln PM2.5, measured and estimated out of fold; sigma (n,) > 0 [ln ug m-3].
    sessions (n,): what is exchangeable. w (n,): weights within a session, None for equal ones.
    sites (n,): the place of each row where the table is for new places, held out as a whole; None,
    or a single place, for new sessions of the places at hand.
    trust (n,): how much a session counts among the others, the same on all its rows; None for 1.
    Raises DataSetError for fewer than two sessions, or a sigma that is not > 0.
    """
    if not np.all(sigma > 0.0):
        raise DataSetError(
            "sigma_not_positive",
            f"sigma has a smallest value of {float(np.min(sigma, initial=np.inf))}.",
            "Every row needs an uncertainty > 0.",
        )
    weights = session_weights(sessions, w) * (1.0 if trust is None else trust)
    n_sessions = len(np.unique(sessions))
    if n_sessions < 2:
        raise DataSetError(
            "too_few_sessions",
            f"Conformal calibration got {n_sessions} session(s).",
            "Give at least 2; 9 for a guaranteed 90 % interval.",
        )
    scores = (y - mu) / sigma
    law = None
    if sites is not None and len(np.unique(sites)) > 1:
        law = _law_of_places(scores, weights, sessions, sites)
    if law is not None:
        reach = [law.quantile(level) for level in CENTRAL_LEVELS[1:]]
        return ConformalTable((ScoreGroup(np.inf, n_sessions, (0.0, *reach)),), law.effect)
    groups = []
    for below, rows in _levels(mu, weights, sessions):
        own = [
            _corrected_quantile(np.abs(scores[rows]), weights[rows], level)
            for level in CENTRAL_LEVELS[1:]
        ]
        groups.append(ScoreGroup(below, len(np.unique(sessions[rows])), (0.0, *own)))
    return ConformalTable(tuple(groups))


def fit_conformal_by_weather(
    y: FloatArray,
    mu: FloatArray,
    sigma: FloatArray,
    sessions: IntArray,
    w: FloatArray,
    *,
    sites: IntArray | None,
    trust: FloatArray,
    with_weather: BoolArray,
) -> tuple[ConformalTable, ConformalTable | None]:
    """The tables of photos that come with weather, and of those that come without any.

    with_weather (n,): which rows know any; the rest as in `fit_conformal`. One table for all, and
    None, for new places, whose law is that of places, and where one of the two has fewer than ten
    sessions.
    """

    def table(chosen: BoolArray) -> ConformalTable:
        return fit_conformal(
            y[chosen], mu[chosen], sigma[chosen], sessions[chosen], w[chosen], trust=trust[chosen]
        )

    parts = with_weather, ~with_weather
    if sites is None and all(
        len(np.unique(sessions[part])) >= LEAST_SESSIONS_BY_WEATHER for part in parts
    ):
        return table(parts[0]), table(parts[1])
    return fit_conformal(y, mu, sigma, sessions, w, sites, trust), None


def _levels(
    mu: FloatArray, weights: FloatArray, sessions: IntArray
) -> list[tuple[float, BoolArray]]:
    """Groups of equal weight by predicted mu: each its upper end and its rows.

    As many, up to three, as leave each with sessions enough: the more of them, the less is known
    of each. Sorted by what is predicted, which is known when a photo is answered.
    """
    for n_groups in (3, 2):
        order = np.argsort(mu, kind="stable")
        share = np.cumsum(weights[order]) / weights.sum()
        ends = [mu[order[np.searchsorted(share, i / n_groups)]] for i in range(1, n_groups)]
        number = np.searchsorted(ends, mu, side="right")
        rows = [number == group for group in range(n_groups)]
        if all(len(np.unique(sessions[own])) >= LEAST_SESSIONS_OF_A_GROUP for own in rows):
            return list(zip([*map(float, ends), np.inf], rows, strict=True))
    return [(np.inf, np.ones(len(mu), dtype=np.bool_))]


def _corrected_quantile(scores: FloatArray, weights: FloatArray, level: float) -> float:
    """Smallest score below or at which a share `level` of all weight lies, the new session's at +∞.

    Where that share is out of reach (few sessions), the largest score is continued as the size of
    a normal error would, in units of the scores' root mean square: modelled, not guaranteed.
    """
    order = np.argsort(scores, kind="stable")
    total = weights.sum()
    share = np.cumsum(weights[order]) / (total + 1.0)
    reached = int(np.searchsorted(share, level - 1e-12))
    if reached < len(scores):
        return float(scores[order[reached]])
    normal = NormalDist()
    largest = (1.0 + total / (total + 1.0)) / 2.0
    beyond = normal.inv_cdf((1.0 + level) / 2.0) - normal.inv_cdf(largest)
    spread = float(np.sqrt((weights * scores**2).sum() / total))
    return float(scores[order[-1]] + max(beyond, 0.0) * spread)


@dataclass(frozen=True, eq=False)
class _LawOfPlaces:
    """|tau · T + w|, with w (n,) the scores within places and their weights (n,), 0 for a place
    of a single session, which has no inside.
    """

    effect: SiteEffect
    within: FloatArray
    weights: FloatArray

    def quantile(self, level: float) -> float:
        """The size of a new place's score that a share `level` stays below."""
        inside = self.weights > 0.0
        w, share = self.within[inside], self.weights[inside] / self.weights.sum()
        low, high = 0.0, float(np.abs(w).max(initial=0.0)) + 1e3 * self.effect.sd + 1.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if self._share_below(middle, w, share) < level:
                low = middle
            else:
                high = middle
        return high

    def _share_below(self, size: float, w: FloatArray, share: FloatArray) -> float:
        tau, freedom = self.effect.sd, self.effect.degrees_of_freedom
        if tau == 0.0:
            return float(share @ (np.abs(w) <= size))
        return float(share @ (stdtr(freedom, (size - w) / tau) - stdtr(freedom, (-size - w) / tau)))


def _law_of_places(
    scores: FloatArray, weights: FloatArray, sessions: IntArray, sites: IntArray
) -> _LawOfPlaces:
    """See the head of this file. A place weighs as much as its sessions do on average."""
    _, session = np.unique(np.column_stack([sites, sessions]), axis=0, return_inverse=True)
    _, site = np.unique(sites, return_inverse=True)
    trust = np.bincount(session, weights)
    mean = np.bincount(session, weights * scores) / trust
    place = np.zeros(len(mean), dtype=np.int64)
    place[session] = site
    n = np.bincount(place)
    effects = np.bincount(place, trust * mean) / np.bincount(place, trust)
    omega = np.bincount(place, trust) / n
    freedom_within = max(int((n - 1).sum()), 1)
    variance = float(((mean - effects[place]) ** 2).sum()) / freedom_within
    tau2 = float((omega * (effects**2 - variance / n)).sum() / omega.sum())
    several = n > 1
    stretch = np.sqrt(n / np.maximum(n - 1, 1))
    within = (scores - effects[site]) * stretch[site]
    inside = weights * several[site]
    if not inside.any():  # one session a place: its effect and the rest are one
        within, inside = np.zeros(len(scores)), weights
    spread = float(np.sqrt((inside * within**2).sum() / inside.sum()))
    effect = SiteEffect(
        sd=float(np.sqrt(max(tau2, 0.0))),
        degrees_of_freedom=float(omega.sum() ** 2 / (omega**2).sum()),
        within_sd=spread,
        session_sd=float(np.sqrt(variance)),
    )
    return _LawOfPlaces(effect, within, inside)
