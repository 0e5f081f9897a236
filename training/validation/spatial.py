"""Spatial consistency: whether errors know where they were made, and neighbours agree.

Moran's I of residuals e (estimate − label) at n places with weights w (Moran 1950,
doi:10.1093/biomet/37.1-2.17):

    I = n / Σ_ij w_ij · Σ_ij w_ij (e_i − ē)(e_j − ē) / Σ_i (e_i − ē)²,   E[I] = −1 / (n − 1)

with w_ij = 1 / max(d_ij, 1 km) and w_ii = 0; the floor keeps two sensors of one street from
outweighing everything. Above E[I], places near one another err alike: something regional is
missing in the model. p is the share of random permutations of e over the places whose I is at
least as large, the one observed among them: one-sided, since that is the failure asked about.

Few places cannot tell much, and a large p at such a power is no clearance. So the record says how
large I had to be (`critical_i`), how large these places allow it to be at all (`largest_i`, n / Σw
times the largest eigenvalue of the centred weights; de Jong et al. 1984,
doi:10.1111/j.1538-4632.1984.tb00797.x), and how often the test finds a pattern that is there
(`power`). A mean over few sessions is noisier than one over many; the permutation ignores that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.great_circle import haversine
from training.held_out import HeldOutAnswers
from training.validation.moments import seconds

Array = NDArray[np.float64]

NEAREST = 1.0  # [km]: two places closer than this count as this far apart
LEAST_PLACES = 4  # with three, six orders are all there is: no p could be below 1/6
SIGNIFICANCE = 0.05
N_FIELDS = 300  # simulated patterns behind `power`
NEIGHBOURS_KM, NEIGHBOURS_S = 1.0, 1800.0  # photos that must agree: closer than this


def spatial_consistency(
    answers: HeldOutAnswers, *, permutations: int = 999, seed: int = 25
) -> dict[str, object]:
    """Moran's I of the sites' residuals, of those of one hour, and how neighbours agree.

    sites       Moran's I of the mean residual of each site's sessions: see `morans_i_test`
    same_hour   the same for sites seen in one hour, averaged over hours: see `same_hour_morans_i`
    neighbours  see `neighbour_agreement`
    """
    return {
        "sites": morans_i_test(*site_residuals(answers), permutations=permutations, seed=seed),
        "same_hour": same_hour_morans_i(answers, permutations=permutations, seed=seed),
        "neighbours": neighbour_agreement(answers),
    }


def inverse_distances(lat: Array, lon: Array) -> Array:
    """Weights (n, n) [km-1] of places (n,) [deg]: 1 / max(distance, 1 km), 0 on the diagonal."""
    weights = 1.0 / np.maximum(haversine(lat[:, None], lon[:, None], lat, lon), NEAREST)
    np.fill_diagonal(weights, 0.0)
    return weights


def morans_i(values: Array, weights: Array) -> float | None:
    """Moran's I of (n,) values with (n, n) weights; None for equal values or weights of 0."""
    if len(values) < 2 or values.min() == values.max() or not weights.sum() > 0:
        return None
    z = values - values.mean()
    z /= np.abs(z).max()  # so that no square vanishes
    return float(len(z) / weights.sum() * (z @ weights @ z) / (z @ z))


def site_residuals(answers: HeldOutAnswers) -> tuple[Array, Array, Array]:
    """Mean residual [ug m-3] of each site whose position is known, its lat and lon [deg]; a site's
    mean is that of its sessions' means, so that a visit of many photos counts once."""
    sites, visits = answers.site, answers.visits()
    rows = np.flatnonzero(np.isfinite(answers.lat) & np.isfinite(answers.lon))
    residual = answers.estimate - answers.pm25
    places = [rows[sites[rows] == site] for site in np.unique(sites[rows])]
    means = [
        np.mean([residual[own[visits[own] == v]].mean() for v in np.unique(visits[own])])
        for own in places
    ]
    return (
        np.array(means, dtype=np.float64),
        np.array([answers.lat[own].mean() for own in places], dtype=np.float64),
        np.array([answers.lon[own].mean() for own in places], dtype=np.float64),
    )


