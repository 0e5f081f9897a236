"""How often the label lies inside the interval, how wide it is, and where it fails.

At each nominal level c of 50, 80, 90 and 95 %, with bounds l ≤ u [ug m-3] that count as inside:

    coverage_c               share of l ≤ y ≤ u                                     [1]
    coverage_interval_c      [lower, upper] of it, by bootstrap; where it is 0 or 1 and every
                             resample agrees, the exact bounds of as many trials as units are
                             drawn (Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404)
    mean_width_c             mean u − l                                             [ug m-3]
    median_relative_width_c  median of (u − l) / max(ŷ, 1)                          [1]

A mean over all photos hides that one kind of photo is missed and another covered too often
(conditional coverage; Barber 2021, doi:10.1093/imaiai/iaaa017). So the same stands for groups:

    site        each site
    level_band  US EPA 2024 category of the estimate, not of the label: what a reader of the answer
                has before him, and what does not select for errors
    hour        three hours of the local clock
    daylight    day (sun ≥ 5 deg), twilight, night (sun < −6 deg)
    quality     of the label: A, B, C
    camera      fixed_view (judged against a reference of its camera) or new_place

What a photo does not tell is `unknown`. Undefined is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.air_quality_index import US_EPA_2024, index_and_category
from handlers.estimator import DAYLIGHT
from training.held_out import HeldOutAnswers
from training.validation.accuracy import FLOOR, counts
from training.validation.bootstrap import Resampling

Array = NDArray[np.float64]
Groups = dict[str, dict[str, dict[str, Any]]]

LEVELS = (0.5, 0.8, 0.9, 0.95)
GROUP_HOURS = 3  # of the local clock, from midnight on
NIGHT = -6.0  # highest elevation of the sun [deg]: the end of civil twilight
FEWEST_SESSIONS = 10  # of a group whose coverage is a finding
UNKNOWN = "unknown"


def coverage(answers: HeldOutAnswers, resampling: Resampling | None = None) -> dict[str, Any]:
    """The figures above with `n`, `n_sessions`, `n_sites`; levels are named 50, 80, 90, 95."""
    inside = np.column_stack([covered(answers, level) for level in LEVELS]).astype(np.float64)
    drawn = resampling or Resampling()
    intervals = drawn.of_means(
        answers, inside, {percent(level): _column(i) for i, level in enumerate(LEVELS)}
    )
    figures: dict[str, Any] = dict(counts(answers))
    for i, level in enumerate(LEVELS):
        lower, upper = answers.interval(level)
        at, any_photo = percent(level), len(answers) > 0
        figures[f"coverage_{at}"] = float(inside[:, i].mean()) if any_photo else None
        figures[f"coverage_interval_{at}"] = _widened(intervals[at], answers, drawn)
        figures[f"mean_width_{at}"] = float(np.mean(upper - lower)) if any_photo else None
        figures[f"median_relative_width_{at}"] = (
            float(np.median(relative_width(answers, level))) if any_photo else None
        )
    return figures


def coverage_by_group(answers: HeldOutAnswers, resampling: Resampling | None = None) -> Groups:
    """`coverage` by grouping and group: {"site": {name: …}, "level_band": …, …}.

    Groups without photos are left out.
    """
    return {
        grouping: {
            name: coverage(answers.of(np.array(names) == name), resampling)
            for name in sorted(set(names))
        }
        for grouping, names in groupings(answers).items()
    }


def worst_group(groups: Groups) -> dict[str, Any] | None:
    """The group of at least 10 sessions with the least coverage at 90 %, and its `grouping`.

    The least of many varies below its own truth: read its interval. Of equal ones the first; None
    where no group has as many sessions.
    """
    found = [
        {"grouping": grouping, "group": group, **figures}
        for grouping, members in groups.items()
        for group, figures in members.items()
        if figures["n_sessions"] >= FEWEST_SESSIONS and group != UNKNOWN
    ]
    return min(found, key=lambda figures: figures["coverage_90"]) if found else None


def covered(answers: HeldOutAnswers, level: float) -> NDArray[np.bool_]:
    """Whether each label (n,) lies in its interval at `level`, bounds included."""
    lower, upper = answers.interval(level)
    return np.asarray((lower <= answers.pm25) & (answers.pm25 <= upper))


def relative_width(answers: HeldOutAnswers, level: float = 0.9) -> Array:
    """(u − l) / max(ŷ, 1) (n,) [1]; `confidence` falls with it."""
    lower, upper = answers.interval(level)
    return np.asarray((upper - lower) / np.maximum(answers.estimate, FLOOR))


def groupings(answers: HeldOutAnswers) -> Mapping[str, Sequence[str]]:
    """The name of each photo's group, (n,), by grouping."""
    sun = answers.sun_elevation
    light = np.select(
        [sun >= DAYLIGHT, sun >= NIGHT, sun < NIGHT], ["day", "twilight", "night"], UNKNOWN
    )
    return {
        "site": answers.site.tolist(),
        "level_band": [
            index_and_category(max(0.0, float(estimate)), US_EPA_2024)[1]
            for estimate in answers.estimate
        ],
        "hour": [
            UNKNOWN if time is None else _hours(time.hour // GROUP_HOURS * GROUP_HOURS)
            for time in answers.captured_at
        ],
        "daylight": light.tolist(),
        "quality": [quality or UNKNOWN for quality in answers.pm25_quality.tolist()],
        "camera": np.where(answers.known_camera, "fixed_view", "new_place").tolist(),
    }


def percent(level: float) -> str:
    """A level as the end of a figure's name: 90 for 0.9."""
    return f"{100 * level:.0f}"


def _widened(
    interval: list[float] | None, answers: HeldOutAnswers, resampling: Resampling
) -> list[float] | None:
    """`interval`, or where it has shrunk to 0 or 1 what so few units leave possible."""
    if interval not in ([0.0, 0.0], [1.0, 1.0]):
        return interval
    units = len(np.unique(resampling.units(answers)))
    bound = ((1 - resampling.level) / 2) ** (1 / units)
    return [bound, 1.0] if interval == [1.0, 1.0] else [0.0, 1 - bound]


def _hours(first: int) -> str:
    return f"{first:02d}-{first + GROUP_HOURS:02d}"


def _column(number: int) -> Any:
    return lambda means: means[:, number]
