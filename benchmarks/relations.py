"""What a change of the photo or of its weather may do to the estimate, and how often it must hold.

One table, `REQUIRED`, holds every rate that is asked for. Estimates are in [ug m-3].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from training.validation.plausibility import haze_never_lowers, haze_raises

Estimates = NDArray[np.float64]

HUMIDITY_FALL = 0.10  # of the mean estimate, from RH_DRY to RH_WET
RH_DRY, RH_WET = 40.0, 90.0  # [%]
SMALL, SMALL_SHARE = 0.5, 0.01  # [ug m-3], share: what re-encoding may do to the median photo
LARGE, LARGE_SHARE = 3.0, 0.10  # [ug m-3], share: what it may do to nearly every photo


@dataclass(frozen=True)
class Rate:
    """How often one relation held. `value` is nan for no photo; `at_least` None asks nothing."""

    name: str
    value: float
    n: int
    at_least: float | None

    @property
    def holds(self) -> bool:
        """Whether it is as often as asked; nan holds nothing."""
        return self.at_least is None or self.value >= self.at_least

    def as_json(self) -> dict[str, object]:
        known = self.value if np.isfinite(self.value) else None
        return {**asdict(self), "value": known, "holds": self.holds}


# The lowest rate of each relation, by the photos it is asked of.
REQUIRED: dict[tuple[str, str], float] = {
    ("rendered", "haze"): 0.90,
    ("milan", "haze"): 0.95,
    ("india", "haze"): 0.90,
    **{
        (photos, relation): rate
        for photos in ("rendered", "milan", "india")
        for relation, rate in (
            ("humidity_never_raises", 1.0),
            ("humidity_mean_fall", HUMIDITY_FALL),
            ("mirror_median", 1.0),
            ("mirror", 0.99),
            ("jpeg_median", 1.0),
            ("jpeg", 0.99),
            ("resize_median", 1.0),
            ("resize", 0.99),
            ("exposure", 0.90),
        )
    },
}


def rate(photos: str, name: str, relation: str, held: NDArray[np.bool_]) -> Rate:
    """The share of `held` (n,), with what is required of `relation` over `photos`."""
    value = float(held.mean()) if len(held) else float("nan")
    return Rate(name, value, len(held), REQUIRED.get((photos, relation)))


def haze_rates(photos: str, estimates: Estimates) -> list[Rate]:
    """Of series (n, 6) from no added haze to the most."""
    never, rises = haze_never_lowers(estimates), haze_raises(estimates)
    return [
        rate(photos, "haze: no step lowers, and the last stands clear", "haze", never & rises),
        rate(photos, "haze: no step lowers", "", never),
        rate(photos, "haze: the last stands clear", "", rises),
    ]


def humidity_rates(photos: str, dry: Estimates, wet: Estimates) -> list[Rate]:
    """Of the same photos in dry and wet air, (n,) each."""
    fall = 1 - wet.mean() / dry.mean() if len(dry) else np.nan
    required = REQUIRED.get((photos, "humidity_mean_fall"))
    return [
        Rate("humidity: fall of the mean", float(fall), len(dry), required),
        rate(photos, "humidity: never raises", "humidity_never_raises", wet <= dry * (1 + 1e-6)),
    ]


def invariance_rates(
    photos: str, kind: str, name: str, before: Estimates, after: Estimates
) -> list[Rate]:
    """Of a change of `kind` that says nothing about the air, estimates (n,) each."""
    moved = np.abs(after - before)
    nearly = (moved <= LARGE) | (moved <= LARGE_SHARE * before)
    rates = [rate(photos, f"{name}: at most {LARGE:g} ug m-3 or {LARGE_SHARE:.0%}", kind, nearly)]
    if (photos, f"{kind}_median") in REQUIRED:
        small = bool(len(moved)) and (
            np.median(moved) <= SMALL or np.median(moved / before) <= SMALL_SHARE
        )
        held = np.array([small] if len(moved) else [], dtype=bool)
        median = rate(
            photos, f"{name}: median at most {SMALL:g} or {SMALL_SHARE:.0%}", f"{kind}_median", held
        )
        rates.append(Rate(median.name, median.value, len(moved), median.at_least))
    return rates


def table(rates: Sequence[Rate]) -> str:
    """Markdown, one row a rate; what is missed is marked."""
    lines = ["| relation | rate | n | required | |", "|---|---:|---:|---:|---|"]
    for r in rates:
        required = "" if r.at_least is None else f"{r.at_least:.0%}"
        mark = "" if r.holds or not r.n else "missed"
        lines.append(f"| {r.name} | {r.value:.1%} | {r.n} | {required} | {mark} |")
    return "\n".join(lines)