def morans_i_test(
    values: Array, lat: Array, lon: Array, *, permutations: int = 999, seed: int = 25
) -> dict[str, object]:
    """Moran's I of (n,) values at places (n,) [deg], with its permutation test.

    n             places; below 4, and for equal values, all the rest is None
    i, expected   I and E[I] = −1 / (n − 1) [1]
    p_value       (1 + permutations with an I at least as large) / (1 + permutations)
    critical_i    the I from which p falls to 0.05
    largest_i     the largest I that any values at these places could have
    power         share of random fields, Gaussian with correlation exp(−d / median distance),
                  that this test finds at p ≤ 0.05; below 0.8 a large p clears nothing
    """
    names = ("i", "expected", "p_value", "critical_i", "largest_i", "power")
    weights = inverse_distances(lat, lon)
    observed = morans_i(values, weights) if len(values) >= LEAST_PLACES else None
    if observed is None:
        return {"n": len(values), **dict.fromkeys(names)}
    n = len(values)
    rng = np.random.default_rng(seed)
    orders = _orders(n, permutations, rng)
    permuted = _permuted_i(values, weights, orders)
    return {
        "n": n,
        "i": observed,
        "expected": -1.0 / (n - 1),
        "p_value": _p_value(observed, permuted),
        "critical_i": float(np.quantile(permuted, 1 - SIGNIFICANCE, method="higher")),
        "largest_i": _largest_i(weights),
        "power": _power(lat, lon, weights, orders, rng),
    }


