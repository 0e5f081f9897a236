"""Temporal consistency: whether estimates move through hours and days as the air does.

Four readings, of which the second shows that a photo is being read and not the calendar:

    hourly profile        mean estimate and mean label by hour of the local day, at one site
    anomaly correlation   what is left of both once the usual value of hour and month is taken away
    repeatability         spread of the estimates of one moment's photos
    lag 1                 how fast consecutive estimates move, against how fast the labels do

Days of many photos would outvote the others, so what is averaged or correlated is never a photo
but an hour of a session, or a moment (`training.validation.moments`). Correlations are Pearson's.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.held_out import HeldOutAnswers
from training.validation.accuracy import pearson
from training.validation.moments import Moments, hours_of_sessions, mean, moments_of

Array = NDArray[np.float64]

LONGEST_STEP = 3.0  # [h] between consecutive moments of one session
LEAST_SESSIONS = 3  # of an hour of a profile, and of a cell of the climatology
LEAST_HOURS = 4  # of a profile that has a correlation
LEAST_PAIRS = 10  # of a correlation of anomalies or of changes
REPEATABLE_SD = 3.0  # [ug m-3]; either this or the share below is enough
REPEATABLE_SHARE = 0.20  # of the moment's mean estimate


def temporal_consistency(answers: HeldOutAnswers) -> dict[str, object]:
    """All four readings, JSON-able: what is not defined is None."""
    return {
        "hourly_profile": hourly_profile(answers),
        "anomaly_correlation": anomaly_correlation(answers),
        "repeatability": repeatability(answers),
        "lag_1": lag_1(answers),
    }


def hourly_profile(answers: HeldOutAnswers) -> dict[str, object]:
    """By site: the mean day as measured and as estimated, {site: record}.

    hours            local hours that at least 3 sessions have seen
    n_sessions       how many, hour by hour
    pm25, estimate   means over those sessions [ug m-3]
    correlation      of the two profiles; None below 4 hours
    correlation_within_session  the same of what hours differ by from the mean of their session
    rmse             √mean_h (ŷ_h − y_h)² [ug m-3]
    nrmse            rmse over the mean of the measured profile [1]

    A site without any such hour is left out. Hours may come from different days: where they do,
    days as well as hours make the first correlation. The second sees the course of the day alone.
    """
    hourly = hours_of_sessions(answers)
    within_y = _less_their_session(hourly.pm25, hourly.visit)
    within_e = _less_their_session(hourly.estimate, hourly.visit)
    profiles: dict[str, object] = {}
    for site in np.unique(hourly.site):
        own = hourly.site == site
        hours, counts = np.unique(hourly.hour[own], return_counts=True)
        hours, counts = hours[counts >= LEAST_SESSIONS], counts[counts >= LEAST_SESSIONS]
        if not len(hours):
            continue
        rows = [own & (hourly.hour == hour) for hour in hours]
        y = np.array([mean(hourly.pm25[row]) for row in rows])
        e = np.array([mean(hourly.estimate[row]) for row in rows])
        course_y = np.array([mean(within_y[row]) for row in rows])
        course_e = np.array([mean(within_e[row]) for row in rows])
        enough = len(hours) >= LEAST_HOURS
        rmse = float(np.sqrt(np.mean((e - y) ** 2)))
        profiles[str(site)] = {
            "hours": hours.tolist(),
            "n_sessions": counts.tolist(),
            "pm25": y.tolist(),
            "estimate": e.tolist(),
            "correlation": pearson(y, e) if enough else None,
            "correlation_within_session": pearson(course_y, course_e) if enough else None,
            "rmse": rmse,
            "nrmse": _ratio(rmse, float(y.mean())),
        }
    return profiles


def anomaly_correlation(answers: HeldOutAnswers) -> dict[str, object]:
    """Correlation of estimates and labels, hour and month taken away from both.

    The usual value of an hour of a session is the mean over the *other* sessions of the same site,
    month and hour: of the labels for the label, of the estimates for the estimate. Each has its
    own: were the labels' taken from both, what the two then share would correlate even a constant
    with the truth. As its own value is left out, an anomaly is m/(m − 1) times the difference from
    the mean of the cell's m values: a small cell does not shrink it. A cell of fewer than 3
    sessions has no usual value: its hours are left out and counted. No wider cell stands in for
    it, since that would let hour or season back in.

    Answers pooled over folds lean away from the labels that each fold left out, which draws the
    correlation down: of an estimate that sees nothing, below 0 is to be expected.

    `overall`, pooled over sites and so led by those of the largest anomalies, and `per_site`:
        n, n_left_out, n_sessions  hours of sessions, those of small cells, and sessions behind n
        correlation                None below 10 hours, and for an estimate that knows the
                                   calendar alone: it has no anomaly
        sd_pm25, sd_estimate       of the anomalies [ug m-3]
    """
    hourly = hours_of_sessions(answers)
    cells: defaultdict[tuple[str, int, int], list[int]] = defaultdict(list)
    for i, key in enumerate(zip(hourly.site, hourly.month, hourly.hour, strict=True)):
        cells[key].append(i)
    y, e = np.full(len(hourly.visit), np.nan), np.full(len(hourly.visit), np.nan)
    for cell in cells.values():
        if len(cell) >= LEAST_SESSIONS:
            y[cell] = _less_the_others(hourly.pm25[cell])
            e[cell] = _less_the_others(hourly.estimate[cell])

    def record(rows: NDArray[np.bool_]) -> dict[str, object]:
        kept = rows & np.isfinite(y)
        n = int(kept.sum())
        return {
            "n": n,
            "n_left_out": int(rows.sum()) - n,
            "n_sessions": len(np.unique(hourly.visit[kept])),
            "correlation": pearson(y[kept], e[kept]) if n >= LEAST_PAIRS else None,
            "sd_pm25": float(y[kept].std()) if n >= LEAST_PAIRS else None,
            "sd_estimate": float(e[kept].std()) if n >= LEAST_PAIRS else None,
        }

    return {
        "overall": record(np.ones(len(y), dtype=np.bool_)),
        "per_site": {str(site): record(hourly.site == site) for site in np.unique(hourly.site)},
    }


def repeatability(answers: HeldOutAnswers) -> dict[str, Any]:
    """How far apart the estimates of one moment's photos are: `overall`, and `per_site`.

    n_moments, n_photos  moments of at least 2 photos, and their photos
    median_sd, sd_90     median and 90 % quantile of the standard deviation [ug m-3]
    pooled_sd            √(Σ (n − 1) sd² / Σ (n − 1)) [ug m-3]
    pooled_share         the same of sd over the moment's mean estimate [1]
    repeatable           share of moments whose sd is at most 3 ug m-3, or 20 % of their mean

    Where a visitor turned around, what the views differ by is part of the spread.
    """
    moments = moments_of(answers)
    several = moments.n_photos >= 2
    sites = np.unique(moments.site[several])
    return {
        "overall": _repeatability(moments, several),
        "per_site": {
            str(site): _repeatability(moments, several & (moments.site == site)) for site in sites
        },
    }


def lag_1(answers: HeldOutAnswers) -> dict[str, object]:
    """Steps between consecutive moments of a session, at most 3 h apart: {site: record}.

    n, n_sessions              pairs, and sessions that hold one
    pm25_rate, estimate_rate   |Δ|/Δt [ug m-3 h-1]: {median, mean, quantile_90}
    rate_ratio                 mean rate of estimates over that of labels: below 1 they are too
                               calm, above 1 they flicker
    change_correlation         of Δŷ/Δt with Δy/Δt, signs kept
    pm25_autocorrelation, estimate_autocorrelation  of the first with the second value of a pair;
                               days that differ raise both, so they are to be compared

    Correlations are None below 10 pairs. A site whose sessions are single moments is left out.
    """
    moments = moments_of(answers)
    step = np.diff(moments.time)
    first = np.flatnonzero((np.diff(moments.visit) == 0) & (step <= LONGEST_STEP))
    records: dict[str, object] = {}
    for site in np.unique(moments.site[first]):
        a = first[moments.site[first] == site]
        before_y, after_y = moments.pm25[a], moments.pm25[a + 1]
        before_e, after_e = moments.estimate[a], moments.estimate[a + 1]
        y, e = (after_y - before_y) / step[a], (after_e - before_e) / step[a]
        enough = len(a) >= LEAST_PAIRS
        records[str(site)] = {
            "n": len(a),
            "n_sessions": len(np.unique(moments.visit[a])),
            "pm25_rate": _rate(np.abs(y)),
            "estimate_rate": _rate(np.abs(e)),
            "rate_ratio": _ratio(float(np.abs(e).mean()), float(np.abs(y).mean())),
            "change_correlation": pearson(y, e) if enough else None,
            "pm25_autocorrelation": pearson(before_y, after_y) if enough else None,
            "estimate_autocorrelation": pearson(before_e, after_e) if enough else None,
        }
    return records


def _less_their_session(values: Array, visits: NDArray[np.int64]) -> Array:
    """Each value less the mean of its session's."""
    less = np.empty(len(values))
    for visit in np.unique(visits):
        less[visits == visit] = values[visits == visit] - mean(values[visits == visit])
    return less


