"""Single estimates beside their labels: by hour of the day, one point a session, and the worst.

The residual of a photo is estimate − label [ug m-3]: above 0 the photo was taken for hazier than
the air was.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from training.held_out import HeldOutAnswers
from training.validation.accuracy import relative_error

WORST = 8
POSITION_DECIMALS = 1  # of a published position [deg]: 0.1 deg is 11 km


def residual_by_hour(answers: HeldOutAnswers) -> dict[str, list[Any]]:
    """Residuals [ug m-3] by hour of the local clock, a column each, hours without photos left out.

    hour                        0 … 23
    n, n_sessions               photos, and sessions they are of
    median, lower, upper        median, 10 % and 90 % quantile of the residuals of the photos
    """
    hours = np.array([-1 if time is None else time.hour for time in answers.captured_at])
    residual, visits = answers.estimate - answers.pm25, answers.visits()
    seen = [hour for hour in range(24) if (hours == hour).any()]
    rows = [np.flatnonzero(hours == hour) for hour in seen]
    quantiles = [np.quantile(residual[own], (0.1, 0.5, 0.9)).tolist() for own in rows]
    return {
        "hour": seen,
        "n": [len(own) for own in rows],
        "n_sessions": [len(np.unique(visits[own])) for own in rows],
        "median": [middle for _, middle, _ in quantiles],
        "lower": [low for low, _, _ in quantiles],
        "upper": [high for _, _, high in quantiles],
    }


def points(answers: HeldOutAnswers) -> dict[str, list[Any]]:
    """What a scatter plot shows of each row, a column each: `site`, `pm25`, `estimate`, and the
    90 % interval `lower`, `upper` [ug m-3]."""
    lower, upper = answers.interval(0.9)
    return {
        "site": answers.site.tolist(),
        "pm25": answers.pm25.tolist(),
        "estimate": answers.estimate.tolist(),
        "lower": lower.tolist(),
        "upper": upper.tolist(),
    }


def worst_cases(answers: HeldOutAnswers, n: int = WORST) -> list[dict[str, Any]]:
    """The n photos of the largest |residual|, of each session one, the worst first.

    file, site, session, captured_at (ISO 8601, or None), pm25_quality
    pm25, estimate, lower, upper, residual [ug m-3]; lower and upper of the 90 % interval
    relative_error [1], and whether the label is `inside` the interval
    """
    lower, upper = answers.interval(0.9)
    residual, relative = answers.estimate - answers.pm25, relative_error(answers)
    visits = answers.visits()
    # The file's name settles what is equal, so that the order of rows decides nothing.
    order = sorted(range(len(answers)), key=lambda i: (-abs(residual[i]), str(answers.file[i])))
    worst: dict[int, int] = {}
    for i in order:
        worst.setdefault(int(visits[i]), i)
    cases = []
    for i in list(worst.values())[:n]:
        time, y = answers.captured_at[i], float(answers.pm25[i])
        cases.append(
            {
                "file": str(answers.file[i]),
                "site": str(answers.site[i]),
                "session": str(answers.session[i]),
                "captured_at": None if time is None else time.isoformat(),
                "pm25_quality": str(answers.pm25_quality[i]),
                "pm25": y,
                "estimate": float(answers.estimate[i]),
                "lower": float(lower[i]),
                "upper": float(upper[i]),
                "residual": float(residual[i]),
                "relative_error": float(relative[i]),
                "inside": bool(lower[i] <= y <= upper[i]),
            }
        )
    return cases


def sites(answers: HeldOutAnswers) -> dict[str, dict[str, Any]]:
    """By site: `n` photos, `n_sessions`, and `lat`, `lon` [deg] to 0.1 deg, None where unknown;
    a site's position is the median of its photos'."""
    visits = answers.visits()
    found: dict[str, dict[str, Any]] = {}
    for site in np.unique(answers.site):
        own = answers.site == site
        found[str(site)] = {
            "n": int(own.sum()),
            "n_sessions": len(np.unique(visits[own])),
            "lat": _position(answers.lat[own]),
            "lon": _position(answers.lon[own]),
        }
    return found


def _position(degrees: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    known = degrees[np.isfinite(degrees)]
    return round(float(np.median(known)), POSITION_DECIMALS) if len(known) else None
