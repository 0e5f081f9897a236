"""Photos of one session put together by time, so that a burst of photos speaks once.

A moment is what a session saw within 10 minutes of the moment's first photo; an hour of a session
is what it saw in one hour of the local clock. Photos without a time belong to neither.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.held_out import HeldOutAnswers

Array = NDArray[np.float64]

MOMENT = 600.0  # [s]


@dataclass(frozen=True, eq=False)
class Moments:
    """n groups of photos of one session each; arrays (n,).

    site, camera, visit  of the group's first photo; `visit` is the number of its session
    date             local, ISO 8601
    hour, month      local, 0 … 23 and 1 … 12
    time             of the first photo, since 1970 [h]
    n_photos         [1]
    pm25, estimate   means over the photos [ug m-3]
    sd               standard deviation of the estimates (n − 1) [ug m-3], nan for a single photo
    """

    site: NDArray[np.str_]
    camera: NDArray[np.str_]
    visit: NDArray[np.int64]
    date: NDArray[np.str_]
    hour: NDArray[np.int64]
    month: NDArray[np.int64]
    time: Array
    n_photos: NDArray[np.int64]
    pm25: Array
    estimate: Array
    sd: Array


def moments_of(answers: HeldOutAnswers) -> Moments:
    """The moments of all sessions, in the order of session and time."""
    times, visits = seconds(answers), answers.visits()
    order = np.lexsort((times, visits))
    groups: list[list[int]] = []
    for i in order[np.isfinite(times[order])]:
        first = groups[-1][0] if groups else i
        if groups and visits[first] == visits[i] and times[i] - times[first] <= MOMENT:
            groups[-1].append(int(i))
        else:
            groups.append([int(i)])
    return _grouped(answers, groups)


def hours_of_sessions(answers: HeldOutAnswers) -> Moments:
    """The hours of all sessions: one for each local hour in which a session has photos."""
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for i, (visit, time) in enumerate(zip(answers.visits(), answers.captured_at, strict=True)):
        if time is not None:
            groups[int(visit), time.date(), time.hour].append(i)
    return _grouped(answers, list(groups.values()))


def seconds(answers: HeldOutAnswers) -> Array:
    """When each photo was taken (n,), since 1970 [s]; nan where unknown."""
    times = [np.nan if time is None else time.timestamp() for time in answers.captured_at]
    return np.array(times, dtype=np.float64)


def mean(values: Array) -> float:
    """The mean of (n,) values: of equal ones exactly their value, so that what is constant stays
    so and no rounding is correlated with anything."""
    return float(values[0] + np.mean(values - values[0]))


def _grouped(answers: HeldOutAnswers, groups: Sequence[list[int]]) -> Moments:
    first = np.array([group[0] for group in groups], dtype=np.int64)
    times = [time for i in first if (time := answers.captured_at[int(i)]) is not None]
    estimates = [answers.estimate[group] for group in groups]
    return Moments(
        site=answers.site[first],
        camera=answers.camera[first],
        visit=answers.visits()[first],
        date=np.array([time.date().isoformat() for time in times], dtype=np.str_),
        hour=np.array([time.hour for time in times], dtype=np.int64),
        month=np.array([time.month for time in times], dtype=np.int64),
        time=seconds(answers)[first] / 3600,
        n_photos=np.array([len(group) for group in groups], dtype=np.int64),
        pm25=np.array([mean(answers.pm25[group]) for group in groups], dtype=np.float64),
        estimate=np.array([mean(values) for values in estimates], dtype=np.float64),
        sd=np.array([v.std(ddof=1) if len(v) > 1 else np.nan for v in estimates], dtype=np.float64),
    )