def _less_the_others(values: Array) -> Array:
    """Each of m values less the mean of the m − 1 others."""
    return np.asarray((values - mean(values)) * (len(values) / (len(values) - 1)))


def _repeatability(moments: Moments, rows: NDArray[np.bool_]) -> dict[str, object]:
    sd, usual, free = moments.sd[rows], moments.estimate[rows], moments.n_photos[rows] - 1
    counts = {"n_moments": len(sd), "n_photos": int(moments.n_photos[rows].sum())}
    if not len(sd):
        names = ("median_sd", "sd_90", "pooled_sd", "pooled_share", "repeatable")
        return {**counts, **dict.fromkeys(names)}
    share = np.divide(sd, usual, where=usual > 0, out=np.full(len(sd), np.inf))
    return {
        **counts,
        "median_sd": float(np.median(sd)),
        "sd_90": float(np.quantile(sd, 0.9)),
        "pooled_sd": float(np.sqrt(np.average(sd**2, weights=free))),
        "pooled_share": (
            float(np.sqrt(np.average(share**2, weights=free))) if (usual > 0).all() else None
        ),
        "repeatable": float(np.mean((sd <= REPEATABLE_SD) | (share <= REPEATABLE_SHARE))),
    }


def _rate(values: Array) -> dict[str, float]:
    return {
        "median": float(np.median(values)),
        "mean": float(values.mean()),
        "quantile_90": float(np.quantile(values, 0.9)),
    }


def _ratio(one: float, other: float) -> float | None:
    return one / other if other > 0 else None
