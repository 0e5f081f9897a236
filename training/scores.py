"""The record M: how good estimates are, in one form for every split, archive and data set.

With label y, estimate ŷ, both [ug m-3], a 90 % interval [l, u], 19 quantiles q_τ and a constant b:

    mae, rmse      mean |ŷ − y|, √mean (ŷ − y)²                      [ug m-3]
    r2             1 − Σ(ŷ − y)² / Σ(y − ȳ)²  =  1 − (rmse / sd_y)²
    spearman       Pearson's correlation of the ranks, ties at their mean rank
    bias           mean (ŷ − y)                                       [ug m-3]
    slope          least squares of ŷ on y: below 1 where estimates shrink to the mean
    sd_y           standard deviation of the labels, √mean (y − ȳ)²   [ug m-3]
    baseline_mae   mean |b − y|                                       [ug m-3]
    coverage_90    share of l ≤ y ≤ u
    mean_width_90  mean (u − l)                                       [ug m-3]
    crps           mean over photos and τ = 0.05, 0.10 … 0.95 of 2 (y − q_τ)(τ − 1[y < q_τ])

The last is the continuous ranked probability score ∫ (F(x) − 1[y ≤ x])² dx in its quantile form
2 ∫ pinball_τ dτ, with the mean over 19 levels for the integral: it weighs the tails outside 5 and
95 % like the levels it has. With all quantiles in one point it is the MAE.
What is not defined is None, never NaN: everything without photos; r2, spearman, slope and sd_y
with fewer than 3; r2, spearman and slope where all labels are equal, spearman also where all
estimates are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.sun import solar_position
from training.dataset import LabelledPhoto

Key = TypeVar("Key", bound=Hashable)
Score = dict[str, float | int | None]
Array = NDArray[np.float64]

FIGURES = (
    *("mae", "rmse", "r2", "spearman", "bias", "slope", "sd_y", "baseline_mae"),
    *("coverage_90", "mean_width_90", "crps"),
)
CRPS_LEVELS = np.arange(1, 20) / 20
DAYLIGHT = 5.0  # least elevation of the sun [deg]
_FEWEST = 3  # labels that have a spread


@dataclass(frozen=True, eq=False)
class Predictions:
    """What was answered for n photos [ug m-3], and the constant that it has to beat.

    pm25, lower, upper, baseline  (n,) the estimate, its 90 % interval, the constant
    quantiles                     (n, 19) at the levels 0.05, 0.10 … 0.95
    """

    pm25: Array
    lower: Array
    upper: Array
    quantiles: Array
    baseline: Array

    def of(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Predictions:
        """Those of the `chosen` photos: a mask (n,), or row numbers."""
        return self._each(lambda values: values[chosen])

    def medians(self, groups: Sequence[NDArray[np.int64]]) -> Predictions:
        """One entry per group of rows: the medians over it."""
        return self._each(
            lambda values: np.array([np.median(values[group], axis=0) for group in groups])
        )

    def _each(self, change: Callable[[Array], Array]) -> Predictions:
        return Predictions(
            pm25=change(self.pm25),
            lower=change(self.lower),
            upper=change(self.upper),
            quantiles=change(self.quantiles),
            baseline=change(self.baseline),
        )


@dataclass(frozen=True, eq=False)
class Labels:
    """What was measured beside n photos, and what they are grouped by; arrays (n,).

    pm25           [ug m-3], nan for a photo without a label
    site, session  names; a session is one of one site
    daytime        whether the sun is known to stand at least 5 deg high
    pm25_quality   A, B, or C for a converted label; empty where unknown
    """

    pm25: Array
    site: NDArray[np.str_]
    session: NDArray[np.str_]
    daytime: NDArray[np.bool_]
    pm25_quality: NDArray[np.str_]

    def of(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Labels:
        """Those of the `chosen` photos: a mask (n,), or row numbers."""
        return Labels(
            pm25=self.pm25[chosen],
            site=self.site[chosen],
            session=self.session[chosen],
            daytime=self.daytime[chosen],
            pm25_quality=self.pm25_quality[chosen],
        )


def labels_of(rows: Sequence[LabelledPhoto]) -> Labels:
    """The labels of `rows` of data sets."""
    return Labels(
        pm25=np.array([math.nan if row.pm25 is None else row.pm25 for row in rows]),
        site=np.array([row.site for row in rows], dtype=np.str_),
        session=np.array([row.session for row in rows], dtype=np.str_),
        daytime=np.array([is_daytime(row) for row in rows], dtype=np.bool_),
        pm25_quality=np.array([row.pm25_quality for row in rows], dtype=np.str_),
    )


def baselines(training_rows: Sequence[LabelledPhoto]) -> tuple[float, dict[str, float]]:
    """What one would say without looking [ug m-3]: the constant elsewhere, and those by camera.

    For a camera in `training_rows`: the median of its labels. Elsewhere: the median over sites of
    each site's median session, a session being the median of its labels. ValueError without any
    label.
    """
    of_camera: defaultdict[str, list[float]] = defaultdict(list)
    of_visit: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    of_site: defaultdict[str, list[float]] = defaultdict(list)
    for row in training_rows:
        if row.pm25 is not None:
            of_visit[row.visit].append(row.pm25)
            if row.camera:
                of_camera[row.camera].append(row.pm25)
    if not of_visit:
        raise ValueError("A baseline needs at least one labelled photo.")
    for (site, _), labels in of_visit.items():
        of_site[site].append(float(np.median(labels)))
    elsewhere = np.median([np.median(sessions) for sessions in of_site.values()])
    by_camera = {camera: float(np.median(labels)) for camera, labels in sorted(of_camera.items())}
    return float(elsewhere), by_camera


def score(
    y: ArrayLike,
    estimate: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    quantiles: ArrayLike,
    baseline: ArrayLike,
) -> Score:
    """The record M of n photos: labels `y` and predictions, (n,), `quantiles` (n, 19), [ug m-3].

    ValueError if the shapes differ or anything is not finite.
    """
    labels, e, low, high, constant = _checked(y, estimate, lower, upper, baseline)
    q = np.asarray(quantiles, dtype=np.float64).reshape(-1, len(CRPS_LEVELS))
    _checked(labels, *q.T)
    n = len(labels)
    if n == 0:
        return {"n": 0, **dict.fromkeys(FIGURES)}
    error = e - labels
    mse = float(np.mean(error**2))
    spread = labels - labels.mean()
    # Equal labels have no spread, whatever rounding makes of their mean.
    varied = n >= _FEWEST and labels.min() < labels.max()
    variance = float(np.mean(spread**2)) if varied else 0.0
    inside = (low <= labels) & (labels <= high)
    figures: dict[str, np.floating[Any] | float | None] = {
        "mae": np.mean(np.abs(error)),
        "rmse": math.sqrt(mse),
        "r2": _ratio(variance - mse, variance),
        "spearman": spearman(labels, e) if n >= _FEWEST else None,
        "bias": np.mean(error),
        "slope": _ratio(float(np.mean(spread * (e - e.mean()))), variance),
        "sd_y": math.sqrt(variance) if n >= _FEWEST else None,
        "baseline_mae": np.mean(np.abs(constant - labels)),
        "coverage_90": np.mean(inside),
        "mean_width_90": np.mean(high - low),
        "crps": np.mean(2 * pinball_loss(labels, q)),
    }
    return {"n": n, **{k: None if v is None else float(v) for k, v in figures.items()}}


def score_block(labels: Labels, predictions: Predictions) -> dict[str, object]:
    """Records M of the labelled ones of n answered photos: overall, daytime, per site and session.

    daytime           sun at least 5 deg above the horizon; a photo without time or place is
                      overall's
    quality_a_b       labels of reference stations or published beside the photo: neither converted
                      nor of unknown quality
    per_site          {site: M}, every photo counting
    per_site_daytime  {site: M}, those of daytime; a site without any has n = 0
    per_session       one M; a session counts once, by the medians of its label and of each
                      prediction
    """
    labelled = np.isfinite(labels.pm25)
    labels, predictions = labels.of(labelled), predictions.of(labelled)
    y = labels.pm25
    visits = list(zip(labels.site, labels.session, strict=True))
    sessions = _groups(visits)
    medians = np.array([np.median(y[session]) for session in sessions.values()])
    sites = dict(sorted(_groups([str(site) for site in labels.site]).items()))
    lit_sites = {site: group[labels.daytime[group]] for site, group in sites.items()}

    def chosen(rows: NDArray[np.bool_] | NDArray[np.int64]) -> Score:
        return _score(y[rows], predictions.of(rows))

    return {
        "overall": _score(y, predictions),
        "daytime": chosen(labels.daytime),
        "quality_a_b": chosen(np.isin(labels.pm25_quality, ("A", "B"))),
        "per_site": {site: chosen(group) for site, group in sites.items()},
        "per_site_daytime": {site: chosen(group) for site, group in lit_sites.items()},
        "per_session": _score(medians, predictions.medians(list(sessions.values()))),
    }


def is_daytime(row: LabelledPhoto) -> bool:
    """Whether the sun is known to stand at least 5 deg above the horizon."""
    return sun_elevation(row) >= DAYLIGHT


def sun_elevation(row: LabelledPhoto) -> float:
    """How high the sun stood over the photo [deg]; nan without its time or place."""
    time, lat, lon = row.metadata.captured_at, row.metadata.lat, row.metadata.lon
    if time is None or lat is None or lon is None:
        return math.nan
    return solar_position(time, lat, lon).elevation


def spearman(one: Array, other: Array) -> float | None:
    """Rank correlation of two (n,) arrays, ties at their mean rank; None where one is constant."""
    a, b = _ranks(one), _ranks(other)
    a, b = a - a.mean(), b - b.mean()
    correlation = _ratio(float(a @ b), math.sqrt(float(a @ a) * float(b @ b)))
    return None if correlation is None else min(1.0, max(-1.0, correlation))


def pinball_loss(y: Array, quantiles: Array) -> Array:
    """(y − q_τ)(τ − 1[y < q_τ]) ≥ 0 for each photo and level, (n, 19) [ug m-3]."""
    short = y[:, None] - quantiles
    return np.maximum(CRPS_LEVELS * short, (CRPS_LEVELS - 1) * short)


def _checked(*columns: ArrayLike) -> list[Array]:
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    for values in arrays:
        if values.shape != (len(arrays[0]),) or not np.isfinite(values).all():
            raise ValueError(f"A score needs columns of {len(arrays[0])} finite numbers each.")
    return arrays


def _score(y: Array, predictions: Predictions) -> Score:
    return score(
        y,
        predictions.pm25,
        predictions.lower,
        predictions.upper,
        predictions.quantiles,
        predictions.baseline,
    )


def _ranks(values: Array) -> Array:
    _, position, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(counts) - (counts - 1) / 2)[position]
    return ranks


def _ratio(numerator: float, denominator: float) -> float | None:
    """None where the denominator is zero, or so small that the ratio is no number."""
    if denominator == 0:
        return None
    ratio = numerator / denominator
    return ratio if math.isfinite(ratio) else None


def _groups(keys: Sequence[Key]) -> dict[Key, NDArray[np.int64]]:
    rows: defaultdict[Key, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        rows[key].append(number)
    return {key: np.array(numbers, dtype=np.int64) for key, numbers in rows.items()}
