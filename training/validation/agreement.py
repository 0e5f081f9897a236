"""Agreement of category: whether the public would have read the right colour.

Categories of the US EPA's table of 2024 and of the Colombian ICA (`handlers.air_quality_index`),
each as if the photo's moment had lasted 24 h, for the label as for the estimate. They are ordered,
0 the cleanest, so disagreement has a size, and chance agreement is taken out by

    κ_w = 1 − Σ w_ij O_ij / Σ w_ij E_ij,   w_ij = (i − j)²

with O the confusion matrix and E that of the same margins without any relation (Cohen 1968,
doi:10.1037/h0026256): 1 is full agreement, 0 chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handlers.air_quality_index import STANDARDS, Standard, index_and_category
from training.held_out import HeldOutAnswers

Categories = NDArray[np.int64]

# "Unhealthy for Sensitive Groups", "Dañina a la salud de grupos sensibles": the third of each.
UNHEALTHY = 2


def category_agreement(answers: HeldOutAnswers) -> dict[str, object]:
    """By standard `us_epa_2024` and `co_ica_2254_2017`: see `agreement`. Every row counts once;
    give `answers.per_session()` where the photos of one visit share a label."""
    return {standard.name: agreement(answers, standard) for standard in STANDARDS}


def agreement(answers: HeldOutAnswers, standard: Standard) -> dict[str, object]:
    """How far categories of label and estimate agree; shares [1], None where none is asked.

    n                       rows whose label and estimate are finite and not negative
    exact, within_one       share of equal, and of equal or neighbouring categories
    weighted_kappa          κ_w; None where label and estimate only ever name one same category
    n_unhealthy             labels at or above 'unhealthy for sensitive groups'
    missed_unhealthy        share of these whose estimate is below it: health's own error
    missed_by_upper_bound   share of these whose 90 % interval as well stays below it
    n_not_unhealthy, false_alarm   the others, and the share of them estimated at or above it
    false_discovery         share of the estimates at or above it whose label is below
    upper_bound_reaches     share of rows whose 90 % interval reaches up to the measured category
    categories              their names, the cleanest first
    confusion               rows by category of the label, columns by that of the estimate [counts]
    """
    upper = answers.interval(0.9)[1]
    known = [np.isfinite(v) & (v >= 0) for v in (answers.pm25, answers.estimate, upper)]
    rows = np.logical_and.reduce(known)
    truth = categories_of(answers.pm25[rows], standard)
    guess = categories_of(answers.estimate[rows], standard)
    reach = categories_of(upper[rows], standard)
    unhealthy, alarm = truth >= UNHEALTHY, guess >= UNHEALTHY
    k = len(standard.bands)
    confusion = np.bincount(k * truth + guess, minlength=k * k).reshape(k, k)
    return {
        "n": len(truth),
        "exact": _share(truth == guess),
        "within_one": _share(np.abs(truth - guess) <= 1),
        "weighted_kappa": weighted_kappa(confusion),
        "n_unhealthy": int(unhealthy.sum()),
        "missed_unhealthy": _share(~alarm[unhealthy]),
        "missed_by_upper_bound": _share(reach[unhealthy] < UNHEALTHY),
        "n_not_unhealthy": int((~unhealthy).sum()),
        "false_alarm": _share(alarm[~unhealthy]),
        "false_discovery": _share(~unhealthy[alarm]),
        "upper_bound_reaches": _share(reach >= truth),
        "categories": [band.category for band in standard.bands],
        "confusion": confusion.tolist(),
    }


def categories_of(pm25: NDArray[np.float64], standard: Standard) -> Categories:
    """The number of the category (n,), 0 the cleanest, of concentrations (n,) ≥ 0 [ug m-3]."""
    names = [band.category for band in standard.bands]
    found = [names.index(index_and_category(float(value), standard)[1]) for value in pm25]
    return np.array(found, dtype=np.int64)


def weighted_kappa(confusion: NDArray[np.int64]) -> float | None:
    """Cohen's κ with quadratic weights of counts (k, k); None where chance cannot disagree."""
    number = np.arange(len(confusion))
    weight = (number[:, None] - number) ** 2
    by_chance = np.outer(confusion.sum(axis=1), confusion.sum(axis=0))
    expected = int((weight * by_chance).sum())
    if not expected:
        return None
    return 1.0 - int(confusion.sum()) * int((weight * confusion).sum()) / expected


def _share(rows: NDArray[np.bool_]) -> float | None:
    return float(rows.mean()) if len(rows) else None
