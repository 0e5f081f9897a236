"""Physical plausibility: what no estimate may be, whatever the label.

A concentration is finite and not negative, its quantiles ascend, and it lies inside its own
interval. Haze added to a photo by Koschmieder's law (`training.alterations`) can only mean more
particles along the same path, so the estimate must not fall. The haze is that which training shows
its models, here on photos that they have not seen, up to an optical depth of 3.0;
`benchmarks.metamorphic` judges the served archive by the same rule, with haze that nothing was
trained on, up to 1.6.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.held_out import HAZE_DEPTHS, HeldOutAnswers

Array = NDArray[np.float64]
Rows = NDArray[np.bool_]

HAZE_DROP = 0.005  # share of the estimate that one step of haze may take away
HAZE_RISE = 0.20  # by how much the most haze must stand above none
EXTREME = 500.0  # [ug m-3] the upper end of the Colombian table; hours above it are rare anywhere
BEYOND_LABELS = 1.5  # times the highest label of the record


def plausibility(answers: HeldOutAnswers) -> dict[str, object]:
    """What is impossible or extreme, as counts and shares [1] of n photos, and `added_haze`.

    n
    negative, not_finite     estimates below 0, or nan or infinite
    negative_bounds          lower bounds of the 90 % interval below 0
    unordered                photos whose quantiles fall somewhere, or are not finite
    outside_interval         estimates outside their 90 % interval
    implausible              photos of which any of these is true
    share_implausible        None without photos, as all shares
    share_above_500          estimates above 500 ug m-3
    share_beyond_labels      estimates above 1.5 times the highest label of the record
    share_labels_above_500   what the first of these two is to be compared with
    added_haze               see `haze_response`: `overall` and `per_site`, photos by day alone
    """
    e, (lower, upper) = answers.estimate, answers.interval(0.9)
    finite = np.isfinite(e)
    # A comparison with nan is false: what is not finite counts as such and nowhere else.
    quantiles_finite = np.isfinite(answers.quantiles).all(axis=1)
    falls = (answers.quantiles[:, 1:] < answers.quantiles[:, :-1]).any(axis=1)
    wrong = {
        "negative": finite & (e < 0),
        "not_finite": ~finite,
        "negative_bounds": lower < 0,
        "unordered": ~quantiles_finite | falls,
        "outside_interval": (e < lower) | (e > upper),
    }
    highest = float(answers.pm25.max()) if len(answers) else 0.0
    implausible = np.logical_or.reduce(list(wrong.values()))
    daytime = answers.daytime()
    return {
        "n": len(answers),
        **{name: int(rows.sum()) for name, rows in wrong.items()},
        "implausible": int(implausible.sum()),
        "share_implausible": _share(implausible),
        "share_above_500": _share(e > EXTREME),
        "share_beyond_labels": _share(e > BEYOND_LABELS * highest),
        "share_labels_above_500": _share(answers.pm25 > EXTREME),
        "added_haze": {
            "overall": haze_response(answers.of(daytime)),
            "per_site": {
                str(site): haze_response(answers.of(daytime & (answers.site == site)))
                for site in np.unique(answers.site[daytime])
            },
        },
    }


def haze_response(answers: HeldOutAnswers) -> dict[str, object]:
    """How estimates answer to added haze, in the photos whose copies were all read.

    n              photos
    never_lowers   share of which no step lowers the estimate by more than 0.5 %
    raises         share whose last estimate, at the most haze, is at least 20 % above the first
    holds          share of which both are true
    depths         optical depths of the steps [1]; what follows is by step
    median_rise    median of the estimate over that of the photo as it is, less 1 [1]
    lowered        share that this step lowers by more than 0.5 %: where the response fails
    unlowered_so_far  share that neither this step nor any before it lowers so

    The shares are None without photos; a photo whose estimate is 0 or less has no rise.
    """
    series = np.column_stack([answers.estimate, answers.hazed])
    series = series[np.isfinite(series).all(axis=1)]
    never, raises = haze_never_lowers(series), haze_raises(series)
    fell = _fell(series[:, :-1], series[:, 1:])
    unlowered = np.logical_and.accumulate(~fell, axis=1)
    lit = series[series[:, 0] > 0]
    rise = np.median(lit[:, 1:] / lit[:, :1], axis=0) - 1 if len(lit) else None
    return {
        "n": len(series),
        "never_lowers": _share(never),
        "raises": _share(raises),
        "holds": _share(never & raises),
        "depths": list(HAZE_DEPTHS),
        "median_rise": [None] * len(HAZE_DEPTHS) if rise is None else rise.tolist(),
        "lowered": [_share(step) for step in fell.T],
        "unlowered_so_far": [_share(step) for step in unlowered.T],
    }


def haze_never_lowers(estimates: Array) -> Rows:
    """(n,) of series (n, 1 + H) from no added haze to the most: whether no step lowers the
    estimate by more than HAZE_DROP."""
    return np.asarray(~_fell(estimates[:, :-1], estimates[:, 1:]).any(axis=1))


def haze_raises(estimates: Array) -> Rows:
    """(n,) of the same series: whether the last stands at least HAZE_RISE above the first."""
    return np.asarray(estimates[:, -1] >= (1 + HAZE_RISE) * estimates[:, 0])


def _fell(before: Array, after: Array) -> Rows:
    return np.asarray(after < (1 - HAZE_DROP) * before)


def _share(rows: Rows) -> float | None:
    return float(rows.mean()) if len(rows) else None