def same_hour_morans_i(
    answers: HeldOutAnswers, *, permutations: int = 999, seed: int = 25
) -> dict[str, object]:
    """Moran's I among the sites seen in one hour of UTC, mean over the hours with at least 4 sites.

    What the weather of one hour does to all sites at once leaves no trace here, other than in means
    over different days. Residuals are permuted within their hour.

    n_hours, n_sites    hours with at least 4 sites, and the mean number of sites in them
    i, expected         means of I and of −1 / (n − 1)
    p_value             as in `morans_i_test`, of the mean I

    All but n_hours are None without such an hour.
    """
    hours: defaultdict[int, list[int]] = defaultdict(list)
    for row, time in enumerate(answers.captured_at):
        if time is not None:
            hours[int(time.timestamp() // 3600)].append(row)
    rng = np.random.default_rng(seed)
    observed, permuted, counts = [], [], []
    for _, rows in sorted(hours.items()):
        values, lat, lon = site_residuals(answers.of(np.array(rows, dtype=np.int64)))
        weights = inverse_distances(lat, lon)
        i = morans_i(values, weights) if len(values) >= LEAST_PLACES else None
        if i is not None:
            observed.append(i)
            counts.append(len(values))
            orders = _orders(len(values), permutations, rng)
            permuted.append(_permuted_i(values, weights, orders))
    if not observed:
        return {"n_hours": 0, **dict.fromkeys(("n_sites", "i", "expected", "p_value"))}
    return {
        "n_hours": len(observed),
        "n_sites": float(np.mean(counts)),
        "i": float(np.mean(observed)),
        "expected": float(np.mean([-1 / (n - 1) for n in counts])),
        "p_value": _p_value(float(np.mean(observed)), np.mean(permuted, axis=0)),
    }


def neighbour_agreement(answers: HeldOutAnswers) -> dict[str, object]:
    """Whether photos less than 1 km and 30 minutes apart give the same PM2.5 within their bands.

    Two estimates a ≥ b of the same air agree when a − b ≤ √((a − l_a)² + (u_b − b)²), with l and u
    the bounds of their 90 % intervals on the side of the other: the band of a difference of two
    independent errors. Photos of one visit share the error of their site, so that agreement in
    well over 90 % is the rule there; less says that the intervals do not even hold what frames of
    one moment differ by.

    n_pairs, n_sessions   pairs, and sessions that have one
    between_sessions      pairs of two different sessions, the harder ones
    agree                 share within the band; `agree_between_sessions` of those pairs alone
    agree_per_session     mean over sessions of the share of each one's pairs, so that many frames
                          of one visit count once; a pair of two sessions belongs to both
    median_difference, difference_90   median and 90 % quantile of |a − b| [ug m-3]
    """
    first, second = _neighbours(answers)
    e, (lower, upper) = answers.estimate, answers.interval(0.9)
    high = np.where(e[first] >= e[second], first, second)
    low = np.where(e[first] >= e[second], second, first)
    gap = e[high] - e[low]
    agree = gap <= np.hypot(e[high] - lower[high], upper[low] - e[low])
    one, other = answers.visits()[first], answers.visits()[second]
    across = one != other
    sessions = np.unique(np.concatenate([one, other]))
    shares = [agree[(one == session) | (other == session)].mean() for session in sessions]
    return {
        "n_pairs": len(gap),
        "n_sessions": len(sessions),
        "between_sessions": int(across.sum()),
        "agree": float(agree.mean()) if len(gap) else None,
        "agree_between_sessions": float(agree[across].mean()) if across.any() else None,
        "agree_per_session": float(np.mean(shares)) if shares else None,
        "median_difference": float(np.median(gap)) if len(gap) else None,
        "difference_90": float(np.quantile(gap, 0.9)) if len(gap) else None,
    }


def _neighbours(answers: HeldOutAnswers) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of the pairs (m,) that are near one another in place and time, each pair once."""
    times = seconds(answers)
    known = np.isfinite(times) & np.isfinite(answers.lat) & np.isfinite(answers.lon)
    order = np.flatnonzero(known)[np.argsort(times[known], kind="stable")]
    times, lat, lon = times[order], answers.lat[order], answers.lon[order]
    pairs: list[Sequence[int]] = []
    for i, end in enumerate(np.searchsorted(times, times + NEIGHBOURS_S)):
        later = np.arange(i + 1, end)
        near = haversine(lat[i], lon[i], lat[later], lon[later]) < NEIGHBOURS_KM
        pairs += [(order[i], order[j]) for j in later[near]]
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _orders(n: int, permutations: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Random orders (permutations, n) of n places."""
    return rng.permuted(np.tile(np.arange(n), (permutations, 1)), axis=1)


def _permuted_i(values: Array, weights: Array, orders: NDArray[np.int64]) -> Array:
    """Moran's I (m,) of the values in each of the orders (m, n)."""
    z = values - values.mean()
    z = z / np.abs(z).max()
    shuffled = z[orders]
    products = np.einsum("mi,ij,mj->m", shuffled, weights, shuffled, optimize=True)
    return np.asarray(len(z) / weights.sum() * products / (z @ z))


def _p_value(observed: float, permuted: Array) -> float:
    # The same order summed differently must count as equal.
    at_least = int((permuted >= observed - 1e-12).sum())
    return (1 + at_least) / (1 + len(permuted))


def _largest_i(weights: Array) -> float:
    n = len(weights)
    centre = np.eye(n) - 1.0 / n
    return float(n / weights.sum() * np.linalg.eigvalsh(centre @ weights @ centre)[-1])


def _power(
    lat: Array, lon: Array, weights: Array, orders: NDArray[np.int64], rng: np.random.Generator
) -> float | None:
    """Share of simulated fields whose p is at most 0.05; None where all places are one."""
    distance = haversine(lat[:, None], lon[:, None], lat, lon)
    usual = float(np.median(distance[np.triu_indices(len(lat), 1)]))
    if usual <= 0:
        return None
    # A little of each place's own keeps the matrix definite where two places coincide.
    covariance = np.exp(-distance / usual) + 1e-9 * np.eye(len(lat))
    fields = rng.standard_normal((N_FIELDS, len(lat))) @ np.linalg.cholesky(covariance).T
    found = [
        _p_value(morans_i(field, weights) or 0.0, _permuted_i(field, weights, orders))
        <= SIGNIFICANCE
        for field in fields
    ]
    return float(np.mean(found))
