"""Held-out answers of a whole run, drawn: sites, visits, one fixed camera, splits and variants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from tests.drawn_answers import answers
from training.held_out import HAZE_DEPTHS, HeldOutAnswers

SITES = {
    "milan": (45.46, 9.19, 20.0),
    "bengaluru": (12.96, 77.72, 50.0),
    "delhi": (28.61, 77.21, 150.0),
    "faridabad": (28.41, 77.31, 120.0),
    "greater_noida": (28.47, 77.5, 140.0),
    "tamil_nadu": (11.0, 78.5, 30.0),
    "dimapur": (25.9, 93.73, 60.0),
}
CAMERA = "milan"
VARIANTS = {"full": 0.25, "photo_without_weather": 0.3, "weather_and_sun_without_photo": 0.45}
SPLITS = {"unseen_days": 1.0, "unseen_months": 1.2, "unseen_sites": 2.0, "random": 0.7}


def drawn_run(n: int = 700, seed: int = 25) -> dict[str, dict[str, HeldOutAnswers]]:
    """About n photos in sessions of eight, answered with errors that grow from split to split."""
    rng = np.random.default_rng(seed)
    sessions = max(n // 8, 1)
    shares = np.array([8, 5, 2, 1, 4, 5, 1]) / 26
    names = np.array(list(SITES))
    of_session = rng.choice(len(names), size=sessions, p=shares)
    visit = np.sort(rng.integers(0, sessions, size=n))
    site = names[of_session[visit]]
    place = np.array([SITES[name] for name in site])
    level = place[:, 2] * np.exp(0.5 * rng.standard_normal(sessions))[visit]
    pm25 = np.round(level * np.exp(0.1 * rng.standard_normal(n)), 1) + 1.0
    hour = rng.integers(6, 22, size=n)
    times = tuple(
        datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=int(day % 170), hours=int(h), minutes=i)
        for i, (day, h) in enumerate(zip(visit, hour, strict=True))
    )
    columns = {
        "file": np.array([f"images/{s}_{i:04d}.jpg" for i, s in enumerate(site)]),
        "site": site,
        "session": np.array([f"{s}_{v:04d}" for s, v in zip(site, visit, strict=True)]),
        "camera": np.where(site == CAMERA, "milan_south", ""),
        "captured_at": times,
        "lat": place[:, 0] + 0.0123,
        "lon": place[:, 1] + 0.0456,
        "sun_elevation": 60 * np.sin((hour - 6) / 12 * np.pi),
        "pm25_quality": np.where(site == "delhi", "C", np.where(site == CAMERA, "A", "B")),
        "constant": np.where(site == CAMERA, 18.0, 54.0),
        "climatology": place[:, 2],
    }
    own, within = rng.standard_normal(sessions)[visit], rng.standard_normal(n)
    run: dict[str, dict[str, HeldOutAnswers]] = {}
    for split, wider in SPLITS.items():
        run[split] = {}
        for variant, error in VARIANTS.items():
            spread = wider * error
            estimate = pm25 * np.exp(spread * (0.8 * own + 0.5 * within))
            hazed = estimate[:, None] * (1 + 0.5 * np.array(HAZE_DEPTHS))
            record = answers(
                pm25,
                estimate,
                half_width=np.minimum(1.6 * spread, 0.9) * estimate,
                hazed=hazed,
                epistemic=0.4 * spread * estimate,
                aleatoric=0.8 * spread * estimate,
                known_camera=(site == CAMERA) & (split != "unseen_sites"),
                **columns,
            )
            months = np.array([time.month >= 4 for time in times]) & (site == CAMERA)
            run[split][variant] = record.of(months) if split == "unseen_months" else record
    return run
