"""Fit the applicability domain: what photos usually look like, and how far new places lie from it.

Every session has the same total weight. The spread on either side of a dimension's median is its
distance to the 5 and the 95 % quantile, in units of a normal law's.

Reach: each site is held out, the ranges are fitted on the others, and the 95 % quantile of the
site's own distances is taken; the reach is the largest of these. One more site, exchangeable with
the K that there are, then lies within it with a probability of K / (K + 1). With one site alone,
its sessions stand in for sites.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handlers.applicability_domain import (
    DIMENSIONS,
    SPREADS_TO_95,
    ApplicabilityDomain,
    UsualRange,
)
from training.calibration import session_weights
from training.table import TrainingTable
from training.training_statistics import weighted_quantiles

__all__ = ["fit_applicability_domain", "held_out_distances"]

REACH_QUANTILE = 0.95


def fit_applicability_domain(table: TrainingTable) -> ApplicabilityDomain:
    """The domain of `table`, real photos only: rendered ones would widen what counts as usual.

    Dimensions that the table does not have, or that never vary in it, are left out.
    """
    weights = session_weights(table.sessions)
    dimensions = _usual_ranges(table, weights)
    groups = _held_out_groups(table)
    distances = held_out_distances(table)
    of_group = [
        weighted_quantiles(distances[groups == g], weights[groups == g], (REACH_QUANTILE,))[0]
        for g in np.unique(groups)
    ]
    # Rows without any of the dimensions lie nowhere: then any reach will do.
    return ApplicabilityDomain(dimensions, max(of_group) or 1.0)


def held_out_distances(table: TrainingTable) -> NDArray[np.float64]:
    """Distance (n,) [1] of each row from the ranges of the other sites: as a new place sees it."""
    weights = session_weights(table.sessions)
    groups = _held_out_groups(table)
    distances = np.zeros(len(table))
    for group in np.unique(groups):
        here = groups == group
        others = here if here.all() else ~here
        chosen = np.flatnonzero(others)
        usual = ApplicabilityDomain(_usual_ranges(table.take(chosen), weights[chosen]), 1.0)
        distances[here] = usual.distance(table.X[here], table.names)
    return distances


def _held_out_groups(table: TrainingTable) -> NDArray[np.int64]:
    sites = table.sites
    return sites if len(np.unique(sites)) > 1 else table.sessions


def _usual_ranges(table: TrainingTable, weights: NDArray[np.float64]) -> tuple[UsualRange, ...]:
    """Median and spreads of each dimension that varies in `table`; `weights` (n,)."""
    ranges = []
    for name in DIMENSIONS:
        if name not in table.names:
            continue
        column = table.X[:, table.names.index(name)]
        known = np.isfinite(column)
        if not known.any():
            continue
        low, centre, high = weighted_quantiles(column[known], weights[known], (0.05, 0.5, 0.95))
        if low == high:
            continue
        # A side on which few sites lie is not known to be narrow: at least half the mean spread.
        least = (high - low) / (4.0 * SPREADS_TO_95)
        below, above = (centre - low) / SPREADS_TO_95, (high - centre) / SPREADS_TO_95
        ranges.append(UsualRange(name, centre, max(below, least), max(above, least)))
    return tuple(ranges)
