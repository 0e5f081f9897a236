"""US EPA's performance targets for PM2.5 sensors, applied to photos: a bar we set ourselves.

The targets (Duvall et al. 2021, EPA/600/R-20/280) are for a sensor that stands beside a reference
monitor for at least 30 days and reports at least 75 % of each: they judge its 24-h means. Photos
are no continuous series. What stands for a day here is the mean over its photographed hours, of
the label in just the same hours, so that what is compared is the photo and not the hours it
misses; a mean over few hours is closer to an hourly value than to the air of a day, and harder to
meet. Days of at least 18 photographed hours, which alone the targets are made for, are shown apart.

Line and R² are those of least squares of the estimate on the label; this R² is the square of the
correlation, not 1 − SSE/SST, and forgives bias and slope, which have targets of their own. A model
that draws extremes to the middle fails by its slope first.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.held_out import HeldOutAnswers
from training.validation.moments import hours_of_sessions, mean
from training.validation.temporal import repeatability

Array = NDArray[np.float64]

SLOPE = (0.65, 1.35)
INTERCEPT = (-5.0, 5.0)  # [ug m-3]
LEAST_R2 = 0.70
LARGEST_RMSE, LARGEST_NRMSE = 7.0, 0.30  # [ug m-3], [1]: either is enough
LARGEST_SD, LARGEST_CV = 5.0, 0.30  # [ug m-3], [1] of precision: either is enough
COMPLETE_HOURS = 18  # 75 % of a day
ENOUGH_DAYS = 30
LEAST_DAYS = 3  # that have a line
LEAST_SPREAD = 1e-6  # [ug m-3]; labels closer than that are equal to every monitor


@dataclass(frozen=True, eq=False)
class SiteDays:
    """n local days, each of one site and one camera; arrays (n,).

    n_photos, n_hours  that the day's means rest on
    pm25, estimate     means over the photographed hours [ug m-3]
    """

    site: NDArray[np.str_]
    n_photos: NDArray[np.int64]
    n_hours: NDArray[np.int64]
    pm25: Array
    estimate: Array


def sensor_targets(answers: HeldOutAnswers) -> dict[str, object]:
    """Whether days, as estimated from photos, would meet the targets for sensors.

    overall, per_site   see `day_record`; pooled over sites, what differs between them raises R²
    complete_days       the same over the days of at least 18 photographed hours
    precision           spread of the estimates of one moment's photos, where a sensor's is that of
                        three of its kind: {n_moments, sd [ug m-3], cv [1], met}, pooled; None
                        without moments of several photos
    """
    days = site_days(answers)
    everything = np.ones(len(days.pm25), dtype=np.bool_)
    return {
        "overall": day_record(days, everything),
        "per_site": {str(s): day_record(days, days.site == s) for s in np.unique(days.site)},
        "complete_days": day_record(days, days.n_hours >= COMPLETE_HOURS),
        "precision": _precision(answers),
    }


def site_days(answers: HeldOutAnswers) -> SiteDays:
    """The days that have photos with a known time."""
    hourly = hours_of_sessions(answers)
    keys = list(zip(hourly.site, hourly.camera, hourly.date, hourly.hour, strict=True))
    days: defaultdict[tuple[str, str, str], defaultdict[int, list[int]]]
    days = defaultdict(lambda: defaultdict(list))
    for i, (site, camera, date, hour) in enumerate(keys):
        days[str(site), str(camera), str(date)][int(hour)].append(i)

    def day_means(values: Array) -> Array:
        # Two sessions of one place may share an hour, which still is one hour of the day.
        means = [
            mean(np.array([mean(values[hour]) for hour in day.values()])) for day in days.values()
        ]
        return np.array(means, dtype=np.float64)

    photos = [sum(int(hourly.n_photos[h].sum()) for h in day.values()) for day in days.values()]
    return SiteDays(
        site=np.array([site for site, _, _ in days], dtype=np.str_),
        n_photos=np.array(photos, dtype=np.int64),
        n_hours=np.array([len(day) for day in days.values()], dtype=np.int64),
        pm25=day_means(hourly.pm25),
        estimate=day_means(hourly.estimate),
    )


def day_record(days: SiteDays, rows: NDArray[np.bool_]) -> dict[str, object]:
    """The targets for the chosen `rows` of `days`.

    n_days, enough_days          days, and whether they are at least 30
    photos_per_day, hours_per_day  medians; None without days
    slope, intercept, r2         of the line of the estimate on the label; intercept in [ug m-3]
    rmse, nrmse                  √mean (ŷ − y)² [ug m-3], and over the mean label [1]
    met                          {slope, intercept, r2, rmse_or_nrmse, all}: true, false, or None
                                 where the figure is not defined

    Line and R² are None below 3 days or with labels within 1e-6 ug m-3; R² also where all estimates
    are.
    """
    y, e = days.pm25[rows], days.estimate[rows]
    n = len(y)
    rmse = float(np.sqrt(np.mean((e - y) ** 2))) if n else None
    nrmse = rmse / float(y.mean()) if rmse is not None and y.mean() > 0 else None
    slope, intercept, r2 = _line(y, e)
    met = {
        "slope": _within(slope, *SLOPE),
        "intercept": _within(intercept, *INTERCEPT),
        "r2": None if r2 is None else r2 >= LEAST_R2,
        "rmse_or_nrmse": _either(rmse, LARGEST_RMSE, nrmse, LARGEST_NRMSE),
    }
    known = None not in met.values()
    return {
        "n_days": n,
        "enough_days": n >= ENOUGH_DAYS,
        "photos_per_day": float(np.median(days.n_photos[rows])) if n else None,
        "hours_per_day": float(np.median(days.n_hours[rows])) if n else None,
        "slope": slope,
        "intercept": intercept,
        "r2": r2,
        "rmse": rmse,
        "nrmse": nrmse,
        "met": {**met, "all": all(met.values()) if known else None},
    }


def _line(y: Array, e: Array) -> tuple[float | None, float | None, float | None]:
    """Slope, intercept and squared correlation of the least-squares line of e on y."""
    if len(y) < LEAST_DAYS or np.ptp(y) < LEAST_SPREAD:
        return None, None, None
    # As shares of the labels' range, so that no square vanishes.
    scale = float(y.max() - y.min())
    z, f = (y - y.mean()) / scale, (e - e.mean()) / scale
    slope = float(z @ f) / float(z @ z)
    varied = np.ptp(e) >= LEAST_SPREAD
    r2 = min(1.0, float(z @ f) ** 2 / (float(z @ z) * float(f @ f))) if varied else None
    return slope, float(e.mean() - slope * y.mean()), r2


def _precision(answers: HeldOutAnswers) -> dict[str, object] | None:
    record = repeatability(answers)["overall"]
    if not record["n_moments"]:
        return None
    sd, cv = record["pooled_sd"], record["pooled_share"]
    return {
        "n_moments": record["n_moments"],
        "sd": sd,
        "cv": cv,
        "met": _either(sd, LARGEST_SD, cv, LARGEST_CV),
    }


def _within(value: float | None, lowest: float, highest: float) -> bool | None:
    return None if value is None else lowest <= value <= highest


def _either(
    one: float | None, largest_one: float, other: float | None, largest_other: float
) -> bool | None:
    if one is None:
        return None
    return one <= largest_one or (other is not None and other <= largest_other)
